"""
Who waits for what at this moment: the frames of threads, and of tasks with the greenlets that they run.

A stack is the frames from the innermost one outwards, a task's as if its coroutines had called each other. Nobody is
stopped to be looked at: a stack may be of several moments, and whoever reads it has to see whether that matters. Not
looked at are the asking thread itself, greenlets that gevent keeps waiting, and, in a Python without a global lock,
everybody: there a frame may end while it is read.

Deliberately not here: what is looked for.
"""

import asyncio
import gc
import sys
from collections.abc import Iterable, Iterator
from contextvars import Context
from itertools import islice
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final, NamedTuple

__all__ = ["Stack", "stacks_of_tasks", "stacks_of_threads"]

_THREADS_LIMIT: Final = 1_000
_TASKS_LIMIT: Final = 2_000  # 10 µs each
_FRAMES_LIMIT: Final = 200  # of one stack; as for the line of a statement that ends
_AWAITS_LIMIT: Final = 100
# What stands between two coroutines and names none of them.
_WRAPPERS: Final = frozenset(
    {"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"}
)
_SUSPENDABLE: Final = (CoroutineType, AsyncGeneratorType, GeneratorType)
_SPAWNS: Final = "greenlet_spawn"  # SQLAlchemy's coroutine that runs synchronous code in a greenlet


class Stack(NamedTuple):
    """
    Where one thread or task is.

    Attributes:
        frames: The innermost first; can be gone through once.
        context: Its context variables; None if they cannot be told.
    """

    frames: Iterator[FrameType]
    context: Context | None


def stacks_of_threads() -> Iterator[Stack]:
    """The stacks of all other threads, 1,000 at most."""
    if not _has_global_lock():
        return
    # Without the asking thread: a frame that is kept in a variable of its own is not freed by its last reference.
    frames = [frame for frame in sys._current_frames().values() if frame.f_code.co_filename != __file__]  # noqa: SLF001
    for frame in islice(frames, _THREADS_LIMIT):
        yield Stack(_outwards(frame), None)


def stacks_of_tasks(loops: Iterable[asyncio.AbstractEventLoop]) -> Iterator[Stack]:
    """The stacks of the tasks of some event loops that wait for something, 2,000 of each loop at most."""
    if not _has_global_lock():
        return
    for loop in loops:
        for task in islice(asyncio.all_tasks(loop), _TASKS_LIMIT):
            yield Stack(islice(_suspended(task.get_coro()), _FRAMES_LIMIT), _context_of(task))


def _has_global_lock() -> bool:
    is_enabled = getattr(sys, "_is_gil_enabled", None)  # from 3.13 on
    return is_enabled is None or bool(is_enabled())


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(_FRAMES_LIMIT):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _context_of(task: Any) -> Context | None:
    if hasattr(task, "get_context"):  # from 3.12 on
        found: Context = task.get_context()
        return found
    return next((held for held in gc.get_referents(task) if isinstance(held, Context)), None)


def _suspended(coroutine: Any) -> Iterator[FrameType]:
    for awaited in reversed(list(islice(_awaits(coroutine), _AWAITS_LIMIT))):
        frame = _frame_of(awaited)
        if frame is None:
            continue
        if frame.f_code.co_name == _SPAWNS:
            yield from _outwards(_greenlet_frame(awaited))
        yield frame


def _awaits(awaited: Any) -> Iterator[Any]:
    """A coroutine, what it awaits, what that awaits, and so on."""
    while awaited is not None:
        if isinstance(awaited, _SUSPENDABLE):
            yield awaited
            awaited = _awaited_by(awaited)
        elif type(awaited).__name__ in _WRAPPERS:
            awaited = next((held for held in gc.get_referents(awaited) if _may_lead_on(held)), None)
        else:
            return


def _may_lead_on(held: Any) -> bool:
    return isinstance(held, _SUSPENDABLE) or type(held).__name__ in _WRAPPERS


def _awaited_by(awaited: Any) -> Any:
    if isinstance(awaited, CoroutineType):
        return awaited.cr_await
    return awaited.ag_await if isinstance(awaited, AsyncGeneratorType) else awaited.gi_yieldfrom


def _frame_of(awaited: Any) -> FrameType | None:
    frame: FrameType | None
    if isinstance(awaited, CoroutineType):
        frame = awaited.cr_frame
    else:
        frame = awaited.ag_frame if isinstance(awaited, AsyncGeneratorType) else awaited.gi_frame
    return frame


def _greenlet_frame(spawning: Any) -> FrameType | None:
    """The innermost frame of the greenlet that SQLAlchemy's coroutine has begun; None if it does not wait."""
    library = sys.modules.get("greenlet")
    if library is None:
        return None
    # Not by the coroutine's `f_locals`: up to Python 3.12 that keeps every value alive until the coroutine ends.
    for held in gc.get_referents(spawning):
        if isinstance(held, library.greenlet):
            # Somebody may have given the walk up for faster switches.
            frame: FrameType | None = held.gr_frame if getattr(held, "gr_frames_always_exposed", True) else None
            return frame
    return None
