"""
Whether an exception came from a signal handler of the host, while our code happened to run.

Task queues end a job that takes too long by an exception out of a signal handler. It may arrive in the middle of a
hook, and is not ours to swallow: whoever catches everything asks here first, and lets it pass.
"""

from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

__all__ = ["is_of_signal_handler"]

_OURS: Final = str(Path(__file__).parent)
_ARGUMENTS: Final = 3  # `(signum, frame)`, and `self` if the handler is a method


def is_of_signal_handler(error: BaseException) -> bool:
    """Whether a function that was called with a frame, as signal handlers are, is in the error's traceback."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            arguments = code.co_varnames[: min(code.co_argcount, _ARGUMENTS)]
            if any(isinstance(frame.f_locals.get(name), FrameType) for name in arguments[1:]):
                return True
        traceback = traceback.tb_next
    return False
