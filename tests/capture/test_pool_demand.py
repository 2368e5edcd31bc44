"""The demand of real pools, of SQLAlchemy and of asyncpg: what the application wanted, whatever became of it."""

import asyncio
import gc
import threading
import warnings
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool, SingletonThreadPool

from databases.engines import NewAsyncEngine, NewDatabase, NewEngine
from querygauge import instrument
from querygauge.gauge import Instrumentation
from querygauge.values import Demand

USERS = 6


def demand_of(gauge: Instrumentation) -> Demand:
    """The demand so far, which must have every request and end with nobody left."""
    metrics = gauge.pool.get_metrics()
    assert metrics.demand.request_count == metrics.total_requests
    assert gauge.pool._counters.demand._level == 0
    return metrics.demand


@pytest.mark.parametrize("driver", ["sqlite3", "psycopg", "pymysql"])
def test_threads_that_want_more_than_there_is(new_engine: NewEngine, driver: str) -> None:
    """Six at once over a pool of two: the sixth met five others, and six would have served all of them."""
    engine = new_engine(driver, poolclass=QueuePool, pool_size=1, max_overflow=1, pool_timeout=30)
    with instrument(engine, store=None) as gauge:
        asked = threading.Barrier(USERS, timeout=30)
        asked_for: list[int] = []

        def work() -> None:
            asked.wait()
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                all_asked.wait(30)

        all_asked = threading.Event()
        threads = [threading.Thread(target=work) for _ in range(USERS)]
        for thread in threads:
            thread.start()
        while len(gauge.pool.ledger().asked) + len(gauge.pool.ledger().held) < USERS:
            asked_for.append(1)
        all_asked.set()
        for thread in threads:
            thread.join()
        demand = demand_of(gauge)
        assert demand.requests == dict.fromkeys(range(USERS), 1)
        assert (demand.limit, demand.needed(1.0)) == (2, USERS)
        assert demand.full_ns == sum(spent for level, spent in demand.times_ns.items() if level >= 2) > 0


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg", "aiomysql"])
async def test_tasks_that_want_more_than_there_is(new_async_engine: NewAsyncEngine, driver: str) -> None:
    """The same under asyncio."""
    engine = new_async_engine(driver, pool_size=1, max_overflow=1)
    with instrument(engine, store=None) as gauge:

        async def work() -> None:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

        await asyncio.gather(*(work() for _ in range(USERS)))
        demand = demand_of(gauge)
        assert (demand.request_count, demand.limit, demand.needed(1.0)) == (USERS, 2, USERS)


async def test_a_pool_of_asyncpg(new_database: NewDatabase) -> None:
    """Those who wait, time out, are cancelled, or hold two at once."""
    dsn = new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        with instrument(pool, store=None) as gauge:
            async with pool.acquire() as first, pool.acquire():
                await first.fetch("SELECT 1")
                with pytest.raises(TimeoutError):
                    await pool.acquire(timeout=0.01)
                waiting = asyncio.ensure_future(pool.acquire())
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
            demand = demand_of(gauge)
            assert (demand.requests, demand.limit, demand.needed(1.0)) == ({0: 1, 1: 1, 2: 2}, 2, 3)


def test_whatever_becomes_of_a_connection(new_engine: NewEngine) -> None:
    """Timed out, detached, invalidated, leaked, handed out twice, disposed meanwhile: it is wanted until then."""
    warnings.simplefilter("ignore", ResourceWarning)  # of the connection that is detached
    engine = new_engine("sqlite3", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with instrument(engine, store=None) as gauge:
        with engine.connect() as connection:
            with pytest.raises(PoolTimeoutError):
                engine.connect()
            connection.invalidate()
        with engine.connect() as connection:
            connection.detach()
        leaked: Any = engine.connect()
        del leaked
        gc.collect()
        with engine.connect():
            engine.dispose()
        assert demand_of(gauge).requests == {0: 4, 1: 1}


def test_a_connection_that_is_handed_out_again_is_wanted_once(new_engine: NewEngine) -> None:
    """A pool that hands a thread what it holds already."""
    engine = new_engine("sqlite3", poolclass=SingletonThreadPool)
    with instrument(engine, store=None) as gauge:
        with engine.connect(), engine.connect():
            pass
        demand = demand_of(gauge)
        assert (demand.requests, demand.limit, demand.full_ns) == ({0: 1, 1: 1}, 0, 0)
