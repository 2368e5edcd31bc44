"""The report of a span, as a store has it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from querygauge.alerts.overrides import Override
from querygauge.alerts.thresholds import Thresholds
from querygauge.errors import StoreError
from querygauge.histogram import Histogram
from querygauge.storage.alerting import keep_alerts
from querygauge.storage.answers.performance_report import ReportLimits, read_reports
from querygauge.storage.folding import fold
from querygauge.storage.marking import mark
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import (
    OutcomeCounts,
    Pattern,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    QueryErrors,
    QueryStats,
    Repetition,
    Snapshot,
)
from querygauge.values.alerts import Alert, Finding
from querygauge.values.answers.performance_report import PerformanceReport, ReportSpan
from storage.making import pattern

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 1, 15, tzinfo=UTC)
NOON = MIDNIGHT - 12 * HOUR
A_WEEK_BEFORE = NOON - 7 * DAY
SPAN = ReportSpan(
    period="daily",
    since=MIDNIGHT - DAY,
    until=MIDNIGHT,
    before_since=MIDNIGHT - 8 * DAY,
    before_until=MIDNIGHT - 7 * DAY,
)


def _executed(
    durations_ms: Iterable[float],
    ended: datetime,
    number: int = 1,
    *,
    failed: int = 0,
    service: str = "shop",
    made_of: Pattern | None = None,
) -> Snapshot:
    durations = Histogram.of(int(ms * 1e6) for ms in durations_ms)
    made = QueryStats(
        made_of or pattern(number),
        "main",
        OutcomeCounts(ok=durations.count - failed, error=failed),
        0,
        0,
        0,
        durations,
        ended - timedelta(seconds=9),
        ended,
        lines={"shop/a.py:1 in f": 3, "shop/b.py:2 in g": 2, "shop/c.py:3 in h": 2, "shop/d.py:4 in i": 1},
    )
    return Snapshot(service, "web:1", ended - timedelta(seconds=10), ended, queries=(made,))


def _store(paths: StorePaths, *snapshots: Snapshot) -> StorePaths:
    sink = SpoolSink(paths.root, 100)
    for each in snapshots:
        sink.write(each)
    fold(paths)
    return paths


def _report(
    paths: StorePaths, span: ReportSpan = SPAN, service: str | None = None, limits: ReportLimits | None = None
) -> PerformanceReport:
    return open_store(paths).performance_report(span, service=service, limits=limits)


def _ids(entries: Iterable[object]) -> list[str]:
    return [getattr(entry, "pattern_id") for entry in entries]  # noqa: B009  # of several classes


def test_a_day_beside_the_week_before(paths: StorePaths) -> None:
    """Each by its own whole days; what lies between and around is in neither."""
    moments = [MIDNIGHT - DAY - HOUR, MIDNIGHT - DAY, NOON, MIDNIGHT - HOUR, MIDNIGHT]
    _store(
        paths,
        *(_executed([10.0] * 4, at) for at in moments),
        *(_executed([20.0] * 2, at - 7 * DAY) for at in moments),
    )
    report = _report(paths)
    assert (report.performance.execution_count, report.performance.p95_duration_ms) == (12, 10.0)
    assert report.before is not None
    assert (report.before.execution_count, report.before.p95_duration_ms) == (6, 20.0)
    assert [part.execution_count for part in report.parts] == [4, *[0] * 11, 4, *[0] * 10, 4]
    assert [part.p95_ms for part in report.parts if part.p95_ms is not None] == [10.0] * 3
    assert report.part_s == 3_600
    assert report.known_since == MIDNIGHT - 8 * DAY - HOUR - timedelta(seconds=10)


def test_a_pattern_in_full(paths: StorePaths) -> None:
    """Its numbers then and now, its share, the lines that send it most, and how it went."""
    _store(
        paths, _executed([300.0] * 30, NOON), _executed([100.0] * 10, NOON, 2), _executed([150.0] * 20, A_WEEK_BEFORE)
    )
    (first, second) = _report(paths).most_time
    assert (first.pattern_id, first.summary, first.text) == (pattern(1).id, "SELECT t1", "SELECT ? FROM t1")
    assert first.performance.total_duration_ms == 9_000.0
    assert first.before is not None
    assert first.before.execution_count == 20
    assert first.share_percent == 90.0
    assert first.p95_change_percent == pytest.approx(100.0)
    assert first.call_sites == ("shop/a.py:1 in f", "shop/b.py:2 in g", "shop/c.py:3 in h")
    assert [value for value in first.p95_trend if value is not None] == [300.0]
    assert len(first.p95_trend) == 24
    assert first.services == ()
    assert second.before is None
    assert second.p95_change_percent is None


def test_what_became_slower_by_more_than_chance(paths: StorePaths) -> None:
    """A few executions more or less are no news; what fails more often is."""
    spread = [50.0 + number for number in range(100)]
    _store(
        paths,
        *(_executed(spread, A_WEEK_BEFORE, number) for number in (1, 2, 3)),
        _executed([3 * ms for ms in spread], NOON, 1),
        _executed(spread, NOON, 2),
        _executed(spread, NOON, 3, failed=40),
    )
    report = _report(paths)
    assert _ids(report.slower) == [pattern(1).id, pattern(3).id]
    assert report.slower[0].worse == ("median",)
    assert report.slower[1].worse == ("errors",)
    assert report.counts["slower"] == 2
    assert report.most_time[0].worse == ("median",)


def test_new_is_what_was_never_executed_before(paths: StorePaths) -> None:
    """In a store that is older than the day; in one that is not, everything would be."""
    _store(paths, _executed([1.0] * 3, NOON, 1))
    assert _report(paths).new == ()
    _store(paths, _executed([1.0] * 3, NOON - 3 * DAY, 2), _executed([1.0] * 3, NOON, 2))
    report = _report(paths)
    assert _ids(report.new) == [pattern(1).id]
    assert [each.is_new for each in report.most_time] == [True, False]


def test_slow_is_over_the_threshold(paths: StorePaths) -> None:
    """By the 95th percentile, the slowest first, without what is marked as known."""
    _store(paths, *(_executed([50.0 * number] * 5, NOON, number) for number in (1, 2, 3, 4)))
    report = _report(paths, limits=ReportLimits(slow_ms=90.0))
    assert _ids(report.slow) == [pattern(number).id for number in (4, 3, 2)]
    assert report.slow_ms == 90.0
    mark(paths, pattern(4).id, "accepted", now=MIDNIGHT)
    assert _ids(_report(paths, limits=ReportLimits(slow_ms=90.0)).slow) == [pattern(3).id, pattern(2).id]


def test_some_may_take_longer(paths: StorePaths) -> None:
    """By their service and pattern, as alerts have it."""
    _store(paths, *(_executed([150.0] * 5, NOON, number) for number in (1, 2)))
    thresholds = Thresholds(overrides=(Override(pattern=pattern(1).id, service="shop", p95_ms=200.0),))
    limits = ReportLimits(slow_ms_of=thresholds.p95_ms_of)
    assert _ids(_report(paths, service="shop", limits=limits).slow) == [pattern(2).id]
    assert len(_report(paths, limits=limits).slow) == 2


def test_lists_have_few_entries_and_all_are_counted(paths: StorePaths) -> None:
    """As it is sent."""
    _store(paths, *(_executed([500.0] * number, NOON, number) for number in range(1, 31)))
    report = _report(paths, limits=ReportLimits(entries=3))
    assert _ids(report.most_time) == [pattern(number).id for number in (30, 29, 28)]
    assert len(report.slow) == 3
    assert (report.counts["most_time"], report.counts["slow"], report.counts["patterns"]) == (30, 30, 30)


def test_transaction_control_is_left_out(paths: StorePaths) -> None:
    """It is neither a query nor slow."""
    commit = replace(pattern(9), category="transaction")
    _store(paths, _executed([900.0] * 5, NOON, made_of=commit), _executed([1.0] * 5, NOON))
    report = _report(paths)
    assert report.performance.execution_count == 5
    assert _ids(report.most_time) == [pattern(1).id]
    assert sum(part.execution_count for part in report.parts) == 5


def _repetition(number: int, *, scope: str, scopes: int = 4, sent_by: str = "shop/a.py:1 in f") -> Repetition:
    return Repetition(
        pattern(number),
        "main",
        sent_by,
        scope,
        scopes,
        10 * scopes,
        12,
        100.0 * scopes,
        compared_count=10 * scopes,
        parameters_count=10 * scopes,
        parents_count=10 * scopes,
        origins_count=scopes,
        cause="lazy",
        attribute="Order.user",
    )


def test_repetitions_of_a_line_are_together(paths: StorePaths) -> None:
    """Named after where they take most; what is only possible is left out, as is another day."""
    found = (
        _repetition(1, scope="GET /a"),
        _repetition(1, scope="GET /b", scopes=8),
        replace(_repetition(2, scope="GET /a"), cause=None, compared_count=0, parameters_count=0, parents_count=0),
    )
    _store(
        paths,
        replace(_executed([1.0] * 9, NOON), repetitions=found),
        replace(_executed([1.0] * 9, MIDNIGHT + HOUR), repetitions=(_repetition(1, scope="GET /c"),)),
    )
    (told,) = _report(paths).repeated
    assert (told.scope, told.scopes_count, told.execution_count, told.total_duration_ms) == ("GET /b", 12, 120, 1_200.0)
    assert (told.call_site, told.confidence) == ("shop/a.py:1 in f", "certain")
    assert told.fix == "load them with their parents: selectinload(Order.user)"


def _pool(name: str, ended: datetime, active: int = 1, *, waits_ms: Iterable[float] = (1.0,), **did: Any) -> Snapshot:
    waits = Histogram.of(int(ms * 1e6) for ms in waits_ms)
    state = PoolSnapshot(ended, 5, active, 0, 0, 0, 10, 0.0)
    metrics = PoolMetrics(total_requests=20, total_checkouts=20, wait=waits, peak_active=active)
    window = PoolWindow(name, state, replace(metrics, **did))
    return Snapshot("shop", "web:1", ended - timedelta(seconds=10), ended, pools=(window,))


def test_pools_that_suffered(paths: StorePaths) -> None:
    """Those with timeouts first; one that was well is not told."""
    _store(
        paths,
        _pool("well", NOON, 3),
        _pool("busy", NOON, 10),  # all in use, and nobody waited
        _pool("full", NOON, 10, peak_waiting=2),
        _pool("slow", NOON, waits_ms=[2_000.0] * 10),
        _pool("out", NOON, total_timeouts=2),
        _pool("out", A_WEEK_BEFORE, waits_ms=[7.0]),
        _pool("leaky", NOON, leaks=1),
        _pool("lossy", NOON, lost_to_cancellation=3),
        _pool("sick", NOON, health_checks=5, health_checks_failed=1),
    )
    report = _report(paths)
    assert [pool.performance.pool for pool in report.pools] == ["out", "lossy", "leaky", "slow", "full", "sick"]
    out, lossy, leaky, _, full, sick = report.pools
    assert out.before is not None
    assert (out.performance.timeout_count, out.before.p95_wait_ms) == (2, 7.0)
    assert (lossy.lost_to_cancellation, leaky.leaks, sick.failed_checks) == (3, 1, 1)
    assert (full.max_connections, full.peak_waiting, full.before) == (10, 2, None)
    assert report.counts["pools"] == 6


def test_ways_of_failing(paths: StorePaths) -> None:
    """Targets together, the most frequent first; messages have no values."""

    def failed(count: int, sqlstate: str, target: str = "main", number: int = 1) -> QueryErrors:
        return QueryErrors(pattern(number), target, "Deadlock", sqlstate, count, NOON, "deadlock on ?")

    snapshot = _executed([1.0] * 50, NOON, failed=10)
    ways = (failed(2, "40001"), failed(3, "40P01"), failed(4, "40P01", "replica"), failed(1, "40P01", number=2))
    _store(paths, replace(snapshot, errors=ways))
    report = _report(paths)
    assert [(error.pattern_id, error.sqlstate, error.count) for error in report.errors] == [
        (pattern(1).id, "40P01", 7),
        (pattern(1).id, "40001", 2),
        (pattern(2).id, "40P01", 1),
    ]
    assert report.errors[0].message == "deadlock on ?"


def test_alerts_that_began_are_counted(paths: StorePaths) -> None:
    """By their rule, of the day alone, and no pending ones."""
    _store(paths, _executed([1.0], NOON))
    finding = Finding("slow_query", "warning", "", "", "shop")
    fired = Alert("0" * 16, finding, "resolved", NOON, NOON, NOON, NOON)
    alerts = [
        fired,
        replace(fired, id="1" * 16, status="pending", fired_at=None),
        replace(fired, id="2" * 16, fired_at=MIDNIGHT),
        replace(fired, id="3" * 16, finding=replace(finding, rule="error_rate")),
        replace(fired, id="4" * 16, finding=replace(finding, service="blog")),
    ]
    keep_alerts(paths, alerts, ())
    assert _report(paths, service="shop").alerts == {"error_rate": 1, "slow_query": 1}
    assert _report(paths).alerts == {"slow_query": 2, "error_rate": 1}


def test_one_service_or_all(paths: StorePaths) -> None:
    """Of all, each pattern says who sent it."""
    _store(paths, _executed([1.0] * 3, NOON), _executed([1.0] * 4, NOON, service="blog"))
    assert _report(paths).most_time[0].services == ("blog", "shop")
    report = _report(paths, service="blog")
    assert (report.performance.execution_count, report.most_time[0].services) == (4, ())
    with pytest.raises(StoreError, match="no service 'nobody'"):
        _report(paths, service="nobody")


def test_reports_of_those_who_reported(paths: StorePaths) -> None:
    """In the span, or the week before: what is gone for longer is not asked for."""
    _store(
        paths,
        _executed([1.0], NOON),
        _executed([1.0], NOON - 7 * DAY, service="gone"),
        _executed([1.0], NOON - 9 * DAY, service="long gone"),
    )
    reports = read_reports(paths, SPAN, ReportLimits(), lambda known: [None, *known])
    assert [report.service for report in reports] == [None, "gone", "shop"]


def test_nothing_was_executed(paths: StorePaths) -> None:
    """All lists are empty, and the parts are there."""
    report = _report(_store(paths))
    assert (report.performance.execution_count, report.before, report.known_since) == (0, None, None)
    assert [part.execution_count for part in report.parts] == [0] * 24
    assert set(report.counts.values()) == {0}


@pytest.mark.parametrize(
    ("length", "part", "count"),
    [(timedelta(minutes=30), 60, 30), (DAY, 3_600, 24), (7 * DAY, 21_600, 28), (30 * DAY, 86_400, 30)],
)
def test_parts_are_as_long_as_a_chart_allows(paths: StorePaths, length: timedelta, part: int, count: int) -> None:
    """Minutes, hours, or days; what is kept by the hour only is in its part."""
    _store(paths, _executed([1.0] * 3, NOON + 11 * HOUR + timedelta(minutes=45)))
    roll_up(paths, MIDNIGHT + HOUR)
    report = _report(paths, replace(SPAN, since=MIDNIGHT - length))
    assert (report.part_s, len(report.parts)) == (part, count)
    assert sum(each.execution_count for each in report.parts) == 3


def test_days_of_a_zone(paths: StorePaths) -> None:
    """By minutes where it is half an hour off."""
    zone = timedelta(hours=5, minutes=30)
    since = (MIDNIGHT - DAY - zone).astimezone(UTC)
    span = replace(SPAN, since=since, until=since + DAY, before_since=since - 7 * DAY, before_until=since - 6 * DAY)
    at_the_edges = [since - timedelta(minutes=1), since, since + DAY - timedelta(minutes=1), since + DAY]
    _store(paths, *(_executed([1.0] * count, at) for count, at in enumerate(at_the_edges, 1)))
    roll_up(paths, MIDNIGHT + DAY)
    report = _report(paths, span)
    assert report.performance.execution_count == 5
    assert [report.parts[0].execution_count, report.parts[-1].execution_count] == [2, 3]
