"""What the rules of alerts see of a store."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from querygauge.alerts.rules import findings
from querygauge.alerts.thresholds import Thresholds
from querygauge.histogram import Histogram
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.marking import mark
from querygauge.storage.observing import observed
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import (
    HealthCheck,
    OutcomeCounts,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    QueryStats,
    SlowQuery,
    Snapshot,
)
from querygauge.values.observed import FailedChecks, Observation, ObservedService
from storage.making import NOON as HALF_PAST
from storage.making import pattern

NOON = HALF_PAST.replace(second=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def _store(paths: StorePaths, *snapshots: Snapshot) -> StorePaths:
    sink = SpoolSink(paths.root, 100)
    for each in snapshots:
        sink.write(each)
    fold(paths)
    return paths


def _seen(paths: StorePaths, now: datetime = NOON) -> Observation:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return observed(connection, paths, now, slow_ms=100.0)


def _service(paths: StorePaths, now: datetime = NOON) -> ObservedService:
    (service,) = _seen(paths, now).services
    return service


def _executed(durations_ms: Iterable[float], ended: datetime, number: int = 1) -> Snapshot:
    durations = Histogram.of(int(ms * 1e6) for ms in durations_ms)
    outcomes = OutcomeCounts(ok=durations.count)
    made = QueryStats(pattern(number), "main", outcomes, 0, 0, 0, durations, ended - MINUTE, ended)
    return Snapshot("shop", "web:1", ended - MINUTE, ended, queries=(made,), slow_threshold_ms=250.0)


def test_a_store_without_a_service_has_only_itself(paths: StorePaths) -> None:
    """Its size, and its disk."""
    seen = _seen(_store(paths))
    assert seen.services == ()
    assert seen.store.size_mb > 0
    assert seen.store.waiting_count == 0
    assert seen.store.disk_free_percent is not None
    assert 0 < seen.store.disk_free_percent < 100


def test_what_waits_is_counted(paths: StorePaths) -> None:
    """With its megabytes."""
    SpoolSink(_store(paths).root, 100).write(_executed([1], NOON))
    assert _seen(paths).store.waiting_count == 1
    assert _seen(paths).store.waiting_mb > 0


def test_five_minutes_and_an_hour(paths: StorePaths) -> None:
    """Each by whole minutes, the first at least five long; what was before is in neither."""
    moments = [NOON - minutes * MINUTE for minutes in (1, 4, 6, 58, 62)]
    service = _service(_store(paths, *(_executed([1.0] * 10, ended) for ended in moments)))
    assert sum(each.execution_count for each in service.recent) == 20
    assert sum(each.execution_count for each in service.hour) == 40
    assert service.recent_s == 300
    assert _service(paths, NOON + timedelta(seconds=59)).recent_s == 359
    assert service.slow_threshold_ms == 250.0


def _slow(number: int, duration_ms: float, ended: datetime, scope: str | None = None) -> SlowQuery:
    began = ended - timedelta(milliseconds=duration_ms)
    return SlowQuery("SELECT ?", pattern(number).id, f"SELECT t{number}", "main", duration_ms, began, scope=scope)


def test_the_slowest_of_each_pattern_is_seen_in_a_storm(paths: StorePaths) -> None:
    """However many of another come after it."""
    storm = [_slow(2, 300.0 + number / 100, NOON - timedelta(seconds=number / 100)) for number in range(2_000)]
    given = [_slow(1, 60_000.0, NOON - 4 * MINUTE), *storm, _slow(2, 290.0, NOON, "GET /x"), _slow(3, 9e5, NOON - HOUR)]
    service = _service(_store(paths, replace(_executed([1.0], NOON), slow_queries=tuple(given))))
    assert [(each.pattern_id[-1], each.scope, each.duration_ms) for each in service.slow_queries] == [
        ("1", None, 60_000.0),
        ("2", None, 319.99),
        ("2", "GET /x", 290.0),
    ]


def test_what_took_an_hour_is_of_when_it_ended(paths: StorePaths) -> None:
    """The slowest of all began long ago."""
    slow = _slow(1, 3_600_000.0, NOON - MINUTE)
    service = _service(_store(paths, replace(_executed([3_600_000.0], NOON), slow_queries=(slow,))))
    assert service.slow_queries == (slow,)
    assert [each.severity for each in findings(_seen(paths), Thresholds()) if each.rule == "slow_query"] == ["critical"]


def test_a_service_that_is_gone_is_forgotten(paths: StorePaths) -> None:
    """After eight days."""
    _store(paths, _executed([1], NOON))
    assert _service(paths, NOON + 7.9 * timedelta(days=1)).service == "shop"
    assert _seen(paths, NOON + 8.1 * timedelta(days=1)).services == ()


def test_what_is_usual_is_the_week_before_or_the_day_before(paths: StorePaths) -> None:
    """In the same hour; nothing is known where neither has anything."""
    _store(paths, _executed([1.0] * 30, NOON - timedelta(days=1, minutes=30)))
    assert _service(paths).usual_count == 30
    _store(paths, _executed([1.0] * 70, NOON - WEEK - 30 * MINUTE))
    assert _service(paths).usual_count == 70
    assert _service(paths, NOON + 3 * HOUR).usual_count is None


def test_what_became_slower_than_the_week_before(paths: StorePaths) -> None:
    """By more than chance, also where only hours are kept of that week."""
    before = NOON - WEEK - 30 * MINUTE
    _store(paths, _executed([50.0 + number for number in range(100)], before, 1))
    _store(paths, _executed([50.0 + number for number in range(100)], before, 2))
    roll_up(paths, NOON)
    _store(paths, _executed([150.0 + number for number in range(100)], NOON - 10 * MINUTE, 1))
    _store(paths, _executed([50.0 + number for number in range(100)], NOON - 10 * MINUTE, 2))
    service = _service(paths)
    assert [change.pattern.text for change in service.regressed] == [pattern(1).text]
    (finding,) = findings(Observation(NOON, (service,)), Thresholds())
    assert (finding.rule, finding.pattern) == ("regression", pattern(1).text)


def test_new_is_what_an_old_service_never_sent(paths: StorePaths) -> None:
    """Within a day; in a service that is new itself everything is."""
    _store(paths, _executed([1], NOON - 30 * MINUTE))
    assert _service(paths).new_ids == frozenset()
    _store(paths, _executed([1], NOON - 2 * timedelta(days=1)), _executed([1], NOON - MINUTE, 3))
    assert _service(paths).new_ids == {pattern(3).id}
    assert _service(paths, NOON + timedelta(days=1)).new_ids == frozenset()


def test_a_marked_pattern_is_quiet_until_it_is_worse(paths: StorePaths) -> None:
    """As in reports."""
    _store(paths, _executed([10.0] * 50, NOON - HOUR))
    marked = mark(paths, pattern(1).id, "accepted", now=NOON)
    assert _service(paths).quiet_ids == {marked.pattern.id}
    _store(paths, _executed([20.0] * 50, NOON + 10 * MINUTE))
    assert _service(paths, NOON + HOUR).quiet_ids == frozenset()


def test_pools_of_the_last_five_minutes(paths: StorePaths) -> None:
    """What they did, and their state."""
    window = PoolWindow("main", PoolSnapshot(NOON, 5, 1, 4, 0, 0, 15, 0.5), PoolMetrics(total_checkouts=3))
    _store(paths, Snapshot("shop", "web:1", NOON - MINUTE, NOON, pools=(window,)))
    assert _service(paths, NOON + MINUTE).pools == (window,)
    assert _service(paths, NOON + 7 * MINUTE).pools == ()


def test_checks_that_failed_are_those_of_one_process(paths: StorePaths) -> None:
    """Of each pool the process that is worst; one whose last check was good has none."""
    state = PoolSnapshot(NOON, 5, 1, 4, 0, 0, 15, 0.5)

    def checked(process: str, pool: str, *errors: str | None) -> Snapshot:
        checks = tuple(HealthCheck(NOON + number * MINUTE, 1.0, error) for number, error in enumerate(errors))
        window = PoolWindow(pool, state, PoolMetrics(), checks)
        return Snapshot("shop", process, NOON - MINUTE, NOON, pools=(window,))

    _store(
        paths,
        checked("web:1", "main", None, "refused", "timeout"),
        checked("web:2", "main", "refused", "refused", "refused"),
        checked("web:3", "main", "refused", "refused", None),
        checked("web:1", "replica", None, "refused", None),
        checked("web:2", "replica", None, None, "refused"),
    )
    assert _service(paths, NOON + 3 * MINUTE).failed_checks == (
        FailedChecks("main", "web:2", 3, "refused"),
        FailedChecks("replica", "web:2", 1, "refused"),
    )
