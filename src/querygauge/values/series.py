"""How something went over time: what it is about, and what happened in each of some equal parts of a span."""

from dataclasses import dataclass, field

from querygauge.histogram import EMPTY, Histogram
from querygauge.values.base import Value
from querygauge.values.pools import PoolWindow
from querygauge.values.queries import OutcomeCounts

__all__ = ["SeriesPoint", "SeriesSubject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSubject(Value):
    """
    What a series is about; each member that is None stands for any.

    Attributes:
        service: Name of an application.
        target: Name of a database.
        pattern_id: One pattern.
        pool: A pool of the service; the series is of what it did, and not of statements.
        is_of_memory: Whether it is of the memory of the service's processes, and not of statements.
        is_of_queries: Whether transaction control, session settings and catalog reads are left out.
    """

    service: str | None = None
    target: str | None = None
    pattern_id: str | None = None
    pool: str | None = None
    is_of_memory: bool = False
    is_of_queries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPoint(Value):
    """
    What happened in one part of a span.

    Attributes:
        seconds: How long the part is, as far as it is over.
        outcomes: Executions by how they ended.
        slow_count: Executions at or over the slow threshold in force for them.
        durations: Of all of them.
        loop_lag_ms: For how long a blocked event loop held them up, together.
        pool: What the pool did, and its state at the end of the part; None if it did not report, or it is about none.
        memory_percent: The most of its limit that a process had; None if none told, or it is not about memory.
    """

    seconds: float
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    slow_count: int = 0
    durations: Histogram = EMPTY
    loop_lag_ms: float = 0.0
    pool: PoolWindow | None = None
    memory_percent: float | None = None

    def quantile_ms(self, q: float) -> float | None:
        """A percentile of the durations in milliseconds, as `Histogram.quantile_ms` has it; None if there are none."""
        return self.durations.quantile_ms(q) if self.durations.count else None
