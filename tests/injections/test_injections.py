"""Whatever fails inside a hook, wherever in it: the host has what it would have had, and we count and log it once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any, NamedTuple

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import URL, create_engine
from structlog.testing import capture_logs

from capture.scenarios import Facts
from databases.engines import NewDatabase, NewEngine
from injections.guarded_places import guarded_places, places_reached
from injections.hosts import HOSTS, Host
from injections.injector import OursError, Path, paths_noted, raising_at
from querygauge.capture import loop_lag
from querygauge.capture.asyncpg_pool import AsyncpgPoolHooks
from querygauge.capture.endings import ENDINGS
from querygauge.capture.guard import Guard
from querygauge.capture.makers import Makers
from querygauge.clock import SystemClock
from querygauge.everything import Everything, instrument_all
from querygauge.gauge import Instrumentation
from querygauge.middleware.request_scope import GUARD
from querygauge.monitors import pool_recorder, recorder
from querygauge.settings import Settings

# Every distinct way to a call, instead of every call once; takes minutes.
IS_FULL = os.environ.get("QUERYGAUGE_TEST_EVERY_PATH") == "1"
PATIENCE_S = 20
_TRIALS = 3  # as on a busy machine another way is taken once
MANNERS: dict[str, dict[str, Any]] = {
    "closely": {"slow_query_threshold_ms": 0, "call_sites": "all", "keep_literals": True},
    "by default": {},
}
# Functions that expect somebody else's object to fail, and say what they could not find out by leaving it out; and what
# ends with a connection, which may have outlived the gauge that counts.
LEAVING_OUT = {"_redacted_message", "activity_of", "Running._look_for", "Evidence.add", "Streak.look_at", "_let_go"}

_ENGINE = {
    "sqlalchemy_engine: Statements._begin_batches",
    "sqlalchemy_engine: Statements._begun",
    "sqlalchemy_engine: Statements._failed",
    "sqlalchemy_engine: Statements._finish_batches",
    "sqlalchemy_engine: Statements._timed.timed (2)",
    "sqlalchemy_engine: Statements._timed_commit.commit",
    "sqlalchemy_engine: Statements._timed_many.timed_many",
    "sqlalchemy_pool: PoolHooks._guarded.listener",
    "sqlalchemy_pool: PoolHooks._not_obtained",
    "sqlalchemy_pool: PoolHooks._noted_return.return_connection",
    "sqlalchemy_pool: PoolHooks._timed_connect.connect (1)",
    "sqlalchemy_pool: PoolHooks._timed_connect.connect (2)",
    "sqlalchemy_pool: PoolHooks._timed_creator.create",
    "sqlalchemy_pool: PoolHooks.read",
    "running: Running.state",
    "scope: _label_or_other",
    "scope: left",
}
PLACES: dict[str, set[str]] = {
    "engine": _ENGINE | {"sqlalchemy_pool: PoolHooks._followed_recreate.recreate"},
    "asyncpg engine": _ENGINE | {"asyncpg_connection: ConnectionStatements._is_counted_above"},
    "asyncpg connection": {
        "asyncpg_connection: ConnectionStatements._closed",
        "asyncpg_connection: ConnectionStatements._timed.timed (1)",
        "asyncpg_connection: ConnectionStatements._timed.timed (2)",
        "asyncpg_connection: ConnectionStatements._timed_execution.bind_execute",
        "asyncpg_executions: Executions.failed",
        "asyncpg_executions: Executions.failed_at_once",
    },
    "asyncpg pool": {
        "asyncpg_pool: AsyncpgPoolHooks._acquired (1)",
        "asyncpg_pool: AsyncpgPoolHooks._acquired (2)",
        "asyncpg_pool: AsyncpgPoolHooks._given_back",
        "asyncpg_pool: AsyncpgPoolHooks._lost_if_cancelled",
        "asyncpg_pool: AsyncpgPoolHooks._not_obtained",
        "asyncpg_pool: AsyncpgPoolHooks._released",
        "asyncpg_pool: AsyncpgPoolHooks._timed_connect",
        "asyncpg_pool: AsyncpgPoolHooks.read",
        "asyncpg_connection: _let_go",
    },
    "ASGI": {"asgi: ASGIMiddleware._entered", "request_scope: RequestScope._name_of", "request_scope: _called"},
    "WSGI": {"wsgi: WSGIMiddleware._entered", "wsgi: _following", "wsgi: _started"},
}


class Outcome(NamedTuple):
    """
    What came of one run.

    Attributes:
        facts: What the application noticed.
        noted: What `paths_noted` or `raising_at` gave.
        failures: How many we counted.
        logged: How many we logged.
        open: Connections and requests that have not ended, as the pool says and as we do.
    """

    facts: Facts
    noted: Any
    failures: int
    logged: int
    open: tuple[int, ...]


@pytest.fixture(params=HOSTS)
async def host(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Host]:
    """Every application."""
    driver, open_host = HOSTS[request.param]
    async with open_host(new_database(driver)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that folds happen within the calls of the application."""
    monkeypatch.setattr(recorder, "_FOLD_SIZE", 4)
    monkeypatch.setattr(pool_recorder, "FOLD_AT", 2)
    monkeypatch.setattr(loop_lag, "BEAT_S", 3_600)  # a timer comes when it comes; it has a test of its own
    for name, value in {"NOTICED_NS": 0, "_BEAT_NS": 0, "_ON_TIME_NS": 0}.items():
        monkeypatch.setattr(loop_lag, name, value)  # a loop that is blocked all the time


@pytest.mark.timeout(600 if IS_FULL else 120)
async def test_whatever_fails_is_ours_alone(host: Host, request: pytest.FixtureRequest) -> None:
    """At every call of a hook: the same rows and exceptions, one failure, one line in the log, nothing left open."""
    await host.run(_nothing)
    await host.renew()
    found, bare = host.shadows(), await host.run(_nothing)
    noting = partial(paths_noted, "" if IS_FULL else host.within, is_full=IS_FULL)
    harms: list[tuple[str, Path, str]] = []
    done: set[Path] = set()
    with places_reached() as reached:
        for manner in MANNERS:
            await measured(host, manner, paths_noted())  # what the process remembers, it remembers from now on
            whole = await measured(host, manner, noting())
            again = await measured(host, manner, noting())
            assert (whole.facts, whole.failures) == (bare, 0)
            # On a busy machine a statement may take long, and another way, once.
            for path in _to_fail([path for path in whole.noted if path in again.noted], done):
                outcome = await _struck(host, manner, path)
                harms += [(manner, path, harm) for harm in _harms(path, outcome, bare)]
                if host.shadows() != found:
                    harms.append((manner, path, "something of ours stayed"))
    assert not harms, "\n".join(map(str, harms))
    assert PLACES[request.node.callspec.params["host"]] - reached == set()


def _nothing() -> None:
    """Looks at nothing."""


def _to_fail(paths: Iterable[Path], done: set[Path]) -> list[Path]:
    """Of every call the first way to it, as what fails in it goes outwards from there in the same way each time."""
    chosen = []
    for path in paths:
        call = path if IS_FULL else path[-2:]
        if call not in done:
            done.add(call)
            chosen.append(path)
    return chosen


async def _struck(host: Host, manner: str, path: Path) -> Outcome:
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(_TRIALS):
                outcome = await measured(host, manner, raising_at(path))
                if outcome.noted:
                    break
            return outcome
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the application's no more
        pytest.fail(f"{manner}, {path}: the application got {error!r}")


def _harms(path: Path, outcome: Outcome, bare: Facts) -> list[str]:
    """What is wrong with a run in which that call failed."""
    harms = []
    is_left_out = any(step.split(":")[0] in LEAVING_OUT for step in path[:-1])
    if not outcome.noted:
        harms.append("was not reached again")
    if outcome.facts != bare:
        harms.append("the application noticed")
    if (outcome.failures, outcome.logged) != (1, 1) and not is_left_out:
        harms.append(f"was counted {outcome.failures} times and logged {outcome.logged} times")
    if any(outcome.open):
        harms.append(f"left open: {outcome.open}")
    return harms


async def measured(host: Host, manner: str, watching: AbstractContextManager[Any]) -> Outcome:
    """One run with a gauge, from the same beginning each time."""
    await host.renew()
    _begin_anew()
    settings = Settings(store=None, enable_logging=False, **MANNERS[manner])
    gauge = Instrumentation(settings, lambda _: None, SystemClock())
    with capture_logs() as events, closing(gauge):
        ENDINGS.add(gauge, gauge.queries.scope_ended)
        gauge.attach(host.target, "shop")
        (attached,) = gauge._watched.attached()

        def look() -> None:
            attached.running.state(gauge.clock, 0)
            if attached.pool is not None:
                attached._hooks.read()  # type: ignore[attr-defined]  # whatever has a pool has it

        with watching as noted:
            facts = await host.run(look)
        gauge.poll()
        metrics = gauge.report_data().self_metrics
        failures = metrics.hook_errors + metrics.statements_dropped
        still_open: tuple[int, ...] = (0,)
        if gauge.pools:
            pool = gauge.pool.get_current_snapshot()
            still_open = host.in_use(), pool.active_connections, pool.waiting_count, len(gauge.pool.held)
    assert "mark-7f3a9c" not in str(events)
    logged = [event for event in events if event["event"] in {"hook_failed", "records_not_counted"}]
    return Outcome(facts, noted, failures, len(logged), still_open)


def _begin_anew() -> None:
    """Forgets what the process knows of earlier runs."""
    for guard in (GUARD, ENDINGS.guard):
        guard._logged.clear()
    loop_lag._hearts.clear()


async def test_a_pool_that_cannot_be_read(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool is opened, and works, though we could not take note of its connections."""
    pool = asyncpg.create_pool(_dsn(new_database("asyncpg")), min_size=1, max_size=1)
    monkeypatch.setattr(AsyncpgPoolHooks, "_watch", _fails)
    with _watched(pool) as gauge, places_reached() as reached:
        async with pool:
            assert await pool.fetchval("SELECT 1") == 1
        assert reached >= BESIDES[test_a_pool_that_cannot_be_read]
        assert gauge.report_data().self_metrics.hook_errors == 3  # as it was opened, and twice as it was obtained


def test_a_context_that_cannot_be_read(new_engine: NewEngine) -> None:
    """A statement is sent, though what SQLAlchemy tells of its execution raises."""
    engine = new_engine("sqlite3")

    class Context:
        """As a dialect of somebody else's may have it."""

        def __getattr__(self, name: str) -> Any:
            raise OursError("mark-7f3a9c")

    with _watched(engine) as gauge, engine.connect() as connection, places_reached() as reached:
        cursor = connection.connection.cursor()
        engine.dialect.do_execute(cursor, "SELECT 1", (), context=Context())  # type: ignore[arg-type]  # no more is asked of it
        assert cursor.fetchall() == [(1,)]
        assert reached >= BESIDES[test_a_context_that_cannot_be_read]
        assert gauge.report_data().self_metrics.hook_errors == 2


async def test_a_timer_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails on the loop between two queries does not reach what the host does about its loop's errors."""
    monkeypatch.setattr(loop_lag, "BEAT_S", 0.0)
    monkeypatch.setattr(loop_lag._Heart, "_take_beat", _fails)
    loop, told = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: told.append(context))
    loop_lag._hearts.clear()
    lag, before = loop_lag.LoopLag(), loop_lag.GUARD.failures
    with places_reached() as reached:
        lag.touch()
        await asyncio.sleep(0.01)
    assert (told, reached, loop_lag.GUARD.failures) == ([], BESIDES[test_a_timer_that_fails], before + 1)
    monkeypatch.undo()
    lag.touch()  # it begins again with the next use
    assert lag._heart is not None
    assert lag._heart.is_beating


async def test_what_is_made_is_made(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines, pools and connections are made, though nothing that is to be told of them takes it."""
    guard = Guard("makers")
    makers = Makers(_fails, guard)
    dsn = _dsn(new_database("asyncpg"))
    with places_reached() as reached:
        makers.attach()
        try:
            create_engine("sqlite://").dispose()
            async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
                assert await pool.fetchval("SELECT 1") == 1
            connection = await asyncpg.connect(dsn)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        finally:
            makers.detach()
        assert guard.failures == 3
        monkeypatch.setattr("querygauge.capture.makers.import_module", _fails)
        makers.attach()
        makers.detach()
    assert (reached, guard.failures) == (BESIDES[test_what_is_made_is_made], 4)


def test_what_is_alive_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """`instrument_all` gives a gauge, though nothing is found of what there was before."""
    engine = create_engine("sqlite://")
    monkeypatch.setattr(Everything, "_join", _fails)
    with places_reached() as reached:
        with instrument_all(store=None) as gauge:
            assert gauge.report_data().self_metrics.hook_errors > 0
        monkeypatch.setattr(sys.modules["querygauge.everything"], "living_targets", _fails)
        with instrument_all(store=None) as gauge:
            assert gauge.report_data().self_metrics.hook_errors == 1
    assert reached == BESIDES[test_what_is_alive_stays]
    engine.dispose()


BESIDES: dict[Any, set[str]] = {
    test_a_pool_that_cannot_be_read: {"asyncpg_pool: AsyncpgPoolHooks._meet"},
    test_a_context_that_cannot_be_read: {"sqlalchemy_engine: Statements._timed.timed (1)"},
    test_a_timer_that_fails: {"loop_lag: _Heart._beat"},
    test_what_is_made_is_made: {"makers: Makers._tell", "makers: Makers._attach_to_asyncpg"},
    test_what_is_alive_stays: {"everything: Everything._join_living", "everything: Everything.begin"},
}


def _fails(*_arguments: Any, **_keywords: Any) -> Any:
    raise OursError("mark-7f3a9c")


def _dsn(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _watched(target: Any) -> Iterator[Instrumentation]:
    gauge = Instrumentation(Settings(store=None), lambda _: None, SystemClock())
    with closing(gauge):
        gauge.attach(target, "shop")
        yield gauge


def test_every_guarded_place_is_reached() -> None:
    """A new place that guards itself belongs to an application here, or has a test of its own."""
    assert set.union(*PLACES.values(), *BESIDES.values()) == guarded_places()
