"""The report of one ISO week: its totals beside those of the week before, and each of its patterns."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from querygauge.values.base import Value

__all__ = ["WeekTotals", "WeeklyPattern", "WeeklyReport"]


@dataclass(frozen=True, slots=True)
class WeeklyPattern(Value):
    """
    One pattern in one week, all services together.

    Attributes:
        pattern_id: 16 hex digits.
        pattern: Its text.
        summary: Such as `SELECT orders`.
        category: query, transaction, session, catalog.
        services: Applications that sent it.
        samples: Executions.
        p50_ms: Median duration.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        max_ms: Longest duration.
        total_ms: Sum of the durations.
        share_percent: Share of the week's time.
        error_rate: Percentage of failed executions among those that ended by themselves.
        slow_flag: Whether the 95th percentile is over the threshold.
        previous_p95_ms: That of the week before; None if it was not executed there.
        change_percent: By how much it changed since.
        first_seen: Start of its first execution ever.
        weeks_present: Weeks in which it was executed, up to this one.
        call_sites: Lines that sent it most, three at most.
    """

    pattern_id: str
    pattern: str
    summary: str
    category: str
    services: tuple[str, ...]
    samples: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    total_ms: float
    share_percent: float
    error_rate: float
    slow_flag: bool
    previous_p95_ms: float | None
    change_percent: float | None
    first_seen: datetime
    weeks_present: int
    call_sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeekTotals(Value):
    """
    What all patterns of a week did together.

    Attributes:
        samples: Executions.
        total_ms: Sum of their durations.
        error_rate: Percentage of failed executions among those that ended by themselves.
        patterns: How many there are, transaction control among them.
        slow_patterns: How many of the queries among them are slow.
        slow_ms: Over which 95th percentile one is; None if nothing was executed.
    """

    samples: int
    total_ms: float
    error_rate: float
    patterns: int
    slow_patterns: int
    slow_ms: float | None


@dataclass(frozen=True, slots=True)
class WeeklyReport(Value):
    """
    What happened in one week.

    Attributes:
        week: YYYYWW of the ISO year.
        week_start: Its Monday.
        is_over: Whether it was when it was asked for.
        totals: All patterns together.
        previous: Those of the week before; None if it has no report.
        new_patterns: How many of its patterns were never executed before.
        gone_patterns: How many of the week before are not in it.
        patterns: Each of them, most time first.
    """

    week: int
    week_start: date
    is_over: bool
    totals: WeekTotals
    previous: WeekTotals | None
    new_patterns: int
    gone_patterns: int
    patterns: tuple[WeeklyPattern, ...]
    _derived: ClassVar[tuple[str, ...]] = ("week_end",)

    @property
    def week_end(self) -> date:
        """Its Sunday."""
        return date.fromordinal(self.week_start.toordinal() + 6)
