"""
How the value of a finding went before: in go alerts that somebody is told of, out come the same with a trend each.

Only what is told gets one, at the price of one question for all of them. Deliberately not here: where series are read,
and how a trend is drawn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from querygauge.values.alerts import Alert, Finding
from querygauge.values.pools import PoolWindow
from querygauge.values.series import SeriesPoint, SeriesSubject

__all__ = ["STEP", "ReadSeries", "with_trends"]

STEP: Final = timedelta(minutes=5)
"""What each value of a trend is of: as long as what the rules call of late."""

ReadSeries = Callable[[Sequence[SeriesSubject], datetime, datetime], list[tuple[SeriesPoint, ...]]]
"""Gives a series for each subject, from one moment until another, in parts of `STEP`."""

_SPAN: Final = timedelta(hours=2)
_MINUTE: Final = timedelta(minutes=1)

# By rule, what its value is in one part of the span; of a median or a share there is none where nothing was executed.
_OF_STATEMENTS: Final[Mapping[str, Callable[[SeriesPoint], float | None]]] = MappingProxyType(
    {
        "error_rate": lambda point: point.outcomes.error_rate if point.outcomes.total else None,
        "success_rate": lambda point: (
            100.0 * point.outcomes.ok / point.outcomes.total if point.outcomes.total else None
        ),
        "errors_per_second": lambda point: point.outcomes.failed / point.seconds,
        "no_queries": lambda point: float(point.outcomes.total),
        "slow_query": lambda point: point.durations.max_ms if point.durations.count else None,
        "slow_pattern": lambda point: point.quantile_ms(0.95),
        "new_slow_pattern": lambda point: point.quantile_ms(0.95),
        "regression": lambda point: point.quantile_ms(0.95),
        "p99_latency": lambda point: point.quantile_ms(0.99),
        "slow_rate": lambda point: point.slow_count / point.seconds,
        "loop_lag": lambda point: point.loop_lag_ms / point.outcomes.total if point.outcomes.total else None,
    }
)
_OF_POOLS: Final[Mapping[str, Callable[[PoolWindow], float | None]]] = MappingProxyType(
    {
        "pool_saturation": lambda window: window.state.utilization_percent,
        "pool_wait": lambda window: window.metrics.p95_wait_time_ms if window.metrics.wait.count else None,
        "pool_pending": lambda window: float(window.state.waiting_count),
        "pool_timeout": lambda window: float(window.metrics.total_timeouts),
        "connection_leak": lambda window: float(window.metrics.leaks),
        "lost_to_cancellation": lambda window: float(window.metrics.lost_to_cancellation),
        "long_checkout": lambda window: window.state.oldest_checkout_s,
    }
)
_OF_QUERIES: Final = frozenset({"p99_latency"})
_OF_MEMORY: Final = frozenset({"memory_high"})


def with_trends(alerts: Iterable[Alert], now: datetime, read: ReadSeries) -> tuple[Alert, ...]:
    """
    The same alerts, with the trend of the last two hours where their rule has one.

    Args:
        alerts: What somebody is told of.
        now: UTC.
        read: Reads series; it is asked once, or never if no rule has a trend.
    """
    told = tuple(alerts)
    subjects = {alert.id: subject for alert in told if (subject := _subject_of(alert.finding)) is not None}
    if not subjects:
        return told
    until = now.replace(second=0, microsecond=0) + _MINUTE
    found = read(list(subjects.values()), until - _SPAN, now)
    trends = dict(zip(subjects, found, strict=True))
    return tuple(_with_trend(alert, trends.get(alert.id, ())) for alert in told)


def _subject_of(finding: Finding) -> SeriesSubject | None:
    """What its trend is about; None if it has none."""
    if finding.rule in _OF_STATEMENTS:
        return SeriesSubject(
            service=finding.service,
            target=finding.target or None,
            pattern_id=finding.pattern_id,
            is_of_queries=finding.rule in _OF_QUERIES,
        )
    if finding.rule in _OF_MEMORY:
        return SeriesSubject(service=finding.service, is_of_memory=True)
    if finding.rule in _OF_POOLS and finding.pool is not None:
        return SeriesSubject(service=finding.service, pool=finding.pool)
    return None


def _with_trend(alert: Alert, points: Sequence[SeriesPoint]) -> Alert:
    values = tuple(_value(alert.finding.rule, point) for point in points)
    if not any(value is not None for value in values):
        return alert
    seconds = sum(point.seconds for point in points)
    return replace(alert, finding=replace(alert.finding, trend=values, trend_s=seconds))


def _value(rule: str, point: SeriesPoint) -> float | None:
    if rule in _OF_STATEMENTS:
        return _OF_STATEMENTS[rule](point)
    if rule in _OF_MEMORY:
        return point.memory_percent
    return None if point.pool is None else _OF_POOLS[rule](point.pool)
