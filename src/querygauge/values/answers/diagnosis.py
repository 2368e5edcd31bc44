"""What a look at the whole of a store found: whether its numbers are in order, how it grows, why it may have none."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from querygauge.values.base import Value

__all__ = ["Diagnosis", "Finding", "Growth", "Severity"]

Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """
    What one check found.

    Attributes:
        check: What was looked at.
        severity: `ok`, `warning` or `error`.
        message: What was found.
        remedy: What to do about it; None if nothing is to be done.
    """

    check: str
    severity: Severity
    message: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Growth(Value):
    """
    How a store grows.

    Attributes:
        size_mb: Megabytes of the database.
        mb_per_day: What the last seven days added a day, before anything is dropped for its age; None while that is
            less than a day.
        days_until_limit: Days until it has `limit_mb` if it goes on like this; None if it has it, or nobody knows.
        limit_mb: The limit.
    """

    size_mb: float
    mb_per_day: float | None
    days_until_limit: float | None
    limit_mb: float


@dataclass(frozen=True, slots=True)
class Diagnosis(Value):
    """
    The state of a store.

    Attributes:
        path: Its directory.
        findings: One for each check, in a fixed order.
        growth: How it grows; None if it could not be opened.
    """

    path: str
    findings: tuple[Finding, ...]
    growth: Growth | None = None
    _derived: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> Literal["OK", "WARNING", "ERROR"]:
        """`ERROR` if a check found an error, else `WARNING` if one found something to see to, else `OK`."""
        found = {finding.severity for finding in self.findings}
        return "ERROR" if "error" in found else "WARNING" if "warning" in found else "OK"
