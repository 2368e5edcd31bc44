"""
The lock of counters that are folded: a signal handler may want it while the very thread it interrupted holds it.

Then nobody will ever give it back, so `acquire` says so instead of waiting. A handler may raise, too, at any line of
ours: it must not leave the lock taken. Deliberately not here: what is folded.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["FoldLock"]


class FoldLock:
    """
    One holder at a time, the same thread included.

    Attributes:
        release: Gives it back; for whoever got True from `acquire`. No function of ours, in which a signal handler
            could raise before the lock is free.
    """

    __slots__ = ("_is_mine", "_lock", "release")

    def __init__(self) -> None:
        lock: Any = threading.RLock()  # knows its thread from the very moment it is taken
        self._lock = lock
        self._is_mine: Callable[[], bool] = lock._is_owned  # noqa: SLF001  # as `threading.Condition` asks
        self.release: Callable[[], None] = lock.release

    @property
    def is_interrupted(self) -> bool:
        """Whether this thread holds it: whoever asks is a signal handler, and what it interrupted will go on later."""
        return self._is_mine()

    def acquire(self, *, timeout_s: float = -1) -> bool:
        """
        Takes it; False if this thread has it already, or another one after the wait.

        Args:
            timeout_s: How long to wait for another thread; for ever if negative.
        """
        if self._is_mine():
            return False
        try:
            is_taken = bool(self._lock.acquire(timeout=timeout_s))
        except BaseException:
            # A signal handler that raises between taking the lock and saying so.
            if self._is_mine():
                self.release()
            raise
        return is_taken

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Waits for it and holds it; gives False, and holds nothing, where this thread has it already."""
        is_free = self.acquire()
        try:
            yield is_free
        finally:
            if is_free:
                self.release()
