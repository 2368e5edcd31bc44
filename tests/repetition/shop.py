"""The shop that the programs of the corpus read and write: its tables, its classes, and what is in it."""

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, DynamicMapped, Mapped, Session, deferred, mapped_column, relationship

Entity = TypeVar("Entity")

__all__ = [
    "MANY", "Base", "Comment", "Counter", "Employee", "Job", "Manager", "Node", "Post", "Profile", "Setting", "Tag",
    "Team", "User", "fill", "one", "post_tags",
]  # fmt: skip

USERS = 12
"""Users, each with a team, a profile and two posts of their own."""
MANY = 300
"""Jobs, of which every third is done."""


class Base(DeclarativeBase):
    pass


post_tags = sa.Table(
    "post_tags",
    Base.metadata,
    sa.Column("post_id", sa.ForeignKey("posts.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tags.id"), primary_key=True),
)


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))
    users: Mapped[list["User"]] = relationship(back_populates="team")


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("teams.id"))
    visits: Mapped[int] = mapped_column(default=0)
    bio: Mapped[str] = deferred(mapped_column(sa.String(200), default=""))
    team: Mapped[Team] = relationship(back_populates="users")
    posts: Mapped[list["Post"]] = relationship(back_populates="author")
    profile: Mapped["Profile"] = relationship(back_populates="user")
    latest: DynamicMapped["Post"] = relationship(lazy="dynamic", viewonly=True)


class Profile(Base):
    __tablename__ = "profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    city: Mapped[str] = mapped_column(sa.String(50))
    user: Mapped[User] = relationship(back_populates="profile")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(sa.String(50))
    author: Mapped[User] = relationship(back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(cascade="all, delete-orphan")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tags)


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(sa.ForeignKey("posts.id"))
    text: Mapped[str] = mapped_column(sa.String(50))


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50))


class Node(Base):
    """A chain: each node is below the one before it."""

    __tablename__ = "nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("nodes.id"))
    parent: Mapped["Node | None"] = relationship(remote_side="Node.id", back_populates="children")
    children: Mapped[list["Node"]] = relationship(back_populates="parent")


class Employee(Base):
    __tablename__ = "employees"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}  # noqa: RUF012  # as SQLAlchemy reads it


class Manager(Employee):
    __tablename__ = "managers"
    id: Mapped[int] = mapped_column(sa.ForeignKey("employees.id"), primary_key=True)
    budget: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012  # as SQLAlchemy reads it


class Job(Base):
    """Something to do, later; the database fills in its state."""

    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(primary_key=True)
    is_done: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(20), server_default="new")
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012  # as SQLAlchemy reads it


class Counter(Base):
    """A row whose version is checked, so that each is written by a statement of its own."""

    __tablename__ = "counters"
    id: Mapped[int] = mapped_column(primary_key=True)
    hits: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # as SQLAlchemy reads it


class Setting(Base):
    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(sa.String(50), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(50))


def one(session: Session, mapped: type[Entity], key: int) -> Entity:
    """An object by its primary key; `Session.get_one` is not in every version."""
    found = session.get(mapped, key)
    assert found is not None
    return found


def fill(connection: sa.Connection) -> None:
    """Puts into the tables what all programs begin with."""
    users = range(1, USERS + 1)
    posts = range(1, 2 * USERS + 1)
    nodes = range(1, 11)
    rows: dict[type[Base], list[dict[str, Any]]] = {
        Team: [{"id": number, "name": f"team {number}"} for number in users],
        User: [{"id": number, "name": f"user {number}", "team_id": number} for number in users],
        Profile: [{"user_id": number, "city": f"city {number}"} for number in users],
        Post: [{"id": number, "user_id": (number + 1) // 2, "title": f"post {number}"} for number in posts],
        Comment: [{"post_id": number, "text": f"comment on {number}"} for number in posts],
        Tag: [{"id": number, "name": f"tag {number}"} for number in posts],
        Node: [{"id": number, "parent_id": number - 1 or None} for number in nodes],
        Employee: [{"id": number, "kind": "manager"} for number in users],
        Manager: [{"id": number, "budget": number} for number in users],
        Job: [{"id": number, "is_done": number % 3 == 0} for number in range(1, MANY + 1)],
        Counter: [{"id": number, "hits": 0, "version": 1} for number in users],
        Setting: [{"name": name, "value": "on"} for name in ("mail", "theme", "zone")],
    }
    for mapped, values in rows.items():
        connection.execute(sa.insert(mapped.__table__), values)  # type: ignore[arg-type]  # it is a table
    connection.execute(sa.insert(post_tags), [{"post_id": number, "tag_id": number} for number in posts])
