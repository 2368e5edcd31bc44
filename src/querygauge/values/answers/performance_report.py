"""The report of a day, a week or any other span: what it says is short enough to be sent to people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Literal

from querygauge.values.answers.comparison import Measure
from querygauge.values.answers.execution import Performance, PoolPerformance
from querygauge.values.base import Value
from querygauge.values.repetitions import Confidence

__all__ = [
    "REPORT_PERIODS",
    "PerformanceReport",
    "ReportPeriod",
    "ReportSpan",
    "ReportedError",
    "ReportedPart",
    "ReportedPattern",
    "ReportedPool",
    "ReportedRepetition",
]

ReportPeriod = Literal["daily", "weekly", "span"]

REPORT_PERIODS: Final[tuple[ReportPeriod, ...]] = ("daily", "weekly")
"""Those that come back by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpan(Value):
    """
    What a report is about, and what it is compared with: the same days of the week before.

    Attributes:
        period: `daily` and `weekly` are whole days by the calendar of a zone, `span` is anything else.
        since: Its begin, with the zone's offset then.
        until: Its end, likewise, which is left out.
        before_since: Begin of what it is compared with.
        before_until: Its end.
        zone: Name of the zone.
    """

    period: ReportPeriod
    since: datetime
    until: datetime
    before_since: datetime
    before_until: datetime
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPart(Value):
    """What the queries of one part of the span did; `p95_ms` is None if there were none."""

    execution_count: int
    error_count: int
    p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPattern(Value):
    """
    One pattern, all targets together.

    Attributes:
        pattern_id: 16 hex digits.
        summary: Such as `SELECT orders`.
        text: Its text, the beginning of it if it is long.
        services: Applications that sent it; empty where all that is told is of one.
        performance: What it did.
        before: What it did in the week before; None if it was not executed then.
        share_percent: Its share of the time of all queries.
        call_sites: Lines that sent it most, three at most.
        p95_trend: 95th percentile in milliseconds of each part of the span; None where it was not executed.
        is_new: Whether it was never executed before.
        worse: What has become worse by more than chance: `median`, `p95`, `errors`.
    """

    pattern_id: str
    summary: str
    text: str
    services: tuple[str, ...]
    performance: Performance
    before: Performance | None
    share_percent: float
    call_sites: tuple[str, ...]
    p95_trend: tuple[float | None, ...] = ()
    is_new: bool = False
    worse: tuple[Measure, ...] = ()
    _derived: ClassVar[tuple[str, ...]] = ("p95_change_percent",)

    @property
    def p95_change_percent(self) -> float | None:
        """By how much its 95th percentile has grown since the week before; None if it was not executed then."""
        if self.before is None or not self.before.p95_duration_ms:
            return None
        return 100.0 * (self.performance.p95_duration_ms / self.before.p95_duration_ms - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRepetition(Value):
    """
    A line that sends one pattern again and again.

    Attributes:
        pattern_id: 16 hex digits.
        summary: Such as `SELECT orders`.
        call_site: The line; None if it is unknown.
        scope: Name of the requests, jobs or tests where it does most; None for uses of a connection.
        scopes_count: In how many it did, those of other names included.
        execution_count: Executions in those.
        max_per_scope: Most executions within a single one.
        total_duration_ms: Their time.
        confidence: How sure it is.
        fix: What to change.
    """

    pattern_id: str
    summary: str
    call_site: str | None
    scope: str | None
    scopes_count: int
    execution_count: int
    max_per_scope: int
    total_duration_ms: float
    confidence: Confidence
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPool(Value):
    """
    A pool whose callers waited or got nothing, or that lost connections.

    Attributes:
        performance: What it did.
        before: What it did in the week before; None if it was not there.
        max_connections: Connections that one process may open, the most of all of them; 0 where there is no limit.
        peak_waiting: Most callers of one process that waited at once.
        leaks: Connections garbage-collected instead of given back.
        lost_to_cancellation: Connections thrown away because a statement was cancelled.
        failed_checks: Health checks that failed.
    """

    performance: PoolPerformance
    before: PoolPerformance | None
    max_connections: int
    peak_waiting: int
    leaks: int
    lost_to_cancellation: int
    failed_checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedError(Value):
    """
    One way in which a pattern failed.

    Attributes:
        pattern_id: 16 hex digits.
        summary: Such as `SELECT orders`.
        error_type: The driver's exception class; empty if it is not known.
        sqlstate: SQLSTATE, or the driver's own code; None if it gave none.
        count: Executions that failed so.
        message: The driver's message about one of them, without values, the beginning of it if it is long.
    """

    pattern_id: str
    summary: str
    error_type: str
    sqlstate: str | None
    count: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceReport(Value):
    """
    What happened in a span, beside the same days of the week before.

    Transaction control, session settings and catalog reads are left out throughout. Of each list the first few are
    there, and how many there are in all is in `counts` by its name.

    Attributes:
        span: What it is about.
        service: The one application it is about; None is all of them.
        known_since: When the first of its numbers is from; None if there are none at all.
        slow_ms: A pattern with a higher 95th percentile is slow.
        part_s: Seconds of each of `parts`.
        parts: What the queries did over time, oldest first.
        performance: All queries together.
        before: Those of the week before; None if there were none.
        most_time: Patterns, by their time.
        slow: Patterns that are slow, by their 95th percentile.
        slower: Patterns that became slower or fail more often than the week before by more than chance.
        new: Patterns that were never executed before, by their time.
        repeated: Lines that repeat a pattern, by its time; what is only possible is left out.
        pools: Pools that suffered, those with timeouts first.
        errors: Ways of failing, the most frequent first.
        alerts: How many alerts began, by rule.
        counts: How many there are of each list, and of `patterns`, those that became `faster`, and `gone` ones.
    """

    span: ReportSpan
    service: str | None
    known_since: datetime | None
    slow_ms: float
    part_s: float
    parts: tuple[ReportedPart, ...]
    performance: Performance
    before: Performance | None
    most_time: tuple[ReportedPattern, ...] = ()
    slow: tuple[ReportedPattern, ...] = ()
    slower: tuple[ReportedPattern, ...] = ()
    new: tuple[ReportedPattern, ...] = ()
    repeated: tuple[ReportedRepetition, ...] = ()
    pools: tuple[ReportedPool, ...] = ()
    errors: tuple[ReportedError, ...] = ()
    alerts: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
