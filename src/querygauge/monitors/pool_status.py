"""
What the numbers of a pool mean: in go values, out come a status with its reasons, and a trend.

Pure functions. Deliberately not here: the numbers themselves, clocks, and who is told about a status.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from querygauge.values import PoolSnapshot

__all__ = ["Level", "PoolStatus", "Trend", "is_exhausted", "pool_status", "utilization_trend"]

Level = Literal["HEALTHY", "WARNING", "CRITICAL"]
Trend = Literal["rising", "falling", "stable"]

_WARNING_FRACTION: Final = 0.8  # of the pool in use; leaves room to act before callers wait
_CRITICAL_FAILURES: Final = 3  # failed checks in a row; one alone may be a hiccup of the network
_TREND_SPAN: Final = timedelta(minutes=5)
_TREND_SAMPLE: Final = timedelta(minutes=1)
_STABLE_POINTS: Final = 5.0  # in percent of the pool
_STABLE_SHARE: Final = 0.05  # of the earlier mean, for pools that are nearly full
# 0.55 of 20 is 11.000000000000002 in floating point, and 11 in use must reach it.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """How a pool does, and why it is not HEALTHY: one short sentence a reason, the worst first."""

    level: Level
    reasons: tuple[str, ...] = ()


def is_exhausted(active: int, maximum: int, waiting: int, threshold: float) -> bool:
    """
    Whether callers wait although a fraction `threshold` of the pool is in use; never without a limit.

    Args:
        active: Connections in use.
        maximum: Connections there can be; 0 if there is no limit.
        waiting: Callers waiting.
        threshold: Fraction of `maximum`.
    """
    return waiting > 0 and _reaches(active, maximum, threshold)


def _reaches(active: int, maximum: int, fraction: float) -> bool:
    return maximum > 0 and active + _ROUNDING >= fraction * maximum


def pool_status(
    snapshot: PoolSnapshot,
    *,
    exhaustion_threshold: float,
    high_wait_time_ms: float,
    p95_wait_time_ms: float,
    has_timed_out: bool,
    failed_checks: int,
) -> PoolStatus:
    """
    The status of a pool.

    Args:
        snapshot: The pool now.
        exhaustion_threshold: Fraction in use from which a waiting caller is critical.
        high_wait_time_ms: A 95th percentile above it is a warning.
        p95_wait_time_ms: Of the waits of the last minute.
        has_timed_out: Whether a request timed out in the last minute.
        failed_checks: Health checks that failed since the last good one.
    """
    active, maximum, waiting = snapshot.active_connections, snapshot.max_connections, snapshot.waiting_count
    critical: list[str] = []
    warning: list[str] = []
    if is_exhausted(active, maximum, waiting, exhaustion_threshold):
        critical.append(f"{waiting:,} waiting with {active:,} of {maximum:,} connections in use")
    elif _reaches(active, maximum, _WARNING_FRACTION):
        warning.append(f"{active:,} of {maximum:,} connections in use")
    if has_timed_out:
        critical.append("a request for a connection timed out in the last minute")
    if failed_checks >= _CRITICAL_FAILURES:
        critical.append(f"the last {failed_checks:,} health checks failed")
    elif failed_checks:
        warning.append("the last health check failed")
    if p95_wait_time_ms > high_wait_time_ms:
        warning.append(f"95 % of waits took up to {p95_wait_time_ms:,.0f} ms in the last minute")
    level: Level = "CRITICAL" if critical else "WARNING" if warning else "HEALTHY"
    return PoolStatus(level, (*critical, *warning))


def utilization_trend(snapshots: Iterable[PoolSnapshot], now: datetime) -> Trend:
    """
    Where utilisation goes: the mean of the last minute against that of the minute that began five minutes ago.

    Stable within 5 percentage points, within 5 % of the earlier mean, and as long as one of the two minutes has no
    snapshot.
    """
    known = list(snapshots)
    recent = _mean_utilization(known, now - _TREND_SAMPLE, now)
    earlier = _mean_utilization(known, now - _TREND_SPAN, now - _TREND_SPAN + _TREND_SAMPLE)
    if recent is None or earlier is None:
        return "stable"
    change = recent - earlier
    if abs(change) <= max(_STABLE_POINTS, _STABLE_SHARE * earlier) + _ROUNDING:
        return "stable"
    return "rising" if change > 0 else "falling"


def _mean_utilization(snapshots: list[PoolSnapshot], start: datetime, end: datetime) -> float | None:
    found = [snapshot.utilization_percent for snapshot in snapshots if start <= snapshot.timestamp <= end]
    return sum(found) / len(found) if found else None
