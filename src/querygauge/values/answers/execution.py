"""What was executed in a span of time, and how that is spread over time, tags, pools, services, patterns and lines."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from querygauge.values.base import Value
from querygauge.values.queries import OutcomeCounts, Pattern

__all__ = [
    "CallSite",
    "ExecutionStatistics",
    "NamedPerformance",
    "PatternPerformance",
    "Performance",
    "PoolPerformance",
    "TagPerformance",
    "TimePoint",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance(Value):
    """
    How some executions went; zeros if there were none.

    Attributes:
        outcomes: Executions by how they ended.
        slow_count: Executions at or over the slow threshold in force for them; exact.
        total_duration_ms: Sum of their durations; exact, as are shortest and longest.
        min_duration_ms: The shortest.
        median_duration_ms: Percentiles are at most 1.09 % off, and 2.2 % where whole days were read.
        p95_duration_ms: The 95th percentile.
        p99_duration_ms: The 99th percentile.
        max_duration_ms: The longest.
    """

    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    slow_count: int = 0
    total_duration_ms: float = 0.0
    min_duration_ms: float = 0.0
    median_duration_ms: float = 0.0
    p95_duration_ms: float = 0.0
    p99_duration_ms: float = 0.0
    max_duration_ms: float = 0.0
    _derived: ClassVar[tuple[str, ...]] = ("execution_count", "error_count", "error_rate", "avg_duration_ms")

    @property
    def execution_count(self) -> int:
        """Executions, however they ended."""
        return self.outcomes.total

    @property
    def error_count(self) -> int:
        """Errors and timeouts."""
        return self.outcomes.failed

    @property
    def error_rate(self) -> float:
        """Percentage of failed executions among those that ended by themselves."""
        return self.outcomes.error_rate

    @property
    def avg_duration_ms(self) -> float:
        """How long one took on average."""
        return self.total_duration_ms / self.execution_count if self.execution_count else 0.0


@dataclass(frozen=True, slots=True)
class TimePoint(Value):
    """The executions from the moment `at` on, for the width of the series."""

    at: datetime
    performance: Performance


@dataclass(frozen=True, slots=True)
class TagPerformance(Value):
    """The executions in scopes with one tag."""

    tag: str
    value: str
    performance: Performance


@dataclass(frozen=True, slots=True)
class NamedPerformance(Value):
    """The executions of one service, or of one operation such as `SELECT`."""

    name: str
    performance: Performance


@dataclass(frozen=True, slots=True)
class PatternPerformance(Value):
    """The executions of one pattern."""

    pattern: Pattern
    performance: Performance


@dataclass(frozen=True, slots=True)
class CallSite(Value):
    """
    A line that sends statements.

    Attributes:
        call_site: `path:line in function`.
        found_count: Executions for which it was found: first, slow, failed and repeated ones, unless `call_sites` is
            `all`.
        pattern_ids: What it sent, at most ten.
    """

    call_site: str
    found_count: int
    pattern_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPerformance(Value):
    """
    What one pool did, all processes of its service together.

    Attributes:
        service: Name of the application.
        pool: Name of the pool.
        request_count: Connections asked for.
        checkout_count: Connections handed out.
        timeout_count: Requests that ended in a timeout.
        error_count: Requests that ended in any other error.
        avg_wait_ms: From asking to having a connection, on average.
        p95_wait_ms: The 95th percentile of that.
        avg_use_ms: How long a connection was checked out, on average.
        peak_active: Most connections of one process in use at once.
    """

    service: str
    pool: str
    request_count: int
    checkout_count: int
    timeout_count: int
    error_count: int
    avg_wait_ms: float
    p95_wait_ms: float
    avg_use_ms: float
    peak_active: int
    _derived: ClassVar[tuple[str, ...]] = ("success_rate",)

    @property
    def success_rate(self) -> float:
        """Percentage of requests that neither timed out nor failed; 100 while there are none."""
        failed = self.timeout_count + self.error_count
        return 100.0 - 100.0 * failed / self.request_count if self.request_count else 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStatistics(Value):
    """
    What was executed in a span of time.

    Attributes:
        since: Its begin.
        until: Its end, which is left out.
        service: The one service it is about; None is all of them.
        width_s: Seconds between two points of the series.
        performance: Everything together.
        time_series: Oldest first; a point without executions is left out.
        by_tag: One per tag and value, most time first; an execution counts for each tag of its scope.
        by_pool: One per service and pool, by their names.
        by_operation: One per first keyword, most time first.
        top_services: One per application, most time first.
        top_patterns: Those with most time, first.
        top_call_sites: Those found most often, first.
    """

    since: datetime
    until: datetime
    service: str | None
    width_s: float
    performance: Performance
    time_series: tuple[TimePoint, ...]
    by_tag: tuple[TagPerformance, ...]
    by_pool: tuple[PoolPerformance, ...]
    by_operation: tuple[NamedPerformance, ...]
    top_services: tuple[NamedPerformance, ...]
    top_patterns: tuple[PatternPerformance, ...]
    top_call_sites: tuple[CallSite, ...]
