"""How something went over time, as a store has it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from querygauge.histogram import Histogram
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.ranges import Span
from querygauge.storage.rollups import roll_up
from querygauge.storage.series import read_series, series
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import (
    OutcomeCounts,
    PhaseTimes,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    ProcessUsage,
    QueryStats,
    Snapshot,
)
from querygauge.values.series import SeriesPoint, SeriesSubject
from storage.making import NOON as HALF_PAST
from storage.making import pattern

NOON = HALF_PAST.replace(second=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
EVERYTHING = SeriesSubject()


def _executed(
    durations_ms: Iterable[float], ended: datetime, number: int = 1, *, service: str = "shop", target: str = "main"
) -> Snapshot:
    durations = Histogram.of(int(ms * 1e6) for ms in durations_ms)
    outcomes = OutcomeCounts(ok=durations.count - 1, error=1)
    phases = PhaseTimes(loop_lag_ns=2_000_000)
    made = QueryStats(pattern(number), target, outcomes, 1, 0, 0, durations, ended - MINUTE, ended, phases)
    return Snapshot(service, "web:1", ended - MINUTE, ended, queries=(made,))


def _series(
    paths: StorePaths, *subjects: SeriesSubject, span: Span, step: timedelta = 5 * MINUTE
) -> list[tuple[SeriesPoint, ...]]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return series(connection, subjects, span, step)


def _store(paths: StorePaths, *snapshots: Snapshot) -> StorePaths:
    sink = SpoolSink(paths.root, 100)
    for each in snapshots:
        sink.write(each)
    fold(paths)
    return paths


def _counts(points: tuple[SeriesPoint, ...]) -> list[int]:
    return [point.outcomes.total for point in points]


def test_parts_of_a_span(paths: StorePaths) -> None:
    """In their order, also those in which nothing happened; the last may not be over."""
    _store(paths, *(_executed([10.0] * count, NOON + count * MINUTE) for count in (2, 3, 6, 17)))
    (points,) = _series(paths, EVERYTHING, span=Span(NOON, NOON + 18 * MINUTE))
    assert _counts(points) == [5, 6, 0, 17]
    assert [point.seconds for point in points] == [300, 300, 300, 180]
    first, _, empty, _ = points
    assert (first.outcomes, first.slow_count, first.loop_lag_ms) == (OutcomeCounts(ok=3, error=2), 2, 4.0)
    assert first.durations == Histogram.of([10_000_000] * 5)
    assert empty == SeriesPoint(seconds=300)
    assert empty.quantile_ms(0.5) is None


def test_what_is_outside_of_the_span_is_left_out(paths: StorePaths) -> None:
    """Its end, too."""
    _store(paths, *(_executed([1.0] * 2, NOON + minutes * MINUTE) for minutes in (-1, 0, 9, 10)))
    assert [_counts(points) for points in _series(paths, EVERYTHING, span=Span(NOON, NOON + 10 * MINUTE))] == [[2, 2]]


def test_each_subject_has_its_own(paths: StorePaths) -> None:
    """By service, target and pattern, in the order asked for; one that nobody knows has nothing."""
    _store(
        paths,
        _executed([1.0] * 2, NOON),
        _executed([1.0] * 3, NOON, 2),
        _executed([1.0] * 4, NOON, target="replica"),
        _executed([1.0] * 5, NOON, service="blog"),
    )
    subjects = {
        SeriesSubject(service="shop"): 9,
        SeriesSubject(target="replica"): 4,
        SeriesSubject(service="shop", pattern_id=pattern(1).id): 6,
        SeriesSubject(service="shop", target="main", pattern_id=pattern(1).id): 2,
        SeriesSubject(service="nobody"): 0,
        EVERYTHING: 14,
    }
    found = _series(paths, *subjects, span=Span(NOON, NOON + MINUTE))
    assert [_counts(points) for points in found] == [[count] for count in subjects.values()]


def test_queries_only(paths: StorePaths) -> None:
    """Transaction control is no query."""
    commit = _executed([1.0] * 2, NOON)
    (stats,) = commit.queries
    transaction = replace(stats, pattern=replace(pattern(9), category="transaction"))
    _store(paths, replace(commit, queries=(transaction,)), _executed([1.0] * 3, NOON))
    found = _series(paths, EVERYTHING, SeriesSubject(is_of_queries=True), span=Span(NOON, NOON + MINUTE))
    assert [_counts(points) for points in found] == [[5], [3]]


def test_hours_are_read_where_they_are_kept(paths: StorePaths) -> None:
    """What was rolled up is counted once, and in its part."""
    _store(paths, *(_executed([1.0] * 2, NOON + hours * HOUR + 5 * MINUTE) for hours in range(6)))
    roll_up(paths, NOON + 5 * HOUR)
    (points,) = _series(paths, EVERYTHING, span=Span(NOON, NOON + 6 * HOUR), step=3 * HOUR)
    assert _counts(points) == [6, 6]


def test_pools(paths: StorePaths) -> None:
    """What a pool did in each part, and its state at the end of it; nothing where it did not report."""

    def told(minutes: int, active: int) -> Snapshot:
        ended = NOON + minutes * MINUTE
        state = PoolSnapshot(ended, 5, active, 0, 0, 0, 10, 0.0)
        window = PoolWindow("main", state, PoolMetrics(total_checkouts=active))
        return Snapshot("shop", "web:1", ended - MINUTE, ended, pools=(window,))

    _store(paths, told(1, 2), told(3, 6), told(12, 4), replace(told(2, 9), service="blog"))
    subject = SeriesSubject(service="shop", pool="main")
    points, statements = _series(paths, subject, EVERYTHING, span=Span(NOON, NOON + 15 * MINUTE))
    assert _counts(statements) == [0, 0, 0]
    assert [point.pool and point.pool.state.utilization_percent for point in points] == [60.0, None, 40.0]
    assert [point.pool and point.pool.metrics.total_checkouts for point in points] == [8, None, 4]


def test_memory_of_processes(paths: StorePaths) -> None:
    """The most of its limit that one had; of those without a limit nothing is known."""

    def told(minutes: int, percent: int, process: str = "web:1", *, limit: int | None = 1_000) -> Snapshot:
        ended = NOON + minutes * MINUTE
        usage = ProcessUsage(memory_bytes=10 * percent, memory_limit_bytes=limit)
        return Snapshot("shop", process, ended - MINUTE, ended, usage=usage)

    _store(paths, told(1, 20), told(2, 60, "web:2"), told(7, 50, limit=None), told(12, 90), told(16, 99))
    subject = SeriesSubject(service="shop", is_of_memory=True)
    points, other = _series(paths, subject, replace(subject, service="blog"), span=Span(NOON, NOON + 15 * MINUTE))
    assert [point.memory_percent for point in points] == [60.0, None, 90.0]
    assert all(type(point.memory_percent) in {float, type(None)} for point in points)
    assert [point.memory_percent for point in other] == [None] * 3


def test_a_store_is_opened_for_it(paths: StorePaths) -> None:
    """For whoever has none open."""
    _store(paths, _executed([1.0] * 2, NOON))
    (points,) = read_series(paths, MINUTE, [EVERYTHING], NOON, NOON + 2 * MINUTE)
    assert _counts(points) == [2, 0]
