"""Programs that send the same again to learn what has changed, or to take the next."""

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Engine, Sequence, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, selectinload

from querygauge import scope
from repetition.corpus import Expected, innocent, wait
from repetition.shop import Job, User, one

ONE_JOB = (
    "UPDATE jobs SET is_done = true WHERE id ="
    " (SELECT id FROM jobs WHERE NOT is_done LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
)


@innocent("polling")
def a_job_that_is_waited_for(engine: Engine) -> None:
    """Once a second, within one scope."""
    for _ in range(8):
        with engine.connect() as connection:
            connection.execute(select(Job.is_done).where(Job.id == 1)).scalar_one()
        wait(1)


@innocent("polling", is_scoped=False)
def on_a_connection_of_its_own(engine: Engine) -> None:
    """For hours, without a scope."""
    with engine.connect() as connection:
        for _ in range(8):
            connection.execute(text("SELECT count(*) FROM jobs WHERE is_done = 0")).scalar_one()
            wait(5)


@innocent("polling", is_scoped=False)
def a_scope_for_each_look(engine: Engine) -> None:
    """A job of a scheduler."""
    for _ in range(8):
        with scope("look for jobs"), Session(engine) as session:
            session.scalars(select(Job).where(Job.is_done.is_(False)).limit(1)).first()


@innocent("polling", on="pool")
async def asyncpg_polls(pool: asyncpg.Pool) -> None:
    """Ten times a second."""
    for _ in range(8):
        await pool.fetchval("SELECT is_done FROM jobs WHERE id = $1", 1)
        wait(0.1)


@innocent("polling")
def one_object_that_changes(engine: Engine) -> None:
    """Refreshed until somebody has done it."""
    with Session(engine) as session:
        job = one(session, Job, 1)
        for _ in range(8):
            session.refresh(job)


@innocent("polling")
def one_object_after_each_commit(engine: Engine) -> None:
    """The progress of a job: one object, expired by each commit."""
    with Session(engine) as session:
        job = one(session, Job, 1)
        for _ in range(8):
            session.commit()
            assert job.is_done is False


@innocent("polling")
def two_objects_after_each_commit(engine: Engine) -> None:
    """One line that compares them."""
    with Session(engine) as session:
        first, second = one(session, User, 1), one(session, User, 2)
        for _ in range(8):
            session.commit()
            assert first.visits == second.visits


@innocent("polling")
def one_object_with_what_belongs_to_it(engine: Engine) -> None:
    """A refresh loads again what was loaded with it."""
    with Session(engine) as session:
        user = session.scalars(select(User).options(selectinload(User.posts)).limit(1)).one()
        for _ in range(8):
            session.refresh(user)


@innocent("polling", flagged=(Expected("lazy-load", "likely"),))
def two_collections_that_change(engine: Engine) -> None:
    """Expired by hand, and read again: the ORM's word for it is a lazy load."""
    with Session(engine) as session:
        users = session.scalars(select(User).limit(2)).all()
        for _ in range(5):
            for user in users:
                session.expire(user, ["posts"])
                assert user.posts


@innocent("polling", on="asyncpg")
async def asynchronously_read_again(engine: AsyncEngine) -> None:
    """An endpoint that tells what happens, while somebody listens."""
    async with AsyncSession(engine) as session:
        for _ in range(8):
            await session.scalars(select(Job).where(Job.id == 1).execution_options(populate_existing=True))
            wait(0.5)


@innocent("queues, sequences and locks", on="psycopg")
def one_job_after_the_other(engine: Engine) -> None:
    """A worker takes the next that nobody has locked."""
    query = select(Job.id).where(~Job.is_done).limit(1).with_for_update(skip_locked=True)
    with engine.connect() as connection:
        for _ in range(8):
            connection.execute(query).scalar_one()
            connection.commit()


@innocent("queues, sequences and locks", on="psycopg")
def jobs_that_are_due(engine: Engine) -> None:
    """As above, with the time of now."""
    query = text("SELECT id FROM jobs WHERE id > :now ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    with engine.connect() as connection:
        for now in range(100, 108):
            connection.execute(query, {"now": now}).scalar_one()
            connection.commit()


@innocent("queues, sequences and locks", on="pool")
async def asyncpg_takes_jobs(pool: asyncpg.Pool) -> None:
    """Taken and marked by one statement."""
    for _ in range(8):
        await pool.fetchval(ONE_JOB)


@innocent("queues, sequences and locks", on="psycopg")
def the_next_number(engine: Engine) -> None:
    """A sequence has another each time."""
    numbers = Sequence("numbers")
    with engine.begin() as connection:
        numbers.create(connection)
        assert len({connection.execute(numbers.next_value()).scalar_one() for _ in range(8)}) == 8


@innocent("queues, sequences and locks", on="pool")
async def asyncpg_next_number(pool: asyncpg.Pool) -> None:
    """By name."""
    async with pool.acquire() as connection:
        for _ in range(8):
            await connection.fetchval("SELECT nextval($1::regclass)", "comments_id_seq")


@innocent("queues, sequences and locks", on="psycopg")
def locks_by_number(engine: Engine) -> None:
    """One lock after the other; the order matters."""
    with engine.begin() as connection:
        for number in range(8):
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


@innocent("queues, sequences and locks", on="pool")
async def a_lock_that_is_free(pool: asyncpg.Pool) -> None:
    """Tried until one is."""
    async with pool.acquire() as connection:
        for number in range(8):
            assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", number)


@innocent("queues, sequences and locks", on="pool")
async def told_to_others(pool: asyncpg.Pool) -> None:
    """A notification for each event."""
    async with pool.acquire() as connection:
        for number in range(8):
            await connection.execute("SELECT pg_notify('events', $1)", f"event {number}")


@innocent(
    "queues, sequences and locks",
    flagged=(Expected("write-loop", "likely"),),
)
def a_queue_without_locks(engine: Engine) -> None:
    """The first that waits is done, and then the next is the first."""
    with Session(engine) as session:
        for _ in range(8):
            job = session.scalars(select(Job).where(~Job.is_done).order_by(Job.id).limit(1)).one()
            job.is_done = True
            session.flush()


@innocent("health checks")
def before_each_use(engine: Engine) -> None:
    """An application that trusts no connection."""
    for _ in range(8):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1")).scalar_one()


@innocent("health checks", is_scoped=False)
def asked_by_an_orchestrator(engine: Engine) -> None:
    """An endpoint that says whether the database is there."""
    for _ in range(20):
        with scope("GET /health"), engine.connect() as connection:
            connection.execute(select(1)).scalar_one()


@innocent("health checks", on="pool")
async def asyncpg_is_asked(pool: asyncpg.Pool) -> None:
    """Whether it is there."""
    for _ in range(8):
        await pool.fetchval("SELECT 1")


@innocent("health checks", on="psycopg")
def the_clock_of_the_database(engine: Engine) -> None:
    """Another answer each time."""
    with engine.connect() as connection:
        for _ in range(8):
            connection.execute(select(func.clock_timestamp(), func.random())).one()


@innocent("answers that change")
def drained_by_core(engine: Engine) -> None:
    """The first ones, until there are none: the question is the same, and the rows are gone."""
    query = select(Job.id).order_by(Job.id).limit(25)
    with engine.begin() as connection:
        while ids := connection.scalars(query).all():
            connection.execute(delete(Job).where(Job.id.in_(ids)))


@innocent("answers that change", is_scoped=False)
def drained_by_the_orm(engine: Engine) -> None:
    """On one connection, without a scope."""
    query = select(Job).order_by(Job.id).limit(25)
    with engine.connect() as connection, Session(connection) as session:
        while jobs := session.scalars(query).all():
            session.execute(delete(Job).where(Job.id.in_([job.id for job in jobs])))


@innocent("answers that change", on="asyncpg")
async def drained_asynchronously(engine: AsyncEngine) -> None:
    """One connection for each part, within one scope."""
    query = select(Job.id).where(~Job.is_done).order_by(Job.id).limit(25)
    while True:
        async with AsyncSession(engine) as session:
            ids = (await session.scalars(query)).all()
            if not ids:
                break
            await session.execute(update(Job).where(Job.id.in_(ids)).values(is_done=True))
            await session.commit()


@innocent("answers that change", on="pool")
async def drained_by_asyncpg(pool: asyncpg.Pool) -> None:
    """Without SQLAlchemy, and a count that is asked for after each part."""
    async with pool.acquire() as connection:
        while await connection.fetchval("SELECT count(*) FROM jobs"):
            rows = await connection.fetch("SELECT id FROM jobs ORDER BY id LIMIT 25")
            await connection.execute("DELETE FROM jobs WHERE id = ANY($1)", [row["id"] for row in rows])


@innocent("answers that change")
def drained_by_batches(engine: Engine) -> None:
    """What a flush deletes together is one execution with many sets of parameters."""
    query = select(Job).order_by(Job.id).limit(25)
    with Session(engine) as session:
        while jobs := session.scalars(query).all():
            for job in jobs:
                session.delete(job)
            session.commit()
