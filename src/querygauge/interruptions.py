"""
Whether an exception came from a signal handler of the host, while our code happened to run.

Task queues end a job that takes too long by an exception out of a signal handler. It may arrive in the middle of a
hook, and is not ours to swallow: whoever catches everything asks here first, and lets it pass.
"""

import inspect
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

__all__ = ["is_of_signal_handler"]

_OURS: Final = str(Path(__file__).parent)
_ARGUMENTS: Final = 3  # `(signum, frame)`, and `self` if the handler is a method


def is_of_signal_handler(error: BaseException) -> bool:
    """Whether a function that was called with a frame, as signal handlers are, is in the error's traceback."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        is_ours = frame.f_code.co_filename.startswith(_OURS)
        if not is_ours and any(isinstance(argument, FrameType) for argument in _arguments(frame)[1:]):
            return True
        traceback = traceback.tb_next
    return False


def _arguments(frame: FrameType) -> tuple[Any, ...]:
    """What the function of `frame` was called with, as far as it is still there."""
    code, found = frame.f_code, frame.f_locals
    named = tuple(found.get(name) for name in code.co_varnames[: min(code.co_argcount, _ARGUMENTS)])
    if not code.co_flags & inspect.CO_VARARGS:
        return named
    more = found.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
    return (*named, *more[:_ARGUMENTS])
