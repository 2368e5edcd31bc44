"""Programs that ask for one value after the other what one query could answer."""

import datetime as dt

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from repetition.corpus import Expected, finds
from repetition.shop import Comment, Job, Node, Post, Team, User, one

ROW_BY_ROW = Expected("write-loop", "likely", "send all rows in one execute()")


@finds("loop", "likely", "IN (…)")
def a_select_for_each_id(engine: Engine) -> None:
    """Core, one connection."""
    with engine.connect() as connection:
        for number in range(1, 9):
            connection.execute(select(User.name).where(User.id == number)).scalar_one()


@finds("loop", "likely", "IN (…)")
def get_for_each_id(engine: Engine) -> None:
    """Each by its primary key."""
    with Session(engine) as session:
        assert [one(session, User, number).name for number in range(1, 9)]


@finds("loop", "likely", "IN (…)")
def children_by_hand(engine: Engine) -> None:
    """A lazy load that somebody wrote."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            session.scalars(select(Post).where(Post.user_id == user.id)).all()


@finds("loop", "likely", "= ANY(…)", on="psycopg")
def a_text_for_each(engine: Engine) -> None:
    """SQL by hand."""
    with engine.connect() as connection:
        for number in range(1, 9):
            connection.execute(text("SELECT title FROM posts WHERE user_id = :user"), {"user": number}).all()


@finds("loop", "likely", "IN (…)")
def values_within_the_text(engine: Engine) -> None:
    """No parameters: the values are written into the statement."""
    with engine.connect() as connection:
        for number in range(1, 9):
            connection.exec_driver_sql(f"SELECT name FROM users WHERE id = {number}").all()


@finds("loop", "likely", "IN (…)", on="pymysql")
def a_count_for_each(engine: Engine) -> None:
    """An aggregate, on MySQL."""
    with engine.connect() as connection:
        for number in range(1, 9):
            connection.execute(select(func.count()).select_from(Post).where(Post.user_id == number)).scalar_one()


@finds("loop", "likely", "IN (…)")
def the_old_way_to_query(engine: Engine) -> None:
    """`Session.query`."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.query(Team).filter_by(name=f"team {number}").one()


@finds("loop", "likely", "IN (…)")
def the_latest_of_each(engine: Engine) -> None:
    """A limit, and no page."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.scalars(select(Post).where(Post.user_id == number).order_by(Post.id.desc()).limit(1)).one()


@finds("loop", "likely", "IN (…)")
def the_first_page_of_each(engine: Engine) -> None:
    """An offset that stays, with another user each time."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.scalars(select(Post).where(Post.user_id == number).order_by(Post.id).limit(5).offset(0)).all()


@finds("loop", "likely", "IN (…)")
def the_next_one_each_time(engine: Engine) -> None:
    """A walk in pages of one row."""
    with engine.connect() as connection:
        last: int | None = 0
        while last is not None:
            last = connection.execute(select(User.id).where(User.id > last).order_by(User.id).limit(1)).scalar()


@finds("loop", "likely", "IN (…)")
def a_relationship_that_is_a_query(engine: Engine) -> None:
    """`lazy="dynamic"` is loaded on purpose, and still parent by parent."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            assert user.latest.all()


@finds("loop", "likely", "IN (…)")
def merged_one_by_one(engine: Engine) -> None:
    """`merge` selects what it merges with."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.merge(Team(id=number, name=f"team {number}"))


@finds("loop", "likely", "IN (…)", ROW_BY_ROW)
def is_it_there_already(engine: Engine) -> None:
    """One question and one INSERT for each."""
    with engine.begin() as connection:
        for number in range(8):
            if not connection.execute(select(Comment.id).where(Comment.text == f"new {number}")).first():
                connection.execute(Comment.__table__.insert().values(post_id=1, text=f"new {number}"))  # type: ignore[attr-defined]  # it is a table


@finds("loop", "likely", "IN (…)")
def in_a_function_that_is_called_for_each(engine: Engine) -> None:
    """The loop does not see that it sends anything."""

    def price_of(number: int) -> str:
        with Session(engine) as session:
            return session.scalars(select(Team.name).where(Team.id == number)).one()

    assert sum(len(price_of(number)) for number in range(1, 9))


@finds("loop", "likely", "IN (…)")
def down_a_tree_by_hand(engine: Engine) -> None:
    """A recursion, which a recursive query would spare."""
    with engine.connect() as connection:

        def depth(number: int) -> int:
            below = connection.execute(select(Node.id).where(Node.parent_id == number)).scalars().all()
            return 1 + max(map(depth, below), default=0)

        assert depth(1) == 10


@finds("loop", "likely", "IN (…)")
def lists_of_two(engine: Engine) -> None:
    """An IN list for each, and a short one."""
    with Session(engine) as session:
        for number in range(1, 17, 2):
            session.scalars(select(Post).where(Post.id.in_([number, number + 1]))).all()


@finds("loop", "likely", "IN (…)")
def a_sum_for_each_day(engine: Engine) -> None:
    """Both ends of a window move, but what it adds up is one row: GROUP BY makes it one query."""
    with engine.connect() as connection:
        for first in range(1, 200, 25):
            query = select(func.count()).select_from(Job).where(Job.id >= first, Job.id < first + 25)
            connection.execute(query).scalar_one()


@finds("loop", "likely", "IN (…)")
def two_loops_in_one(engine: Engine) -> None:
    """Each pair by itself."""
    with engine.connect() as connection:
        for user in range(1, 4):
            for title in ("post 1", "post 2", "post 3"):
                connection.execute(select(Post.id).where(Post.user_id == user, Post.title == title)).all()


@finds("loop", "likely", "IN (…)")
def with_values_of_no_simple_type(engine: Engine) -> None:
    """Dates are compared as numbers are."""
    with engine.connect() as connection:
        for day in range(1, 9):
            at = dt.date(2026, 11, day)
            connection.execute(select(Post.id).where(Post.title == str(at), func.date(at) == at)).all()


@finds("loop", "likely", "IN (…)")
def each_locked_in_turn(engine: Engine) -> None:
    """FOR UPDATE of a row that is named is no queue (SQLite leaves it out)."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.scalars(select(User).where(User.id == number).with_for_update()).one()


@finds("loop", "likely", "= ANY(…)", on="psycopg")
def each_locked_in_turn_on_postgresql(engine: Engine) -> None:
    """As above, where it does lock."""
    with Session(engine) as session:
        for number in range(1, 9):
            session.scalars(select(User).where(User.id == number).with_for_update()).one()


@finds("loop", "likely", "= ANY(…)", on="pool")
async def fetchrow_for_each(pool: asyncpg.Pool) -> None:
    """asyncpg, one connection."""
    async with pool.acquire() as connection:
        for number in range(1, 9):
            await connection.fetchrow("SELECT name FROM users WHERE id = $1", number)


@finds("loop", "likely", "= ANY(…)", on="pool", is_scoped=False)
async def fetchval_for_each_outside_of_a_scope(pool: asyncpg.Pool) -> None:
    """One use of a connection."""
    async with pool.acquire() as connection, connection.transaction():
        for number in range(1, 9):
            await connection.fetchval("SELECT count(*) FROM posts WHERE user_id = $1", number)


@finds("loop", "likely", "= ANY(…)", on="pool")
async def a_connection_for_each(pool: asyncpg.Pool) -> None:
    """Each from the pool, within one scope."""
    for number in range(1, 9):
        await pool.fetch("SELECT title FROM posts WHERE user_id = $1", number)


@finds("loop", "likely", "= ANY(…)", on="pool")
async def prepared_once(pool: asyncpg.Pool) -> None:
    """Preparing it spares the parse, and none of the round trips."""
    async with pool.acquire() as connection:
        statement = await connection.prepare("SELECT name FROM teams WHERE id = $1")
        for number in range(1, 9):
            await statement.fetchval(number)


@finds("loop", "likely", "= ANY(…)", on="asyncpg")
async def get_for_each_asynchronously(engine: AsyncEngine) -> None:
    """The same with an asynchronous session."""
    async with AsyncSession(engine) as session:
        for number in range(1, 9):
            assert await session.get(User, number)


@finds("loop", "likely", "IN (…)", on="aiosqlite")
async def execute_for_each_asynchronously(engine: AsyncEngine) -> None:
    """And with an asynchronous connection."""
    async with engine.connect() as connection:
        for number in range(1, 9):
            await connection.execute(select(User.name).where(User.id == number))


@finds("loop", "likely", "IN (…)", is_scoped=False, is_missed=True)
def a_session_for_each_outside_of_a_scope(engine: Engine) -> None:
    """Nothing says that these belong together."""
    for number in range(1, 9):
        with Session(engine) as session:
            assert session.get(User, number)


@finds("loop", "likely", "IN (…)", is_missed=True)
def a_long_list_for_each(engine: Engine) -> None:
    """Each has so many that their ids look like a part of a whole."""
    with engine.connect() as connection:
        for number in range(8):
            ids = range(number * 60, (number + 1) * 60)
            connection.execute(select(Job.id).where(Job.id.in_(ids))).all()


@finds("loop", "likely", "IN (…)", is_missed=True)
def a_month_for_each_line_of_a_chart(engine: Engine) -> None:
    """The rows of a window are as those of a walk."""
    with engine.connect() as connection:
        for first in range(1, 200, 25):
            connection.execute(select(Job.state).where(Job.id.between(first, first + 24))).all()
