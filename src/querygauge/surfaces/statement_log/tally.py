"""
Executions → statistics per pattern, in memory bounded by the number of patterns.

Comes in: a pattern and an execution of it; goes out: `QueryStats`. Beyond the limit executions count under `OTHER`, as
the monitors do it, so that totals stay right. What a log does not tell stays out of the numbers: durations are of the
executions that have one, and a pattern without moments has `NEVER` for both.
"""

from querygauge.clock import datetime_of
from querygauge.histogram import Histogram, bucket_of
from querygauge.patterns.cache import OTHER
from querygauge.rendering.normalized_data import NEVER
from querygauge.surfaces.statement_log.execution import Execution
from querygauge.values import OutcomeCounts, Pattern, QueryStats

__all__ = ["Tally"]


class _Counters:
    """What one pattern did so far."""

    __slots__ = (
        "buckets",
        "first_us",
        "last_us",
        "max_ns",
        "min_ns",
        "outcomes",
        "pattern",
        "rows",
        "rows_known",
        "timed",
        "total_ns",
    )

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.outcomes = [0, 0, 0, 0]
        self.rows = self.rows_known = self.timed = self.total_ns = self.min_ns = self.max_ns = 0
        self.buckets: dict[int, int] = {}
        self.first_us: int | None = None
        self.last_us = 0

    def add(self, execution: Execution) -> None:
        """Counts an execution."""
        self.outcomes[execution.outcome] += 1
        if execution.duration_ns is not None:
            self._add_duration(execution.duration_ns)
        if execution.rows is not None:
            self.rows += execution.rows
            self.rows_known += 1
        started_us = execution.started_us
        if started_us is not None:
            self.first_us = started_us if self.first_us is None else min(self.first_us, started_us)
            self.last_us = max(self.last_us, started_us)

    def _add_duration(self, duration_ns: int) -> None:
        self.min_ns = min(self.min_ns, duration_ns) if self.timed else duration_ns
        self.max_ns = max(self.max_ns, duration_ns)
        self.timed += 1
        self.total_ns += duration_ns
        bucket = bucket_of(duration_ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def frozen(self) -> QueryStats:
        """The counts so far."""
        return QueryStats(
            pattern=self.pattern,
            target="",
            outcomes=OutcomeCounts(*self.outcomes),
            slow_count=0,
            rows=self.rows,
            rows_known_count=self.rows_known,
            durations=Histogram(self.timed, self.total_ns, self.min_ns, self.max_ns, dict(self.buckets)),
            first_seen=NEVER if self.first_us is None else datetime_of(self.first_us),
            last_seen=NEVER if self.first_us is None else datetime_of(self.last_us),
        )


class Tally:
    """
    Counts executions by pattern.

    Attributes:
        folded_count: Executions counted under `OTHER`.
    """

    def __init__(self, max_patterns: int) -> None:
        self.folded_count = 0
        self._max_patterns = max_patterns
        self._counters: dict[str, _Counters] = {}

    def add(self, pattern: Pattern, execution: Execution) -> None:
        """Counts an execution under its pattern, or under `OTHER` if there are too many."""
        counters = self._counters.get(pattern.id)
        if counters is None:
            counters = self._open(pattern)
        if counters.pattern is OTHER:
            self.folded_count += 1
        counters.add(execution)

    def stats(self) -> tuple[QueryStats, ...]:
        """The counts so far, one value for each pattern."""
        return tuple(counters.frozen() for counters in self._counters.values())

    def _open(self, pattern: Pattern) -> _Counters:
        if len(self._counters) >= self._max_patterns and pattern is not OTHER:
            return self._counters.get(OTHER.id) or self._open(OTHER)
        counters = self._counters[pattern.id] = _Counters(pattern)
        return counters
