"""Programs whose tasks or threads send at the same time: the same query each, or each its own."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from querygauge import scope
from repetition.corpus import finds, innocent
from repetition.shop import Base, Post, Profile, Setting, Team, User

TASKS = 8
LONG_ENOUGH = "SELECT name, pg_sleep(0.1) FROM users WHERE id = "  # for all to have begun before the first has ended


@finds("fan-out", "likely", "a semaphore", on="pool")
async def gathered(pool: asyncpg.Pool) -> None:
    """A connection for each."""
    query = LONG_ENOUGH + "$1"
    await asyncio.gather(*(fetch(pool, query, number) for number in range(1, TASKS + 1)))


async def fetch(pool: asyncpg.Pool, query: str, *arguments: object) -> None:
    """One query of a task."""
    await pool.fetch(query, *arguments)


@finds("fan-out", "likely", "a semaphore", on="asyncpg")
async def sessions_gathered(engine: AsyncEngine) -> None:
    """A session for each."""

    async def load(number: int) -> None:
        async with AsyncSession(engine) as session:
            await session.execute(text(LONG_ENOUGH + ":id"), {"id": number})

    await asyncio.gather(*map(load, range(1, TASKS + 1)))


@finds("fan-out", "likely", "a semaphore", on="asyncpg")
async def a_group_of_tasks(engine: AsyncEngine) -> None:
    """Tasks of a group, which write."""

    async def save(number: int) -> None:
        async with AsyncSession(engine) as session:
            query = text("UPDATE users SET visits = visits + 1 WHERE id = :id AND pg_sleep(0.1) IS NOT NULL")
            await session.execute(query, {"id": number})
            await session.commit()

    async with asyncio.TaskGroup() as tasks:
        for number in range(1, TASKS + 1):
            tasks.create_task(save(number))


@finds("fan-out", "likely", "a semaphore", on="asyncpg")
async def the_same_for_each(engine: AsyncEngine) -> None:
    """Each asks for the same, and for a connection."""

    async def load() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT value, pg_sleep(0.1) FROM settings WHERE name = 'zone'"))

    await asyncio.gather(*(load() for _ in range(TASKS)))


def meeting_in_the_database(engine: Engine, size: int) -> None:
    """Makes `meet()` wait, inside of a query, until so many have come."""
    barrier = threading.Barrier(size)

    @event.listens_for(engine, "connect")
    def add(connection: object, _: object) -> None:
        connection.create_function("meet", 0, lambda: barrier.wait(30))  # type: ignore[attr-defined]  # sqlite3's


@finds("fan-out", "likely", "a semaphore")
def threads_that_know_the_scope(engine: Engine) -> None:
    """A thread and a connection for each."""
    meeting_in_the_database(engine, TASKS)

    def load(number: int) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT name, meet() FROM users WHERE id = :id"), {"id": number}).all()

    with ThreadPoolExecutor(TASKS) as threads:
        for number in range(1, TASKS + 1):
            threads.submit(copy_context().run, load, number)


@finds("fan-out", "likely", "a semaphore")
def in_threads_of_a_loop(engine: Engine) -> None:
    """`asyncio.to_thread` takes the scope along."""
    meeting_in_the_database(engine, TASKS)

    def load(number: int) -> None:
        with Session(engine) as session:
            session.scalars(select(User).where(User.id == number, func.meet() >= 0)).one()

    async def work() -> None:
        await asyncio.gather(*(asyncio.to_thread(load, number) for number in range(1, TASKS + 1)))

    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(TASKS))
        runner.run(work(), context=copy_context())


@finds("loop", "likely", "= ANY(…)", on="pool")
async def tasks_of_which_one_runs_at_a_time(pool: asyncpg.Pool) -> None:
    """A semaphore makes a loop of them."""
    one_at_a_time = asyncio.Semaphore(1)

    async def load(number: int) -> None:
        async with one_at_a_time:
            await pool.fetch("SELECT name FROM users WHERE id = $1", number)

    await asyncio.gather(*map(load, range(1, TASKS + 1)))


@innocent("several tasks with one query each", on="pool")
async def each_its_own(pool: asyncpg.Pool) -> None:
    """A page that is put together from six queries."""
    await asyncio.gather(
        pool.fetch("SELECT name, pg_sleep(0.02) FROM users"),
        pool.fetch("SELECT title, pg_sleep(0.02) FROM posts"),
        pool.fetch("SELECT name, pg_sleep(0.02) FROM teams"),
        pool.fetch("SELECT name, pg_sleep(0.02) FROM tags LIMIT 1"),
        pool.fetch("SELECT city, pg_sleep(0.02) FROM profiles LIMIT 1"),
        pool.fetch("SELECT value, pg_sleep(0.02) FROM settings"),
    )


@innocent("several tasks with one query each", on="asyncpg")
async def each_its_own_session(engine: AsyncEngine) -> None:
    """The same with sessions, from one line."""

    async def load(model: type[Base]) -> None:
        async with AsyncSession(engine) as session:
            await session.scalars(select(model))

    await asyncio.gather(*map(load, (User, Post, Team, Setting, Profile)))


@innocent("several tasks with one query each", on="asyncpg", is_scoped=False)
async def requests_at_the_same_time(engine: AsyncEngine) -> None:
    """Eight requests to one endpoint, a scope each."""

    async def answer(number: int) -> None:
        with scope("GET /users/{id}"):
            async with AsyncSession(engine) as session:
                await session.get(User, number)

    await asyncio.gather(*map(answer, range(1, TASKS + 1)))


@innocent("several tasks with one query each", on="pool", is_scoped=False)
async def tasks_without_a_scope(pool: asyncpg.Pool) -> None:
    """Eight consumers of a queue, which have nothing to do with each other."""
    query = LONG_ENOUGH + "$1"
    await asyncio.gather(*(fetch(pool, query, number) for number in range(1, TASKS + 1)))


@innocent("several tasks with one query each", is_scoped=False)
def threads_of_a_server(engine: Engine) -> None:
    """Requests in threads, a scope each."""

    def answer(number: int) -> None:
        with scope("GET /users/{id}"), Session(engine) as session:
            session.get(User, number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(answer, range(1, TASKS + 1)))


@innocent("several tasks with one query each", on="pool")
async def four_at_once(pool: asyncpg.Pool) -> None:
    """Below the threshold."""
    query = LONG_ENOUGH + "$1"
    await asyncio.gather(*(fetch(pool, query, number) for number in range(4)))
