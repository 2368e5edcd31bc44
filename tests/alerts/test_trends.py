"""How a finding's value went before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from alerts.observing import NOON, pool
from alerts.samples import ALERT, SLOW
from querygauge.alerts.rules import RULES
from querygauge.alerts.trends import with_trends
from querygauge.histogram import Histogram
from querygauge.values import OutcomeCounts
from querygauge.values.alerts import Alert, Finding
from querygauge.values.series import SeriesPoint, SeriesSubject

NOTHING = SeriesPoint(seconds=300.0)
SOME = SeriesPoint(
    seconds=100.0,
    outcomes=OutcomeCounts(ok=85, error=5, timeout=5, cancelled=5),
    slow_count=20,
    durations=Histogram.of([2_000_000] * 90 + [30_000_000] * 10),
    loop_lag_ms=500.0,
)
OF_POOL = SeriesPoint(
    seconds=300.0,
    pool=pool(8, waiting=3, waits_ms=[40.0], total_timeouts=2, leaks=1, lost_to_cancellation=4),
)


class Store:
    """Answers every question with the same points, and keeps what was asked."""

    def __init__(self, *points: SeriesPoint) -> None:
        self.points = points
        self.asked: list[tuple[list[SeriesSubject], datetime, datetime]] = []

    def read(
        self, subjects: Sequence[SeriesSubject], since: datetime, until: datetime
    ) -> list[tuple[SeriesPoint, ...]]:
        """As `storage.series.read_series` does."""
        self.asked.append((list(subjects), since, until))
        return [self.points for _ in subjects]


def alert(rule: str, *, pool: str | None = None) -> Alert:
    """An alert about the shop."""
    return replace(ALERT, id=rule, finding=Finding(rule, "warning", "", "", "shop", pool=pool))


@pytest.mark.parametrize(
    ("rule", "trend"),
    [
        ("error_rate", (None, 100 * 10 / 95)),
        ("success_rate", (None, 85.0)),
        ("errors_per_second", (0.0, 0.1)),
        ("no_queries", (0.0, 100.0)),
        ("slow_query", (None, 30.0)),
        ("slow_pattern", (None, 30.0)),
        ("new_slow_pattern", (None, 30.0)),
        ("regression", (None, 30.0)),
        ("p99_latency", (None, 30.0)),
        ("slow_rate", (0.0, 0.2)),
        ("loop_lag", (None, 5.0)),
    ],
)
def test_statements(rule: str, trend: tuple[float | None, ...]) -> None:
    """It is what the rule compares, in each part of two hours; nothing is no share and no percentile."""
    (told,) = with_trends([alert(rule)], NOON, Store(NOTHING, SOME).read)
    assert told.finding.trend[0] == trend[0]
    assert told.finding.trend[1] == pytest.approx(trend[1], rel=0.02)
    assert told.finding.trend_s == 400.0


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("pool_saturation", 80.0),
        ("pool_wait", 40.0),
        ("pool_pending", 3.0),
        ("pool_timeout", 2.0),
        ("connection_leak", 1.0),
        ("lost_to_cancellation", 4.0),
        ("long_checkout", 0.0),
    ],
)
def test_pools(rule: str, value: float) -> None:
    """Likewise; what did not report is not known."""
    (told,) = with_trends([alert(rule, pool="main")], NOON, Store(NOTHING, OF_POOL).read)
    assert told.finding.trend[0] is None
    assert told.finding.trend[1] == pytest.approx(value)


def test_every_rule_was_thought_of() -> None:
    """Those without a trend are about single things, or about what no store has a history of."""
    alerts = [alert(rule, pool="main") for rule in RULES]
    told = with_trends(alerts, NOON, Store(replace(SOME, pool=OF_POOL.pool, memory_percent=90.0)).read)
    assert {each.finding.rule for each in told if not each.finding.trend} == {
        "burn_rate",
        "disk_low",
        "health_check_failed",
        "repetition",
        "spool_backlog",
        "store_stalled",
        "store_too_large",
    }


def test_memory() -> None:
    """What the process with most of its limit had."""
    store = Store(NOTHING, SeriesPoint(seconds=300.0, memory_percent=91.5))
    (told,) = with_trends([alert("memory_high")], NOON, store.read)
    assert told.finding.trend == (None, 91.5)
    assert store.asked[0][0] == [SeriesSubject(service="shop", is_of_memory=True)]


def test_one_question_for_all_of_them() -> None:
    """About each pattern on its target, and of a service's percentiles about queries only."""
    store = Store(SOME)
    slow = replace(ALERT, finding=SLOW)
    with_trends([slow, alert("p99_latency"), alert("disk_low"), alert("pool_wait", pool="main")], NOON, store.read)
    ((subjects, since, until),) = store.asked
    assert subjects == [
        SeriesSubject(service="shop", target="primary", pattern_id="00c0ffee00c0ffee"),
        SeriesSubject(service="shop", is_of_queries=True),
        SeriesSubject(service="shop", pool="main"),
    ]
    assert (since, until) == (NOON - timedelta(minutes=119), NOON)


def test_nothing_is_asked_where_nothing_has_a_trend() -> None:
    """As in most looks: nobody is told of anything."""
    store = Store(SOME)
    assert with_trends([], NOON, store.read) == ()
    assert with_trends([alert("disk_low")], NOON, store.read) == (alert("disk_low"),)
    assert store.asked == []


def test_what_nobody_knows_is_no_trend() -> None:
    """A series of gaps says nothing."""
    (told,) = with_trends([alert("slow_pattern")], NOON, Store(NOTHING, NOTHING).read)
    assert (told.finding.trend, told.finding.trend_s) == ((), 0.0)
