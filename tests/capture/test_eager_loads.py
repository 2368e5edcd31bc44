"""Eager loading sends one statement for so many parents, which is no repetition; lazy loading is one."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from databases.engines import NewEngine
from querygauge import instrument

PARENTS = 3_000


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    children: Mapped[list["Child"]] = relationship()


class Child(Base):
    __tablename__ = "children"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(sa.ForeignKey("parents.id"))


@pytest.fixture(params=["sqlite3", "psycopg"])
def engine(request: pytest.FixtureRequest, new_engine: NewEngine) -> Iterator[sa.Engine]:
    """A database with many parents."""
    made = new_engine(request.param)
    Base.metadata.create_all(made)
    with made.begin() as connection:
        connection.execute(sa.insert(Parent), [{"id": number} for number in range(PARENTS)])
    yield made
    with made.begin() as connection:
        Base.metadata.drop_all(connection)


def test_selectinload_is_no_repetition(engine: sa.Engine) -> None:
    """Six statements from one line, or thirty, are what was asked for."""
    query = sa.select(Parent).options(selectinload(Parent.children))
    with instrument(engine, store=None) as gauge, Session(engine) as session:
        session.scalars(query).all()
        session.expunge_all()
        session.scalars(query.execution_options(yield_per=100)).all()
        counts = {stats.tables: stats.execution_count for stats in gauge.queries.get_query_stats() if stats.tables}
        assert counts["children",] == 36
        assert gauge.queries.get_repetitions() == []


def test_lazy_loading_is_one(engine: sa.Engine) -> None:
    """One statement for each parent, from one line."""
    with instrument(engine, store=None) as gauge, Session(engine) as session:
        for parent in session.scalars(sa.select(Parent).limit(10)).all():
            assert parent.children == []
        (found,) = gauge.queries.get_repetitions()
        assert (found.pattern.tables, found.execution_count) == (("children",), 10)
