"""
How this program was started, so that commands it prints can be typed as they stand.

Comes in: the process's own arguments and PATH; goes out: lines for a shell. Deliberately not here: which commands.
"""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

__all__ = ["command_line", "program"]

_NAME: Final = "querygauge"


def command_line(command: str, store: object) -> str:
    """What to type for a command of this program on a store; None is the store of the settings."""
    return f"{program()} {command}" + (f" --store {shlex.quote(str(store))}" if store is not None else "")


def program() -> str:
    """`querygauge` if a shell would find this very program under that name, else the path it was started with."""
    started = Path(sys.argv[0])
    is_script = started.name == _NAME
    script = started if is_script else Path(sys.executable).with_name(_NAME)
    found = shutil.which(_NAME)
    if found is not None and script.exists() and script.samefile(found):
        return _NAME
    # Of `python -m querygauge`, sys.argv has the path of a module that cannot be run by itself.
    return shlex.quote(str(started)) if is_script else f"{shlex.quote(sys.orig_argv[0])} -m {_NAME}"
