"""What runs on synchronous drivers is seen before it ends: its age, pattern and line; and no longer than it runs."""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from weakref import ref

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from capture.held_statements import HELD, PATIENT, ahead, held_in, locked, seen
from databases.engines import SYNC_DRIVERS, NewEngine
from querygauge.errors import SettingsError
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.settings import Settings

ONE = text("SELECT 1")
HERE = Path(__file__)


def watched(target: Any, **settings: Any) -> Instrumentation:
    """A gauge in memory, to whose call sites these tests are the application."""
    return instrument(target, **{"store": None, "name": "shop", "app_root": HERE.parent, **settings})


@contextmanager
def threads(*works: Callable[[], object]) -> Iterator[list[threading.Thread]]:
    """Threads that do this; they have to end by themselves at the end of the block."""
    running = [threading.Thread(target=work) for work in works]
    for thread in running:
        thread.start()
    try:
        yield running
    finally:
        for thread in running:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_a_statement_is_seen_until_it_ends(new_engine: NewEngine, driver: str) -> None:
    """With its pattern, target, age, start and line; and nothing is left of it afterwards."""
    engine = new_engine(driver, **PATIENT.get(driver, {}))
    lines: list[str] = []

    def work() -> None:
        with engine.connect() as connection:
            lines.append(ahead())
            connection.execute(text(HELD))

    with watched(engine) as gauge, locked(engine.url) as lock:
        with threads(work):
            [found] = held_in(gauge)
            [later] = held_in(gauge)
            lock.release()
        assert gauge.running(0) == ()
        [stats] = [stats for stats in gauge.queries.get_query_stats() if stats.query_pattern == HELD]
    assert (found.pattern, found.target, found.scope, found.reason) == (stats.pattern, "shop", None, None)
    assert (found.query_pattern, found.summary) == (HELD, "SELECT held")
    assert found.call_site == lines[0]
    assert 0 < found.age_ms < later.age_ms < stats.max_duration_ms
    assert found.held_ms > found.age_ms
    assert abs((later.started - found.started).total_seconds()) < 1


def test_each_thread_has_its_line(new_engine: NewEngine) -> None:
    """Several at once are told apart, oldest first."""
    engine = new_engine("psycopg")
    lines: dict[str, str] = {}

    def one() -> None:
        with engine.connect() as connection:
            lines["one"] = ahead()
            connection.execute(text(HELD + " /* one */"))

    def two() -> None:
        with engine.connect() as connection:
            rows = connection.execution_options(stream_results=False)
            lines["two"] = ahead()
            rows.execute(text("SELECT a AS two FROM held"))

    def three() -> None:
        with engine.begin() as connection:
            lines["three"] = ahead()
            connection.exec_driver_sql("UPDATE held SET a = 3")

    with watched(engine) as gauge, locked(engine.url) as lock, threads(one, two, three):
        found = held_in(gauge, 3)
        lock.release()
    assert {query.call_site for query in found} == set(lines.values())
    assert {query.summary for query in found} == {"SELECT held", "UPDATE held"}
    assert [query.age_ms for query in found] == sorted((query.age_ms for query in found), reverse=True)


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_executemany_is_one_execution(new_engine: NewEngine, driver: str) -> None:
    """Many sets of parameters are one statement under way."""
    engine = new_engine(driver, **PATIENT.get(driver, {}))
    lines: list[str] = []

    def work() -> None:
        with engine.begin() as connection:
            lines.append(ahead())
            connection.execute(text("INSERT INTO held VALUES (:a)"), [{"a": 2}, {"a": 3}])

    with watched(engine) as gauge, locked(engine.url) as lock:
        with threads(work):
            [found] = held_in(gauge)
            lock.release()
        assert gauge.running(0) == ()
    assert (found.query_pattern, found.call_site) == ("INSERT INTO held VALUES (?)", lines[0])


def test_a_batch_of_an_insert_is_seen(new_engine: NewEngine) -> None:
    """What SQLAlchemy sends as insertmanyvalues has the pattern under which it will be counted."""
    engine = new_engine("psycopg")
    table = Table("held", MetaData(), Column("a", Integer, primary_key=True))

    def work() -> None:
        with engine.begin() as connection:
            connection.execute(table.insert().returning(table.c.a), [{"a": 2}, {"a": 3}])

    with watched(engine) as gauge, locked(engine.url) as lock:
        with threads(work):
            [found] = held_in(gauge)
            lock.release()
        assert gauge.running(0) == ()
        [stats] = [stats for stats in gauge.queries.get_query_stats() if stats.operation == "INSERT"]
    assert found.pattern == stats.pattern


def test_the_pattern_is_the_one_that_is_counted(new_engine: NewEngine) -> None:
    """Also where what is sent differs from what was compiled: schemas that are translated, and lists."""
    engine = new_engine("psycopg")
    table = Table("held", MetaData(), Column("a", Integer), schema="tenant")
    query = select(table.c.a).where(table.c.a.in_([1, 2, 3]))

    def work() -> None:
        translated = {"schema_translate_map": {"tenant": "public"}}
        with engine.connect() as connection:
            connection.execute(query, execution_options=translated)

    with watched(engine) as gauge, locked(engine.url) as lock:
        with threads(work):
            [found] = held_in(gauge)
            lock.release()
        [stats] = [stats for stats in gauge.queries.get_query_stats() if "held" in stats.query_pattern]
    assert found.pattern_id == stats.pattern_id


def test_no_literal_is_told(new_engine: NewEngine) -> None:
    """A statement under way is known by its pattern alone, even with `keep_literals`."""
    engine = new_engine("psycopg")

    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT a FROM held WHERE a::text = 'ann@example.com' OR a = :a"), {"a": 7351})

    with watched(engine, keep_literals=True) as gauge, locked(engine.url) as lock, threads(work):
        held_in(gauge)
        told = repr((gauge.running(0), gauge.snapshot(), gauge.snapshot().to_dict(), gauge.report()))
        lock.release()
    assert "ann" not in told
    assert "7351" not in told


class _Later:
    """The system's clocks, some time ahead."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def monotonic_ns(self) -> int:
        """As `Clock.monotonic_ns`."""
        return time.perf_counter_ns() + int(self._seconds * 1e9)

    def now_us(self) -> int:
        """As `Clock.now_us`."""
        return 1_767_225_600_000_000


def test_the_threshold_is_respected(new_engine: NewEngine) -> None:
    """Younger ones are counted, and not told about; by default the slow threshold says which those are."""
    engine = new_engine("psycopg")

    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text(HELD))

    gauge = watched(engine, slow_query_threshold_ms=100_000)
    with gauge, locked(engine.url) as lock, threads(work):
        held_in(gauge)
        assert gauge.running() == gauge.running(99_999) == ()
        [state] = gauge.snapshot().running
        assert (state.target, state.count, state.queries) == ("shop", 1, ())
        gauge.clock = _Later(101)
        [found] = gauge.running()
        [state] = gauge.snapshot().running
        lock.release()
    assert found.age_ms >= 101_000
    assert found.started.year == 2025  # 101 s and more before the year begins
    assert state.count == 1
    assert state.oldest_ms >= state.queries[0].age_ms >= found.age_ms


@pytest.mark.parametrize("threshold", [-1, float("nan"), float("inf")])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    """The error names the rule and the value."""
    with watched(create_engine("sqlite://")) as gauge, pytest.raises(SettingsError, match="threshold_ms must be"):
        gauge.running(threshold)


def test_call_sites_that_are_off_are_not_looked_for(new_engine: NewEngine) -> None:
    """What is switched off stays off here, too."""
    engine = new_engine("psycopg")

    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text(HELD))

    with watched(engine, call_sites="off") as gauge, locked(engine.url) as lock, threads(work):
        assert [query.call_site for query in held_in(gauge)] == [None]
        lock.release()


def test_the_line_of_the_checkout_stands_in(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where frames may not be read, the line that asked for the connection is told, and nothing is broken by it."""
    engine = new_engine("psycopg")
    lines: list[str] = []

    def work() -> None:
        lines.append(ahead())
        with engine.connect() as connection:
            connection.execute(text(HELD))

    def refuse() -> NoReturn:
        raise RuntimeError("an audit hook of the application's forbids it")

    with watched(engine) as gauge, locked(engine.url) as lock:
        with threads(work):
            held_in(gauge)
            monkeypatch.setattr(sys, "_current_frames", refuse)
            [found] = held_in(gauge)
            lock.release()
        assert gauge.report_data().self_metrics.hook_errors == 0
    assert found.call_site == lines[0]


def test_looking_keeps_nothing_alive(new_engine: NewEngine) -> None:
    """What a thread held that was looked at is freed with its last reference, without the garbage collector."""
    engine = new_engine("psycopg")
    held: list[ref[Any]] = []

    class Thing:
        pass

    def work() -> None:
        thing = Thing()
        held.append(ref(thing))
        with engine.connect() as connection:
            connection.execute(text(HELD))

    with watched(engine) as gauge, locked(engine.url) as lock:
        gc.collect()
        gc.disable()
        try:
            with threads(work):
                held_in(gauge)
                held_in(gauge)
                lock.release()
            assert held[0]() is None
            assert [found for found in gc.get_objects() if isinstance(found, Thing)] == []
        finally:
            gc.enable()


def test_a_failed_statement_runs_no_more(new_engine: NewEngine) -> None:
    """An error ends it, and so does a server that ends the session."""
    engine = new_engine("psycopg")
    errors: list[BaseException] = []

    def work() -> None:
        with engine.connect() as connection:
            try:
                connection.execute(text(HELD))
            except DBAPIError as error:
                errors.append(error)
            assert gauge.running(0) == ()
            connection.invalidate()

    assistant = new_engine("psycopg", url=engine.url)
    with watched(engine) as gauge, locked(engine.url), threads(work):
        held_in(gauge)
        with assistant.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = :held"), {"held": HELD}
            )
        seen(gauge, lambda found: not found)
    assert len(errors) == 1


def test_nothing_runs_for_a_gauge_that_is_closed(new_engine: NewEngine) -> None:
    """Nor for one that comes after it, until something is sent."""
    engine = new_engine("psycopg")
    first = watched(engine)

    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text(HELD))
            sent.set()
            assert may_go.wait(60)

    sent, may_go = threading.Event(), threading.Event()
    with locked(engine.url) as lock, threads(work):
        held_in(first)
        first.close()
        assert first.running(0) == ()
        assert [(state.count, state.queries) for state in first.snapshot().running] == [(0, ())]
        with watched(engine) as second:
            assert second.running(0) == ()
            lock.release()
            assert sent.wait(60)
            assert second.running(0) == ()
        may_go.set()


def test_no_ghost_stays_with_a_monitor_that_goes_on(new_engine: NewEngine) -> None:
    """A statement that was under way when its engine left ends for the monitor of its pool, too."""
    engine = new_engine("psycopg")
    gauge = Instrumentation(Settings(store=None, service="shop"), lambda _: None, _Later(0), is_lasting=True)

    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text(HELD))
            sent.set()
            assert may_go.wait(60)

    sent, may_go = threading.Event(), threading.Event()
    with gauge, locked(engine.url) as lock:
        gauge.attach(engine, "shop")
        with threads(work):
            held_in(gauge)
            gauge.detach(engine)
            assert gauge.running(0) == ()
            gauge.attach(engine, "shop")
            lock.release()
            assert sent.wait(60)
            assert gauge.running(0) == ()
            may_go.set()


def test_many_are_looked_at_while_they_come_and_go(new_engine: NewEngine) -> None:
    """Nothing is broken by looking at threads that run, and what is told is theirs."""
    engine: Engine = new_engine("sqlite3", pool_size=20)
    is_over = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not is_over.is_set():
                with engine.connect() as connection:
                    connection.execute(ONE)
                    connection.execute(text("SELECT count(*) FROM sqlite_master"))
        except BaseException as error:  # noqa: BLE001  # told below
            failures.append(error)

    sites: list[str | None] = []
    with watched(engine) as gauge:
        with threads(*[work] * 8):
            while len(sites) < 1_000 and not failures:
                sites += [query.call_site for query in gauge.running(0)]
            is_over.set()
        assert gauge.report_data().self_metrics.hook_errors == 0
        assert gauge.running(0) == ()
    assert failures == []
    assert all(site is not None and site.endswith(" in work") for site in sites)
