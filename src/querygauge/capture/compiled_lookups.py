"""
How often SQLAlchemy had to compile a statement: counts, which only a statement that is met for the first time advances.

What was compiled before remembers its pattern, so that whoever finds none knows that it is new. Hits are the other
executions: nobody counts them.
"""

import threading
from collections import Counter, deque
from typing import Any, Final

from sqlalchemy.engine.interfaces import CacheStats

from querygauge.forking import survive_forks

__all__ = ["CompiledLookups"]

_MISS: Final = "miss"
_UNCACHED: Final = "uncached"


class CompiledLookups:
    """Counts of one target, for any number of threads."""

    def __init__(self) -> None:
        self._counts = Counter({_MISS: 0, _UNCACHED: 0})
        self._uncounted: deque[str] = deque()  # nobody has counted them yet who held the lock
        self._lock = threading.Lock()
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held, and leaves to the parent what the parent compiled."""
        self._lock = threading.Lock()
        self._counts = Counter({_MISS: 0, _UNCACHED: 0})
        self._uncounted.clear()

    def add(self, context: Any) -> None:
        """Counts a statement that was not met before, by what the context of its execution says of the cache."""
        outcome = getattr(context, "cache_hit", None)
        if outcome is CacheStats.CACHE_HIT or not isinstance(outcome, CacheStats):
            return  # compiled before anybody watched
        self._uncounted.append(_MISS if outcome is CacheStats.CACHE_MISS else _UNCACHED)
        # Never waits: a signal handler that sends a statement may have interrupted the one who holds the lock.
        if self._lock.acquire(blocking=False):
            try:
                while self._uncounted:
                    self._counts[self._uncounted[0]] += 1
                    self._uncounted.popleft()
            finally:
                self._lock.release()

    def counts(self) -> dict[str, int]:
        """Statements that had to be compiled, by whether they were kept for the next time: `miss`, or `uncached`."""
        counts = Counter(self._counts)
        counts.update(tuple(self._uncounted))
        return dict(counts)
