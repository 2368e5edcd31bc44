"""
How many connections one pool is asked for at once: in go moments, out come windows of `Demand`.

Somebody who asks for a connection raises the demand by one, and lowers it by giving the connection back or giving up.
Either is an append to one queue, so that nobody waits; whoever folds it sorts the moments and adds up how long each
level lasted. A moment that a thread tells of after the fold which should have had it counts from that fold on. What a
fold changes it works out first: a signal handler that raises finds it done or not, as `monitors.fold` says.

Deliberately not here: the lock, which `PoolCounters` holds, and what follows from a demand.
"""

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from itertools import accumulate, compress
from operator import sub
from typing import Final

from querygauge.monitors.queues import taken
from querygauge.protocols import Clock
from querygauge.values.demand import NO_DEMAND, Demand, level_of

__all__ = ["NO_LIMIT", "DemandCounter"]

NO_LIMIT: Final = sys.maxsize
"""What stands for a limit where there is none: it is never reached."""
_STEPS: Final = -1, 1  # of demand that falls, and that rises


class DemandCounter:
    """
    The demand of one pool; all but appending to `queue` is for whoever holds the lock.

    Args:
        clock: Where the time comes from.
        limits: Its one entry is how many connections there can be.

    Attributes:
        queue: Takes the moments at which demand rose, and negative ones at which it fell.
        counted: The demand since this was last replaced by `NO_DEMAND`, under levels that are not rounded.
    """

    __slots__ = ("_clock", "_level", "_limits", "_until_ns", "_waiting", "counted", "queue")

    def __init__(self, clock: Clock, limits: list[int]) -> None:
        self._clock = clock
        self._limits = limits
        self.queue: deque[int] = deque()
        self.reset()

    def reset(self) -> None:
        """Forgets everything; the queue stays the same object."""
        self.queue.clear()
        self._waiting: list[int] = []  # moments that are out of the queue and not counted
        self._level = 0
        self._until_ns = self._clock.monotonic_ns()
        self.counted = NO_DEMAND

    def settle(self) -> None:
        """Nobody holds or wants a connection: whatever was missed before, the demand is none."""
        if not self.queue:
            self._level = 0

    def fold(self) -> None:
        """Adds the moments in the queue up, and the time until now."""
        # Every checkout passes here twice, so this is left to C where it can be.
        moves = self._waiting
        moves += taken(self.queue)
        told = list(map(abs, moves))
        moments, since_ns = sorted(told), self._until_ns
        now_ns = max(self._clock.monotonic_ns(), since_ns, *moments[-1:])
        spans: Iterable[tuple[int, int]]
        requests: dict[int, int]
        if told == moments and self._is_one_at_a_time(moves) and since_ns <= moments[0]:
            # A worker that does one thing at a time: for a fifth of the time there is nothing more to be known.
            busy_ns = -sum(moves)
            level, requests = 0, {0: len(moves) // 2}
            spans = (0, now_ns - since_ns - busy_ns), (1, busy_ns)
        else:
            rises = list(map((0).__lt__, sorted(moves, key=abs)))
            levels = list(accumulate(map(_STEPS.__getitem__, rises), initial=self._level))
            if min(levels) < 0:  # one fell that never rose: it was out before we came, or a hook failed
                levels = list(accumulate(map(_STEPS.__getitem__, rises), _never_below_zero, initial=self._level))
            level, requests = levels[-1], Counter(compress(levels, rises))
            if moments and moments[0] < since_ns:
                moments = [max(moment, since_ns) for moment in moments]
            spans = zip(levels, map(sub, [*moments, now_ns], [since_ns, *moments]), strict=True)
        counted = self.counted.merged(self._demand(spans, requests))
        # From here on nothing is called.
        self.counted, self._level, self._until_ns = counted, level, now_ns
        del moves[:]

    def _is_one_at_a_time(self, moves: list[int]) -> bool:
        """Whether each rise is followed by its fall, from no demand to none."""
        falls = moves[1::2]
        return bool(falls) and self._level == len(moves) % 2 == 0 and min(moves[::2]) > 0 > max(falls)

    def _demand(self, spans: Iterable[tuple[int, int]], requests: Mapping[int, int]) -> Demand:
        """A demand of so many nanoseconds at each level, one of which may come several times."""
        times_ns: dict[int, int] = defaultdict(int)
        limit, full_ns = self._limits[0], 0
        for level, span_ns in spans:
            times_ns[level] += span_ns
            if level >= limit:
                full_ns += span_ns
        return Demand(0 if limit == NO_LIMIT else limit, full_ns, times_ns, requests)

    def window(self) -> Demand:
        """The demand since `counted` was last replaced."""
        self.fold()
        counted = self.counted
        return Demand(counted.limit, counted.full_ns, _by_level(counted.times_ns), _by_level(counted.requests))


def _never_below_zero(level: int, step: int) -> int:
    return max(0, level + step)


def _by_level(counts: Mapping[int, int]) -> dict[int, int]:
    kept: dict[int, int] = {}
    for count, amount in counts.items():
        if amount:
            level = level_of(count)
            kept[level] = kept.get(level, 0) + amount
    return kept
