"""How long statements took in a span of time, what that cost, and what the processes that sent them took."""

from dataclasses import dataclass
from datetime import datetime

from querygauge.values.answers.execution import TimePoint
from querygauge.values.base import Value

__all__ = ["CostMetrics", "DurationMetrics", "PerformanceMetrics", "ResourceMetrics", "ResourcePoint"]


@dataclass(frozen=True, slots=True)
class DurationMetrics(Value):
    """Durations in milliseconds; None if nothing was executed. The average is exact, percentiles at most 2.2 % off."""

    avg: float | None
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class CostMetrics(Value):
    """What database time cost: of all executions, and of one on average, which is None if there were none."""

    total: float
    avg: float | None


@dataclass(frozen=True, slots=True)
class ResourceMetrics(Value):
    """
    What the processes took; None if their systems did not tell.

    Attributes:
        avg_memory_mb: Resident memory of a process, the average over processes and minutes.
        p95_memory_mb: The 95th percentile of the same.
        cpu_s: CPU seconds of all processes together.
    """

    avg_memory_mb: float | None
    p95_memory_mb: float | None
    cpu_s: float | None


@dataclass(frozen=True, slots=True)
class ResourcePoint(Value):
    """
    What the processes took from the moment `at` on, for the width of the series.

    Attributes:
        at: Its begin.
        process_count: Processes that reported.
        avg_memory_mb: Resident memory of one of them, on average; None if it was not told.
        max_memory_mb: The most that one had.
        cpu_s: CPU seconds of all of them.
    """

    at: datetime
    process_count: int
    avg_memory_mb: float | None
    max_memory_mb: float | None
    cpu_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceMetrics(Value):
    """
    The figures of a span of time.

    Attributes:
        since: Its begin.
        until: Its end, which is left out.
        service: The one service it is about; None is all of them.
        width_s: Seconds between two points of the series.
        execution_count: Executions.
        price_per_hour: What an hour of database time costs.
        duration: How long they took.
        cost: What that cost.
        resources: What the processes took meanwhile.
        time_series: The executions over time, oldest first.
        resources_over_time: What the processes took over time, oldest first.
    """

    since: datetime
    until: datetime
    service: str | None
    width_s: float
    execution_count: int
    price_per_hour: float
    duration: DurationMetrics
    cost: CostMetrics
    resources: ResourceMetrics
    time_series: tuple[TimePoint, ...]
    resources_over_time: tuple[ResourcePoint, ...]
