"""Programs that load the state of their objects again, or what they left out of it, one by one."""

from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, load_only

from repetition.corpus import Expected, finds
from repetition.shop import Comment, Employee, Job, Manager, Post, User, one

WRITES_ONE_BY_ONE = Expected("write-loop", "likely", "one statement for all rows")


@finds("refresh", "certain", "expire_on_commit=False")
def after_a_commit(engine: Engine) -> None:
    """A commit expires all objects."""
    with Session(engine) as session:
        users = session.scalars(select(User)).all()
        session.commit()
        assert [user.name for user in users]


@finds("refresh", "certain", "expire_on_commit=False", on="psycopg", is_scoped=False)
def after_a_commit_outside_of_a_scope(engine: Engine) -> None:
    """What is read again is one use of one connection."""
    with Session(engine) as session:
        posts = session.scalars(select(Post)).all()
        session.commit()
        for post in posts:
            assert post.title


@finds("refresh", "certain", "expire_on_commit=False", WRITES_ONE_BY_ONE)
def a_commit_for_each(engine: Engine) -> None:
    """Each commit expires the objects that the next rounds want."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            user.name = user.name.upper()
            session.commit()


@finds("refresh", "likely", "expire_on_commit=False", Expected("write-loop", "likely", "add_all()"))
def made_and_read_again(engine: Engine) -> None:
    """A session and a commit for each, and its id is read afterwards."""
    for number in range(8):
        with Session(engine) as session:
            comment = Comment(post_id=1, text=f"comment {number % 2}")
            session.add(comment)
            session.commit()
            assert comment.id


@finds("refresh", "likely", "undefer(User.bio)", Expected("loop", "likely"))
def deferred_columns_of_single_objects(engine: Engine) -> None:
    """Seven requests that are one scope; each wants the column of one object."""
    for number in range(1, 8):
        with Session(engine) as session:
            assert one(session, User, number).bio == ""


@finds("refresh", "likely", "populate_existing", Expected("lazy-load", "likely", "selectinload(User.posts)"))
def a_collection_refreshed_for_each(engine: Engine) -> None:
    """`refresh` of one attribute, as asynchronous code has to."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            session.refresh(user, ["posts"])


@finds("refresh", "certain", "select them again in one query")
def after_a_rollback(engine: Engine) -> None:
    """So does a rollback."""
    with Session(engine) as session:
        users = session.scalars(select(User)).all()
        session.rollback()
        assert sum(user.visits for user in users) == 0


@finds("refresh", "certain", "select them again in one query")
def when_all_is_expired(engine: Engine) -> None:
    """And whoever says so."""
    with Session(engine) as session:
        posts = session.scalars(select(Post)).all()
        session.expire_all()
        assert {post.title for post in posts}


@finds("refresh", "certain", "undefer(User.bio)")
def a_deferred_column(engine: Engine) -> None:
    """Left out by the mapping."""
    with Session(engine) as session:
        for user in session.scalars(select(User)):
            assert user.bio == ""


@finds("refresh", "certain", "undefer(Post.title)")
def a_column_that_a_query_left_out(engine: Engine) -> None:
    """Left out by the query."""
    with Session(engine) as session:
        for post in session.scalars(select(Post).options(load_only(Post.user_id))):
            assert post.title


@finds("refresh", "certain", "selectin_polymorphic()")
def columns_of_a_subclass(engine: Engine) -> None:
    """A query for the class above brings only what all have."""
    with Session(engine) as session:
        employees = session.scalars(select(Employee)).all()
        assert sum(each.budget for each in employees if isinstance(each, Manager))


@finds("refresh", "certain", "eager_defaults=True")
def what_the_database_filled_in(engine: Engine) -> None:
    """Ten new objects, and the default of each read by itself."""
    with Session(engine) as session:
        jobs = [Job(is_done=False) for _ in range(10)]
        session.add_all(jobs)
        session.flush()
        assert {job.state for job in jobs} == {"new"}


@finds("refresh", "likely", "populate_existing")
def refreshed_one_by_one(engine: Engine) -> None:
    """The application asks for it."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            session.refresh(user)


@finds("refresh", "likely", "populate_existing", on="asyncpg")
async def refreshed_asynchronously(engine: AsyncEngine) -> None:
    """As many an endpoint does before it answers."""
    async with AsyncSession(engine) as session:
        for post in (await session.scalars(select(Post))).all():
            await session.refresh(post)


@finds("refresh", "certain", "expire_on_commit=False", on="aiosqlite")
async def after_an_asynchronous_commit(engine: AsyncEngine) -> None:
    """Which asynchronous code would not survive, if it were not for `run_sync`."""
    async with AsyncSession(engine) as session:
        users = (await session.scalars(select(User))).all()
        await session.commit()
        assert await session.run_sync(lambda _: [user.name for user in users])


@finds("refresh", "certain", "select them again in one query", on="pymysql")
def after_a_bulk_update(engine: Engine) -> None:
    """An UPDATE of rows whose objects are in the session expires what it changed."""
    with Session(engine) as session:
        users = session.scalars(select(User)).all()
        session.execute(User.__table__.update().values(visits=1))  # type: ignore[attr-defined]  # it is a table
        session.expire_all()
        assert sum(user.visits for user in users) == len(users)
