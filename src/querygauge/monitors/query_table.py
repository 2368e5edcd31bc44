"""
Executions, one by one, to counters per pattern and target: those of the current window, and those of all windows.

In go primitives, out come `QueryStats`. The window is mutable and small; what was drained is kept as frozen values, so
whoever reads them needs no lock while merging. Deliberately not here: the lock, and the clock; the recorder has both.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from querygauge.clock import datetime_of
from querygauge.histogram import Histogram
from querygauge.patterns.cache import OTHER
from querygauge.values import LINES_LIMIT, PHASES, OutcomeCounts, Pattern, PhaseTimes, QueryStats

__all__ = ["Counters", "Key", "QueryTable", "merged"]

Key = tuple[str, str]
"""Target and pattern id."""

_NS_PER_US: Final = 1_000


class Counters:
    """
    What one pattern did on one target within a window; at least one execution.

    The fold adds to the attributes itself: a call per execution would cost as much as the adding. For the same reason
    moments stay on the monotonic clock, and what most executions have in common is not counted but worked out.

    Attributes:
        outcomes: Executions by how they ended, without those that ended well.
        lines: Executions by the line that sent them, of those for which it was looked for.
        phases: Nanoseconds by phase, in the order of `values.PHASES`.
        rows_unknown: Executions whose rows the driver did not tell.
        unit_key: What the pattern is counted under within a unit; None if it cannot be a repetition.
    """

    __slots__ = (
        "_pattern",
        "_target",
        "buckets",
        "first_ns",
        "last_ns",
        "lines",
        "max_ns",
        "min_ns",
        "outcomes",
        "phases",
        "rows",
        "rows_unknown",
        "slow",
        "total_ns",
        "unit_key",
    )

    def __init__(self, target: str, pattern: Pattern, started_ns: int, duration_ns: int) -> None:
        self._target = target
        self._pattern = pattern
        self.outcomes = [0, 0, 0, 0]
        self.slow = self.rows = self.rows_unknown = self.total_ns = 0
        self.min_ns = self.max_ns = duration_ns
        self.first_ns = self.last_ns = started_ns
        self.buckets: dict[int, int] = {}
        self.lines: dict[str, int] = {}
        self.phases = [0] * len(PHASES)
        is_repeatable = pattern.category == "query" and pattern.id != OTHER.id
        self.unit_key = f"{target} {pattern.id}" if is_repeatable else None

    def add_line(self, line: str) -> None:
        """Counts the first execution of a line; beyond the limit on lines it is counted for none."""
        if len(self.lines) < LINES_LIMIT:
            self.lines[line] = 1

    def add_phases(self, nanoseconds: Sequence[int]) -> None:
        """Adds to each phase; what a shorter sequence leaves out is zero."""
        for phase, spent_ns in enumerate(nanoseconds):
            self.phases[phase] += spent_ns

    @property
    def execution_count(self) -> int:
        """Executions so far."""
        return sum(self.buckets.values())

    def frozen(self, offset_us: int) -> QueryStats:
        """
        The counts so far.

        Args:
            offset_us: What a monotonic moment lacks, in microseconds, to one of the epoch.
        """
        count = self.execution_count
        return QueryStats(
            self._pattern,
            self._target,
            OutcomeCounts(count - sum(self.outcomes), *self.outcomes[1:]),
            self.slow,
            self.rows,
            count - self.rows_unknown,
            Histogram(count, self.total_ns, self.min_ns, self.max_ns, dict(self.buckets)),
            datetime_of(offset_us + self.first_ns // _NS_PER_US),
            datetime_of(offset_us + self.last_ns // _NS_PER_US),
            PhaseTimes(*self.phases),
            dict(self.lines),
        )


class QueryTable:
    """
    The counters of all patterns; whoever holds it serialises the calls.

    Distinct patterns are bounded: beyond the limit an execution counts under `OTHER`, so that totals stay right.

    Attributes:
        window: Counters since the last `drain()`.
        totals: What was drained, by key; values are never changed, only replaced.
        outcomes: Executions drained so far by how they ended; those of dropped patterns stay.
        slow_count: Slow executions drained so far.
        forgotten_ns: Time of the executions of dropped patterns, by target; replaced like the totals.
    """

    def __init__(self, max_patterns: int) -> None:
        self._max_patterns = max_patterns
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.window: dict[Key, Counters] = {}
        self.totals: dict[Key, QueryStats] = {}
        self.outcomes = OutcomeCounts()
        self.slow_count = 0
        self.forgotten_ns: Mapping[str, int] = {}
        self._distinct = 0

    def open(self, target: str, pattern: Pattern, started_ns: int, duration_ns: int) -> Counters:
        """The counters for an execution whose pattern the window does not have: new ones, or those of `OTHER`."""
        key = (target, pattern.id)
        if pattern.id != OTHER.id and key not in self.totals:
            if self._distinct >= self._max_patterns:
                found = self.window.get((target, OTHER.id))
                return found or self.open(target, OTHER, started_ns, duration_ns)
            self._distinct += 1
        counters = self.window[key] = Counters(target, pattern, started_ns, duration_ns)
        return counters

    def frozen_window(self, offset_us: int) -> dict[Key, QueryStats]:
        """The window as values; `offset_us` as for `Counters.frozen`."""
        return {key: counters.frozen(offset_us) for key, counters in self.window.items()}

    def drain(self, offset_us: int) -> tuple[QueryStats, ...]:
        """The window as values, which move into the totals; `offset_us` as for `Counters.frozen`."""
        drained = self.frozen_window(offset_us)
        self.window = {}
        self.totals = merged(self.totals, drained)
        self.outcomes, self.slow_count = self.overall(drained.values())
        return tuple(drained.values())

    def overall(self, window: Iterable[QueryStats]) -> tuple[OutcomeCounts, int]:
        """Executions by how they ended and slow ones, those drained and those of `window` together."""
        outcomes, slow_count = self.outcomes, self.slow_count
        for stats in window:
            outcomes = outcomes.merged(stats.outcomes)
            slow_count += stats.slow_count
        return outcomes, slow_count

    def folded_count(self) -> int:
        """Executions counted under `OTHER`, drained or not."""
        drained = sum(stats.execution_count for key, stats in self.totals.items() if key[1] == OTHER.id)
        return drained + sum(counts.execution_count for key, counts in self.window.items() if key[1] == OTHER.id)

    def drop_unseen_since(self, epoch_us: int) -> frozenset[Key]:
        """Forgets patterns last seen before that, unless the window has numbers of theirs; returns their keys."""
        oldest = datetime_of(epoch_us)
        unseen = frozenset(
            key
            for key, stats in self.totals.items()
            if stats.last_seen < oldest and key not in self.window and stats.pattern.id != OTHER.id
        )
        if unseen:
            forgotten_ns = Counter(self.forgotten_ns)
            for target, pattern_id in unseen:
                forgotten_ns[target] += self.totals[target, pattern_id].durations.total_ns
            self.forgotten_ns = forgotten_ns
            self.totals = {key: stats for key, stats in self.totals.items() if key not in unseen}
            self._distinct -= len(unseen)
        return unseen


def merged(totals: Mapping[Key, QueryStats], window: Mapping[Key, QueryStats]) -> dict[Key, QueryStats]:
    """Both together, by key; neither is changed."""
    together = dict(totals)
    for key, stats in window.items():
        before = together.get(key)
        together[key] = stats if before is None else before.merged(stats)
    return together
