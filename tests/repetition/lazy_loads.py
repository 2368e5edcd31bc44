"""Programs that load a relationship parent by parent."""

from collections.abc import Iterator

from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, immediateload, selectinload

from repetition.corpus import THRESHOLD, Expected, finds
from repetition.shop import Comment, Node, Post, User, one


@finds("lazy-load", "certain", "selectinload(User.posts)")
def a_collection_of_each(engine: Engine) -> None:
    """The classic."""
    with Session(engine) as session:
        for user in session.scalars(select(User)):
            len(user.posts)


@finds("lazy-load", "certain", "selectinload(User.posts)", is_scoped=False)
def a_collection_of_each_outside_of_a_scope(engine: Engine) -> None:
    """A script, which names no scope."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            assert (user.name, len(user.posts)) != ("", 0)


@finds("lazy-load", "certain", "selectinload(Post.author)")
def the_parent_of_each(engine: Engine) -> None:
    """Many to one; two posts share an author, who is loaded once."""
    with Session(engine) as session:
        assert {post.author.name for post in session.scalars(select(Post))}


@finds("lazy-load", "certain", "selectinload(User.profile)")
def the_one_of_each(engine: Engine) -> None:
    """One to one."""
    with Session(engine) as session:
        users = session.scalars(select(User).order_by(User.id)).all()
        assert sorted(users, key=lambda user: user.profile.city)


@finds("lazy-load", "certain", "selectinload(Post.tags)", on="psycopg")
def many_to_many(engine: Engine) -> None:
    """Through a table between."""
    with Session(engine) as session:
        for post in session.scalars(select(Post).limit(10)):
            assert [tag.name for tag in post.tags]


@finds("lazy-load", "certain", "selectinload(User.posts)", on="pymysql")
def a_collection_of_each_on_mysql(engine: Engine) -> None:
    """Another database, the old way to query."""
    with Session(engine) as session:
        for user in session.query(User).order_by(User.name).all():
            assert user.posts


@finds(
    "lazy-load", "certain", "selectinload(User.posts)", Expected("lazy-load", "likely", "selectinload(Post.comments)")
)
def two_levels(engine: Engine) -> None:
    """Both levels; the objects of the second one came in twos, and will come together once the first is mended."""
    with Session(engine) as session:
        for user in session.scalars(select(User)):
            for post in user.posts:
                assert post.comments


@finds(
    "lazy-load", "certain", "selectinload(User.posts)", Expected("lazy-load", "certain", "selectinload(User.profile)")
)
def what_is_written_as_json(engine: Engine) -> None:
    """Two relationships of each object, in the function that every endpoint calls."""

    def as_json(user: User) -> dict[str, object]:
        return {
            "name": user.name,
            "posts": [post.title for post in user.posts],
            "city": user.profile.city,
        }

    with Session(engine) as session:
        assert [as_json(user) for user in session.scalars(select(User))]


@finds("lazy-load", "likely", "selectinload(Node.parent)")
def up_a_chain(engine: Engine) -> None:
    """From a leaf to the root; each object came by itself."""
    with Session(engine) as session:
        node = session.scalars(select(Node).where(Node.id == 10)).one_or_none()
        while node is not None:
            node = node.parent


@finds("lazy-load", "likely", "selectinload(Node.children)")
def down_a_tree(engine: Engine) -> None:
    """From the root to the leaves."""

    def depth(node: Node) -> int:
        return 1 + max(map(depth, node.children), default=0)

    with Session(engine) as session:
        assert depth(one(session, Node, 1)) == 10


@finds("lazy-load", "certain", "selectinload(User.posts)")
def as_many_as_the_threshold(engine: Engine) -> None:
    """Not one more than it takes."""
    with Session(engine) as session:
        for user in session.scalars(select(User).limit(THRESHOLD)):
            assert user.posts


@finds("lazy-load", "certain", "selectinload(User.posts)")
def while_rows_are_streamed(engine: Engine) -> None:
    """The objects come in parts; the relationship does not."""
    with Session(engine) as session:
        for user in session.scalars(select(User).execution_options(yield_per=4)):
            assert user.posts


@finds("lazy-load", "certain", "selectinload(Post.comments)")
def beneath_an_eager_load(engine: Engine) -> None:
    """The first level is loaded at once, the second one is forgotten."""
    with Session(engine) as session:
        for user in session.scalars(select(User).options(selectinload(User.posts))):
            for post in user.posts:
                assert post.comments


@finds("lazy-load", "certain", "selectinload(User.posts)", Expected("write-loop", "likely"))
def when_a_child_is_added(engine: Engine) -> None:
    """Appending to a collection loads it first, and what is loaded flushes the child of the one before."""
    with Session(engine) as session:
        for user in session.scalars(select(User)).all():
            user.posts.append(Post(title="another"))
        session.commit()


@finds(
    "lazy-load",
    "certain",
    "selectinload(Post.comments)",
    Expected("lazy-load", "certain", "selectinload(Post.tags)"),
    *[Expected("write-loop", "likely")] * 3,
)
def to_delete_the_children_too(engine: Engine) -> None:
    """A cascade in Python has to know whom it deletes, and what is loaded flushes the one before."""
    with Session(engine) as session:
        for post in session.scalars(select(Post)).all():
            session.delete(post)
        session.commit()


@finds("lazy-load", "certain", "selectinload(Node.children)")
def to_part_from_the_children(engine: Engine) -> None:
    """Who is deleted has children that are to know it."""
    with Session(engine) as session:
        for node in session.scalars(select(Node)).all():
            session.delete(node)
        session.commit()


@finds("lazy-load", "likely", "selectinload(User.posts)")
def the_same_two_in_several_sessions(engine: Engine) -> None:
    """Two parents, four times."""
    for _ in range(4):
        with Session(engine) as session:
            for user in session.scalars(select(User).limit(2)):
                assert user.posts


@finds("lazy-load", "certain", "selectinload(User.posts)")
def in_a_generator(engine: Engine) -> None:
    """The loop is elsewhere."""

    def titles(session: Session) -> Iterator[str]:
        for user in session.scalars(select(User)):
            yield ", ".join(post.title for post in user.posts)

    with Session(engine) as session:
        assert list(titles(session))


@finds("lazy-load", "certain", "selectinload(User.posts)")
def in_five_of_a_hundred(engine: Engine) -> None:
    """Few need it, and still each has it loaded by itself."""
    with Session(engine) as session:
        for user in session.scalars(select(User)):
            if user.id % 2:
                assert user.posts


@finds("lazy-load", "likely", "selectinload(User.posts)", Expected("loop", "likely"))
def in_sessions_of_one_request(engine: Engine) -> None:
    """Each object by itself, within one scope: as if seven requests were one."""
    for number in range(1, 8):
        with Session(engine) as session:
            assert session.query(User).filter(User.name == f"user {number}").one().posts


@finds("lazy-load", "likely", "selectinload(User.posts)")
def at_once_but_parent_by_parent(engine: Engine) -> None:
    """`immediateload()` is eager, and as many statements."""
    with Session(engine) as session:
        assert session.scalars(select(User).options(immediateload(User.posts))).all()


@finds("lazy-load", "certain", "selectinload(User.posts)", on="aiosqlite")
async def awaited_attributes(engine: AsyncEngine) -> None:
    """Each awaited, if there were `AsyncAttrs`; in `run_sync` here."""

    def count(session: Session) -> int:
        return sum(len(user.posts) for user in session.scalars(select(User)))

    async with AsyncSession(engine) as session:
        assert await session.run_sync(count)


@finds("lazy-load", "certain", "selectinload(Post.comments)", on="asyncpg")
async def awaited_one_by_one(engine: AsyncEngine) -> None:
    """A switch to synchronous code for each."""

    def comments_of(_: Session, post: Post) -> list[Comment]:
        return post.comments

    async with AsyncSession(engine) as session:
        for post in (await session.scalars(select(Post).limit(10))).all():
            assert await session.run_sync(comments_of, post)


@finds("lazy-load", "certain", "selectinload(User.posts)", on="aiomysql")
async def awaited_on_mysql(engine: AsyncEngine) -> None:
    """Another database."""
    async with AsyncSession(engine) as session:
        users = (await session.scalars(select(User))).all()
        for user in users:
            await session.run_sync(lambda _, one: one.posts, user)
