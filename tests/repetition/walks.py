"""Programs that go through a table part by part, or through a cursor: each part is asked for once."""

from collections.abc import Sequence

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Engine, and_, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, joinedload, selectinload

from repetition.corpus import innocent, wait
from repetition.shop import MANY, Job, Post, User

PAGE = 40


@innocent("moving pagination")
def by_offset(engine: Engine) -> None:
    """Page after page, until one is empty."""
    with Session(engine) as session:
        offset = 0
        while session.scalars(select(Job).order_by(Job.id).limit(PAGE).offset(offset)).all():
            offset += PAGE


@innocent("moving pagination", on="psycopg", is_scoped=False)
def by_offset_outside_of_a_scope(engine: Engine) -> None:
    """A script; one use of a connection."""
    with engine.connect() as connection:
        for page in range(8):
            connection.execute(select(Job.id).where(~Job.is_done).order_by(Job.id).limit(20).offset(20 * page)).all()


@innocent("moving pagination")
def by_offset_within_the_text(engine: Engine) -> None:
    """The numbers are written into the statement."""
    with engine.connect() as connection:
        for page in range(8):
            connection.exec_driver_sql(f"SELECT id FROM jobs ORDER BY id LIMIT {PAGE} OFFSET {page * PAGE}").all()


@innocent("moving pagination", on="pymysql")
def by_offset_on_mysql(engine: Engine) -> None:
    """Offset and limit, parted by a comma."""
    with engine.connect() as connection:
        for page in range(8):
            connection.execute(text("SELECT id FROM jobs LIMIT :skipped, :size"), {"skipped": page * 20, "size": 20})


@innocent("moving pagination")
def by_key(engine: Engine) -> None:
    """Each page goes on after the last row of the one before."""
    with Session(engine) as session:
        last = 0
        while jobs := session.scalars(select(Job).where(Job.id > last).order_by(Job.id).limit(PAGE)).all():
            last = jobs[-1].id


@innocent("moving pagination", on="psycopg")
def by_two_keys(engine: Engine) -> None:
    """A pair that is compared as one."""
    last = ("", 0)
    with engine.connect() as connection:
        for _ in range(7):
            after = tuple_(Job.state, Job.id) > last
            rows = connection.execute(select(Job.state, Job.id).where(after).order_by(Job.state, Job.id).limit(PAGE))
            last = tuple(rows.all()[-1])  # type: ignore[assignment]  # a row has the two columns


@innocent("moving pagination")
def by_two_keys_at_length(engine: Engine) -> None:
    """The same where pairs cannot be compared."""
    state, last = "", 0
    with Session(engine) as session:
        for _ in range(7):
            after = or_(Job.state > state, and_(Job.state == state, Job.id > last))
            jobs = session.scalars(select(Job).where(after).order_by(Job.state, Job.id).limit(PAGE)).all()
            state, last = jobs[-1].state, jobs[-1].id


@innocent("moving pagination")
def backwards(engine: Engine) -> None:
    """From the newest to the oldest."""
    with Session(engine) as session:
        before = MANY + 1
        while jobs := session.scalars(select(Job).where(Job.id < before).order_by(Job.id.desc()).limit(PAGE)).all():
            before = jobs[-1].id


@innocent("moving pagination")
def window_by_window(engine: Engine) -> None:
    """Ranges of ids."""
    with engine.connect() as connection:
        for first in range(1, MANY, PAGE):
            connection.execute(select(Job).where(Job.id.between(first, first + PAGE - 1))).all()


@innocent("moving pagination")
def with_what_belongs_to_each(engine: Engine) -> None:
    """Pages, and an eager load for each of them."""
    with Session(engine) as session:
        for page in range(8):
            query = select(Post).options(selectinload(Post.comments), joinedload(Post.author))
            session.scalars(query.order_by(Post.id).limit(3).offset(3 * page)).all()


@innocent("moving pagination", on="pool")
async def asyncpg_by_key(pool: asyncpg.Pool) -> None:
    """asyncpg, a connection for each page."""
    last = 0
    while rows := await pool.fetch("SELECT id FROM jobs WHERE id > $1 ORDER BY id LIMIT $2", last, PAGE):
        last = rows[-1]["id"]


@innocent("moving pagination", on="pool")
async def asyncpg_by_offset(pool: asyncpg.Pool) -> None:
    """asyncpg, prepared once."""
    async with pool.acquire() as connection:
        statement = await connection.prepare("SELECT id FROM jobs WHERE NOT is_done ORDER BY id OFFSET $1 LIMIT $2")
        for page in range(8):
            await statement.fetch(page * 20, 20)


@innocent("moving pagination", on="asyncpg")
async def asynchronously_by_fetch_first(engine: AsyncEngine) -> None:
    """The standard's words for it."""
    async with AsyncSession(engine) as session:
        for page in range(8):
            await session.execute(select(Job).order_by(Job.id).offset(page * 20).fetch(20))


@innocent("moving pagination")
def until_nothing_waits(engine: Engine) -> None:
    """The same query each time, and other rows, as those of before are done by now."""
    with Session(engine) as session:
        while jobs := session.scalars(select(Job).where(Job.is_done.is_(False)).limit(PAGE)).all():
            for job in jobs:
                job.is_done = True
            session.flush()


@innocent("moving pagination")
def until_nothing_waits_in_order(engine: Engine) -> None:
    """As above, sorted: the same five oldest are asked for each time, and are others."""
    with Session(engine) as session:
        while jobs := session.scalars(select(Job).where(~Job.is_done).order_by(Job.id).limit(PAGE)).all():
            for job in jobs:
                job.is_done = True
            session.flush()


def chunks(size: int) -> list[Sequence[int]]:
    """The ids of all jobs, in parts."""
    return [range(first, min(first + size, MANY + 1)) for first in range(1, MANY + 1, size)]


@innocent("disjoint long IN chunks")
def objects_by_their_ids(engine: Engine) -> None:
    """Fifty at a time."""
    with Session(engine) as session:
        for ids in chunks(50):
            session.scalars(select(Job).where(Job.id.in_(ids))).all()


@innocent("disjoint long IN chunks", on="psycopg", is_scoped=False)
def rows_by_their_ids(engine: Engine) -> None:
    """A last chunk that is shorter."""
    with engine.connect() as connection:
        for ids in chunks(55):
            connection.execute(select(Job.state).where(Job.id.in_(ids), Job.state != "gone")).all()


@innocent("disjoint long IN chunks", on="pool")
async def asyncpg_by_an_array(pool: asyncpg.Pool) -> None:
    """One parameter with all of them."""
    for ids in chunks(50):
        await pool.fetch("SELECT id, state FROM jobs WHERE id = ANY($1)", list(ids))


@innocent("disjoint long IN chunks", on="pymysql")
def deleted_by_their_ids(engine: Engine) -> None:
    """A DELETE for each chunk."""
    with Session(engine) as session:
        for ids in chunks(50):
            session.execute(Job.__table__.delete().where(Job.id.in_(ids)))  # type: ignore[attr-defined]  # a table


@innocent("disjoint long IN chunks")
def within_the_text(engine: Engine) -> None:
    """The ids are written into the statement."""
    with engine.connect() as connection:
        for ids in chunks(50):
            listed = ", ".join(map(str, ids))
            connection.exec_driver_sql(f"SELECT state FROM jobs WHERE id IN ({listed})").all()


@innocent("disjoint long IN chunks", on="asyncpg")
async def by_names(engine: AsyncEngine) -> None:
    """Strings."""
    async with AsyncSession(engine) as session:
        for ids in chunks(50):
            await session.scalars(select(User).where(User.name.in_([f"user {number}" for number in ids])))


@innocent("server-side cursors", on="psycopg")
def streamed(engine: Engine) -> None:
    """A cursor on the server, ten rows at a time."""
    with engine.connect() as connection:
        result = connection.execution_options(yield_per=10).execute(select(Job.id))
        assert sum(len(rows) for rows in result.partitions()) == MANY


@innocent("server-side cursors", on="psycopg")
def a_cursor_by_hand(engine: Engine) -> None:
    """DECLARE and FETCH."""
    with engine.begin() as connection:
        connection.execute(text("DECLARE all_jobs CURSOR FOR SELECT id FROM jobs"))
        while connection.execute(text("FETCH 20 FROM all_jobs")).all():
            pass


@innocent("server-side cursors", on="asyncpg")
async def streamed_asynchronously(engine: AsyncEngine) -> None:
    """`stream`, with what belongs to each ten."""
    query = select(Post).options(selectinload(Post.comments)).execution_options(yield_per=3)
    async with AsyncSession(engine) as session:
        async for posts in (await session.stream_scalars(query)).partitions():
            assert all(post.comments for post in posts)


@innocent("server-side cursors", on="pool")
async def asyncpg_cursor(pool: asyncpg.Pool) -> None:
    """Rows in tens, as asyncpg prefetches them."""
    async with pool.acquire() as connection, connection.transaction():
        assert [row async for row in connection.cursor("SELECT id FROM jobs", prefetch=10)]


@innocent("server-side cursors", on="pool")
async def asyncpg_fetches(pool: asyncpg.Pool) -> None:
    """And as the application asks for them."""
    async with pool.acquire() as connection, connection.transaction():
        cursor = await connection.cursor("SELECT id FROM jobs")
        while await cursor.fetch(20):
            pass


@innocent("server-side cursors")
def in_parts_without_a_cursor(engine: Engine) -> None:
    """`fetchmany` on a result that is here already."""
    with engine.connect() as connection:
        result = connection.execute(select(Job.id))
        while result.fetchmany(20):
            wait(0.001)
