"""Whether a store is well: its size, what it holds of late, and what somebody should see to."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from querygauge.values.base import Value

__all__ = ["DatabaseSize", "ExecutionCounts", "RecentPerformance", "Status", "StoreStatus"]

Status = Literal["OK", "WARNING", "ERROR"]


@dataclass(frozen=True, slots=True)
class DatabaseSize(Value):
    """
    The file of a store.

    Attributes:
        path: Where it is.
        size_mb: Its size in megabytes of 1,000,000 bytes, with what waits to be taken into it.
    """

    path: str
    size_mb: float


@dataclass(frozen=True, slots=True)
class ExecutionCounts(Value):
    """Executions in all, and of the last hour, day and week; to the minute."""

    total: int
    recent_1h: int
    daily: int
    weekly: int


@dataclass(frozen=True, slots=True)
class RecentPerformance(Value):
    """
    The executions of the last day; None if there were none.

    Attributes:
        daily_success_rate: Percentage of those that succeeded among those that ended by themselves.
        avg_duration_ms: How long one took on average.
    """

    daily_success_rate: float | None
    avg_duration_ms: float | None


@dataclass(frozen=True, slots=True)
class StoreStatus(Value):
    """
    How a store does.

    Attributes:
        database: Its file.
        executions: What it counted.
        performance: How those of the last day went.
        warnings: What somebody should look at when there is time.
        errors: What keeps it from being of use.
    """

    database: DatabaseSize
    executions: ExecutionCounts
    performance: RecentPerformance
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    _derived: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> Status:
        """`ERROR` if there is an error, else `WARNING` if there is a warning, else `OK`."""
        return "ERROR" if self.errors else "WARNING" if self.warnings else "OK"
