"""
The state of one pool at this moment: who holds a connection, who waits for one, and what the pool says about itself.

In go tokens and moments, one step each, so that no lock is needed; out comes a `PoolSnapshot`. Deliberately not here:
counters, history, and what a state means.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from heapq import nsmallest
from typing import Any, Final

from querygauge.checkout import CALL_SITE, KNOWN, LAST_PATTERN, SINCE, Checkout
from querygauge.clock import datetime_of
from querygauge.monitors.pool_demand import NO_LIMIT
from querygauge.protocols import Activity, Clock, PoolReading
from querygauge.values import Holder, PoolGauges, PoolSnapshot

__all__ = ["PoolState", "pop_oldest"]

_HOLDERS_SHOWN: Final = 20
# A request with a token waits if all connections are in use; if not, one is being opened for it, which is nothing to
# speak of unless it takes longer than it does on a healthy network.
_OPENING_NS: Final = 10_000_000
_NS_PER_S: Final = 1e9


class PoolState:
    """
    Gauges of one pool, by token where the caller knows its requests and connections, else by age alone.

    Attributes:
        held: What is checked out, by the token of its connection.
        held_unnamed: What is checked out without a token, oldest first.
        asked: Since when requests wait, by their token.
        asked_unnamed: Since when requests without a token wait, oldest first.
        max_connections: Connections there can be; 0 if there is no limit.
        limits: The same for comparisons, as its one entry: without a limit it is never reached.
    """

    def __init__(self, clock: Clock, pool_size: int | None, max_overflow: int) -> None:
        self._clock = clock
        self._own_size = pool_size
        self._own_overflow = max_overflow
        self._reading: PoolReading | None = None
        self._activity: Activity | None = None
        self.held: dict[Hashable, Checkout] = {}
        self.held_unnamed: deque[Checkout] = deque()
        self.asked: dict[Hashable, int] = {}
        self.asked_unnamed: deque[int] = deque()
        self.limits = [NO_LIMIT]
        self._limit_to(pool_size, max_overflow)

    def forget(self) -> None:
        """Nobody holds and nobody waits; emptied in place, capture may know `held` already."""
        for container in (self.held, self.held_unnamed, self.asked, self.asked_unnamed):
            container.clear()

    def read_with(self, reading: PoolReading, activity: Activity | None) -> None:
        """From now on the pool itself tells what is in use, idle and allowed, and a connection what it is at."""
        self.forget()  # who held a connection of another pool before
        self._reading = reading
        self._activity = activity
        self._gauges()

    @property
    def is_empty(self) -> bool:
        """Whether nobody holds or wants a connection, as far as it was told."""
        return not (self.held or self.asked or self.held_unnamed or self.asked_unnamed)

    @property
    def active(self) -> int:
        """Checkouts that were told of and have not ended."""
        return len(self.held) + len(self.held_unnamed)

    def waiting(self, active: int) -> int:
        """Callers waiting while `active` connections are in use."""
        waiting = 0
        if self.asked:
            count = len(self.asked)
            waiting = max(sum(self._are_opening()), min(count, count + active - self.limits[0]))
        return waiting + len(self.asked_unnamed)

    def is_waited_for(self, active: int) -> bool:
        """Whether `waiting()` is more than zero, without counting thousands of callers."""
        if self.asked_unnamed:
            return True
        count = len(self.asked)
        return count > 0 and (count + active > self.limits[0] or any(self._are_opening()))

    def _are_opening(self) -> Iterator[bool]:
        began_before_ns = self._clock.monotonic_ns() - _OPENING_NS
        return (started_ns <= began_before_ns for started_ns in list(self.asked.values()))

    def held_now(self) -> list[Checkout]:
        """Every checkout that has not ended, in no order."""
        return [*self.held.values(), *self.held_unnamed]

    def holders(self) -> tuple[Holder, ...]:
        """Who holds a connection, oldest first; at most 20."""
        now_ns = self._clock.monotonic_ns()
        return tuple(self.holder_of(held, now_ns) for held in nsmallest(_HOLDERS_SHOWN, self.held_now(), key=_since))

    def holder_of(self, checkout: Checkout, now_ns: int) -> Holder:
        """A checkout as others may see it."""
        call_site, pattern, known = checkout[CALL_SITE], checkout[LAST_PATTERN], checkout[KNOWN]
        return Holder(
            max(0.0, (now_ns - checkout[SINCE]) / _NS_PER_S),
            None if call_site is None else str(call_site),
            None if pattern is None else pattern.id,
            None if self._activity is None else self._activity(checkout),
            known if isinstance(known, str) else None,
        )

    def snapshot(self) -> PoolSnapshot:
        """The pool now."""
        gauges = self._gauges()
        size = gauges.size or 0
        holders = self.holders()
        return PoolSnapshot(
            timestamp=datetime_of(self._clock.now_us()),
            pool_size=size,
            active_connections=gauges.in_use,
            idle_connections=gauges.idle,
            waiting_count=self.waiting(gauges.in_use),
            overflow=max(0, gauges.in_use + gauges.idle - size) if size else 0,
            max_connections=self.max_connections,
            idle_max=gauges.idle_max,
            idle_min=gauges.idle_min,
            pool_class=gauges.pool_class,
            driver=gauges.driver,
            oldest_checkout_s=holders[0].age_s if holders else 0.0,
            holders=holders,
        )

    def _gauges(self) -> PoolGauges:
        if self._reading is not None:
            gauges = self._reading()
            self._limit_to(gauges.size, gauges.max_overflow or 0)
            return gauges
        active = self.active
        idle = max(0, self._own_size - active) if self._own_size else 0
        return PoolGauges(self._own_size, self._own_overflow, active, idle, idle_max=self._own_size)

    def _limit_to(self, size: int | None, max_overflow: int) -> None:
        # Without a limit on the overflow nobody ever waits for a connection to come back, so no share of a limit is
        # told either: one above 100 % would look like trouble.
        self.max_connections = size + max_overflow if size and max_overflow >= 0 else 0
        self.limits[0] = self.max_connections or NO_LIMIT


def _since(checkout: Checkout) -> int:
    since_ns: int = checkout[SINCE]
    return since_ns


def pop_oldest(queue: "deque[Any]") -> Any:
    """The first of a queue; None if there is none."""
    # Asking whether it is empty first would be a second step, between which another thread may take the last one.
    try:
        return queue.popleft()
    except IndexError:
        return None
