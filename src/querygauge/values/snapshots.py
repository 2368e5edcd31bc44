"""What one process knows about a span of time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, Self

from querygauge.values.base import Value
from querygauge.values.pools import PoolWindow
from querygauge.values.processes import NO_USAGE, ProcessUsage
from querygauge.values.queries import QueryStats, SlowQuery, severity_of
from querygauge.values.query_errors import QueryErrors
from querygauge.values.repetitions import Repetition
from querygauge.values.running import RunningState
from querygauge.values.scopes import ScopeStats

__all__ = ["SelfMetrics", "Snapshot"]


@dataclass(frozen=True, slots=True)
class SelfMetrics(Value):
    """
    What querygauge noticed about itself.

    Attributes:
        added_us: Microseconds that a hook adds to a statement: the median of those sampled of late, one in 257, from
            the end of the driver's call until it was recorded; 0 while there are fewer than 30 samples.
        fold_us: CPU time that counting an execution takes later, on average, in microseconds.
        flush_lag_ms: How long after it was due the last flush had written everything; of one that is late, until now.
        hook_errors: Exceptions caught inside hooks; each kind was logged once.
        statements_dropped: Executions not counted: by a mistake of ours, or as a signal handler raised meanwhile.
        patterns_folded: Executions counted under `other` because the limit on distinct patterns was reached.
        scopes_folded: Executions counted under other scopes because the limit on distinct scopes was reached.
        slow_queries_dropped: Slow executions the bounded history pushed out; the counters still hold them.
        alerts_dropped: Alerts the bounded queue pushed out before a handler saw them.
        snapshots_dropped: Flushed snapshots that could not be kept.
    """

    added_us: float = 0.0
    fold_us: float = 0.0
    flush_lag_ms: float = 0.0
    hook_errors: int = 0
    statements_dropped: int = 0
    patterns_folded: int = 0
    scopes_folded: int = 0
    slow_queries_dropped: int = 0
    alerts_dropped: int = 0
    snapshots_dropped: int = 0

    @classmethod
    def of_all(cls, processes: Iterable[Self]) -> Self:
        """Of several processes: counts are added up, and of times the highest is told."""
        known = tuple(processes)
        combined = {
            each.name: (max if each.name in _TIMES else sum)([getattr(one, each.name) for one in known] or [0])
            for each in fields(cls)
        }
        return cls(**combined)


_TIMES: Final = frozenset({"added_us", "fold_us", "flush_lag_ms"})


@dataclass(frozen=True, slots=True)
class Snapshot(Value):
    """
    Everything one process knows about a span of time.

    Attributes:
        service: Name of the application.
        process: `host:pid`.
        started: Start of the span.
        ended: Its end.
        queries: One per pattern, target and scope that was executed in the span.
        slow_queries: Executions kept, oldest first; then examples of those that failed.
        repetitions: Findings of the span.
        pools: One per pool.
        self_metrics: What querygauge noticed about itself, since the process began.
        slow_threshold_ms: From here on an execution was slow there; None if nobody said.
        running: What had not ended at the end of the span, one per target.
        usage: What the process took of its machine, at the end of the span.
        flush_interval_s: Seconds until the next snapshot is due, if there is anything to tell; None if nobody said.
        scopes: One per scope, by name and tags.
        errors: One per pattern, target and way to fail.
        instance: What tells whoever counts there from others of that process, and from earlier ones of its name: a word
            for the process, a dot, and a number; empty if nobody said.
        hook_errors: Exceptions caught inside hooks by the name of the hook, since the process began.
        pattern_cache: Statements whose text was not remembered (`miss`), and texts that others pushed out of what is
            (`evicted`), likewise.
        compiled_cache: By target, statements that SQLAlchemy had to compile: `miss` if it kept them, else `uncached`;
            likewise.
    """

    service: str
    process: str
    started: datetime
    ended: datetime
    queries: tuple[QueryStats, ...] = ()
    slow_queries: tuple[SlowQuery, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    pools: tuple[PoolWindow, ...] = ()
    self_metrics: SelfMetrics = SelfMetrics()
    slow_threshold_ms: float | None = None
    running: tuple[RunningState, ...] = ()
    usage: ProcessUsage = NO_USAGE
    flush_interval_s: float | None = None
    scopes: tuple[ScopeStats, ...] = ()
    errors: tuple[QueryErrors, ...] = ()
    instance: str = ""
    hook_errors: Mapping[str, int] = field(default_factory=dict)
    pattern_cache: Mapping[str, int] = field(default_factory=dict)
    compiled_cache: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def urgent(self) -> frozenset[tuple[str, str]]:
        """What of it nobody should be told of a minute later: kinds of trouble, and the pool or pattern of each."""
        found = {("timeout", window.pool) for window in self.pools if window.metrics.total_timeouts}
        found |= {("health", window.pool) for window in self.pools if window.metrics.health_checks_failed}
        threshold_ms = self.slow_threshold_ms
        if threshold_ms:
            found |= {
                ("slow", slow.pattern_id)
                for slow in self.slow_queries
                if severity_of(slow.duration_ms, threshold_ms) == "critical"
            }
        return frozenset(found)
