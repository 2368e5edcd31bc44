"""
The report of a span: in goes an open store, out comes what is worth telling people, beside the week before.

Every list has its first few entries only, because it is sent. Deliberately not here: which span, and any layout.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from querygauge.errors import StoreError
from querygauge.histogram import EMPTY
from querygauge.storage.answers.comparison import MIN_CHANGE_PERCENT, by_id, compared, performance_in
from querygauge.storage.answers.marks import marks_in_force
from querygauge.storage.answers.measured import Asked
from querygauge.storage.answers.reported import beginning, reported_errors, reported_pools, reported_repetitions
from querygauge.storage.asking import asked, microseconds
from querygauge.storage.database import Connection, DatabaseError, first_line, open_database
from querygauge.storage.paths import StorePaths
from querygauge.storage.ranges import Span
from querygauge.storage.reader import query_stats
from querygauge.storage.rows import utc
from querygauge.storage.series import series
from querygauge.values import OutcomeCounts, QueryStats
from querygauge.values.answers.execution import Performance
from querygauge.values.answers.performance_report import (
    PerformanceReport,
    ReportedPart,
    ReportedPattern,
    ReportSpan,
)
from querygauge.values.series import SeriesPoint, SeriesSubject

__all__ = ["ReportLimits", "performance_report", "read_reports"]

_TIMEOUT_S: Final = 10.0
_LONGEST_TEXT: Final = 1_000
_LINES: Final = 3
# A chart of more columns is not read as one.
_MOST_PARTS: Final = 31
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_STEPS: Final = (
    *(minutes * _MINUTE for minutes in (1, 5, 15)),
    *(hours * _HOUR for hours in (1, 6, 24, 7 * 24, 28 * 24, 365 * 24)),
)
_REPORTING: Final = """
SELECT DISTINCT service FROM processes WHERE last_at >= make_timestamp($since) ORDER BY service
"""
_KNOWN_SINCE: Final = "SELECT min(first_at) AS at FROM processes WHERE $service IS NULL OR service = $service"
_NEW: Final = "SELECT pattern_id FROM patterns WHERE first_seen >= make_timestamp($since)"
_SERVICES: Final = """
SELECT pattern_id, list(DISTINCT service ORDER BY service) AS services
FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily::BOOLEAN)
WHERE pattern_id IN (SELECT unnest($ids))
GROUP BY pattern_id
"""
_ALERTS: Final = """
SELECT rule, count(*) AS alerts
FROM alerts
WHERE status <> 'pending' AND fired_at >= make_timestamp($since) AND fired_at < make_timestamp($until)
    AND ($service IS NULL OR service = $service)
GROUP BY rule
ORDER BY alerts DESC, rule
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLimits:
    """
    From where on something is worth telling.

    Attributes:
        slow_ms: A pattern with a higher 95th percentile is slow.
        slow_ms_of: The same of a service and a pattern on a target, where some have another one.
        wait_ms: A pool suffers if the 95th percentile of the waits for a connection is higher.
        entries: Entries of each list.
    """

    slow_ms: float = 100.0
    slow_ms_of: Callable[[str, QueryStats], float] | None = None
    wait_ms: float = 1_000.0
    entries: int = 10

    def is_slow(self, service: str, stats: QueryStats) -> bool:
        """Whether a pattern is, on its target; `service` is empty if it is of several."""
        slow_ms = self.slow_ms if self.slow_ms_of is None else self.slow_ms_of(service, stats)
        return stats.p95_duration_ms > slow_ms


def performance_report(
    connection: Connection, span: ReportSpan, service: str | None, limits: ReportLimits
) -> PerformanceReport:
    """
    The report of a span.

    Args:
        connection: To the open store.
        span: What it is about, and what it is compared with.
        service: One application; None is all of them.
        limits: What is told.
    """
    since, until = span.since.astimezone(UTC), span.until.astimezone(UTC)
    before = Span(span.before_since.astimezone(UTC), span.before_until.astimezone(UTC))
    now, then = Asked(connection, Span(since, until), service), Asked(connection, before, service)
    quiet = frozenset(marked.pattern.id for marked in marks_in_force(connection, until).patterns if not marked.is_worse)
    patterns = _Patterns(now, then, quiet, limits)
    repeated, pools = reported_repetitions(now, quiet), reported_pools(now, then, limits.wait_ms)
    errors, most = reported_errors(now), limits.entries
    return PerformanceReport(
        span=span,
        service=service,
        known_since=patterns.known_since,
        slow_ms=limits.slow_ms,
        part_s=patterns.step.total_seconds(),
        performance=patterns.after_together or Performance(),
        before=patterns.before_together,
        repeated=repeated[:most],
        pools=pools[:most],
        errors=errors[:most],
        alerts={row["rule"]: row["alerts"] for row in asked(connection, _ALERTS, now.bounds)},
        counts={**patterns.counts, "repeated": len(repeated), "pools": len(pools), "errors": len(errors)},
        **patterns.told(),
    )


def read_reports(
    paths: StorePaths,
    span: ReportSpan,
    limits: ReportLimits,
    chosen: Callable[[Iterable[str]], Iterable[str | None]],
) -> list[PerformanceReport]:
    """
    Several reports of one span, of a store that is opened for them.

    Args:
        paths: The store, as it is; nothing is folded.
        span: What they are about.
        limits: What is told.
        chosen: Gives the services that there is one about, or None for all of them together, of those that reported
            in the span or in what it is compared with.

    Raises:
        StoreError: If the store cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            rows = asked(connection, _REPORTING, {"since": microseconds(span.before_since)})
            services = chosen([row["service"] for row in rows])
            return [performance_report(connection, span, service, limits) for service in services]
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None


class _Patterns:
    """The patterns of a span and of the week before, and those of them that are told."""

    def __init__(self, now: Asked, then: Asked, quiet: frozenset[str], limits: ReportLimits) -> None:
        self._now = now
        self._limits = limits
        executed = _queries(now)
        after, before = by_id(executed), by_id(_queries(then))
        comparison = compared(
            before.values(), after.values(), named=("", ""), service=now.service, min_change_percent=MIN_CHANGE_PERCENT
        )
        self._before = before
        self._worse = {change.pattern.id: change.measures for change in comparison.regressed}
        self.known_since = _known_since(now)
        self._new = _new(now, self.known_since)
        self.step = next((step for step in _STEPS if now.span.length <= _MOST_PARTS * step), _STEPS[-1])
        self.after_together, self.before_together = _together(after), _together(before)
        by_time = sorted(after.values(), key=lambda stats: (-stats.total_duration_ms, stats.pattern_id))
        slow_ids = {stats.pattern_id for stats in executed if limits.is_slow(now.service or "", stats)} - quiet
        slow = [stats for stats in by_time if stats.pattern_id in slow_ids]
        self._lists = {
            "most_time": by_time,
            "slow": sorted(slow, key=lambda stats: -stats.p95_duration_ms),
            "slower": [after[pattern_id] for pattern_id in self._worse],
            "new": [stats for stats in by_time if stats.pattern_id in self._new],
        }
        self.counts = {name: len(entries) for name, entries in self._lists.items()}
        self.counts |= {"patterns": len(after), "faster": len(comparison.improved), "gone": len(comparison.gone)}

    def told(self) -> dict[str, Any]:
        """The parts of the span, and the first entries of each list."""
        lists = {name: entries[: self._limits.entries] for name, entries in self._lists.items()}
        shown = {stats.pattern_id: stats for entries in lists.values() for stats in entries}
        service = self._now.service
        subjects = [SeriesSubject(service=service, pattern_id=pattern_id) for pattern_id in shown]
        everything = SeriesSubject(service=service, is_of_queries=True)
        parts, *trends = series(self._now.connection, [everything, *subjects], self._now.span, self.step)
        services = _services(self._now, shown) if service is None else {}
        told = {
            pattern_id: self._told(stats, trend, services.get(pattern_id, ()))
            for (pattern_id, stats), trend in zip(shown.items(), trends, strict=True)
        }
        return {
            "parts": tuple(map(_part, parts)),
            **{name: tuple(told[stats.pattern_id] for stats in entries) for name, entries in lists.items()},
        }

    def _told(self, stats: QueryStats, trend: Iterable[SeriesPoint], services: tuple[str, ...]) -> ReportedPattern:
        pattern, before = stats.pattern, self._before.get(stats.pattern_id)
        total_ms = self.after_together.total_duration_ms if self.after_together else 0.0
        lines = sorted(stats.lines, key=lambda line: (-stats.lines[line], line))
        return ReportedPattern(
            pattern_id=pattern.id,
            summary=pattern.summary,
            text=beginning(pattern.text, _LONGEST_TEXT),
            services=services,
            performance=_performance(stats),
            before=None if before is None else _performance(before),
            share_percent=100.0 * stats.total_duration_ms / total_ms if total_ms else 0.0,
            call_sites=tuple(lines[:_LINES]),
            p95_trend=tuple(point.quantile_ms(0.95) for point in trend),
            is_new=pattern.id in self._new,
            worse=self._worse.get(pattern.id, ()),
        )


def _queries(question: Asked) -> list[QueryStats]:
    span = question.span
    stats = query_stats(question.connection, span.since, span.until, question.service)
    return [each for each in stats if each.pattern.category == "query"]


def _performance(stats: QueryStats) -> Performance:
    return performance_in(stats.durations, stats.outcomes, stats.slow_count)


def _together(stats: Mapping[str, QueryStats]) -> Performance | None:
    """All of them; None if there are none."""
    durations, outcomes, slow_count = EMPTY, OutcomeCounts(), 0
    for each in stats.values():
        durations, outcomes = durations.merged(each.durations), outcomes.merged(each.outcomes)
        slow_count += each.slow_count
    return performance_in(durations, outcomes, slow_count) if durations.count else None


def _known_since(question: Asked) -> datetime | None:
    at = asked(question.connection, _KNOWN_SINCE, {"service": question.service})[0]["at"]
    return None if at is None else utc(at)


def _new(question: Asked, known_since: datetime | None) -> frozenset[str]:
    """Patterns that were not there before the span; none where nothing was there before it."""
    since = question.span.since
    if known_since is None or known_since >= since:
        return frozenset()
    return frozenset(row["pattern_id"] for row in asked(question.connection, _NEW, {"since": microseconds(since)}))


def _services(question: Asked, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Which applications sent each."""
    chosen = {name: value for name, value in question.parameters.items() if name != "service"}
    rows = asked(question.connection, _SERVICES, {**chosen, "ids": list(ids)})
    services = {row["pattern_id"]: tuple(row["services"]) for row in rows}
    # Where there is one only, it goes without saying.
    return services if len({name for names in services.values() for name in names}) > 1 else {}


def _part(point: SeriesPoint) -> ReportedPart:
    return ReportedPart(
        execution_count=point.outcomes.total, error_count=point.outcomes.failed, p95_ms=point.quantile_ms(0.95)
    )
