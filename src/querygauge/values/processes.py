"""What an instrumented process takes of its machine."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from querygauge.values.base import Value

__all__ = ["NO_USAGE", "ProcessUsage", "ProcessWindow"]


@dataclass(frozen=True, slots=True)
class ProcessUsage(Value):
    """
    A process at one moment; None is what this system does not tell.

    Attributes:
        memory_bytes: Resident memory.
        memory_limit_bytes: What it may have at most: the lowest limit of its control groups, or the machine's memory.
        cpu_s: CPU seconds since measuring began, of all its threads and without its children.
    """

    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    cpu_s: float | None = None


NO_USAGE: Final = ProcessUsage()


@dataclass(frozen=True, slots=True)
class ProcessWindow(Value):
    """
    A process over a span of time, as it was seen at each flush.

    Attributes:
        service: Name of the application.
        process: `host:pid`.
        started: Start of the span, or of the process within it.
        ended: When it was seen last.
        memory_bytes: The most resident memory that was seen; None if it was not told.
        memory_limit_bytes: What it might have had at most; None if it was not told.
        cpu_s: CPU seconds it took meanwhile; None if they were not told.
    """

    service: str
    process: str
    started: datetime
    ended: datetime
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    cpu_s: float | None = None
    _derived: ClassVar[tuple[str, ...]] = ("memory_percent", "cpu_percent")

    @property
    def memory_percent(self) -> float | None:
        """Its memory as a share of its limit; None if either is unknown."""
        if self.memory_bytes is None or not self.memory_limit_bytes:
            return None
        return 100.0 * self.memory_bytes / self.memory_limit_bytes

    @property
    def cpu_percent(self) -> float | None:
        """Share of one core that it took; more than 100 if several; None if it is unknown."""
        lasted_s = (self.ended - self.started).total_seconds()
        return None if self.cpu_s is None or lasted_s <= 0 else 100.0 * self.cpu_s / lasted_s
