"""
Who is told that a unit of work has ended: the monitors of this process that count them.

A unit belongs to no engine, and may be one of several gauges that write to one store. It is told to the first of them,
so that adding up what they wrote gives the true number. Deliberately not here: counting.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Any, Final

from querygauge.capture.guard import Guard
from querygauge.forking import survive_forks

__all__ = ["ENDINGS"]

Take = Callable[[Any, int], object]
"""Takes a scope, and how long it lasted in nanoseconds."""


class _Endings:
    def __init__(self) -> None:
        self.guard = Guard("scopes")
        self._takers: list[tuple[Hashable, Take]] = []
        self._first: tuple[Take, ...] = ()
        self._lock = threading.Lock()
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self._lock = threading.Lock()

    def add(self, key: Hashable, take: Take) -> None:
        """Tells `take` from now on, unless another one of the same key is told already."""
        with self._lock:
            self._set([*self._takers, (key, take)])

    def remove(self, take: Take) -> None:
        """Tells `take` no more, but the next one of its key."""
        with self._lock:
            self._set([(key, taker) for key, taker in self._takers if taker != take])

    def _set(self, takers: list[tuple[Hashable, Take]]) -> None:
        self._takers = takers
        self._first = tuple(dict(reversed(takers)).values())  # of each key the first

    def tell(self, scope: Any, duration_ns: int) -> None:
        """Tells whom it concerns."""
        for take in self._first:
            take(scope, duration_ns)


ENDINGS: Final = _Endings()
