"""`instrument_all`: whatever the application makes is measured, and nothing of it is held, harmed or left changed."""

import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from weakref import ref

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool
from structlog.testing import capture_logs

from processes.programs import executions, run
from querygauge import instrument, instrument_all, uninstrument, watched
from querygauge.capture.guard import FAILURES_LIMIT
from querygauge.capture.sqlalchemy_engine import Statements
from querygauge.errors import SettingsError
from querygauge.gauge import Instrumentation

Everything = Callable[..., Instrumentation]
NewUrl = Callable[[], str]


@pytest.fixture
def everything() -> Iterator[Everything]:
    """`instrument_all` without a store, closed again after the test."""
    gauges: list[Instrumentation] = []

    def begin(**settings: Any) -> Instrumentation:
        gauges.append(instrument_all(**{"store": None, "enable_logging": False, **settings}))
        return gauges[-1]

    yield begin
    for gauge in gauges:
        gauge.close()


@pytest.fixture
def new_url(tmp_path: Path) -> NewUrl:
    """`new_url()` is that of a database whose name no other has; engines of other tests may still be alive."""
    made: list[str] = []

    def new() -> str:
        made.append(f"sqlite:///{tmp_path}/{tmp_path.name}-{len(made)}.db")
        return made[-1]

    return new


def send(engine: Engine, count: int = 1) -> None:
    """Sends one statement that many times."""
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text("SELECT 1 AS mark"))


def counted(gauge: Instrumentation) -> dict[str, int]:
    """Executions of what `send` sends, by database."""
    return {
        stats.target: stats.execution_count
        for stats in gauge.queries.get_query_stats()
        if stats.query_pattern == "SELECT ? AS mark"
    }


def name_of(engine: Engine) -> str:
    """The file of its database."""
    return Path(engine.url.database or "").name


def test_engines_made_later_are_measured_from_their_first_statement(everything: Everything, new_url: NewUrl) -> None:
    """Statements are told apart by the database, and pools by the engine; a copy of an engine is the engine."""
    gauge, url = everything(), new_url()
    first, second, other = create_engine(url), create_engine(url), create_engine(new_url())
    send(first, 2)
    send(second, 3)
    send(other, 4)
    send(other.execution_options(isolation_level="SERIALIZABLE"), 5)
    assert counted(gauge) == {name_of(first): 5, name_of(other): 9}
    pools = [name_of(first), f"{name_of(first)}#2", name_of(other)]
    assert [pool for pool in gauge.pools if pool in pools] == pools
    assert [gauge.pools[pool].get_metrics().total_checkouts for pool in pools] == [1, 1, 2]


def test_engines_made_before_are_found(everything: Everything, new_url: NewUrl) -> None:
    """One that is in use, too; its connection that is out is used on."""
    engine, idle = create_engine(new_url()), create_engine(new_url())
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 AS mark"))
        gauge = everything()
        connection.execute(text("SELECT 1 AS mark"))
    send(engine, 3)
    assert counted(gauge) == {name_of(engine): 4}
    assert {name_of(engine), name_of(idle)} <= set(gauge.targets)
    assert gauge.pools[name_of(engine)].get_current_snapshot().active_connections == 0


async def test_asynchronous_engines_join(everything: Everything, tmp_path: Path) -> None:
    """Made before or later."""
    before = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/before.db")
    gauge = everything()
    later = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/later.db")
    for engine in (before, later):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1 AS mark"))
        await engine.dispose()
    assert counted(gauge) == {"before.db": 1, "later.db": 1}


def test_twice_is_once(everything: Everything, new_url: NewUrl) -> None:
    """The second call gives the same gauge, and a statement counts once; other settings are an error."""
    gauge = everything(max_patterns=100)
    assert instrument_all() is gauge
    engine = create_engine(new_url())
    assert everything(max_patterns=100) is gauge
    send(engine)
    assert counted(gauge) == {name_of(engine): 1}
    with pytest.raises(SettingsError, match=r"^max_patterns must stay 100 until the gauge is closed; got 7$"):
        instrument_all(max_patterns=7)


def test_what_the_application_instruments_itself_has_a_gauge_of_its_own(
    everything: Everything, new_url: NewUrl
) -> None:
    """Before or after, with settings of its own; a statement counts in one of the two, and so does a pool."""
    before = create_engine(new_url())
    own = instrument(before, name="mine", store=None, max_patterns=7)
    gauge = everything()
    send(before)
    later = create_engine(new_url())
    send(later)
    with own, instrument(later, store=None) as second:
        send(before)
        send(later)
        assert instrument(later) is second
        assert (counted(own), counted(second)) == ({"mine": 2}, {name_of(later): 1})
        assert list(second.pools) == [name_of(later)]
    assert counted(gauge) == {name_of(later): 1}
    send(later)
    assert counted(gauge) == {name_of(later): 1}


def test_one_engine_can_be_left_out(everything: Everything, new_url: NewUrl) -> None:
    """`uninstrument` ends the measuring of that engine alone, leaves it as it was, and keeps what was counted."""
    engine, other = create_engine(new_url()), create_engine(new_url())
    before = dict(vars(engine.dialect)), dict(vars(engine.pool))
    gauge = everything()
    send(engine)
    uninstrument(engine)
    assert (dict(vars(engine.pool))).keys() == before[1].keys()
    assert "do_execute" not in vars(engine.dialect)
    send(engine)
    send(other)
    assert counted(gauge) == {name_of(engine): 1, name_of(other): 1}
    assert not gauge.is_closed


def test_closing_puts_everything_back(new_url: NewUrl) -> None:
    """The constructor, and every engine, are the very ones they were; engines made after it are left alone."""
    found = vars(Engine)["__init__"]
    before = create_engine(new_url())
    methods = vars(before.dialect).keys(), vars(before.pool).keys()
    gauge = instrument_all(store=None)
    during = create_engine(new_url())
    gauge.close()
    assert vars(Engine)["__init__"] is found
    assert (vars(before.dialect).keys(), vars(before.pool).keys()) == methods
    after = create_engine(new_url())
    for engine in (before, during, after):
        assert not {"do_execute", "do_executemany"} & vars(engine.dialect).keys()
        assert not {"connect", "recreate"} & vars(engine.pool).keys()
        send(engine)
    assert counted(gauge) == {}


def test_somebody_elses_constructor_stays(new_url: NewUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who replaced it after us is not thrown out; ours becomes a pass-through."""
    monkeypatch.setattr(Engine, "__init__", vars(Engine)["__init__"])  # so that all is undone after the test
    gauge, made = instrument_all(store=None), []
    below = vars(Engine)["__init__"]

    def theirs(self: Engine, *arguments: Any, **keywords: Any) -> None:
        below(self, *arguments, **keywords)
        made.append(self)

    Engine.__init__ = theirs  # type: ignore[method-assign]  # as other tools do
    gauge.close()
    assert vars(Engine)["__init__"] is theirs
    url = make_url(new_url())
    engine = Engine(StaticPool(lambda: None), url.get_dialect()(), url)  # type: ignore[arg-type]  # opens nothing
    assert made == [engine]
    assert "do_execute" not in vars(engine.dialect)


def test_create_engine_is_what_it_was(everything: Everything, new_url: NewUrl) -> None:
    """It takes the same arguments, and complains of others in the same words."""
    signature, url = inspect.signature(Engine.__init__), new_url()
    with pytest.raises(TypeError) as bare:
        create_engine(url, nonsense=1)
    everything()
    assert inspect.signature(Engine.__init__) == signature
    with pytest.raises(TypeError) as ours:
        create_engine(url, nonsense=1)
    assert str(ours.value) == str(bare.value)
    engine = create_engine(url, hide_parameters=True, query_cache_size=7, logging_name="shop", echo=False)
    assert (engine.hide_parameters, engine.logging_name) == (True, "shop")


def test_engines_that_are_gone_are_forgotten_once_they_are_stored(everything: Everything, tmp_path: Path) -> None:
    """Hundreds that were made, used and dropped: every statement is counted, and nothing of them is left."""
    gauge = everything(flush_interval_s=315_360_000)
    parts: list[ref[Any]] = []
    for number in range(300):
        engine = create_engine(f"sqlite:///{tmp_path}/{number % 30}.sqlite")
        send(engine)
        parts += [ref(engine), ref(engine.pool), ref(engine.dialect)]
        del engine
    gc.collect()
    assert [part() for part in parts if part() is not None] == []
    gauge.poll()
    checkouts = sum(pool.get_metrics().total_checkouts for pool in gauge.pools.values())
    gauge.flush()
    own = {f"{number}.sqlite" for number in range(30)}
    assert checkouts == 300
    assert [name for name in gauge.pools if name.partition("#")[0] in own] == []
    assert [name for name in gauge.targets if name in own] == []
    assert {name: counted(gauge)[name] for name in own} == dict.fromkeys(own, 10)


def test_the_pool_of_an_engine_that_is_gone_goes_on_under_its_name(everything: Everything, new_url: NewUrl) -> None:
    """An application that makes its engine anew has one pool in the statistics; who held the old one is forgotten."""
    gauge, url = everything(), new_url()
    engine = create_engine(url, poolclass=StaticPool)
    connection = engine.connect()
    name = name_of(engine)
    del engine, connection
    gc.collect()
    send(create_engine(url, poolclass=StaticPool))
    assert [pool for pool in gauge.pools if pool.startswith(name)] == [name]
    assert gauge.pools[name].get_metrics().total_checkouts == 2
    assert gauge.pools[name].get_current_snapshot().active_connections == 0


def test_names_are_bounded(everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application with a database for each of its tests does not fill the memory with their names."""
    monkeypatch.setattr(sys.modules["querygauge.everything"], "_MOST_NAMES", 0)
    gauge = everything()
    engines = [create_engine(f"sqlite:///{tmp_path}/{number}.sqlite") for number in range(3)]
    for engine in engines:
        send(engine)
    assert counted(gauge) == {"(other databases)": 3}


@pytest.mark.parametrize("breaks", ["attachment_of", "has_pool"])
def test_an_engine_that_cannot_be_measured_works(
    breaks: str, everything: Everything, new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted and logged once, and after a hundred of them the log says that no further one is tried."""

    def boom(*_arguments: Any) -> Any:
        raise LookupError("mark-7f3a9c")

    gauge = everything()
    monkeypatch.setattr(watched, breaks, boom)
    with capture_logs() as events:
        engines = [create_engine(new_url()) for _ in range(FAILURES_LIMIT + 2)]
    send(engines[0])
    assert [event["event"] for event in events] == ["hook_failed", "hooks_detached"]
    assert "mark-7f3a9c" not in str(events)
    assert gauge.report_data().self_metrics.hook_errors == FAILURES_LIMIT
    monkeypatch.undo()
    send(create_engine(new_url()))
    assert counted(gauge) == {}


def test_an_engine_that_fails_half_way_is_left_as_it_was(
    everything: Everything, new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was attached of it before is taken off again."""

    def boom(*_arguments: Any) -> Any:
        raise LookupError

    everything()
    monkeypatch.setattr(Statements, "attach", boom)
    engine = create_engine(new_url())
    assert not {"connect", "recreate"} & vars(engine.pool).keys()
    send(engine)


def test_an_engine_of_before_that_cannot_be_measured_is_named(
    everything: Everything, new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one log line for all of them."""
    engine = create_engine(new_url())

    def boom(*_arguments: Any) -> Any:
        raise LookupError

    monkeypatch.setattr(watched, "attachment_of", boom)
    with capture_logs() as events:
        everything()
    missed = [event for event in events if event["event"] == "targets_missed"]
    assert len(missed) == 1
    assert name_of(engine) in missed[0]["targets"]


def test_stand_ins_are_left_alone(everything: Everything, new_url: NewUrl) -> None:
    """Tests of applications make engines of a dialect or a pool that is none."""
    gauge, url = everything(), make_url(new_url())
    engine = Engine(Mock(), Mock(spec=Dialect), url)
    assert engine.pool.connect is not None
    assert gauge.report_data().self_metrics.hook_errors == 0


def test_engines_made_by_many_threads_at_once(everything: Everything, new_url: NewUrl) -> None:
    """Each joins once, and every statement is counted."""
    gauge, url = everything(), new_url()
    barrier, engines = threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        for _ in range(5):
            engines.append(create_engine(url))
            send(engines[-1])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = name_of(engines[0])
    assert counted(gauge) == {name: 40}
    assert len([pool for pool in gauge.pools if pool.startswith(name)]) == 40


def test_switched_off_it_changes_nothing(everything: Everything, new_url: NewUrl) -> None:
    """`enabled=False`: no engine is touched, and the gauge is there all the same."""
    found = vars(Engine)["__init__"]
    gauge = everything(enabled=False)
    assert vars(Engine)["__init__"] is found
    send(create_engine(new_url()))
    assert (counted(gauge), gauge.targets, everything(enabled=False) is gauge) == ({}, [], True)
    with pytest.raises(SettingsError, match=r"^pool is known of engines and pools; got none"):
        _ = gauge.pool


def test_without_engines_there_is_no_thread_and_no_asyncpg(tmp_path: Path) -> None:
    """The call itself starts nothing and loads nothing; the first engine does."""
    program = """
    import threading
    from querygauge import instrument_all
    gauge = instrument_all(store=STORE)
    assert threading.enumerate() == [threading.main_thread()]
    assert not {"_duckdb", "asyncpg", "duckdb"} & set(sys.modules)
    engine = create_engine("sqlite://")
    assert len(threading.enumerate()) == 2
    send(engine, "mark", 3)
    """
    assert run(program, tmp_path / "store", folder=tmp_path) == ("", "")


def test_a_forked_child_goes_on(tmp_path: Path) -> None:
    """Engines that it makes are measured there, and counted once."""
    program = """
    from querygauge import instrument_all
    gauge = instrument_all(store=STORE)
    send(create_engine("sqlite://"), "parent", 3)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    else:
        send(create_engine("sqlite://"), "child", 5)
    """
    run(program, tmp_path / "store", folder=tmp_path)
    assert executions(tmp_path / "store") == {"parent": 3, "child": 5}
