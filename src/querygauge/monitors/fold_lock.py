"""
The lock of counters that are folded: a signal handler may want it while the very thread it interrupted holds it.

Then nobody will ever give it back, so `acquire` says so instead of waiting. Deliberately not here: what is folded.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["FoldLock"]


class FoldLock:
    """One holder at a time, the same thread included."""

    __slots__ = ("_is_taken", "_lock", "_owner")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # lets its own thread in, which then finds it taken
        self._is_taken = False
        self._owner = 0

    @property
    def is_interrupted(self) -> bool:
        """Whether this thread holds it: whoever asks is a signal handler, and what it interrupted will go on later."""
        return self._owner == threading.get_ident()

    def acquire(self, *, timeout_s: float = -1) -> bool:
        """
        Takes it; False if this thread has it already, or another one after the wait.

        Args:
            timeout_s: How long to wait for another thread; for ever if negative.
        """
        if not self._lock.acquire(timeout=timeout_s):
            return False
        if self._is_taken:
            self._lock.release()
            return False
        # In this order, and given back in the reverse one: a signal may arrive between any two of these lines, and must
        # find the lock its own rather than somebody's that will not be given back.
        self._owner = threading.get_ident()
        self._is_taken = True
        return True

    def release(self) -> None:
        """Gives it back; for whoever got True from `acquire`."""
        self._is_taken = False
        self._owner = 0
        self._lock.release()

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Waits for it and holds it; gives False, and holds nothing, where this thread has it already."""
        is_free = self.acquire()
        try:
            yield is_free
        finally:
            if is_free:
                self.release()
