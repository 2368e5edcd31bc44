"""Beneath SQLAlchemy's asyncpg connections, what an application sends itself is counted, and nothing twice."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from databases.engines import NewAsyncEngine
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.values import QueryStats

ONE = text("SELECT 1")


def counted(gauge: Instrumentation) -> dict[str, int]:
    """Executions by pattern, transaction control included, and what SQLAlchemy asks a server at first left out."""
    return {stats.query_pattern: stats.execution_count for stats in _wanted(gauge)}


def _wanted(gauge: Instrumentation) -> list[QueryStats]:
    return [stats for stats in gauge.queries.get_query_stats() if stats.pattern.category in {"query", "transaction"}]


async def driver_of(connection: Any) -> Any:
    """The connection of asyncpg itself."""
    return (await connection.get_raw_connection()).driver_connection


async def test_both_ways_are_counted_once(new_async_engine: NewAsyncEngine) -> None:
    """SQLAlchemy's statement where SQLAlchemy sends it, the application's own where asyncpg does."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.begin() as connection:
            await connection.execute(ONE)
            driver = await driver_of(connection)
            assert await driver.fetchval("SELECT 2 AS two") == 2
            await driver.execute("CREATE TABLE t (a int)")
            await driver.copy_records_to_table("t", records=[(1,), (2,)])
            await connection.execute(ONE)
        assert counted(gauge) == {
            "SELECT ?": 2,
            "SELECT ? AS two": 1,
            "CREATE TABLE t (a int)": 1,
            'COPY "t" FROM STDIN (FORMAT binary)': 1,
        }


async def test_a_transaction_of_its_own_is_counted(new_async_engine: NewAsyncEngine) -> None:
    """The driver's BEGIN and COMMIT are the application's; those that SQLAlchemy lets it send are not."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            driver = await driver_of(connection)
            async with driver.transaction():
                await driver.fetch("SELECT 2 AS two")
            await connection.execute(ONE)
            await connection.commit()
            await connection.execute(ONE)
            await connection.rollback()
        assert counted(gauge) == {"BEGIN": 1, "SELECT ? AS two": 1, "COMMIT": 1, "SELECT ?": 2}


async def test_a_savepoint_within_sqlalchemys_transaction_is_the_applications(new_async_engine: NewAsyncEngine) -> None:
    """It is neither the BEGIN nor the COMMIT of SQLAlchemy."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.begin() as connection:
            await connection.execute(ONE)
            driver = await driver_of(connection)
            async with driver.transaction():
                await driver.fetch("SELECT 2 AS two")
        found = counted(gauge)
    assert {pattern.split(" ")[0]: count for pattern, count in found.items()} == {
        "SELECT": 1,
        "SAVEPOINT": 1,
        "RELEASE": 1,
    }


async def test_a_stream_is_counted_once(new_async_engine: NewAsyncEngine) -> None:
    """Its fetches go past SQLAlchemy's own statements and are part of it."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            result = await connection.stream(text("SELECT generate_series(1, 200)"))
            assert len([row async for row in result]) == 200
        assert counted(gauge) == {"SELECT generate_series(?)": 1}


async def test_a_ping_is_no_statement(new_async_engine: NewAsyncEngine) -> None:
    """`pool_pre_ping` and our own health check are nobody's statements."""
    engine = new_async_engine("asyncpg", pool_pre_ping=True)
    with instrument(engine, store=None) as gauge:
        for _ in range(3):
            async with engine.connect() as connection:
                await connection.execute(ONE)
        assert counted(gauge) == {"SELECT ?": 3}


@pytest.mark.parametrize("is_late", [False, True])
async def test_connections_that_were_open_before_are_watched(
    new_async_engine: NewAsyncEngine, *, is_late: bool
) -> None:
    """Those that wait in the pool when the engine is instrumented as well as new ones."""
    engine = new_async_engine("asyncpg")
    if is_late:
        async with engine.connect() as connection:
            await connection.execute(ONE)
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            await (await driver_of(connection)).fetch("SELECT 2 AS two")
        assert counted(gauge) == {"SELECT ? AS two": 1}


async def test_a_failure_is_counted_once(new_async_engine: NewAsyncEngine) -> None:
    """Whoever sent the statement, one execution failed."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            with pytest.raises(Exception, match="division by zero"):
                await connection.execute(text("SELECT 1 / 0"))
            await connection.rollback()
            driver = await driver_of(connection)
            with pytest.raises(Exception, match="division by zero"):
                await driver.fetch("SELECT 1 / 0 AS two")
        errors = {stats.query_pattern: stats.error_count for stats in _wanted(gauge)}
    assert errors == {"SELECT ? / ?": 1, "SELECT ? / ? AS two": 1}


async def test_all_of_it_ends_with_the_gauge(new_async_engine: NewAsyncEngine) -> None:
    """The driver's connection is left as it was found."""
    engine: AsyncEngine = new_async_engine("asyncpg")
    async with engine.connect() as connection:
        protocol = (await driver_of(connection))._protocol
    with instrument(engine, store=None):
        assert "query" in vars(protocol)
    assert not {"query", "bind_execute", "prepare"} & vars(protocol).keys()
    assert "do_ping" not in vars(engine.dialect)


async def test_a_holder_tells_what_the_application_sent_itself(new_async_engine: NewAsyncEngine) -> None:
    """The last pattern of a checkout is the last, whichever way it went."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            await connection.execute(ONE)
            await (await driver_of(connection)).fetch("SELECT 2 AS two")
            [holder] = gauge.pool.get_current_snapshot().holders
        ids = {stats.query_pattern: stats.pattern_id for stats in gauge.queries.get_query_stats()}
    assert holder.pattern_id == ids["SELECT ? AS two"]


async def test_tasks_do_not_mix(new_async_engine: NewAsyncEngine) -> None:
    """Twenty tasks, each both ways on a connection of its own."""
    engine = new_async_engine("asyncpg", pool_size=5, max_overflow=5)

    async def both() -> None:
        async with engine.connect() as connection:
            await connection.execute(ONE)
            await (await driver_of(connection)).fetch("SELECT 2 AS two")

    with instrument(engine, store=None) as gauge:
        await asyncio.gather(*(both() for _ in range(20)))
        assert counted(gauge) == {"SELECT ?": 20, "SELECT ? AS two": 20}
