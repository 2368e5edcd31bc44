"""Reading a store."""

import multiprocessing
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from structlog.testing import capture_logs

from querygauge.errors import StoreError
from querygauge.histogram import Histogram
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.store import Store
from querygauge.values import (
    HealthCheck,
    OutcomeCounts,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    ProcessUsage,
    Repetition,
    SelfMetrics,
    SlowQuery,
    Snapshot,
)
from storage.making import NOON, pattern, snapshot, stats, total

MINUTE = timedelta(minutes=1)


def test_opening_folds_what_waits(paths: StorePaths) -> None:
    """A reader sees what was flushed a moment ago, without any collector."""
    store = _store(paths, snapshot(5))
    assert store.folded.files == 1
    assert total(store.query_stats()) == 5


def test_a_reader_that_stays_folds_again(paths: StorePaths) -> None:
    """What is flushed later is seen after the next fold."""
    store = _store(paths, snapshot(5))
    SpoolSink(paths.root, 10).write(snapshot(2))
    store.fold()
    assert total(store.query_stats()) == 7


def test_a_store_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """The error says how to get one, and nothing is made."""
    with pytest.raises(StoreError, match="does not exist; instrument an application"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """The error names the rule and the file."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="store must be a directory; got the file"):
        open_store(tmp_path / "file")


def test_an_empty_store_gives_empty_answers(paths: StorePaths) -> None:
    """An application that was just started has a store without numbers."""
    store = _store(paths)
    assert (store.query_stats(), store.slow_queries(), store.repetitions(), store.pools()) == ([], [], [], [])
    assert (store.services(), store.span(), store.processes()) == ([], None, [])


def test_while_another_folds_the_store_is_read_as_it_is(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader does not wait long for the election lock."""
    monkeypatch.setattr("querygauge.storage.reader._LOCK_TIMEOUT_S", 0.01)
    _store(paths, snapshot(5))
    SpoolSink(paths.root, 10).write(snapshot(2))
    with FileLock(paths.lock):
        store = open_store(paths)
    assert store.folded.is_busy
    assert total(store.query_stats()) == 5


def test_what_cannot_be_folded_does_not_hide_what_is_stored(paths: StorePaths) -> None:
    """A store that cannot be written is read as it is, with one warning."""
    _store(paths, snapshot(5))
    paths.rejected.rmdir()
    paths.rejected.write_text("in the way")
    with capture_logs() as logs:
        assert total(open_store(paths).query_stats()) == 5
    assert [entry["event"] for entry in logs] == ["spool_not_folded"]


def test_many_threads_read_one_store(paths: StorePaths) -> None:
    """Readers of one process take turns and all get the whole answer."""
    store = _store(paths, snapshot(5))
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(total(store.query_stats()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [5] * 8


def test_many_processes_open_one_store(paths: StorePaths) -> None:
    """Readers of many processes, each folding first, all get the whole answer."""
    sink = SpoolSink(paths.root, 10)
    for _ in range(20):
        sink.write(snapshot(1))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        answers = pool.map(_read_total, [paths.root] * 6)
    assert answers == [20] * 6


def _read_total(root: Path) -> int:
    return total(open_store(root).query_stats())


def test_a_span_is_of_whole_minutes(paths: StorePaths) -> None:
    """`since` takes the minute it falls into, `until` is the first minute left out."""
    store = _store(paths, *(snapshot(2**minute, ended=NOON + minute * MINUTE) for minute in range(4)))
    on_the_minute = NOON.replace(second=0)
    assert total(store.query_stats(NOON + MINUTE)) == 2 + 4 + 8
    assert total(store.query_stats(until=on_the_minute + 2 * MINUTE)) == 1 + 2
    assert total(store.query_stats(NOON + MINUTE, on_the_minute + 3 * MINUTE)) == 2 + 4


def test_a_moment_without_a_zone_is_an_error(paths: StorePaths) -> None:
    """Nobody has to guess whose midnight was meant."""
    store = _store(paths, snapshot())
    with pytest.raises(TypeError):
        store.query_stats(NOON.replace(tzinfo=None))


def test_service_and_target_choose(paths: StorePaths) -> None:
    """Rows of other services and targets are left out; without a choice services are added up."""
    here = replace(snapshot(), queries=(stats(1, target="a"), stats(2, target="b")))
    store = _store(paths, here, snapshot(4, service="mail"))
    assert total(store.query_stats(service="shop")) == 3
    assert total(store.query_stats(target="b")) == 2
    assert total(store.query_stats(service="nobody")) == 0
    assert total(store.query_stats(service="' OR 1 = 1 --")) == 0
    assert total(store.query_stats()) == 7
    assert store.services() == ["mail", "shop"]


def test_percentiles_are_those_of_all_samples_together(paths: StorePaths) -> None:
    """Merging keeps every bucket, so a percentile over processes and minutes is as exact as over one."""
    samples = [[10_000 * 7**k for k in range(6)], [3_000_000] * 50, [90_000_000, 1]]
    parts = [
        replace(
            snapshot(ended=NOON + index * MINUTE),
            queries=(replace(stats(len(part)), durations=Histogram.of(part)),),
        )
        for index, part in enumerate(samples)
    ]
    (merged,) = _store(paths, *parts).query_stats()
    assert merged.durations == Histogram.of([ns for part in samples for ns in part])


def test_most_total_time_comes_first(paths: StorePaths) -> None:
    """The list is in the order in which people look at it."""
    store = _store(paths, snapshot(1, number=1), snapshot(9, number=2), snapshot(5, number=3))
    assert [entry.execution_count for entry in store.query_stats()] == [9, 5, 1]


def test_slow_queries_are_newest_first_and_limited(paths: StorePaths) -> None:
    """A limit keeps the newest."""
    slow = [SlowQuery(f"q{n}", pattern().id, "S", "main", 5.0, NOON + n * MINUTE) for n in (2, 0, 3, 1)]
    store = _store(paths, Snapshot("shop", "web:1", NOON, NOON, slow_queries=tuple(slow)))
    assert [found.query for found in store.slow_queries(limit=2)] == ["q3", "q2"]
    assert [found.query for found in store.slow_queries(since=NOON + 2 * MINUTE)] == ["q3", "q2"]
    assert store.slow_queries(service="mail") == []


def test_repetitions_of_one_line_are_one_finding(paths: StorePaths) -> None:
    """Counts add up and the highest per scope stays; another scope is another finding."""
    found = Repetition(
        pattern(), "main", "app.py:7 in view", "GET /a", 2, 20, 12, 30.0, 18, 16, 14, 2, 7, 5, 2, "lazy", "User.posts"
    )
    later = replace(
        found, scopes_count=1, execution_count=8, max_per_scope=8, total_duration_ms=10.0, compared_count=7,
        parameters_count=7, parents_count=7, origins_count=1, tasks_count=3, overlap_count=1, parallel_scopes_count=0,
    )  # fmt: skip
    store = _store(
        paths,
        replace(snapshot(), repetitions=(found, replace(found, call_site=None))),
        replace(snapshot(ended=NOON + MINUTE), repetitions=(later, replace(later, scope=None, execution_count=6))),
    )
    merged, apart, elsewhere = store.repetitions()
    assert (elsewhere.scope, elsewhere.execution_count, elsewhere.scopes_count) == (None, 6, 1)
    assert merged == replace(
        found, scopes_count=3, execution_count=28, total_duration_ms=40.0, compared_count=25,
        parameters_count=23, parents_count=21, origins_count=3, overlap_count=6,
    )  # fmt: skip
    assert apart.call_site is None
    assert store.repetitions(since=NOON + 2 * MINUTE) == []


def _window(active: int, checkouts: int, at_minutes: float) -> PoolWindow:
    state = PoolSnapshot(NOON + at_minutes * MINUTE, 5, active, 5 - active, 0, 0, 15, float(active))
    return PoolWindow(
        "main", state, PoolMetrics(total_requests=checkouts, total_checkouts=checkouts, peak_active=active)
    )


def _pool_snapshot(process: str, active: int, checkouts: int, at_minutes: float = 0) -> Snapshot:
    window = _window(active, checkouts, at_minutes)
    return Snapshot("shop", process, NOON, NOON + at_minutes * MINUTE, pools=(window,))


def test_a_pool_is_the_sum_of_its_processes(paths: StorePaths) -> None:
    """Each process counts with its latest state, and with everything it did."""
    store = _store(
        paths, _pool_snapshot("web:1", 4, 10), _pool_snapshot("web:1", 1, 20, 1), _pool_snapshot("web:2", 2, 40, 1)
    )
    (window,) = store.pools()
    assert (window.state.active_connections, window.state.max_connections) == (1 + 2, 30)
    assert (window.metrics.total_checkouts, window.metrics.peak_active) == (70, 4)


def test_a_process_that_ended_holds_no_connections(paths: StorePaths) -> None:
    """What it did counts, its last state does not."""
    store = _store(paths, _pool_snapshot("web:1", 4, 10), _pool_snapshot("web:2", 2, 40, 5))
    (window,) = store.pools()
    assert (window.state.active_connections, window.metrics.total_checkouts) == (2, 50)


def _checked(process: str, *checks: HealthCheck) -> Snapshot:
    return Snapshot("shop", process, NOON, NOON + MINUTE, pools=(replace(_window(1, 1, 0), health_checks=checks),))


def test_health_checks_are_of_every_process(paths: StorePaths) -> None:
    """In order, the last hundred of a pool, and those of another service apart."""
    of_one = [HealthCheck(NOON + number * MINUTE, 1.5) for number in range(0, 160, 2)]
    of_two = [HealthCheck(NOON + number * MINUTE, 2.5, "refused") for number in range(1, 160, 2)]
    other = replace(_checked("web:1", HealthCheck(NOON, 9.0)), service="blog")
    store = _store(paths, _checked("web:1", *of_one), _checked("web:2", *of_two), other)
    blog, shop = store.pools()
    assert blog.health_checks == (HealthCheck(NOON, 9.0),)
    both = sorted([*of_one, *of_two], key=lambda check: check.timestamp)
    assert shop.health_checks == tuple(both[-100:])


def test_what_querygauge_noticed_about_itself_is_the_latest(paths: StorePaths) -> None:
    """Counters that a process reports again and again are not added up; those of late files do not set them back."""
    noticed = [SelfMetrics(added_us=errors / 2, flush_lag_ms=9.0 - errors, hook_errors=errors) for errors in (1, 3, 2)]
    ends = (NOON, NOON + 2 * MINUTE, NOON + MINUTE)
    sink = SpoolSink(paths.root, 10)
    for metrics, ended in zip(noticed, ends, strict=True):
        sink.write(replace(snapshot(ended=ended), self_metrics=metrics))
        store = open_store(paths)
    (process,) = store.processes()
    assert process.self_metrics == SelfMetrics(added_us=1.5, flush_lag_ms=6.0, hook_errors=3)
    assert store.span() == (NOON - timedelta(seconds=10), NOON + 2 * MINUTE)


def test_the_history_of_a_pattern(paths: StorePaths) -> None:
    """A pattern is found by the beginning of its id, with its targets, hours, slow executions and repetitions."""
    failed = replace(stats(2, target="b", at=NOON + 61 * MINUTE), outcomes=OutcomeCounts(ok=1, error=1))
    slow = SlowQuery(pattern(1).text, pattern(1).id, "S", "b", 5.0, NOON)
    found = Repetition(pattern(1), "b", "app.py:7", None, 1, 5, 5, 3.0)
    late = replace(
        snapshot(ended=NOON + 61 * MINUTE),
        queries=(failed, stats(4, at=NOON)),
        slow_queries=(slow,),
        repetitions=(found,),
    )
    store = _store(paths, snapshot(3, number=1), late, snapshot(8, number=0x1000, service="mail"))
    history = store.pattern("000000000000000")
    assert history.pattern == pattern(1)
    assert history.services == ("shop",)
    assert {entry.target: entry.execution_count for entry in history.targets} == {"main": 7, "b": 2}
    assert [(hour.hour.hour, hour.stats.execution_count, hour.stats.error_count) for hour in history.hours] == [
        (12, 3, 0),
        (13, 6, 1),
    ]
    assert (history.slow_queries, history.repetitions) == ((slow,), (found,))
    assert (history.first_seen, history.last_seen) == (NOON, NOON + 61 * MINUTE)
    assert total(list(store.pattern("0000000000000001", since=NOON + 5 * MINUTE).targets)) == 6


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("0", "must name one pattern; '0' begins 0000000000000001, 0000000000000002"),
        ("f", "no pattern's id begins with 'f'"),
        ("", "must be 1 to 16 hex digits; got ''"),
        ("%", "must be 1 to 16 hex digits"),
        ("'; DROP TABLE meta", "must be 1 to 16 hex digits"),
    ],
)
def test_an_id_that_names_no_single_pattern_is_an_error(paths: StorePaths, prefix: str, message: str) -> None:
    """The error tells what to type instead."""
    store = _store(paths, snapshot(number=1), snapshot(number=2))
    with pytest.raises(StoreError, match=message):
        store.pattern(prefix)


def test_nothing_stays_open(paths: StorePaths) -> None:
    """Between two calls everybody may write."""
    store = _store(paths, snapshot(1))
    store.query_stats()
    SpoolSink(paths.root, 10).write(snapshot(2))
    open_store(paths, timeout_s=0.5)
    assert waiting_files(paths) == []


def _store(paths: StorePaths, *given: Snapshot) -> Store:
    sink = SpoolSink(paths.root, 10)
    for one in given:
        sink.write(one)
    return open_store(paths)


def test_what_processes_took_is_that_of_the_span(paths: StorePaths) -> None:
    """The most memory that was seen, and CPU time since the span or the process began; most CPU time first."""

    def seen(process: str, at_minutes: int, memory: int, cpu_s: float) -> Snapshot:
        ended = NOON + at_minutes * MINUTE
        return replace(snapshot(process=process, ended=ended), usage=ProcessUsage(memory, 900, cpu_s))

    store = _store(
        paths, seen("web:1", 0, 300, 10.0), seen("web:1", 2, 500, 12.0), seen("web:1", 3, 400, 15.0),
        seen("web:2", 3, 70, 4.0), replace(snapshot(process="web:3"), usage=ProcessUsage()),
    )  # fmt: skip
    assert [(window.process, window.memory_bytes, window.cpu_s) for window in store.process_windows()] == [
        ("web:1", 500, 15.0), ("web:2", 70, 4.0), ("web:3", None, None)
    ]  # fmt: skip
    late, other = store.process_windows(since=NOON + 2 * MINUTE)
    # Of a process that is older than the span, what it had taken at its first flush within is left out.
    assert (other.process, other.memory_bytes, other.cpu_s) == ("web:1", 500, 3.0)
    assert (late.process, late.cpu_s) == ("web:2", 4.0)
    assert store.process_windows(service="mail") == []
    # Another process got its name, and its seconds begin anew.
    store = _store(paths, seen("web:2", 5, 70, 1.0), seen("web:2", 6, 70, 2.5))
    assert store.process_windows()[1].cpu_s == 4.0 + 2.5


def test_a_clock_that_is_ahead_is_told(paths: StorePaths) -> None:
    """By how much at most; its rows are kept at the times it told."""
    ahead = datetime.now(UTC) + timedelta(hours=2)
    store = _store(paths, snapshot(process="web:1"), snapshot(process="web:2", ended=ahead))
    assert 7_100 < (by_process := {one.process: one.ahead_s for one in store.processes()})["web:2"] <= 7_200
    assert by_process["web:1"] == 0
    _store(paths, snapshot(process="web:2", ended=ahead - timedelta(hours=3)))
    assert {one.process: one.ahead_s for one in store.processes()} == by_process
    assert total(store.query_stats(since=ahead - timedelta(minutes=1))) == 3
