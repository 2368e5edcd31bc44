"""Programs that ask again what they have been told."""

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Engine, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from repetition.corpus import Expected, finds
from repetition.shop import Comment, Post, Setting, User


@finds("repeat-same-parameters", "likely", "keep the answer")
def a_setting(engine: Engine) -> None:
    """Core, one connection."""
    with engine.connect() as connection:
        for _ in range(8):
            connection.execute(select(Setting.value).where(Setting.name == "theme")).scalar_one()


@finds("repeat-same-parameters", "likely", "keep the answer")
def who_is_logged_in(engine: Engine) -> None:
    """A function that asks each time it is called, with a session of its own."""

    def is_known() -> bool:
        with Session(engine) as session:
            return session.scalars(select(User).where(User.name == "user 1")).one_or_none() is not None

    assert all(is_known() for _ in range(8))


@finds("repeat-same-parameters", "likely", "keep the answer")
def without_parameters(engine: Engine) -> None:
    """There is nothing that could be another."""
    with engine.connect() as connection:
        for _ in range(8):
            connection.execute(text("SELECT name, value FROM settings")).all()


@finds("repeat-same-parameters", "likely", "keep the answer", is_scoped=False)
def without_parameters_outside_of_a_scope(engine: Engine) -> None:
    """As above, in one use of a connection."""
    with engine.connect() as connection:
        for _ in range(8):
            connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one()


@finds("repeat-same-parameters", "likely", "keep the answer", on="psycopg")
def with_no_parameters_at_all(engine: Engine) -> None:
    """The driver is told that there are none."""
    with engine.connect().execution_options(no_parameters=True) as connection:
        for _ in range(8):
            connection.exec_driver_sql("SELECT name FROM teams").all()


@finds("repeat-same-parameters", "likely", "keep the answer", on="pymysql")
def all_rows_on_mysql(engine: Engine) -> None:
    """ORM, another database."""
    with Session(engine) as session:
        for _ in range(8):
            session.scalars(select(Setting)).all()


@finds("repeat-same-parameters", "likely", "keep the answer")
def two_in_turn(engine: Engine) -> None:
    """A few values, many times."""
    with engine.connect() as connection:
        for number in range(40):
            name = ("mail", "zone")[number % 2]
            connection.execute(select(Setting.value).where(Setting.name == name)).scalar_one()


@finds("repeat-same-parameters", "likely", "keep the answer")
def the_same_page(engine: Engine) -> None:
    """A page that does not move on."""
    with Session(engine) as session:
        for _ in range(8):
            session.scalars(select(Post).order_by(Post.id).limit(5).offset(0)).all()


@finds("repeat-same-parameters", "likely", "keep the answer")
def the_latest_five(engine: Engine) -> None:
    """What stands beside each row of a page."""
    with Session(engine) as session:
        for _ in range(8):
            session.scalars(select(Comment).order_by(Comment.id.desc()).limit(5)).all()


@finds("repeat-same-parameters", "likely", "keep the answer")
def the_same_long_list(engine: Engine) -> None:
    """As long as a chunk, and each time the same."""
    with engine.connect() as connection:
        for _ in range(8):
            connection.execute(select(Post.id).where(Post.id.in_(range(100)))).all()


@finds("repeat-same-parameters", "likely", "keep the answer")
def how_many_there_are(engine: Engine) -> None:
    """A count for each row of a table."""
    with Session(engine) as session:
        for _ in session.scalars(select(User)).all():
            assert session.scalar(select(func.count()).select_from(Post))


@finds("repeat-same-parameters", "likely", "keep the answer", on="pool")
async def fetchval_without_arguments(pool: asyncpg.Pool) -> None:
    """asyncpg; nothing could be another."""
    for _ in range(8):
        await pool.fetchval("SELECT count(*) FROM users")


@finds("repeat-same-parameters", "likely", "keep the answer", on="pool")
async def may_he_do_it(pool: asyncpg.Pool) -> None:
    """A permission, asked for at each step."""
    async with pool.acquire() as connection:
        for _ in range(8):
            await connection.fetchrow("SELECT 1 FROM users WHERE id = $1 AND name = $2", 1, "user 1")


@finds("repeat-same-parameters", "likely", "keep the answer", on="pool")
async def with_the_same_array(pool: asyncpg.Pool) -> None:
    """A list has no hash, but what is in it has."""
    async with pool.acquire() as connection:
        for _ in range(8):
            await connection.fetch("SELECT name FROM users WHERE id = ANY($1)", [1, 2, 3])


@finds("repeat-same-parameters", "likely", "keep the answer", on="pool", is_scoped=False)
async def as_a_simple_query(pool: asyncpg.Pool) -> None:
    """`execute` without arguments goes another way through asyncpg."""
    async with pool.acquire() as connection:
        for _ in range(8):
            await connection.execute("SELECT name FROM teams")


@finds("repeat-same-parameters", "likely", "keep the answer", on="asyncpg")
async def asynchronously(engine: AsyncEngine) -> None:
    """An asynchronous session."""
    async with AsyncSession(engine) as session:
        for _ in range(8):
            await session.scalars(select(Setting).where(Setting.name == "zone"))


@finds("repeat-same-parameters", "likely", "keep the answer", Expected("write-loop", "likely"))
def while_another_table_is_written(engine: Engine) -> None:
    """A setting for each comment that is written: the comments change, and the setting does not."""
    with engine.begin() as connection:
        for number in range(1, 9):
            connection.execute(select(Setting.value).where(Setting.name == "theme")).scalar_one()
            connection.execute(insert(Comment).values(post_id=number, text="new"))


@finds("repeat-same-parameters", "likely", "keep the answer", Expected("write-loop", "likely"))
def before_it_is_changed_for_all(engine: Engine) -> None:
    """Asked for eight times, and only then written."""
    with Session(engine) as session:
        for _ in range(8):
            session.scalars(select(User.visits).where(User.id == 1)).one()
        for number in range(1, 9):
            session.execute(update(User).where(User.id == number).values(visits=number))


@finds("repeat-same-parameters", "likely", "keep the answer", on="pool")
async def of_a_table_that_a_write_only_reads(pool: asyncpg.Pool) -> None:
    """What is copied stays as it was."""
    async with pool.acquire() as connection:
        for _ in range(8):
            await connection.fetch("SELECT value FROM settings WHERE name = 'theme'")
            await connection.execute("INSERT INTO comments (post_id, text) SELECT 1, name FROM settings")
