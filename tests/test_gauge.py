"""The gauge: what a flush takes where, what stays in memory, and how it ends."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import QueuePool
from structlog.testing import capture_logs

from conftest import FakeClock
from interrupting import TooLong, raising_handler, signal_at
from processes.programs import executions
from querygauge import gauge as gauge_module
from querygauge.gauge import Instrumentation
from querygauge.monitors import pool_counters
from querygauge.settings import Settings
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.values import PoolMetrics

POOL_FILES = str(Path(pool_counters.__file__).with_name("pool_"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with a queue pool."""
    made = create_engine(f"sqlite:///{tmp_path}/data.sqlite", poolclass=QueuePool)
    yield made
    made.dispose()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "store"


Make = Callable[..., Instrumentation]


@pytest.fixture
def make(engine: Engine, clock: FakeClock) -> Iterator[Make]:
    """A gauge of the engine that no thread drives, over a clock that moves when told."""
    made: list[Instrumentation] = []

    def make_gauge(**settings: Any) -> Instrumentation:
        gauge = Instrumentation(Settings(**{"store": None, "service": "shop", **settings}), lambda _: None, clock)
        gauge.attach(engine, "main")
        gauge.queries.start_delivery(lambda: None)  # as `start` does, with a thread
        made.append(gauge)
        return gauge

    yield make_gauge
    for gauge in made:
        gauge.close()
        gauge.queries.stop_delivery()


def send(engine: Engine, count: int = 1, mark: str = "mark") -> None:
    """Sends one statement that many times."""
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text(f"SELECT 1 AS {mark}"))


def test_gauges_of_one_process_can_be_told_apart(engine: Engine, make: Make) -> None:
    """Whoever adds them up knows that they are of one process, and which told what."""
    (process, first), (same, second) = (make().snapshot().instance.split(".") for _ in range(2))
    assert (process, first) != (same, second)
    assert process == same
    gauge = make()
    send(engine)
    assert gauge.snapshot().instance == gauge.snapshot().instance


def test_texts_that_were_not_remembered_are_counted(engine: Engine, make: Make) -> None:
    """Whatever dialect and target they are of."""
    gauge = make()
    for mark in ("a", "b", "a"):
        send(engine, mark=mark)
    assert gauge.snapshot().pattern_cache == {"miss": 2, "evicted": 0}


def test_what_sqlalchemy_compiled_is_counted(engine: Engine, make: Make) -> None:
    """Once for a statement that it keeps, and each time for one that it may not keep."""
    gauge = make()
    for _ in range(3):
        send(engine)
    uncached = engine.execution_options(compiled_cache=None)
    for _ in range(2):
        send(uncached)
    assert gauge.snapshot().compiled_cache == {"main": {"miss": 1, "uncached": 2}}


def test_each_flush_takes_what_is_new(engine: Engine, make: Make, store: Path) -> None:
    """Every execution is in exactly one snapshot, and the gauge itself goes on knowing all of them."""
    gauge = make(store=store, collector="off")
    for count in (3, 5, 7):
        send(engine, count)
        gauge.flush()
    assert len(waiting_files(StorePaths(store))) == 3
    assert executions(store) == {"mark": 15}
    assert gauge.queries.report_data().outcomes.ok == 15


def test_pools_are_flushed_too(engine: Engine, make: Make, store: Path) -> None:
    """Checkouts, checkins and waits since the last flush."""
    gauge = make(store=store, collector="off")
    for count in (1, 2):
        for _ in range(count):
            send(engine)
        gauge.flush()
    windows = open_store(store).pools()
    assert sum(window.metrics.total_checkouts for window in windows) == 3
    assert {window.pool for window in windows} == {"main"}


def test_a_quiet_process_says_once_a_minute_that_it_lives(
    engine: Engine, make: Make, store: Path, clock: FakeClock
) -> None:
    """Flushes of nothing write nothing, so that an idle service fills no disk."""
    gauge = make(store=store, collector="off")
    for _ in range(18):
        clock.advance(10)
        gauge.flush()
    assert len(waiting_files(StorePaths(store))) == 3


def test_a_health_check_is_news(engine: Engine, make: Make, store: Path, clock: FakeClock) -> None:
    """One by one, also of a service that is idle otherwise."""
    gauge = make(store=store, collector="off", health_check=True, health_check_interval=20)
    for _ in range(6):
        clock.advance(10)
        gauge.pool.poll()
        for thread in threading.enumerate():
            if thread.name == "querygauge-health":
                thread.join(10)
        gauge.flush()
    (window,) = open_store(store).pools()
    assert window.health_checks == tuple(gauge.pool.get_health_checks())
    assert len(window.health_checks) == window.metrics.health_checks == 3


def test_a_store_of_none_is_memory_only(
    engine: Engine, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written anywhere, and everything else works."""
    monkeypatch.chdir(tmp_path)
    gauge = make()
    send(engine, 4)
    gauge.flush()
    assert gauge.finish()
    assert gauge.snapshot().queries[0].execution_count == 4
    gauge.close()
    assert [path.name for path in tmp_path.iterdir()] == ["data.sqlite"]


@pytest.mark.parametrize("has_store", [False, True])
def test_patterns_not_seen_for_long_leave_the_memory(
    engine: Engine, make: Make, store: Path, clock: FakeClock, has_store: bool
) -> None:
    """After their last numbers were flushed, with a store or without; the overall counts keep them."""
    gauge = make(store=store if has_store else None, collector="off", stats_retention_hours=1)
    engine.connect().close()
    gauge.queries.record("SELECT old", 1.0)
    gauge.flush()
    clock.advance(3500)
    gauge.queries.record("SELECT young", 1.0)
    clock.advance(200)
    gauge.poll()
    assert texts(gauge) == {"SELECT young"}
    assert gauge.queries.report_data().outcomes.ok == 2


def test_what_was_not_flushed_is_not_forgotten(engine: Engine, make: Make, store: Path, clock: FakeClock) -> None:
    """Retention drops a pattern only once its numbers are on their way."""
    gauge = make(store=store, collector="off", stats_retention_hours=1)
    gauge.queries.record("SELECT 1 AS mark", 1.0)
    clock.advance(4000)
    gauge.poll()
    assert len(texts(gauge)) == 1
    gauge.flush()
    clock.advance(100)
    gauge.poll()
    assert texts(gauge) == set()
    assert executions(store) == {"mark": 1}


def texts(gauge: Instrumentation) -> set[str]:
    """The patterns it knows."""
    return {stats.query_pattern for stats in gauge.queries.get_query_stats()}


def test_a_clock_set_back_makes_no_window_that_ends_before_it_began(
    engine: Engine, make: Make, store: Path, clock: FakeClock
) -> None:
    """The window is then a moment long; its numbers are whole."""
    gauge = make(store=store, collector="off")
    send(engine, 2)
    clock.advance(-86_400)
    gauge.flush()
    assert executions(store) == {"mark": 2}


def test_the_report_shows_the_pools(engine: Engine, make: Make) -> None:
    """Everything of this gauge is in one text."""
    gauge = make()
    send(engine, 2)
    report = gauge.report()
    assert report.startswith("QUERY PERFORMANCE REPORT")
    assert "SELECT ? AS mark" in report
    assert "main" in report


def test_its_repr_says_how_it_stands(engine: Engine, make: Make) -> None:
    """Service, targets, and whether it measures."""
    gauge = make()
    assert repr(gauge) == "<Instrumentation service='shop' targets=['main'] attached>"
    gauge.close()
    assert repr(gauge) == "<Instrumentation service='shop' targets=['main'] closed>"


def test_close_flushes_what_is_left(engine: Engine, make: Make, store: Path) -> None:
    """And only once, however many threads close it."""
    gauge = make(store=store, collector="inline")
    send(engine, 5)
    threads = [threading.Thread(target=gauge.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send(engine, 5)
    gauge.close()
    # The end of a process folds nothing.
    assert not StorePaths(store).database.exists()
    assert executions(store) == {"mark": 5}


def test_flushes_from_several_threads_lose_and_repeat_nothing(engine: Engine, make: Make, store: Path) -> None:
    """The flush thread, a caller and the end of the process may meet."""
    gauge = make(store=store, collector="off")
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(20):
            send(engine, 3)
            gauge.finish()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert executions(store) == {"mark": 240}


def test_a_disk_that_hangs_does_not_keep_a_host_from_closing(
    engine: Engine, make: Make, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush that never ends is waited for, not for ever; one warning says that numbers are missing."""
    monkeypatch.setattr(gauge_module, "_WRITE_S", 0.01)
    gauge = make(store=store, collector="off")
    gauge._flushing.acquire()
    with capture_logs() as logs:
        gauge.close()
    assert gauge.is_closed
    assert [entry["event"] for entry in logs] == ["flush_skipped"]


def test_the_lag_of_a_flush_counts_from_when_it_was_due(
    engine: Engine, make: Make, store: Path, clock: FakeClock
) -> None:
    """Until everything is written: a disk that fails makes it grow, and the first flush that succeeds ends it."""

    def lag_ms() -> float:
        return gauge.snapshot().self_metrics.flush_lag_ms

    gauge = make(store=store, collector="off")
    send(engine)
    due_us = clock.now_us()
    clock.advance(0.25)
    gauge.flush(due_us)
    assert lag_ms() == 250
    clock.advance(60)
    assert lag_ms() == 250, "none is due"
    (store / "spool").rename(store / "elsewhere")
    (store / "spool").write_text("in the way")
    with capture_logs():
        for _ in range(2):
            send(engine)
            gauge.flush()
            clock.advance(10)
    assert lag_ms() == 20_000
    (store / "spool").unlink()
    (store / "elsewhere").rename(store / "spool")
    with capture_logs():
        gauge.flush()
    assert lag_ms() == 20_000, "so long it took"
    gauge.flush()
    assert lag_ms() == 0


def test_a_store_that_fails_starts_no_tick(engine: Engine, make: Make, store: Path) -> None:
    """Where nothing can be written nothing can be folded: one warning is enough."""
    gauge = make(store=store, collector="inline")
    (store / "spool").rmdir()
    (store / "spool").write_text("in the way")
    with capture_logs() as logs:
        for _ in range(3):
            send(engine)
            gauge.flush()
    assert [entry["event"] for entry in logs] == ["store_not_writable"]


def test_a_relative_store_stays_where_it_was(
    engine: Engine, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application may change its working directory, even before the store could be made."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "disk").write_text("not mounted yet")
    monkeypatch.chdir(tmp_path / "home")
    with capture_logs():
        gauge = make(store=Path("disk") / "store", collector="off")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "home" / "disk").unlink()
        send(engine, 2)
        gauge.flush()
    assert executions(tmp_path / "home" / "disk" / "store") == {"mark": 2}


def test_what_the_spool_gave_up_is_shown(engine: Engine, make: Make, store: Path) -> None:
    """A spool that nobody folds stays within its limit, and the gauge says what that cost."""
    gauge = make(store=store, collector="off", spool_max_mb=0.001)
    with capture_logs():
        for _ in range(4):
            send(engine)
            gauge.flush()
    assert gauge.snapshot().self_metrics.snapshots_dropped == 3


def test_a_signal_handler_that_raises_while_a_pool_is_read_costs_nothing(
    engine: Engine, make: Make, store: Path
) -> None:
    """Wherever it raises: the store takes the next file, with every statement and every checkout in it."""
    gauge = make(store=store, collector="off")
    for number in itertools.count():
        send(engine)
        with raising_handler(), suppress(TooLong), signal_at(number, POOL_FILES) as places:
            gauge.pools["main"].get_metrics()
        if not places:
            break
    gauge.flush()
    with capture_logs() as logs:
        assert executions(store) == {"mark": number + 1}
    (window,) = open_store(store).pools()
    assert (window.metrics.total_checkouts, window.metrics.wait.count, window.metrics.use.count) == (number + 1,) * 3
    assert number > 50
    assert not logs


def test_a_pool_window_that_cannot_be_costs_no_statement(engine: Engine, make: Make, store: Path) -> None:
    """It is left out and named, and those after it are taken."""
    gauge = make(store=store, collector="off")
    pool = gauge.pools["main"]
    pool._counters._drained = PoolMetrics(total_errors=5)  # stands for a mistake in the counting
    send(engine)
    with capture_logs() as logs:
        gauge.flush()
    assert [(entry["event"], entry["pool"], entry["error"]) for entry in logs] == [
        ("pool_window_left_out", "main", "total_errors must be >= 0; got -5")
    ]
    assert executions(store) == {"mark": 1}
    send(engine)
    gauge.flush()
    (window,) = open_store(store).pools()
    assert window.metrics.total_checkouts == 1
    assert executions(store) == {"mark": 2}
