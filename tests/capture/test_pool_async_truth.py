"""What is told of an asynchronous engine's pool is what the pool and the server say, cancellations included."""

import asyncio
import gc
from typing import Any, Self

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SAWarning
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, Pool, StaticPool

from capture.scenarios import SLOW, begun, kill, wait_until
from databases.engines import NewAsyncEngine, NewEngine
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

ONE = text("SELECT 1")
SESSIONS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND application_name <> 'assistant'"
)
POOLS = (AsyncAdaptedQueuePool, NullPool, StaticPool)
USERS = 50


class Watched:
    """An asynchronous engine on PostgreSQL, measured once it was used, and the independent witnesses."""

    def __init__(self, engine: AsyncEngine, assistant: Engine) -> None:
        self.engine = engine
        self.assistant = assistant
        self.gauge: Instrumentation

    async def __aenter__(self) -> Self:
        # SQLAlchemy's first connection asks the server for its version; its checkin is no matter of the pool's.
        await (await self.engine.connect()).close()
        await self.engine.dispose()
        self.gauge = instrument(self.engine, store=None, enable_logging=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gauge.close()

    async def check(self, in_use: int) -> None:
        """Fails unless everything told is true; a session that the driver ended may live on for a moment."""
        snapshot, metrics = self.gauge.pool.get_current_snapshot(), self.gauge.pool.get_metrics()
        pool: Any = self.engine.pool
        is_queue = isinstance(pool, AsyncAdaptedQueuePool)
        assert snapshot.active_connections == (pool.checkedout() if is_queue else in_use) == in_use
        assert snapshot.waiting_count == 0
        assert (snapshot.pool_class, snapshot.driver) == (type(pool).__name__, "asyncpg")
        assert metrics.total_checkouts == metrics.total_checkins + metrics.leaks + in_use
        assert self.gauge.report_data().self_metrics.hook_errors == 0
        held = snapshot.active_connections + snapshot.idle_connections
        await asyncio.to_thread(wait_until, lambda: self.sessions() == held)

    def sessions(self) -> int:
        """Connections that the server has, the assistant's aside."""
        with self.assistant.connect() as connection:
            return int(connection.execute(SESSIONS).scalar_one())


@pytest.fixture
def watch(new_async_engine: NewAsyncEngine, new_engine: NewEngine) -> Any:
    """`watch(poolclass=…)` is a measured asynchronous engine, within `async with`."""

    def made(**options: Any) -> Watched:
        engine = new_async_engine("asyncpg", **options)
        url = engine.url.set(drivername="postgresql+psycopg")
        options = {"poolclass": NullPool, "connect_args": {"application_name": "assistant"}}
        return Watched(engine, new_engine("psycopg", url=url, **options))

    return made


async def test_before_it_is_used(new_async_engine: NewAsyncEngine) -> None:
    """Whoever looks at a pool makes no queue for it: the pool's own, made at the same moment, would be lost."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None, enable_logging=False) as gauge:
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.idle_connections) == (0, 0)
        assert "_queue" not in vars(engine.pool._pool)  # type: ignore[attr-defined]
    await engine.dispose()


@pytest.mark.parametrize("pool", POOLS)
async def test_use(watch: Any, pool: type[Pool]) -> None:
    """Checked out, it is in use; given back, it is idle or closed; disposed of, the pool is empty."""
    async with watch(poolclass=pool) as watched:
        for _ in range(3):
            async with watched.engine.connect() as connection:
                await connection.execute(ONE)
                await watched.check(1)
            await watched.check(0)
            await watched.engine.dispose()
            await watched.check(0)


@pytest.mark.parametrize("pool", POOLS)
async def test_invalidate(watch: Any, pool: type[Pool]) -> None:
    """An invalidated connection is closed, and its place in the pool is free for a new one."""
    async with watch(poolclass=pool) as watched:
        async with watched.engine.connect() as connection:
            await connection.execute(ONE)
            await connection.invalidate()
            await watched.check(0)
            await connection.rollback()
            await connection.execute(ONE)
            await watched.check(1)
        await watched.check(0)


@pytest.mark.parametrize("pool", POOLS)
async def test_leak(watch: Any, pool: type[Pool]) -> None:
    """A connection that nobody gave back is told as a leak, though no event says that it came back."""
    async with watch(poolclass=pool) as watched:
        connection = await watched.engine.connect()
        await connection.execute(ONE)
        del connection
        with pytest.warns(SAWarning, match="garbage collector"):
            gc.collect()
        assert watched.gauge.pool.get_metrics().leaks == 1
        await watched.check(0)


@pytest.mark.parametrize("pool", POOLS)
async def test_cancelled_statement(watch: Any, pool: type[Pool]) -> None:
    """A statement that is cancelled costs its connection, which is counted as lost."""
    async with watch(poolclass=pool) as watched:

        async def work() -> None:
            async with watched.engine.connect() as connection:
                await connection.execute(text(SLOW["postgresql"]))

        task = asyncio.create_task(work())
        session = await asyncio.to_thread(begun, watched.assistant, SLOW["postgresql"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The driver's own request to the server may come too late to be heard.
        await asyncio.to_thread(kill, watched.assistant, session)
        metrics = watched.gauge.pool.get_metrics()
        assert metrics.lost_to_cancellation == 1
        ids = {stats.query_pattern: stats.pattern_id for stats in watched.gauge.queries.get_query_stats()}
        assert metrics.lost_by_pattern == {ids["SELECT pg_sleep(?)"]: 1}
        await watched.check(0)


async def test_cancelled_wait(watch: Any) -> None:
    """A task that is cancelled while it waits for a connection waits no more, and is no error."""
    async with watch(pool_size=1, max_overflow=0) as watched:
        async with watched.engine.connect() as connection:
            waiting = asyncio.create_task(watched.engine.connect().start())
            await asyncio.sleep(0)
            assert watched.gauge.pool.get_current_snapshot().waiting_count == 1
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await connection.execute(ONE)
            await watched.check(1)
        await watched.check(0)
        metrics = watched.gauge.pool.get_metrics()
        assert (metrics.total_requests, metrics.total_checkouts, metrics.total_errors) == (2, 1, 0)


async def test_pool_timeout(watch: Any) -> None:
    """Whoever gives up waiting is a timeout and waits no more."""
    async with watch(pool_size=1, max_overflow=0, pool_timeout=0.01) as watched:
        async with watched.engine.connect() as connection:
            with pytest.raises(PoolTimeoutError):
                await watched.engine.connect()
            await connection.execute(ONE)
            await watched.check(1)
        metrics = watched.gauge.pool.get_metrics()
        assert (metrics.total_requests, metrics.total_timeouts, metrics.total_errors) == (2, 1, 0)


async def test_attached_late(watch: Any) -> None:
    """A pool that was in use before is told as it is."""
    watched = watch()
    connections = [await watched.engine.connect() for _ in range(3)]
    for connection in connections[1:]:
        await connection.close()
    with instrument(watched.engine, store=None, enable_logging=False) as gauge:
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.idle_connections) == (1, 2)
        await connections[0].close()
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.idle_connections) == (0, 3)
        assert gauge.pool.get_metrics().total_checkins == 0


async def test_attached_late_without_a_queue(watch: Any) -> None:
    """So is one that keeps its connection in no queue, and what is sent past SQLAlchemy on it counts as well."""
    watched = watch(poolclass=StaticPool)
    connection = await watched.engine.connect()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    with instrument(watched.engine, store=None, enable_logging=False) as gauge:
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.idle_connections) == (1, 0)
        await driver.fetch("SELECT 1")
        assert [stats.query_pattern for stats in gauge.queries.get_query_stats()] == ["SELECT ?"]
        await connection.close()
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.idle_connections) == (0, 1)


@pytest.mark.parametrize("pool_size", [5, USERS])
async def test_many_tasks(watch: Any, pool_size: int) -> None:
    """Fifty tasks at once, some of them cancelled: nothing drifts."""
    rounds = 20
    async with watch(pool_size=pool_size, max_overflow=0, pool_timeout=60) as watched:

        async def use(user: int) -> None:
            for _ in range(rounds):
                async with watched.engine.connect() as connection:
                    await connection.execute(ONE)
                    if user % 10 == 9:
                        raise asyncio.CancelledError

        tasks = [asyncio.create_task(use(user)) for user in range(USERS)]
        await asyncio.sleep(0)
        for task in tasks[10:15]:
            task.cancel()  # while it waits for a connection, or opens one
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ended} == {type(None), asyncio.CancelledError}
        await watched.check(0)
        metrics = watched.gauge.pool.get_metrics()
        assert metrics.total_checkouts == 5 + (USERS - 5 - 5) * rounds
        assert metrics.peak_active <= pool_size
