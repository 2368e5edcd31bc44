"""
Whether an exception came from the host, while our code happened to run.

Task queues end a job that takes too long by an exception out of a signal handler, or by one that another thread has the
interpreter raise (`PyThreadState_SetAsyncExc`). It may arrive in the middle of a hook, and is not ours to swallow:
whoever catches everything asks here first, and lets it pass.

One from another thread bears no sign. It is known by this: it was raised in a frame of ours, and its class was written
in Python by somebody else, while what our own lines raise, and the functions in C that they call, are classes of ours,
of Python, of an extension in C, or of a driver. In doubt it is a mistake of ours and goes no further: a class of Python
itself, such as TimeoutError, or one that arrives while a hook is in the midst of a library's function, is swallowed.
"""

import inspect
import itertools
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["is_of_host"]

_OURS: Final = str(Path(__file__).parent)
_ARGUMENTS: Final = 3  # `(signum, frame)`, and `self` if the handler is a method
_NOT_THE_HOSTS: Final = frozenset({"asyncpg", "greenlet", "querygauge", "sqlalchemy", *sys.stdlib_module_names})


def is_of_host(error: BaseException) -> bool:
    """Whether a signal handler of the host raised it, or one of its threads had it raised."""
    traceback: TracebackType | None = error.__traceback__
    is_ours = False
    while traceback is not None:
        frame = traceback.tb_frame
        is_ours = frame.f_code.co_filename.startswith(_OURS)
        # Signal handlers are called with a frame.
        if not is_ours and any(isinstance(argument, FrameType) for argument in _arguments(frame)[1:]):
            return True
        traceback = traceback.tb_next
    return is_ours and _is_of_python_code_of_the_host(type(error))


def _is_of_python_code_of_the_host(kind: type[BaseException]) -> bool:
    module = kind.__module__
    packages = list(itertools.accumulate(module.split("."), "{}.{}".format))
    # Every DBAPI driver has a `paramstyle`.
    if packages[0] in _NOT_THE_HOSTS or any(hasattr(sys.modules.get(package), "paramstyle") for package in packages):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return module == "__main__" or str(file).endswith((".py", ".pyc"))


def _arguments(frame: FrameType) -> tuple[Any, ...]:
    """What the function of `frame` was called with, as far as it is still there."""
    code, found = frame.f_code, frame.f_locals
    named = tuple(found.get(name) for name in code.co_varnames[: min(code.co_argcount, _ARGUMENTS)])
    if not code.co_flags & inspect.CO_VARARGS:
        return named
    more = found.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
    return (*named, *more[:_ARGUMENTS])
