"""A signal whose handler raises, at each place where the interpreter looks whether one has arrived."""

import dis
import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FrameType
from typing import Any

# After these the interpreter looks whether a signal has arrived; so it does where a function begins.
LOOKS_AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD"}

Place = tuple[str, str, int]
"""File, function and line."""


class TooLong(Exception):  # noqa: N818  # named as task queues name theirs
    """Ends a job."""


@contextmanager
def raising_handler() -> Iterator[None]:
    """A handler that ends the job, and no garbage collection that would be traced at random moments."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGUSR1, end)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        signal.signal(signal.SIGUSR1, before)


@cache
def operations(code: CodeType) -> dict[int, str]:
    """The names of a function's instructions, by offset."""
    return {instruction.offset: instruction.opname for instruction in dis.get_instructions(code)}


@contextmanager
def signal_at(number: int, within: str | tuple[str, ...] = "") -> Iterator[list[Place]]:
    """
    Has the signal arrive when the interpreter looks for one for so many times; the place, if it comes so far.

    Args:
        number: How many looks are passed before.
        within: Only looks in files whose path begins with this, or one of these, are counted.
    """
    places: list[Place] = []
    looks = 0
    before: dict[FrameType, str] = {}

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal looks
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and not places and frame.f_code.co_filename.startswith(within):
            last = before.get(frame)
            before[frame] = operations(frame.f_code).get(frame.f_lasti, "")
            if last is None or last in LOOKS_AFTER:
                looks += 1
                if looks > number:
                    places.append((frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno))
                    signal.raise_signal(signal.SIGUSR1)
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        yield places
    finally:
        sys.settrace(tracing)
        before.clear()
