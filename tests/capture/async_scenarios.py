"""
What goes wrong between an asynchronous application and its database; as `scenarios`, for what only a loop can do.

Cancellations and timeouts strike when the server says that the statement runs, so nothing here depends on timing.
"""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from capture.scenarios import SLOW, Facts, begun, kill, state, told

__all__ = ["ASYNC", "AsyncScenario"]

AsyncScenario = Callable[[AsyncEngine, Engine], Awaitable[Facts]]


@asynccontextmanager
async def _slow(
    connection: AsyncConnection, assistant: Engine
) -> AsyncIterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    """A statement that does not end before this block does, and a function that waits until it runs."""
    dialect = assistant.dialect.name
    if dialect != "sqlite":
        sessions: list[int] = []

        async def runs() -> None:
            sessions.append(await asyncio.to_thread(begun, assistant, SLOW[dialect]))

        yield SLOW[dialect], runs
        with suppress(DBAPIError):  # it may be gone already
            await asyncio.to_thread(kill, assistant, *sessions)
        return
    is_running, may_end = threading.Event(), threading.Event()

    def hold() -> int:
        is_running.set()
        may_end.wait()
        return 1

    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.create_function("hold", 0, hold)
    releasing = asyncio.create_task(asyncio.to_thread(is_running.wait))
    try:
        # The driver's thread cannot be stopped; what waits for it, such as a rollback, needs the statement to end.
        releasing.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(may_end.set))
        yield "SELECT hold()", lambda: releasing
    finally:
        is_running.set()
        may_end.set()


async def _failing(connection: AsyncConnection, work: Callable[[], Awaitable[Any]]) -> Facts:
    """What `work` raises, what the connection is then, and whether it works again after a rollback."""
    sync = connection.sync_connection
    assert sync is not None
    try:
        await work()
    except BaseException as error:  # noqa: BLE001  # whatever it is, both engines must raise the same
        facts: Facts = [told(error), state(sync)]
    else:
        return ["nothing was raised", state(sync)]
    try:
        await connection.rollback()
        facts.append(await connection.scalar(text("SELECT 1")))
        await connection.rollback()
    except SQLAlchemyError as error:
        facts.append(told(error))
    return [*facts, state(sync)]


async def timed_out(engine: AsyncEngine, assistant: Engine) -> Facts:
    """`asyncio.timeout` around a statement."""
    async with engine.connect() as connection, _slow(connection, assistant) as (slow, runs):

        async def strike(limit: asyncio.Timeout) -> None:
            await runs()
            limit.reschedule(asyncio.get_running_loop().time())

        async def work() -> None:
            async with asyncio.timeout(None) as timeout:
                striking = asyncio.create_task(strike(timeout))
                try:
                    await connection.execute(text(slow))
                finally:
                    await striking

        return await _failing(connection, work)


async def cancelled(engine: AsyncEngine, assistant: Engine) -> Facts:
    """A task that is cancelled while its statement runs."""
    async with engine.connect() as connection, _slow(connection, assistant) as (slow, runs):
        task = asyncio.create_task(_failing(connection, lambda: connection.execute(text(slow))))
        await runs()
        task.cancel()
        return await task


async def cancelled_waiting(engine: AsyncEngine, assistant: Engine) -> Facts:
    """A task that is cancelled while it waits for a connection; the next one still gets it."""
    pool: Any = engine.pool
    pool._pool.maxsize, pool._overflow, pool._max_overflow, pool._timeout = 1, -1, 0, 60
    async with engine.connect() as connection:
        waiting = asyncio.create_task(engine.connect().start())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        facts: Facts = []
        try:
            await waiting
        except BaseException as error:  # noqa: BLE001  # whatever it is, both engines must raise the same
            facts += [told(error), pool.checkedout()]
        next_one = asyncio.create_task(engine.connect().start())
        await asyncio.sleep(0)
        await connection.close()
        another = await next_one
        facts += [await another.scalar(text("SELECT 1")), pool.checkedout()]
        await another.close()
    return [*facts, pool.checkedout(), pool.checkedin()]


async def abandoned_stream(engine: AsyncEngine, assistant: Engine) -> Facts:
    """A generator over a stream of rows that nobody reads to its end."""

    async def rows() -> AsyncIterator[Any]:
        async with engine.connect() as connection:
            async for row in await connection.stream(text("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")):
                yield row

    reading = rows()
    facts = [tuple(await anext(reading)), engine.pool.checkedout()]  # type: ignore[attr-defined]
    await reading.aclose()  # type: ignore[attr-defined]
    return [*facts, engine.pool.checkedout()]  # type: ignore[attr-defined]


async def leaked(engine: AsyncEngine, assistant: Engine) -> Facts:
    """A connection that nobody closes: the garbage collector does, and SQLAlchemy warns."""
    connection = await engine.connect()
    facts = [await connection.scalar(text("SELECT 1"))]
    del connection
    gc.collect()
    return [*facts, engine.pool.checkedout()]  # type: ignore[attr-defined]


_ALL = ("sqlite", "postgresql", "mysql")
ASYNC: dict[AsyncScenario, tuple[str, ...]] = {
    timed_out: _ALL,
    cancelled: _ALL,
    cancelled_waiting: _ALL,
    abandoned_stream: _ALL,
    leaked: _ALL,
}
