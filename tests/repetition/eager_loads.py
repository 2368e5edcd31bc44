"""Programs that load what belongs to their objects with them: one statement for so many parents."""

from sqlalchemy import Engine, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, contains_eager, joinedload, selectin_polymorphic, selectinload, subqueryload

from repetition.corpus import innocent
from repetition.shop import Employee, Manager, Node, Post, Tag, User, post_tags

PARENTS = 3_000


@innocent("eager-loader chunks")
def a_collection_of_many(engine: Engine) -> None:
    """One statement for each 500 parents."""
    with Session(engine) as session:
        session.execute(insert(Post), [{"user_id": 1, "title": str(number)} for number in range(PARENTS)])
        session.commit()
        assert session.scalars(select(Post).options(selectinload(Post.comments))).all()


@innocent("eager-loader chunks", on="psycopg", is_scoped=False)
def many_to_many_of_many(engine: Engine) -> None:
    """Through a table between."""
    with Session(engine) as session:
        session.execute(insert(Post), [{"id": 100 + number, "user_id": 1, "title": ""} for number in range(PARENTS)])
        session.execute(insert(post_tags), [{"post_id": 100 + number, "tag_id": 1} for number in range(PARENTS)])
        session.commit()
        assert session.scalars(select(Post).options(selectinload(Post.tags))).all()


@innocent("eager-loader chunks")
def the_parents_of_many(engine: Engine) -> None:
    """Many to one, where the parents are selected by their ids."""
    with Session(engine) as session:
        session.execute(
            insert(User), [{"id": 100 + each, "name": "", "team_id": 1, "bio": ""} for each in range(PARENTS)]
        )
        session.execute(insert(Post), [{"user_id": 100 + each, "title": ""} for each in range(PARENTS)])
        session.commit()
        assert session.scalars(select(Post).options(selectinload(Post.author))).all()


@innocent("eager-loader chunks")
def for_each_part_of_a_stream(engine: Engine) -> None:
    """`yield_per` loads them for each part."""
    query = select(Post).options(selectinload(Post.comments)).execution_options(yield_per=3)
    with Session(engine) as session:
        for posts in session.scalars(query).partitions():
            assert all(post.comments for post in posts)


@innocent("eager-loader chunks")
def level_by_level(engine: Engine) -> None:
    """A tree is one statement for each level."""
    query = select(Node).where(Node.id == 1).options(selectinload(Node.children, recursion_depth=12))
    with Session(engine) as session:
        assert session.scalars(query).one().children


@innocent("eager-loader chunks")
def two_levels(engine: Engine) -> None:
    """Three statements in all."""
    query = select(User).options(selectinload(User.posts).selectinload(Post.comments))
    with Session(engine) as session:
        for user in session.scalars(query):
            assert all(post.comments for post in user.posts)


@innocent("eager-loader chunks")
def by_a_subquery(engine: Engine) -> None:
    """A statement for each query, and the queries are pages."""
    with Session(engine) as session:
        for page in range(8):
            query = select(Post).options(subqueryload(Post.comments)).order_by(Post.id).limit(3).offset(3 * page)
            session.scalars(query).all()


@innocent("eager-loader chunks", on="psycopg")
def by_a_join(engine: Engine) -> None:
    """The rows come along."""
    with Session(engine) as session:
        users = session.scalars(select(User).options(joinedload(User.posts), joinedload(User.team))).unique().all()
        assert [(user.team.name, len(user.posts)) for user in users]


@innocent("eager-loader chunks")
def by_a_join_of_ones_own(engine: Engine) -> None:
    """`contains_eager`."""
    with Session(engine) as session:
        query = select(Post).join(Post.author).options(contains_eager(Post.author))
        assert {post.author.name for post in session.scalars(query)}


@innocent("eager-loader chunks")
def columns_of_a_subclass(engine: Engine) -> None:
    """One statement for all of a subclass, for each 500."""
    with Session(engine) as session:
        session.execute(insert(Manager), [{"id": 100 + number, "budget": number} for number in range(PARENTS)])
        session.commit()
        employees = session.scalars(select(Employee).options(selectin_polymorphic(Employee, [Manager]))).all()
        assert sum(each.budget for each in employees if isinstance(each, Manager))


@innocent("eager-loader chunks", on="asyncpg")
async def asynchronously(engine: AsyncEngine) -> None:
    """The loader runs in a greenlet."""
    async with AsyncSession(engine) as session:
        rows = [{"id": 100 + number, "user_id": 1, "title": ""} for number in range(PARENTS)]
        await session.execute(insert(Post), rows)
        await session.commit()
        assert (await session.scalars(select(Post).options(selectinload(Post.tags)))).all()


@innocent("eager-loader chunks")
def again_for_each_of_them(engine: Engine) -> None:
    """Eager loads of queries that differ, from one line."""
    with Session(engine) as session:
        for query in (
            select(Post).where(Post.id < 3),
            select(Post).where(Post.title == "post 4"),
            select(Post).join(Post.tags).where(Tag.id == 5),
            select(Post).order_by(Post.title).limit(4),
            select(Post).where(Post.user_id.in_([1, 2])),
            select(Post).order_by(Post.id.desc()),
        ):
            session.scalars(query.options(selectinload(Post.comments))).all()
            session.expunge_all()
