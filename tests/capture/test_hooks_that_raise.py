"""A hook that raises is counted, logged once and finally taken off; the application never knows."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

import querygauge
from capture.scenarios import Facts, told
from databases.engines import NewDatabase, NewEngine
from injections.applications import over_engine
from querygauge.capture import sqlalchemy_engine, sqlalchemy_pool
from querygauge.capture.call_site import CallSiteFinder
from querygauge.capture.guard import FAILURES_LIMIT
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.monitors.pool_recorder import PoolRecorder
from querygauge.monitors.query_monitor import QueryMonitor
from querygauge.patterns.cache import PatternCache


class OursError(Exception):
    """What goes wrong in our code."""


def boom(*_arguments: Any, **_keywords: Any) -> Any:
    """Fails, with a value in its message that must not come out."""
    raise OursError("mark-7f3a9c")


def broken_recorder(_monitor: QueryMonitor, *_arguments: Any) -> Any:
    """A monitor whose record function fails."""
    return boom


def broken_ledger(found: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A pool monitor whose steps fail, each of them and at once."""

    def ledger(recorder: Any) -> Any:
        return found(recorder)._replace(sees=boom, folds=boom, judges=boom, fold_at=1, high_wait_ns=0)

    return ledger


Broken = Callable[[pytest.MonkeyPatch], None]
# What may fail inside hooks.
BROKEN: dict[str, Broken] = {
    "pattern": lambda patch: patch.setattr(PatternCache, "pattern_for", boom),
    "call site": lambda patch: patch.setattr(CallSiteFinder, "find", boom),
    "record": lambda patch: patch.setattr(QueryMonitor, "recorder", broken_recorder),
    "wake": lambda patch: patch.setattr(QueryMonitor, "wake", boom),
    "failure of a statement": lambda patch: patch.setattr(sqlalchemy_engine, "failure_of", boom),
    "failure of a connect": lambda patch: patch.setattr(sqlalchemy_pool, "failure_of", boom),
    "ledger": lambda patch: patch.setattr(PoolRecorder, "ledger", broken_ledger(PoolRecorder.ledger)),
    **{
        name: lambda patch, name=name: patch.setattr(PoolRecorder, name, boom)  # type: ignore[misc]
        for name in (
            "record_timeout", "record_error", "record_abandoned", "record_create_time", "record_leak", "record_lost"
        )
    },
}  # fmt: skip


def work(engine: Engine) -> Facts:
    """Every way through the hooks, and what the application sees of it."""
    return over_engine(engine, lambda: None)


def methods(owner: Any) -> dict[str, Any]:
    """What stands on an instance in place of its class's methods."""
    return {name: value for name, value in vars(owner).items() if callable(value)}


def watched(engine: Engine) -> Instrumentation:
    """A gauge that looks at every execution as closely as it can."""
    return instrument(
        engine, name="shop", store=None, slow_query_threshold_ms=0, call_sites="all", enable_logging=False
    )


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("driver", ["sqlite3", "psycopg"])
def test_a_failing_hook(
    what: str, driver: str, new_database: NewDatabase, new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results, exceptions and states are untouched; each failing hook is logged once, without its message."""
    warnings.simplefilter("ignore", ResourceWarning)  # of the connection that `work` detaches
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01, "url": new_database(driver)}
    bare = work(new_engine(driver, **options))
    BROKEN[what](monkeypatch)
    engine = new_engine(driver, **options)
    with capture_logs() as events, watched(engine) as gauge:
        assert work(engine) == bare
        failures = gauge.report_data().self_metrics.hook_errors
    failed = [event for event in events if event["event"] == "hook_failed"]
    assert len({event["hook"] for event in failed}) == len(failed)
    assert {(event["target"], event["error"]) for event in failed} <= {("shop", "OursError")}
    assert "mark-7f3a9c" not in str(events)
    if what not in {"record_abandoned", "record_error", "record_lost", "failure of a connect"}:  # nothing failed so
        assert failures >= len(failed) > 0


def test_a_refused_connection(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a server that is not there arrives as it is, though our note of it failed."""
    for what in ("record_error", "failure of a connect"):
        BROKEN[what](monkeypatch)
    url = new_engine("psycopg").url.set(host="127.0.0.1", port=1, query={})
    facts: list[Any] = []
    bare, ours = new_engine("psycopg", url=url), new_engine("psycopg", url=url)
    with watched(ours) as gauge:
        for engine in (bare, ours):
            with pytest.raises(DBAPIError) as raised:
                engine.connect()
            facts.append(told(raised.value))
        assert facts[0] == facts[1]
        assert gauge.report_data().self_metrics.hook_errors == 1


def test_hooks_that_keep_failing_are_taken_off(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a hundred failures the engine is as it was before, the log says so, and the gauge still closes."""
    engine = new_engine("sqlite3")
    engine.connect().close()  # the dialect learns what it talks to
    before = methods(engine.dialect), methods(engine.pool)
    BROKEN["pattern"](monkeypatch)
    with capture_logs() as events, watched(engine) as gauge:
        with engine.connect() as connection:
            for number in range(FAILURES_LIMIT + 50):
                assert connection.exec_driver_sql(f"SELECT {number}").scalar() == number
        assert (methods(engine.dialect), methods(engine.pool)) == before
        assert gauge.report_data().self_metrics.hook_errors == FAILURES_LIMIT
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert [event["event"] for event in events] == ["hook_failed", "hooks_detached"]
    assert events[1]["log_level"] == "error"


def test_a_broken_log(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an application's broken log handler lets a failing hook through to the query."""
    import structlog

    engine = new_engine("sqlite3")
    BROKEN["pattern"](monkeypatch)
    before = structlog.get_config()
    structlog.configure(processors=[boom])
    try:
        with watched(engine) as gauge, engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
            assert gauge.report_data().self_metrics.hook_errors == 1
    finally:
        structlog.configure(**before)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_orders_to_stop_pass(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    """An order to stop that arrives while a hook runs is the application's, and passes through."""

    def stop(*_arguments: Any) -> Any:
        raise kind

    engine = new_engine("sqlite3")
    monkeypatch.setattr(PatternCache, "pattern_for", stop)
    with watched(engine) as gauge, engine.connect() as connection:
        with pytest.raises(kind):
            connection.execute(text("SELECT 1"))
        assert gauge.report_data().self_metrics.hook_errors == 0


def test_a_listener_of_the_application(new_engine: NewEngine) -> None:
    """What the application's own pool listener raises is raised, and no failure of ours."""
    engine = new_engine("sqlite3")

    def refuse(*_arguments: Any) -> None:
        raise LookupError("the application's own")

    with querygauge.instrument(engine, store=None, enable_logging=False) as gauge:
        event.listen(engine, "checkout", refuse)
        with pytest.raises(LookupError):
            engine.connect()
        event.remove(engine, "checkout", refuse)
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.waiting_count) == (0, 0)
        assert gauge.report_data().self_metrics.hook_errors == 0
