"""Programs that look as if they wrote row by row, and write in batches, in one flush, or what was refused before."""

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import sqlalchemy as sa
from sqlalchemy import Engine, delete, insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, selectinload

from repetition.corpus import innocent
from repetition.shop import Comment, Counter, Job, Manager, Node, Post, Setting, Tag, Team, User, one


@innocent("executemany")
def a_list_of_rows(engine: Engine) -> None:
    """One operation of a thousand rows."""
    with engine.begin() as connection:
        connection.execute(insert(Comment), [{"post_id": 1, "text": str(number)} for number in range(1_000)])


@innocent("executemany", on="psycopg")
def lists_of_rows(engine: Engine) -> None:
    """A list after the other, each one operation."""
    with engine.begin() as connection:
        for _ in range(8):
            connection.execute(
                text("INSERT INTO comments (post_id, text) VALUES (:post, :text)"),
                [{"post": 1, "text": str(number)} for number in range(20)],
            )


@innocent("executemany", on="pymysql")
def updates_in_a_list(engine: Engine) -> None:
    """Sets of parameters for an UPDATE."""
    with engine.begin() as connection:
        for _ in range(6):
            connection.execute(
                text("UPDATE users SET visits = visits + 1 WHERE id = :id"), [{"id": number} for number in range(1, 9)]
            )


@innocent("executemany")
def rows_in_one_statement(engine: Engine) -> None:
    """`VALUES` with sixty rows, once for each sixty."""
    with engine.begin() as connection:
        for _ in range(8):
            connection.execute(insert(Comment).values([{"post_id": 1, "text": str(row)} for row in range(60)]))


@innocent("executemany", on="pool")
async def asyncpg_executemany(pool: asyncpg.Pool) -> None:
    """As asyncpg has it."""
    async with pool.acquire() as connection:
        for _ in range(8):
            rows = [(1, f"comment {number}") for number in range(20)]
            await connection.executemany("INSERT INTO comments (post_id, text) VALUES ($1, $2)", rows)


@innocent("executemany", on="pool")
async def asyncpg_copy(pool: asyncpg.Pool) -> None:
    """COPY, a part after the other."""
    async with pool.acquire() as connection:
        for _ in range(8):
            rows = [(1, f"comment {number}") for number in range(20)]
            await connection.copy_records_to_table("comments", records=rows, columns=["post_id", "text"])


@innocent("insertmanyvalues", on="psycopg")
def a_list_of_rows_with_their_ids(engine: Engine) -> None:
    """SQLAlchemy makes batches of them."""
    with engine.begin() as connection:
        rows = [{"post_id": 1, "text": str(number)} for number in range(2_500)]
        assert len(connection.execute(insert(Comment).returning(Comment.id), rows).all()) == 2_500


@innocent("insertmanyvalues")
def a_list_of_objects(engine: Engine) -> None:
    """What `add_all` and one flush make of them."""
    with Session(engine) as session:
        session.add_all([Comment(post_id=1, text=f"comment {number}") for number in range(50)])
        session.commit()


@innocent("insertmanyvalues", on="asyncpg")
async def lists_of_objects(engine: AsyncEngine) -> None:
    """A flush for each twenty."""
    async with AsyncSession(engine) as session:
        for _ in range(8):
            session.add_all([Comment(post_id=1, text=f"comment {number}") for number in range(20)])
            await session.flush()


@innocent("unit of work")
def rows_that_go_one_by_one(engine: Engine) -> None:
    """Without insertmanyvalues a flush sends row by row, to learn each id."""
    plain = sa.create_engine(engine.url, use_insertmanyvalues=False)
    with plain.connect() as connection:
        assert connection.dialect.use_insertmanyvalues is False
    engine.dialect.use_insertmanyvalues = False
    with Session(engine) as session:
        session.add_all([Comment(post_id=1, text=f"comment {number}") for number in range(20)])
        session.commit()
    plain.dispose()


@innocent("unit of work", on="pymysql")
def a_flush_on_mysql(engine: Engine) -> None:
    """Where there is no RETURNING each id is asked for."""
    with Session(engine) as session:
        session.add_all([Tag(name=f"tag {number}") for number in range(20)])
        session.commit()


@innocent("unit of work")
def changes_of_one_flush(engine: Engine) -> None:
    """Each UPDATE checks the version of its row."""
    with Session(engine) as session:
        for counter in session.scalars(sa.select(Counter)):
            counter.hits += 1
        session.commit()


@innocent("unit of work", on="psycopg")
def expressions_of_one_flush(engine: Engine) -> None:
    """Values that the database works out go one by one."""
    with Session(engine) as session:
        for user in session.scalars(sa.select(User)):
            user.visits = User.visits + user.id
        session.commit()


@innocent("unit of work")
def deletions_of_one_flush(engine: Engine) -> None:
    """Ten objects and one flush."""
    with Session(engine) as session:
        for counter in session.scalars(sa.select(Counter)):
            session.delete(counter)
        session.commit()


@innocent("unit of work")
def deletions_of_what_was_loaded(engine: Engine) -> None:
    """A cascade that has all it needs."""
    with Session(engine) as session:
        for post in session.scalars(sa.select(Post).options(selectinload(Post.comments), selectinload(Post.tags))):
            session.delete(post)
        session.commit()


@innocent("unit of work")
def children_that_change_their_parent(engine: Engine) -> None:
    """What belongs to one now belongs to another; nothing has to be loaded for it."""
    with Session(engine) as session:
        owner = one(session, User, 1)
        for post in session.scalars(sa.select(Post)).all():
            post.author = owner
        session.commit()


@innocent("unit of work")
def children_of_many(engine: Engine) -> None:
    """A child for each, named from its side."""
    with Session(engine) as session:
        session.add_all([Post(title="new", author=user) for user in session.scalars(sa.select(User)).all()])
        session.commit()


@innocent("unit of work")
def flushes_of_many(engine: Engine) -> None:
    """A flush for each ten, of objects that check their version."""
    with Session(engine) as session:
        session.add_all([Counter(id=number, hits=0) for number in range(100, 160)])
        session.commit()
        counters = session.scalars(sa.select(Counter).where(Counter.id >= 100)).all()
        for first in range(0, 60, 10):
            for counter in counters[first : first + 10]:
                counter.hits += 1
            session.flush()


@innocent("unit of work")
def objects_of_two_tables(engine: Engine) -> None:
    """A subclass with a table of its own."""
    with Session(engine) as session:
        session.add_all([Manager(budget=number) for number in range(10)])
        session.commit()


@innocent("unit of work")
def a_chain_of_new_objects(engine: Engine) -> None:
    """Each has to know the id of the one before, in one flush."""
    with Session(engine) as session:
        node = Node()
        session.add(node)
        for _ in range(8):
            node = Node(parent=node)
        session.add(node)
        session.commit()


@innocent("unit of work", on="aiosqlite")
async def an_asynchronous_flush(engine: AsyncEngine) -> None:
    """The flush runs in a greenlet."""
    async with AsyncSession(engine) as session:
        for counter in (await session.scalars(sa.select(Counter))).all():
            counter.hits += 1
        await session.commit()


@innocent("unit of work")
def by_primary_key_in_bulk(engine: Engine) -> None:
    """`update()` with a list."""
    with Session(engine) as session:
        for _ in range(6):
            session.execute(update(User), [{"id": number, "visits": 5} for number in range(1, 9)])
        session.commit()


@innocent("moving limit")
def deleted_part_by_part(engine: Engine) -> None:
    """Until nothing is left."""
    some = sa.select(Job.id).where(Job.is_done).limit(15).scalar_subquery()
    with engine.connect() as connection:
        while connection.execute(delete(Job).where(Job.id.in_(some))).rowcount:
            connection.commit()


@innocent("moving limit", on="pymysql")
def deleted_with_a_limit(engine: Engine) -> None:
    """MySQL has a LIMIT for it."""
    with engine.connect() as connection:
        while connection.execute(text("DELETE FROM jobs WHERE is_done = 1 LIMIT 15")).rowcount:
            connection.commit()


@innocent("moving limit", on="pool")
async def asyncpg_deletes_part_by_part(pool: asyncpg.Pool) -> None:
    """The status tells how many there were."""
    query = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE is_done LIMIT 15)"
    async with pool.acquire() as connection:
        while await connection.execute(query) != "DELETE 0":
            pass


@innocent("moving limit", on="psycopg")
def archived_part_by_part(engine: Engine) -> None:
    """Rows that go from one table into another."""
    query = text(
        "WITH gone AS (DELETE FROM jobs WHERE id IN (SELECT id FROM jobs LIMIT 40) RETURNING id)"
        " INSERT INTO comments (post_id, text) SELECT 1, 'job ' || id FROM gone"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.execute(query).rowcount:
            pass


@innocent("moving limit")
def updated_window_by_window(engine: Engine) -> None:
    """A backfill over ranges of ids, of which most hold nothing to change."""
    with engine.begin() as connection:
        for first in range(1, 2_000, 100):
            query = update(Job).where(Job.id.between(first, first + 99), Job.is_done).values(state="old")
            connection.execute(query)


@innocent("retries")
def refused_until_it_is_not(engine: Engine) -> None:
    """A key that is taken, tried with another each time."""
    with engine.connect() as connection:
        for number in range(6, 14):
            try:
                connection.execute(insert(Team).values(id=number, name="new"))
            except IntegrityError:
                connection.rollback()
            else:
                break


@innocent("retries", on="pool")
async def asyncpg_is_refused(pool: asyncpg.Pool) -> None:
    """The same with asyncpg."""
    async with pool.acquire() as connection:
        for number in (1, 2, 3, 4, 5, 6, 7, 8, 99):
            try:
                await connection.execute("INSERT INTO teams (id, name) VALUES ($1, 'new')", number)
            except asyncpg.UniqueViolationError:
                continue


@innocent("retries")
def skipped_if_it_is_there(engine: Engine) -> None:
    """Savepoints around rows that are there already."""
    with Session(engine) as session:
        for name in ("mail", "theme", "zone") * 3:
            try:
                with session.begin_nested():
                    session.execute(insert(Setting).values(name=name, value="off"))
            except IntegrityError:
                continue
