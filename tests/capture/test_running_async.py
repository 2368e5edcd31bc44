"""What runs on asynchronous drivers is seen before it ends, with the line of the await that waits for it."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import NullPool

from capture.held_statements import HELD, PATIENT, Locked, ahead
from databases.engines import ASYNC_DRIVERS, NewAsyncEngine, NewDatabase
from querygauge import scope
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.values import RunningQuery

HERE = Path(__file__)
Lines = list[str]
# A row is not there before the lock of its number is released.
SLOW_ROWS = "SELECT pg_advisory_xact_lock_shared(held) FROM generate_series(1, 100) AS held"


def watched(target: Any, **settings: Any) -> Instrumentation:
    """A gauge in memory, to whose call sites these tests are the application."""
    return instrument(target, **{"store": None, "name": "shop", "app_root": HERE.parent, **settings})


@asynccontextmanager
async def locked(url: URL) -> AsyncIterator[Locked]:
    """The table `held` of a database, made and locked, and released at the end at the latest."""
    lock = await asyncio.to_thread(Locked, url)
    try:
        yield lock
    finally:
        await asyncio.to_thread(lock.release)


async def held_in(
    gauge: Instrumentation, count: int = 1, at: Iterable[str] | None = None, is_on_loop: bool = False
) -> list[RunningQuery]:
    """
    So many statements that wait for the lock, as another thread sees them.

    Args:
        gauge: Who is asked.
        count: How many there have to be.
        at: Their lines, once all of them wait: of a task that the loop runs at this very moment nobody can tell.
        is_on_loop: Whether the loop itself asks.
    """
    async with asyncio.timeout(60):
        while True:
            running = gauge.running(0) if is_on_loop else await asyncio.to_thread(gauge.running, 0)
            found = [query for query in running if "held" in query.query_pattern]
            if len(found) == count and (at is None or {query.call_site for query in found} == set(at)):
                return found
            await asyncio.sleep(0.01)


@asynccontextmanager
async def tasks(*works: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Tasks that do this; they have to end by themselves at the end of the block."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)
        yield


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_every_await_has_its_line(new_async_engine: NewAsyncEngine, driver: str) -> None:
    """Connections, sessions, generators and `run_sync`, all at once; with the scope that each is in."""
    engine = new_async_engine(driver, **PATIENT.get(driver, {}))
    lines: dict[str, str] = {}

    async def execute() -> None:
        async with engine.connect() as connection:
            lines["execute"] = ahead()
            await connection.execute(text(HELD))

    async def session() -> None:
        with scope("GET /held"):
            async with AsyncSession(engine) as session:
                lines["session"] = ahead()
                await session.scalars(text(HELD))

    async def rows() -> AsyncIterator[Any]:
        async with engine.connect() as connection:
            lines["rows"] = ahead()
            for row in await connection.execute(text(HELD)):
                yield row

    async def generator() -> None:
        async for _ in rows():
            pass

    def synchronous(connection: Connection) -> None:
        lines["synchronous"] = ahead()
        connection.execute(text(HELD))

    async def run_sync() -> None:
        async with engine.connect() as connection:
            await connection.run_sync(synchronous)

    with watched(engine) as gauge:
        async with locked(engine.url) as lock, tasks(execute(), session(), generator(), run_sync()):
            found = await held_in(gauge, 4, lines.values())
            await held_in(gauge, 4, lines.values(), is_on_loop=True)
            await asyncio.to_thread(lock.release)
        assert gauge.running(0) == ()
        assert gauge.report_data().self_metrics.hook_errors == 0
    assert {query.call_site: query.scope for query in found if query.scope} == {lines["session"]: "GET /held"}
    assert {query.pattern.text for query in found} == {HELD}


async def test_a_task_without_a_line_has_that_of_the_checkout(new_async_engine: NewAsyncEngine) -> None:
    """Where a library's coroutine is a task itself, the line that asked for the connection is told."""
    engine = new_async_engine("asyncpg")
    async with locked(engine.url) as lock:
        with watched(engine) as gauge:
            line = ahead()
            async with engine.connect() as connection:
                executing = asyncio.ensure_future(connection.execute(text(HELD)))
                [found] = await held_in(gauge)
                await asyncio.to_thread(lock.release)
                await executing
    assert found.call_site == line


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_cancelled_statement_runs_no_more(new_async_engine: NewAsyncEngine, driver: str) -> None:
    """Whoever left, left nothing behind."""
    engine = new_async_engine(driver, **PATIENT.get(driver, {}))

    async def work() -> None:
        async with engine.connect() as connection:
            await connection.execute(text(HELD))

    async with locked(engine.url) as lock:
        with watched(engine) as gauge:
            task = asyncio.create_task(work())
            await held_in(gauge)
            task.cancel()
            # aiosqlite's own thread goes on, and whoever closes the connection waits for it.
            await asyncio.to_thread(lock.release)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert gauge.running(0) == ()


async def test_a_stream_is_seen_while_its_rows_are_fetched(new_async_engine: NewAsyncEngine) -> None:
    """SQLAlchemy's server-side cursor over asyncpg: at the line that fetches, and not between two fetches."""
    engine = new_async_engine("asyncpg")
    lines: Lines = []

    async def work() -> None:
        async with engine.connect() as connection:
            result = await connection.stream(text(SLOW_ROWS))  # takes 50 rows and more at once
            assert gauge.running(0) == ()
            lines.append(ahead())
            async for _ in result:
                pass
            assert gauge.running(0) == ()

    with watched(engine) as gauge:
        async with _advisory_lock(engine.url, 90) as release, tasks(work()):
            await held_in(gauge, at=lines)
            await release()


async def test_a_server_side_cursor_of_psycopg_is_seen_while_it_is_declared(new_async_engine: NewAsyncEngine) -> None:
    """Its fetches pass nobody who could tell; between them nothing is told, which is right."""
    engine: AsyncEngine = new_async_engine("asyncpg")
    engine = new_async_engine("asyncpg", url=engine.url.set(drivername="postgresql+psycopg"))
    async with locked(engine.url) as lock:
        with watched(engine) as gauge:

            async def work() -> None:
                async with engine.connect() as connection:
                    async for _ in await connection.stream(text(HELD)):
                        assert gauge.running(0) == ()

            async with tasks(work()):
                assert len(await held_in(gauge)) == 1
                await asyncio.to_thread(lock.release)
            assert gauge.running(0) == ()


@pytest.fixture
def url(new_database: NewDatabase) -> URL:
    """An empty database."""
    return new_database("asyncpg")


@pytest.fixture
def dsn(url: URL) -> str:
    """The same, as asyncpg wants it named."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def _fetch(connection: Any, lines: Lines) -> None:
    lines.append(ahead())
    await connection.fetch(HELD)


async def _execute(connection: Any, lines: Lines) -> None:
    lines.append(ahead())
    await connection.execute("INSERT INTO held VALUES (2)")


async def _executemany(connection: Any, lines: Lines) -> None:
    lines.append(ahead())
    await connection.executemany("INSERT INTO held VALUES ($1)", [(2,), (3,)])


async def _prepare(connection: Any, lines: Lines) -> None:
    lines.append(ahead())
    statement = await connection.prepare("UPDATE held SET a = $1")
    await statement.fetch(7)


async def _copy(connection: Any, lines: Lines) -> None:
    lines.append(ahead())
    await connection.copy_to_table("held", source=io.BytesIO(b"8\n9\n"))


async def _cursor(connection: Any, lines: Lines) -> None:
    async with connection.transaction():
        lines.append(ahead())
        async for _ in connection.cursor(HELD):
            pass


_WORKS = [_fetch, _execute, _executemany, _prepare, _copy, _cursor]


async def test_raw_asyncpg_each_way_has_its_line(dsn: str, url: URL) -> None:
    """Whatever method sent it, on connections of a pool, several at once."""
    pool = await asyncpg.create_pool(dsn, min_size=0, max_size=len(_WORKS))
    lines: Lines = []

    async def work(way: Callable[[Any, Lines], Awaitable[None]]) -> None:
        with scope(way.__name__):
            async with pool.acquire() as connection:
                await way(connection, lines)

    with watched(pool) as gauge:
        async with locked(url) as lock, tasks(*(work(way) for way in _WORKS)):
            found = await held_in(gauge, len(_WORKS), lines)
            await asyncio.to_thread(lock.release)
        assert gauge.running(0) == ()
        assert gauge.report_data().self_metrics.hook_errors == 0
    await pool.close()
    assert {query.scope for query in found} == {way.__name__ for way in _WORKS}


async def test_a_single_connection_is_looked_at_too(dsn: str, url: URL) -> None:
    """One that belongs to no pool, whose loop nobody told of."""
    connection = await asyncpg.connect(dsn)
    lines: Lines = []
    with watched(connection) as gauge:
        async with locked(url) as lock, tasks(_fetch(connection, lines)):
            [found] = await held_in(gauge, at=lines)
            await asyncio.to_thread(lock.release)
        assert gauge.running(0) == ()
    await connection.close()
    assert found.target == "shop"


async def test_a_cursor_runs_while_it_fetches(dsn: str, url: URL) -> None:
    """Between two fetches the connection is idle in its transaction; a fetch is as old as all of them together."""
    pool = await asyncpg.create_pool(dsn, min_size=0, max_size=1)
    lines: Lines = []

    async def work() -> None:
        async with pool.acquire() as connection, connection.transaction():
            cursor = await connection.cursor(SLOW_ROWS)
            assert gauge.running(0) == ()
            await cursor.fetchrow()
            assert gauge.running(0) == ()
            assert [holder.activity for holder in gauge.pool.get_current_snapshot().holders] == ["idle in transaction"]
            lines.append(ahead())
            await cursor.fetchrow()
            assert gauge.running(0) == ()
            await cursor.forward(1)
            assert gauge.running(0) == ()

    with watched(pool) as gauge:
        async with _advisory_lock(url, 2) as release, tasks(work()):
            [found] = await held_in(gauge, at=lines)
            await release()
        [stats] = [stats for stats in gauge.queries.get_query_stats() if "held" in stats.query_pattern]
    await pool.close()
    assert found.pattern == stats.pattern


@asynccontextmanager
async def _advisory_lock(url: URL, row: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The lock that `SLOW_ROWS` needs for that row, and what gives it back."""
    engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    connection = await asyncio.to_thread(engine.connect)
    await asyncio.to_thread(connection.execute, text(f"SELECT pg_advisory_lock({row})"))

    async def release() -> None:
        await asyncio.to_thread(connection.execute, text("SELECT pg_advisory_unlock_all()"))

    try:
        yield release
    finally:
        await asyncio.to_thread(connection.close)


async def test_a_connection_that_is_terminated_has_nothing_running(dsn: str, url: URL) -> None:
    """Not when its server ends it, nor when the application does, in the middle of a statement."""
    pool = await asyncpg.create_pool(dsn, min_size=0, max_size=2)
    errors: list[BaseException] = []

    async def work(take: asyncio.Future[Any]) -> None:
        async with pool.acquire() as connection:
            take.set_result(connection)
            try:
                await connection.fetch(HELD)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                errors.append(error)
                assert [query for query in gauge.running(0) if query.call_site is None] == []

    with watched(pool) as gauge:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        async with locked(url), tasks(work(first), work(second)):
            await held_in(gauge, 2)
            (await first).terminate()
            await held_in(gauge, 1)
            assistant = await asyncpg.connect(dsn)
            await assistant.execute("SELECT pg_terminate_backend($1)", (await second).get_server_pid())
            await held_in(gauge, 0)
            await assistant.close()
        assert gauge.running(0) == ()
    pool.terminate()
    assert len(errors) == 2


async def test_many_tasks_are_looked_at_while_they_run(new_async_engine: NewAsyncEngine) -> None:
    """Another thread that reads their frames all the time breaks nothing, and tells nobody's line but theirs."""
    engine = new_async_engine("asyncpg", pool_size=20)
    is_over = False

    async def work() -> None:
        while not is_over:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1 AS one"))
                await connection.execute(text("SELECT pg_sleep(0.001)"))

    def look() -> set[str | None]:
        sites: list[str | None] = []
        while len(sites) < 1_000:
            sites += [query.call_site for query in gauge.running(0)]
        return set(sites)

    with watched(engine) as gauge:
        async with tasks(*(work() for _ in range(15))):
            sites = await asyncio.to_thread(look)
            is_over = True
        assert gauge.report_data().self_metrics.hook_errors == 0
        assert gauge.running(0) == ()
    assert all(site is not None and site.endswith(" in work") for site in sites)
