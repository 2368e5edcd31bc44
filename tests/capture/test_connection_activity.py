"""Who holds a connection is told with what it does there: a statement, an open transaction, or nothing."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from databases.engines import NewAsyncEngine, NewEngine
from querygauge.capture.connection_activity import activity_of
from querygauge.errors import SettingsError
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.values import Holder

ONE = text("SELECT 1")


def holder(gauge: Instrumentation) -> Holder:
    """The one who holds a connection."""
    [found] = gauge.pool.get_current_snapshot().holders
    return found


def id_of(gauge: Instrumentation, pattern: str) -> str:
    """The id of a pattern by its text."""
    return next(stats.pattern_id for stats in gauge.queries.get_query_stats() if stats.query_pattern == pattern)


def test_every_driver_tells_an_open_transaction(sync_engine: Engine) -> None:
    """Nothing before the first statement, idle in transaction after it, and idle again once that has ended."""
    with instrument(sync_engine, store=None) as gauge, sync_engine.connect() as connection:
        before = holder(gauge).activity
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
        within = holder(gauge).activity
        connection.commit()
        assert (before, within, holder(gauge).activity) == ("idle", "idle in transaction", "idle")


async def test_every_asynchronous_driver_tells_an_open_transaction(async_engine: AsyncEngine) -> None:
    """As the synchronous ones do."""
    with instrument(async_engine, store=None) as gauge:
        async with async_engine.connect() as connection:
            await connection.execute(text("CREATE TABLE t (a INTEGER)"))
            await connection.execute(text("INSERT INTO t VALUES (1)"))
            within = holder(gauge).activity
            await connection.commit()
            assert (within, holder(gauge).activity) == ("idle in transaction", "idle")


def test_a_statement_under_way_is_active() -> None:
    """While the server works, whoever looks sees so, with the pattern that was sent before."""
    engine = create_engine("sqlite://", poolclass=QueuePool, connect_args={"check_same_thread": False})
    is_running, may_end = threading.Event(), threading.Event()

    @event.listens_for(engine, "connect")
    def add_function(connection: Any, _entry: object) -> None:
        connection.create_function("hold", 0, wait)

    def wait() -> None:
        is_running.set()
        may_end.wait()

    def hold() -> None:
        with engine.connect() as connection:
            connection.execute(ONE)
            connection.execute(text("SELECT hold()"))

    with instrument(engine, store=None) as gauge:
        thread = threading.Thread(target=hold)
        thread.start()
        assert is_running.wait(10)
        found = holder(gauge)
        may_end.set()
        thread.join()
        assert found.activity == "active"
        assert found.pattern_id == id_of(gauge, "SELECT ?")
    engine.dispose()


async def test_a_failed_transaction_is_idle_in_transaction(new_async_engine: NewAsyncEngine) -> None:
    """It holds its locks until it is rolled back."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            with pytest.raises(Exception, match="division by zero"):
                await connection.execute(text("SELECT 1 / 0"))
            assert holder(gauge).activity == "idle in transaction"


def test_an_unknown_driver_is_no_trouble() -> None:
    """Where nobody can tell, nothing is told."""

    class Strange:
        @property
        def info(self) -> object:
            raise RuntimeError("closed")

    assert activity_of(Strange()) is None
    assert activity_of(object()) is None


def test_a_timeout_tells_what_the_holders_do(new_engine: NewEngine) -> None:
    """The alert of a caller that gave up lists who holds the pool: age, line, last pattern, and what it is at."""
    engine = new_engine("psycopg", pool_size=1, max_overflow=0, pool_timeout=0.01)
    told: list[dict[str, Any]] = []
    is_told = threading.Event()

    def remember(alert_type: str, data: dict[str, Any]) -> None:
        if alert_type == "connection_timeout":
            told.append(data)
            is_told.set()

    with instrument(engine, store=None) as gauge:
        gauge.pool.add_alert_handler(remember)
        with engine.connect() as connection:
            connection.execute(ONE)
            with pytest.raises(Exception, match="QueuePool limit"):
                engine.connect()
        assert is_told.wait(10)
        pattern_id = id_of(gauge, "SELECT ?")
    [held] = told[0]["holders"]
    assert (held["activity"], held["pattern_id"]) == ("idle in transaction", pattern_id)
    assert "test_a_timeout_tells_what_the_holders_do" in held["call_site"]
    assert held["age_s"] > 0


def test_a_known_holder_raises_no_alarm(new_engine: NewEngine) -> None:
    """What is checked out inside of `long_hold` is shown with its reason, and is no long checkout."""
    engine = new_engine("sqlite3")
    told: list[str] = []
    with instrument(engine, store=None, long_checkout_s=1e-9) as gauge:
        gauge.pool.add_alert_handler(lambda alert_type, _: told.append(alert_type))
        with gauge.long_hold("listens for notifications"), engine.connect():
            gauge.poll()
            assert holder(gauge).reason == "listens for notifications"
        with engine.connect():
            assert holder(gauge).reason is None
            gauge.poll()
    assert told == ["long_checkout"]


async def test_a_reason_is_of_its_task(new_async_engine: NewAsyncEngine) -> None:
    """Another task's checkout meanwhile has none."""
    engine = new_async_engine("aiosqlite")
    with instrument(engine, store=None) as gauge:
        has_both, holds = asyncio.Event(), asyncio.Event()

        async def known() -> None:
            with gauge.long_hold("batch"):
                async with engine.connect():
                    holds.set()
                    await has_both.wait()

        task = asyncio.create_task(known())
        await holds.wait()
        async with engine.connect():
            assert {found.reason for found in gauge.pool.get_current_snapshot().holders} == {"batch", None}
            has_both.set()
        await task


@pytest.mark.parametrize("reason", ["", "  ", None, 3])
def test_a_reason_must_be_told(new_engine: NewEngine, reason: Any) -> None:
    """An empty one would tell nobody why."""
    gauge = instrument(new_engine("sqlite3"), store=None)
    with pytest.raises(SettingsError, match="reason must be a text that is not empty"), gauge, gauge.long_hold(reason):
        pass
