"""
What Python imports first in every process of `querygauge run`; it hands over to the application's own `sitecustomize`.

This folder stands in PYTHONPATH, so that processes which the application starts have it too, those of another Python
among them: nothing here may need a late one. Afterwards `sys.path` and `sitecustomize` are what they are without it.
"""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
try:
    if sys.version_info >= (3, 11) and os.environ.get("_QUERYGAUGE_RUN"):
        import _querygauge_run  # type: ignore[import-not-found]  # it is found here

        _querygauge_run.prepare(os.environ["_QUERYGAUGE_RUN"])
except Exception as error:
    sys.stderr.write("querygauge: nothing is measured in process %d: %r\n" % (os.getpid(), error))
sys.path[:] = [entry for entry in sys.path if entry != _folder]
sys.path_importer_cache.pop(_folder, None)
# If the application has none, this ends as the import would without us, and Python takes it for that.
del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401  # the application's
