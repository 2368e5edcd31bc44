"""Programs that write row by row."""

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import sqlalchemy as sa
from sqlalchemy import Engine, delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from repetition.corpus import Expected, finds
from repetition.shop import Comment, Counter, Job, Post, Tag, User

ALL_ROWS = "send all rows in one execute()"
ONE_STATEMENT = "one statement for all rows"


@finds("write-loop", "likely", ALL_ROWS)
def an_insert_for_each(engine: Engine) -> None:
    """Core."""
    with engine.begin() as connection:
        for number in range(8):
            connection.execute(insert(Comment).values(post_id=1, text=f"comment {number}"))


@finds("write-loop", "likely", ALL_ROWS)
def a_flush_for_each(engine: Engine) -> None:
    """As to learn its id."""
    with Session(engine) as session:
        for number in range(8):
            session.add(Comment(post_id=1, text=f"comment {number}"))
            session.flush()
        session.commit()


@finds("write-loop", "likely", ALL_ROWS)
def a_commit_for_each(engine: Engine) -> None:
    """A transaction for each row."""
    with Session(engine) as session:
        for number in range(8):
            session.add(Tag(name=f"tag {number}"))
            session.commit()


@finds("write-loop", "likely", ONE_STATEMENT)
def an_update_for_each(engine: Engine) -> None:
    """By its id."""
    with engine.begin() as connection:
        for number in range(1, 9):
            connection.execute(update(User).where(User.id == number).values(visits=number))


@finds("write-loop", "likely", ONE_STATEMENT, on="pymysql")
def a_delete_for_each(engine: Engine) -> None:
    """By its id, on MySQL."""
    with engine.begin() as connection:
        for number in range(1, 9):
            connection.execute(delete(Job).where(Job.id == number))


@finds("write-loop", "likely", "write once", on="psycopg")
def the_same_counter(engine: Engine) -> None:
    """Up by one, again and again."""
    with engine.begin() as connection:
        for _ in range(8):
            connection.execute(text("UPDATE counters SET hits = hits + 1 WHERE id = :id"), {"id": 1})


@finds("write-loop", "likely", "write once")
def the_same_counter_without_parameters(engine: Engine) -> None:
    """The row is named in the text."""
    with engine.begin() as connection:
        for _ in range(8):
            connection.execute(text("UPDATE counters SET hits = hits + 1 WHERE id = 1"))


@finds("write-loop", "likely", ALL_ROWS)
def values_within_the_text(engine: Engine) -> None:
    """No parameters: the values are written into the statement."""
    with engine.begin() as connection:
        for number in range(8):
            connection.exec_driver_sql(f"INSERT INTO comments (post_id, text) VALUES (1, 'comment {number}')")


@finds("write-loop", "likely", ALL_ROWS, on="psycopg")
def an_upsert_for_each(engine: Engine) -> None:
    """With what is to happen if it is there."""
    with engine.begin() as connection:
        for number in range(8):
            connection.execute(
                text("INSERT INTO settings VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value"),
                {"name": f"name {number}", "value": "on"},
            )


@finds("write-loop", "likely", ALL_ROWS, Expected("loop", "likely"))
def flushed_by_a_query(engine: Engine) -> None:
    """A query flushes what was added before it."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.add(Comment(post_id=number, text="late"))
            session.scalars(sa.select(Post.title).where(Post.id == number)).one()


@finds("write-loop", "likely", ONE_STATEMENT, is_scoped=False)
def an_update_for_each_outside_of_a_scope(engine: Engine) -> None:
    """One use of a connection, a commit after each."""
    with engine.connect() as connection:
        for number in range(1, 9):
            connection.execute(update(User).where(User.id == number).values(name=f"name {number}"))
            connection.commit()


@finds("write-loop", "likely", ALL_ROWS, on="pool")
async def asyncpg_execute_for_each(pool: asyncpg.Pool) -> None:
    """One connection."""
    async with pool.acquire() as connection:
        for number in range(8):
            await connection.execute("INSERT INTO comments (post_id, text) VALUES ($1, $2)", 1, f"comment {number}")


@finds("write-loop", "likely", ONE_STATEMENT, on="pool")
async def asyncpg_update_for_each(pool: asyncpg.Pool) -> None:
    """A connection for each."""
    for number in range(1, 9):
        await pool.execute("UPDATE users SET visits = $2 WHERE id = $1", number, 3)


@finds("write-loop", "likely", ALL_ROWS, on="pool")
async def asyncpg_returning_for_each(pool: asyncpg.Pool) -> None:
    """With the new id of each."""
    async with pool.acquire() as connection:
        for number in range(8):
            await connection.fetchval("INSERT INTO comments (post_id, text) VALUES (1, $1) RETURNING id", f"{number}")


@finds("write-loop", "likely", ALL_ROWS, on="asyncpg")
async def an_asynchronous_flush_for_each(engine: AsyncEngine) -> None:
    """An asynchronous session."""
    async with AsyncSession(engine) as session:
        for number in range(8):
            session.add(Comment(post_id=1, text=f"comment {number}"))
            await session.flush()


@finds("write-loop", "likely", ONE_STATEMENT)
def a_commit_for_each_change(engine: Engine) -> None:
    """One object changed and committed after the other, none of them expired."""
    with Session(engine, expire_on_commit=False) as session:
        for counter in session.scalars(sa.select(Counter)).all():
            counter.hits += 1
            session.commit()


@finds("write-loop", "likely", ONE_STATEMENT, is_missed=True)
def a_few_rows_for_each(engine: Engine) -> None:
    """Each statement has several rows, as a batch has."""
    with engine.begin() as connection:
        for number in range(1, 9):
            connection.execute(update(Post).where(Post.user_id == number).values(title=f"of {number}"))
