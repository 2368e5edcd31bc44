"""What a report is made of: the numbers of one service over one span, wherever they were kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from querygauge.values import (
    OutcomeCounts,
    PoolWindow,
    ProcessRunning,
    ProcessWindow,
    QueryStats,
    Repetition,
    ScopeStats,
    SelfMetrics,
    SlowQuery,
)
from querygauge.values.answers.marks import MarkedPattern

__all__ = ["ReportData"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """
    Everything a report shows.

    Attributes:
        service: Name of the application; empty if the report is about several.
        scope: Name of the one scope that it is about; None if it is about everything.
        started: Start of the span.
        ended: Its end.
        threshold_ms: From here on an execution counts as slow; None if several thresholds may have been in force.
        outcomes: All executions by how they ended; also those whose pattern was forgotten since.
        slow_count: Executions at or over the threshold in force for them.
        stats: One per pattern and target.
        repetitions: Findings of the span.
        slow_queries: Executions kept one by one.
        pools: Windows of the pools; several of one pool are added up.
        running: What had not ended in each process when it was last seen.
        processes: What each process took of its machine.
        self_metrics: What querygauge noticed about itself.
        scopes: What the units of work did, one per name and tags.
        stats_by_scope: One per pattern, target and scope; empty where nobody asks for it.
        marks: What somebody has said of queries, and what became of them; memory alone knows none.
        forgotten_ms: Time of the executions whose pattern was forgotten since, by target; a store forgets none.
    """

    service: str
    started: datetime
    ended: datetime
    threshold_ms: float | None
    outcomes: OutcomeCounts
    slow_count: int
    stats: tuple[QueryStats, ...]
    repetitions: tuple[Repetition, ...]
    slow_queries: tuple[SlowQuery, ...] = ()
    pools: tuple[PoolWindow, ...] = ()
    running: tuple[ProcessRunning, ...] = ()
    processes: tuple[ProcessWindow, ...] = ()
    self_metrics: SelfMetrics = field(default_factory=SelfMetrics)
    scopes: tuple[ScopeStats, ...] = ()
    stats_by_scope: tuple[QueryStats, ...] = ()
    scope: str | None = None
    marks: tuple[MarkedPattern, ...] = ()
    forgotten_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def queries(self) -> tuple[QueryStats, ...]:
        """Those that read or write data; transaction control, session settings and catalog reads are left out."""
        return tuple(stats for stats in self.stats if stats.pattern.category == "query")

    @property
    def quiet(self) -> frozenset[str]:
        """Ids of the patterns that are marked, and not worse than they were then."""
        return frozenset(entry.pattern.id for entry in self.marks if not entry.is_worse)

    @property
    def unique_patterns(self) -> int:
        """Distinct patterns, of any category."""
        return len({stats.pattern_id for stats in self.stats})

    @property
    def total_duration_ms(self) -> float:
        """Time of all executions together, of any category; also of those whose pattern was forgotten since."""
        return sum(self.durations_ms.values())

    @property
    def durations_ms(self) -> dict[str, float]:
        """The same by target."""
        durations_ms = dict(self.forgotten_ms)
        for stats in self.stats:
            durations_ms[stats.target] = durations_ms.get(stats.target, 0.0) + stats.total_duration_ms
        return durations_ms

    @property
    def slow_percent(self) -> float:
        """Percentage of slow executions; 0 while there are none."""
        return 100.0 * self.slow_count / self.outcomes.total if self.outcomes.total else 0.0

    def merged_pools(self) -> tuple[PoolWindow, ...]:
        """One window per pool, by name: all its counters together, and its latest state."""
        merged: dict[str, PoolWindow] = {}
        for window in sorted(self.pools, key=lambda window: window.state.timestamp):
            before = merged.get(window.pool)
            merged[window.pool] = window if before is None else before.merged(window)
        return tuple(merged[name] for name in sorted(merged))
