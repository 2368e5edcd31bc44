"""`instrument` and `uninstrument`: which engine has which gauge, under which name, and what is found again after."""

import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from processes.programs import executions, run
from querygauge.errors import SettingsError
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument, uninstrument


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine of the test's own."""
    made = create_engine("sqlite://")
    yield made
    uninstrument(made)
    made.dispose()


@pytest.fixture
async def async_engine() -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine of the test's own."""
    made = create_async_engine("sqlite+aiosqlite://")
    yield made
    uninstrument(made)
    await made.dispose()


def watch(*targets: Any, **settings: Any) -> Instrumentation:
    """`instrument` without a store."""
    return instrument(*targets, **{"store": None, **settings})


def send(engine: Engine, count: int = 1) -> None:
    """Sends one statement that many times."""
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text("SELECT 1 AS mark"))


def counted(gauge: Instrumentation) -> int:
    """Executions that the gauge has seen."""
    return sum(stats.execution_count for stats in gauge.queries.get_query_stats())


def test_twice_is_once(engine: Engine) -> None:
    """The second call gives the gauge of the first, and a statement still counts once."""
    first = watch(engine, name="primary", max_patterns=100)
    attributes = dict(vars(engine.dialect))
    assert watch(engine) is first
    assert watch(engine, name="primary", max_patterns=100) is first
    assert instrument(engine) is first
    assert vars(engine.dialect) == attributes
    send(engine, 3)
    assert counted(first) == 3


def test_numbered_names_are_folded_as_the_setting_says(engine: Engine) -> None:
    """Of an engine's statements and of those a caller counts on its monitor alike."""
    gauge = watch(engine, fold_numbered_names=False)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 AS part_01"))
    gauge.queries.record("SELECT a FROM part_02", 1.0)
    found = {stats.query_pattern for stats in gauge.queries.get_query_stats()}
    assert {"SELECT ? AS part_01", "SELECT a FROM part_02"} <= found


def test_threads_that_instrument_at_once_get_one_gauge(engine: Engine) -> None:
    """Workers that all do it at their first request."""
    barrier, gauges = threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        gauges.append(watch(engine))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, gauges))) == 1
    send(engine)
    assert counted(gauges[0]) == 1


@pytest.mark.parametrize(
    ("again", "message"),
    [
        ({"max_patterns": 7}, "max_patterns must stay 2000 until the gauge is closed; got 7"),
        ({"slow_query_threshold_ms": 5}, "slow_query_threshold_ms must stay 1000.0 until the gauge is closed; got 5.0"),
        ({"store": "elsewhere"}, "store must stay None until the gauge is closed; got "),
        ({"name": "other"}, "name must stay 'primary' until the gauge is closed; got 'other'"),
    ],
)
def test_other_settings_for_the_same_engine_are_an_error(engine: Engine, again: dict[str, Any], message: str) -> None:
    """The error names the setting, what is in force, and what was asked for; the gauge goes on."""
    gauge = watch(engine, name="primary")
    with pytest.raises(SettingsError) as raised:
        instrument(engine, **again)
    assert str(raised.value).startswith(message)
    send(engine)
    assert counted(gauge) == 1


def test_a_changed_environment_is_no_other_setting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the second call itself says must agree."""
    gauge = watch(engine)
    monkeypatch.setenv("QUERYGAUGE_MAX_PATTERNS", "7")
    assert watch(engine) is gauge


def test_several_engines_have_one_gauge_and_a_name_each() -> None:
    """Statements of all are in one statistic, told apart by the database's name; the pools are apart."""
    engines = [create_engine("sqlite://") for _ in range(3)]
    with watch(*engines) as gauge:
        for number, engine in enumerate(engines):
            send(engine, number + 1)
        assert list(gauge.pools) == [":memory:", ":memory:#2", ":memory:#3"]
        assert {s.target: s.execution_count for s in gauge.queries.get_query_stats()} == {
            ":memory:": 1,
            ":memory:#2": 2,
            ":memory:#3": 3,
        }
        assert gauge.pool is gauge.pools[":memory:"]
        assert watch(engines[1]) is gauge
        assert watch(*engines[:2]) is gauge


def test_two_live_targets_of_one_name_are_numbered(tmp_path: Path) -> None:
    """Also those of several gauges; a name is free again once its gauge is closed."""
    first, second, third = (create_engine(f"sqlite:///{tmp_path}/{n}/shop.db") for n in range(3))
    with watch(first) as one:
        with watch(second) as two:
            assert [list(one.pools), list(two.pools)] == [["shop.db"], ["shop.db#2"]]
        with watch(third) as three:
            assert list(three.pools) == ["shop.db#2"]


def test_a_name_given_twice_is_numbered_too_and_still_agrees() -> None:
    """The same call for the same engine gives the same gauge, although the name got a number."""
    first, second = create_engine("sqlite://"), create_engine("sqlite://")
    with watch(first, name="shop"), watch(second, name="shop") as gauge:
        assert list(gauge.pools) == ["shop#2"]
        assert watch(second, name="shop") is gauge


def test_the_name_of_an_engine_that_is_gone_is_free() -> None:
    """It need not be noticed first that the engine is gone."""
    engine = create_engine("sqlite://")
    gone = weakref.ref(engine)
    watch(engine, name="shop")
    del engine
    gc.collect()
    assert gone() is None
    with watch(create_engine("sqlite://"), name="shop") as gauge:
        assert list(gauge.pools) == ["shop"]


def test_a_name_is_for_one_engine() -> None:
    """For several it would not say which."""
    with pytest.raises(SettingsError, match=r"^name must be left out for several engines; got 'shop' for 2$"):
        watch(create_engine("sqlite://"), create_engine("sqlite://"), name="shop")


@pytest.mark.parametrize("name", ["", "  ", 5])
def test_a_name_is_a_text(engine: Engine, name: Any) -> None:
    """It becomes a column and a label."""
    with pytest.raises(SettingsError, match=r"^name must be a text that is not empty; got "):
        watch(engine, name=name)


def test_engines_instrumented_apart_are_not_joined(engine: Engine) -> None:
    """One of them has a gauge already, and that cannot become another."""
    watch(engine)
    other = create_engine("sqlite://")
    with pytest.raises(SettingsError, match=r"^some of the engines are instrumented already: close their gauge"):
        watch(engine, other)
    uninstrument(other)


def test_copies_of_an_engine_are_the_engine(engine: Engine) -> None:
    """`execution_options` makes another object over the same dialect and pool: the same gauge, and each counts once."""
    copy = engine.execution_options(isolation_level="SERIALIZABLE")
    gauge = watch(engine)
    assert watch(copy) is gauge
    assert watch(copy, engine) is gauge
    send(engine)
    send(copy)
    assert counted(gauge) == 2


def test_a_copy_that_is_not_kept_stands_for_its_engine(engine: Engine) -> None:
    """What is attached lives as long as the engine, and is taken off it."""
    before = state_of(used(engine))
    gauge = watch(engine.execution_options(isolation_level="SERIALIZABLE"))
    gc.collect()
    send(engine)
    gauge.close()
    assert counted(gauge) == 1
    assert state_of(engine) == before


def test_engines_that_share_a_pool_leave_it_as_found(engine: Engine) -> None:
    """In one gauge or in two, closed in the order they were made."""
    other = create_engine(engine.url, pool=engine.pool)
    before = state_of(used(engine))
    with watch(engine, other):
        send(other)
    assert state_of(engine) == before
    gauges = watch(engine), watch(other)
    for gauge in gauges:
        gauge.close()
    assert state_of(engine) == before


async def test_an_async_engine_is_the_engine_below_it(async_engine: AsyncEngine) -> None:
    """Either names the same gauge, and so does a second proxy over it."""
    gauge = watch(async_engine)
    assert watch(async_engine.sync_engine) is gauge
    assert watch(AsyncEngine(async_engine.sync_engine)) is gauge
    async with async_engine.connect() as connection:
        await connection.execute(text("SELECT 1 AS mark"))
    assert counted(gauge) == 1


async def test_session_makers_stand_for_their_engines(engine: Engine, async_engine: AsyncEngine) -> None:
    """A sessionmaker, a scoped session and an async_sessionmaker, by their `bind` or their `binds`."""
    gauge = watch(sessionmaker(engine))
    assert watch(engine) is gauge
    assert watch(scoped_session(sessionmaker(engine))) is gauge
    assert watch(sessionmaker(binds={Session: engine})) is gauge
    assert watch(async_sessionmaker(async_engine)) is watch(async_engine)


@pytest.mark.parametrize(
    "make",
    [
        lambda _: None,
        lambda _: "postgresql://ann:secret@db/shop",
        Session,
        lambda engine: engine.connect(),
        lambda engine: engine.url,
        lambda engine: engine.pool,
        lambda _: Engine,
        lambda _: object(),
    ],
    ids=["None", "text", "Session", "Connection", "URL", "Pool", "class", "object"],
)
def test_anything_else_is_an_error(engine: Engine, make: Any) -> None:
    """It names what is taken and the kind of what was given, and shows nothing of what is in it."""
    target = make(engine)
    with pytest.raises(SettingsError) as raised:
        watch(target)
    with pytest.raises(SettingsError):
        uninstrument(target)
    assert str(raised.value).startswith("instrument() takes an Engine, an AsyncEngine, a sessionmaker or an async")
    assert type(target).__qualname__ in str(raised.value)
    assert "secret" not in str(raised.value)
    if hasattr(target, "close"):
        target.close()


def test_a_session_maker_without_an_engine_is_an_error() -> None:
    """It may be bound later; then is the time."""
    with pytest.raises(SettingsError, match=r"sessionmaker is bound to no engine yet: instrument the engine, or bind"):
        watch(sessionmaker())


def test_nothing_is_an_error() -> None:
    """An empty list of engines measures nothing."""
    with pytest.raises(SettingsError, match=r"^instrument\(\) needs an engine; got nothing$"):
        watch()


LISTENED = {
    "pool": ("connect", "checkout", "checkin", "close", "detach", "invalidate", "reset", "close_detached"),
    "dialect": ("do_execute", "do_executemany", "do_connect", "handle_error"),
    "engine": ("before_cursor_execute", "after_cursor_execute", "commit", "engine_disposed"),
}


def state_of(engine: Engine) -> dict[str, Any]:
    """Everything about an engine that attaching could have changed."""
    owners: dict[str, Any] = {"pool": engine.pool, "dialect": engine.dialect, "engine": engine}
    # First, since a dispatcher is made when it is first looked at.
    listeners = {
        f"{kind} {name}": list(getattr(owner.dispatch, name))
        for kind, owner in owners.items()
        for name in LISTENED[kind]
    }
    return {**listeners, **{kind: dict(vars(owner)) for kind, owner in owners.items()}}


def used(engine: Engine) -> Engine:
    """The engine after its first connection, which makes SQLAlchemy remember things about the server."""
    send(engine)
    return engine


def test_closing_leaves_everything_as_found(engine: Engine) -> None:
    """Methods, event listeners and flags of the engine, its dialect and its pool, somebody else's listener included."""
    event.listen(engine.pool, "checkout", lambda *_: None)
    before = state_of(used(engine))
    gauge = watch(engine)
    send(engine)
    during = state_of(engine)
    assert during["dialect"] != before["dialect"]
    assert during["pool"] != before["pool"]
    gauge.close()
    assert state_of(engine) == before
    send(engine)
    assert counted(gauge) == 1


def test_closing_leaves_the_pool_that_came_after_as_it_would_have_been(engine: Engine) -> None:
    """`dispose()` makes a new pool, to which listeners and wraps went along; it looks like one that we never met."""
    event.listen(engine.pool, "checkout", lambda *_: None)
    before = state_of(used(engine))
    gauge = watch(engine)
    for _ in range(2):
        engine.dispose()
        send(engine)
    assert counted(gauge) == 2
    gauge.close()
    after = state_of(engine)
    assert after["pool"].keys() == before["pool"].keys()
    for name in before.keys() - {"pool", "engine"}:
        assert after[name] == before[name], name
    send(engine)
    assert counted(gauge) == 2


def test_somebody_elses_wrap_stays(engine: Engine) -> None:
    """Who replaced a method after us is not thrown out; ours becomes a pass-through and counts no more."""
    gauge, seen, below = watch(engine), [], None
    below = engine.dialect.do_execute

    def theirs(cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)
        below(cursor, statement, *rest)

    engine.dialect.do_execute = theirs  # type: ignore[assignment]
    gauge.close()
    send(engine)
    assert engine.dialect.do_execute is theirs
    assert (len(seen), counted(gauge)) == (1, 0)


def test_a_closed_gauge_counts_no_more_and_another_begins_anew(engine: Engine) -> None:
    """Closing twice is closing once; the engine may be instrumented again, with other settings."""
    with watch(engine) as first:
        send(engine)
    first.close()
    assert first.is_closed
    send(engine)
    second = watch(engine, max_patterns=7)
    send(engine)
    assert (counted(first), counted(second), second is first) == (1, 1, False)


def test_uninstrument_closes(engine: Engine) -> None:
    """By any object that `instrument` takes; an engine without a gauge is left alone."""
    gauge = watch(engine)
    uninstrument(sessionmaker(engine), create_engine("sqlite://"))
    assert gauge.is_closed
    uninstrument(engine)


def test_an_engine_that_is_gone_closes_its_gauge(tmp_path: Path) -> None:
    """Nothing of ours holds it, so it goes when the application lets go; then the gauge flushes and closes."""
    engine = create_engine(f"sqlite:///{tmp_path}/data.sqlite")
    gone = weakref.ref(engine), weakref.ref(engine.dialect), weakref.ref(engine.pool)
    gauge = instrument(engine, store=tmp_path / "store")
    send(engine, 3)
    del engine
    gc.collect()
    assert [reference() for reference in gone] == [None, None, None]
    gauge.poll()  # as the thread does every second
    assert gauge.is_closed
    gauge.finish()  # waits for the thread, if it came first
    assert executions(tmp_path / "store") == {"mark": 3}


def test_a_gauge_need_not_be_kept(engine: Engine) -> None:
    """It works although the application threw it away."""
    watch(engine)
    gc.collect()
    send(engine, 2)
    assert counted(watch(engine)) == 2


def test_switched_off_it_attaches_nothing(engine: Engine, tmp_path: Path) -> None:
    """Neither a wrap nor a listener nor a file; the gauge answers with nothing, and closes."""
    before = state_of(used(engine))
    with instrument(engine, enabled=False, store=tmp_path / "store") as gauge:
        assert state_of(engine) == before
        send(engine)
        assert "Total Queries" in gauge.report()
        assert counted(gauge) == 0
        assert gauge.pool.get_metrics().total_checkouts == 0
        gauge.flush()
    assert not (tmp_path / "store").exists()


def test_the_environment_switches_it_off(tmp_path: Path) -> None:
    """Without a change of the program: no thread, no wrap, no file, nothing heavy loaded."""
    program = """
    import threading
    engine = create_engine("sqlite://")
    before = dict(vars(engine.dialect)), dict(vars(engine.pool))
    gauge = instrument(engine, store=STORE, name="shop")
    assert (dict(vars(engine.dialect)), dict(vars(engine.pool))) == before
    assert threading.enumerate() == [threading.main_thread()]
    send(engine, "mark", 3)
    print(gauge.report().splitlines()[0])
    gauge.close()
    assert not STORE.exists()
    assert not {"_duckdb", "duckdb", "structlog"} & set(sys.modules)
    """
    output, errors = run(program, tmp_path / "store", folder=tmp_path, QUERYGAUGE_ENABLED="0")
    assert (output, errors) == ("QUERY PERFORMANCE REPORT\n", "")
