"""The status of a pool and its trend follow from the numbers alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from querygauge.monitors.pool_status import is_exhausted, pool_status, utilization_trend
from querygauge.values import PoolSnapshot

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def snapshot(active: int = 0, waiting: int = 0, maximum: int = 10, at: datetime = NOW) -> PoolSnapshot:
    """A pool with so many connections in use."""
    return PoolSnapshot(at, maximum, active, max(0, maximum - active), waiting, 0, maximum, 0.0)


def level(pool: PoolSnapshot | None = None, **changed: Any) -> str:
    """The level of a pool that is well but for what is given."""
    well: dict[str, Any] = {
        "exhaustion_threshold": 0.9,
        "high_wait_time_ms": 1000.0,
        "p95_wait_time_ms": 0.0,
        "has_timed_out": False,
        "failed_checks": 0,
    }
    return pool_status(pool or snapshot(), **{**well, **changed}).level


@pytest.mark.parametrize(("active", "expected"), [(7, "HEALTHY"), (8, "WARNING"), (10, "WARNING")])
def test_eighty_percent_in_use_is_a_warning(active: int, expected: str) -> None:
    """From 80 % in use a pool is WARNING, and stays so when full as long as nobody waits."""
    assert level(snapshot(active)) == expected


@pytest.mark.parametrize(
    ("active", "waiting", "expected"),
    [(8, 5, "WARNING"), (9, 0, "WARNING"), (9, 1, "CRITICAL"), (10, 1, "CRITICAL")],
)
def test_callers_waiting_at_the_threshold_are_critical(active: int, waiting: int, expected: str) -> None:
    """CRITICAL needs both: the exhaustion threshold reached, and somebody waiting."""
    assert level(snapshot(active, waiting)) == expected


def test_a_threshold_is_reached_in_spite_of_floating_point() -> None:
    """11 of 20 reach a threshold of 0.55, although 0.55 times 20 is a little more than 11."""
    assert is_exhausted(11, 20, 1, 0.55)
    assert not is_exhausted(10, 20, 1, 0.55)


def test_a_pool_without_a_limit_is_never_full() -> None:
    """Without a limit neither 80 % nor the exhaustion threshold can be reached."""
    assert level(snapshot(500, 3, maximum=0)) == "HEALTHY"


@pytest.mark.parametrize(("p95", "expected"), [(1000.0, "HEALTHY"), (1000.1, "WARNING")])
def test_waits_over_the_threshold_are_a_warning(p95: float, expected: str) -> None:
    """The 95th percentile of the recent waits may reach the threshold, not pass it."""
    assert level(p95_wait_time_ms=p95) == expected


def test_a_timeout_is_critical() -> None:
    """One timeout in the last minute is CRITICAL, however idle the pool is."""
    assert level(has_timed_out=True) == "CRITICAL"


@pytest.mark.parametrize(("failed", "expected"), [(0, "HEALTHY"), (1, "WARNING"), (2, "WARNING"), (3, "CRITICAL")])
def test_failed_checks_warn_and_three_in_a_row_are_critical(failed: int, expected: str) -> None:
    """The last health check failed: WARNING; the last three did: CRITICAL."""
    assert level(failed_checks=failed) == expected


def test_every_reason_is_named_worst_first() -> None:
    """A status says all of its reasons, those that are critical before those that are not."""
    status = pool_status(
        snapshot(9),
        exhaustion_threshold=0.9,
        high_wait_time_ms=10.0,
        p95_wait_time_ms=20.0,
        has_timed_out=True,
        failed_checks=1,
    )
    assert status.level == "CRITICAL"
    assert status.reasons == (
        "a request for a connection timed out in the last minute",
        "9 of 10 connections in use",
        "the last health check failed",
        "95 % of waits took up to 20 ms in the last minute",
    )


def history(earlier: int, recent: int, maximum: int = 100) -> list[PoolSnapshot]:
    """Two minutes of snapshots: the one that began five minutes ago, and the last one."""
    ages = {earlier: range(240, 300, 5), recent: range(5, 60, 5)} if earlier != recent else {recent: range(5, 300, 5)}
    return [
        snapshot(active, maximum=maximum, at=NOW - timedelta(seconds=age))
        for active, seconds in ages.items()
        for age in seconds
    ]


@pytest.mark.parametrize(
    ("earlier", "recent", "expected"),
    [
        (50, 50, "stable"),
        (50, 55, "stable"),
        (50, 56, "rising"),
        (50, 45, "stable"),
        (50, 44, "falling"),
        (0, 6, "rising"),
    ],
)
def test_trend_is_stable_within_five_points(earlier: int, recent: int, expected: str) -> None:
    """The means of the two minutes may differ by five percentage points before it is a trend."""
    assert utilization_trend(history(earlier, recent), NOW) == expected


@pytest.mark.parametrize(("earlier", "recent", "expected"), [(120, 126, "stable"), (120, 127, "rising")])
def test_trend_is_stable_within_five_percent(earlier: int, recent: int, expected: str) -> None:
    """Over a full pool, five percent of the earlier mean are more than five points, and count."""
    assert utilization_trend(history(earlier, recent), NOW) == expected


def test_trend_without_an_earlier_minute_is_stable() -> None:
    """What has been watched for less than four minutes has no trend yet."""
    recent = [one for one in history(10, 90) if one.active_connections == 90]
    assert utilization_trend(recent, NOW) == "stable"
    assert utilization_trend([], NOW) == "stable"


def test_trend_ignores_the_time_between_and_before() -> None:
    """Only the two minutes count, not what was between them or long ago."""
    noise = [snapshot(100, maximum=100, at=NOW - timedelta(seconds=age)) for age in (90, 200, 310, 4_000)]
    assert utilization_trend([*noise, *history(50, 50)], NOW) == "stable"
