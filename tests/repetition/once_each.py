"""Programs that send the same too seldom to matter, or not for themselves."""

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Engine, MetaData, insert, inspect, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from querygauge import scope
from repetition.corpus import Expected, innocent, wait
from repetition.shop import Base, Comment, Job, Node, Post, Setting, Tag, Team, User, one


@innocent("transaction control")
def savepoints(engine: Engine) -> None:
    """Eight of them, around different work."""
    with Session(engine) as session:
        for number in range(8):
            with session.begin_nested():
                if number == 5:
                    session.add(Team(name="new"))


@innocent("transaction control", on="psycopg")
def transactions_of_batches(engine: Engine) -> None:
    """BEGIN, a list of rows, COMMIT."""
    with engine.connect() as connection:
        for _ in range(8):
            with connection.begin(), connection.begin_nested():
                connection.execute(insert(Comment), [{"post_id": 1, "text": "one"}, {"post_id": 2, "text": "two"}])


@innocent("transaction control", on="pool")
async def asyncpg_transactions(pool: asyncpg.Pool) -> None:
    """With one inside of the other."""
    async with pool.acquire() as connection:
        for _ in range(8):
            async with connection.transaction(), connection.transaction():
                await connection.executemany("UPDATE users SET visits = $2 WHERE id = $1", [(1, 2), (2, 3)])


@innocent("transaction control", on="pool")
async def connections_given_back(pool: asyncpg.Pool) -> None:
    """What asyncpg sends to reset a connection is not the application's."""
    for _ in range(8):
        async with pool.acquire() as connection:
            await connection.execute("SET LOCAL statement_timeout = 1000")


@innocent("transaction control", on="psycopg")
def settings_of_a_transaction(engine: Engine) -> None:
    """As row level security needs them."""
    for tenant in range(8):
        with engine.begin() as connection:
            connection.execute(text("SELECT set_config('app.tenant', :tenant, true)"), {"tenant": str(tenant)})
            connection.execute(text("SET LOCAL lock_timeout = '1s'"))


@innocent("the catalogue")
def tables_that_are_looked_at(engine: Engine) -> None:
    """What SQLAlchemy asks for each table."""
    MetaData().reflect(engine)
    columns = inspect(engine).get_columns
    assert all(columns(table) for table in Base.metadata.tables)


@innocent("the catalogue", on="psycopg")
def tables_that_are_there(engine: Engine) -> None:
    """Whether each table has to be made."""
    Base.metadata.create_all(engine)
    looked_at = inspect(engine)
    assert all(looked_at.has_table(table) for table in Base.metadata.tables)


@innocent("the catalogue", on="pymysql")
def tables_on_mysql(engine: Engine) -> None:
    """Another database, other words."""
    Base.metadata.create_all(engine)
    MetaData().reflect(engine)


@innocent("retries")
def after_a_while(engine: Engine) -> None:
    """A transaction that is tried again, later each time."""
    for attempt in range(6):
        try:
            with engine.begin() as connection:
                connection.execute(select(User.visits).where(User.id == 1)).scalar_one()
                connection.execute(text("UPDATE users SET visits = no_such_function() WHERE id = 1"))
        except OperationalError:
            wait(0.1 * 2**attempt)


@innocent("two lines with the same text")
def four_and_four(engine: Engine) -> None:
    """Each below the threshold."""
    with engine.connect() as connection:
        for number in range(1, 5):
            connection.execute(select(User.name).where(User.id == number)).scalar_one()
        for number in range(1, 5):
            connection.execute(select(User.name).where(User.id == number)).scalar_one()


@innocent("two lines with the same text")
def once_from_each_of_eight(engine: Engine) -> None:
    """Eight places that want an object."""
    with Session(engine) as session:
        assert session.get(User, 1)
        assert session.get(User, 2)
        assert session.get(User, 3)
        assert session.get(User, 4)
        assert session.get(User, 5)
        assert session.get(User, 6)
        assert session.get(User, 7)
        assert session.get(User, 8)


@innocent("two lines with the same text", on="pool")
async def asyncpg_from_two_lines(pool: asyncpg.Pool) -> None:
    """As above, with asyncpg."""
    async with pool.acquire() as connection:
        for number in range(1, 4):
            await connection.fetchrow("SELECT name FROM users WHERE id = $1", number)
        for number in range(1, 5):
            await connection.fetchrow("SELECT name FROM users WHERE id = $1", number)


@innocent("below the threshold")
def four_lazy_loads(engine: Engine) -> None:
    """One less than it takes."""
    with Session(engine) as session:
        for user in session.scalars(select(User).limit(4)):
            assert user.posts


@innocent("below the threshold")
def children_of_few_parents(engine: Engine) -> None:
    """Twelve posts have six authors, of whom two are asked for."""
    with Session(engine) as session:
        posts = session.scalars(select(Post).where(Post.user_id < 3)).all()
        assert {post.author.name for post in posts} == {"user 1", "user 2"}


@innocent("below the threshold")
def parents_that_are_here_already(engine: Engine) -> None:
    """Everybody is in the session, so that nothing has to be sent."""
    with Session(engine) as session:
        users = session.scalars(select(User)).all()
        assert [post.author.name for post in session.scalars(select(Post))]
        assert users


@innocent("below the threshold", on="pool")
async def asyncpg_four_times(pool: asyncpg.Pool) -> None:
    """One less than it takes."""
    for number in range(4):
        await pool.fetch("SELECT name FROM users WHERE id = $1", number)


@innocent("below the threshold")
def a_page_of_different_queries(engine: Engine) -> None:
    """Eight statements, none of them twice."""
    with Session(engine) as session:
        for column in (User.name, User.visits, Post.title, Team.name, Setting.value, Comment.text, Job.state):
            session.scalars(select(column).limit(3)).all()


@innocent("scopes of their own", is_scoped=False)
def a_request_for_each(engine: Engine) -> None:
    """Many requests to one endpoint."""
    for number in range(1, 11):
        with scope("GET /users/{id}"), Session(engine) as session:
            user = one(session, User, number)
            assert user.posts


@innocent("scopes of their own", is_scoped=False)
def a_job_for_each(engine: Engine) -> None:
    """Many runs of one job, each of which writes."""
    for number in range(1, 11):
        with scope("welcome"), engine.begin() as connection:
            connection.execute(update(User).where(User.id == number).values(visits=1))


@innocent("scopes of their own", on="pool", is_scoped=False)
async def asyncpg_requests(pool: asyncpg.Pool) -> None:
    """As above, with asyncpg."""
    for number in range(1, 11):
        with scope("GET /users/{id}"):
            await pool.fetchrow("SELECT name FROM users WHERE id = $1", number)


@innocent("scopes of their own", is_scoped=False)
def connections_without_a_scope(engine: Engine) -> None:
    """Who names no scope gives a connection back after each unit of work."""
    for number in range(1, 11):
        with Session(engine) as session:
            assert session.get(User, number)


@innocent("one helper for many", flagged=(Expected("loop", "likely"),))
def a_repository(engine: Engine) -> None:
    """Eight places that want an object, of a function that has them all: its line is the one that sends."""

    def find(session: Session, number: int) -> User | None:
        return session.get(User, number)

    with Session(engine) as session:
        assert find(session, 1)
        assert find(session, 2)
        assert find(session, 3)
        assert find(session, 4)
        assert find(session, 5)
        assert find(session, 6)


@innocent("one helper for many", on="pool", flagged=(Expected("loop", "likely"),))
async def asyncpg_repository(pool: asyncpg.Pool) -> None:
    """As above, with asyncpg."""

    async def name_of(number: int) -> object:
        return await pool.fetchval("SELECT name FROM users WHERE id = $1", number)

    assert await name_of(1)
    assert await name_of(2)
    assert await name_of(3)
    assert await name_of(4)
    assert await name_of(5)


@innocent("below the threshold")
def four_inserts(engine: Engine) -> None:
    """One less than it takes."""
    with engine.begin() as connection:
        for number in range(4):
            connection.execute(insert(Comment).values(post_id=1, text=f"comment {number}"))


@innocent("below the threshold")
def one_insert_for_each_table(engine: Engine) -> None:
    """Eight statements, none of them twice."""
    with Session(engine) as session:
        team = Team(name="new")
        user = User(name="new", team=team, visits=0, bio="")
        post = Post(title="new", author=user, comments=[Comment(text="new")], tags=[Tag(name="new")])
        session.add_all([post, Setting(name="new", value="on"), Job(is_done=False), Node()])
        session.commit()
