"""Eager loading sends one statement for so many parents, which is no repetition; lazy loading is one."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from databases.engines import NewEngine
from querygauge import instrument, scope

PARENTS = 3_000


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)


class Parent(Base):
    __tablename__ = "parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("owners.id"))
    owner: Mapped[Owner] = relationship()
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
        connection.execute(sa.insert(Owner), [{"id": number} for number in range(PARENTS)])
        connection.execute(sa.insert(Parent), [{"id": number, "owner_id": number} for number in range(PARENTS)])
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


def _load_eagerly(session: Session) -> None:
    """Six statements, one for each 500 parents."""
    session.scalars(sa.select(Parent).options(selectinload(Parent.owner))).all()
    session.expunge_all()


def _load_in_a_loop(session: Session) -> None:
    """Twenty statements whose text is that of the eager load."""
    for number in range(20):
        session.scalars(sa.select(Owner).where(Owner.id.in_([number]))).all()
    session.expunge_all()


def _text(session: Session) -> None:
    """One statement that was written by hand as the eager load is compiled."""
    session.execute(sa.text("SELECT owners.id FROM owners WHERE owners.id IN (1, 2)")).all()


@pytest.mark.parametrize("loads", [(_load_eagerly, _load_in_a_loop), (_load_in_a_loop, _load_eagerly)])
@pytest.mark.parametrize("is_one_session", [True, False])
def test_a_loop_is_a_repetition_beside_an_eager_load(
    engine: sa.Engine, loads: tuple[Callable[[Session], None], ...], is_one_session: bool
) -> None:
    """Of two statements with one text only the one in the loop repeats, whichever came first."""
    with instrument(engine, store=None) as gauge, Session(engine) as session:
        for load in loads:
            load(session)
            if not is_one_session:
                session.rollback()
        counts = {stats.tables: stats.execution_count for stats in gauge.queries.get_query_stats()}
        assert counts["owners",] == 26
        (found,) = gauge.queries.get_repetitions()
        assert (found.pattern.tables, found.execution_count) == (("owners",), 20)


@pytest.mark.parametrize("loads", [(_text, _load_eagerly), (_load_eagerly, _text)])
@pytest.mark.parametrize("scoped", [True, False])
def test_an_eager_load_is_no_repetition_beside_a_text(
    engine: sa.Engine, loads: tuple[Callable[[Session], None], ...], scoped: bool
) -> None:
    """A statement that was written by hand makes no repetition of an eager load with its text."""
    with instrument(engine, store=None) as gauge, scope("job") if scoped else nullcontext(), Session(engine) as session:
        for load in loads:
            load(session)
        counts = {stats.tables: stats.execution_count for stats in gauge.queries.get_query_stats()}
        assert counts["owners",] == 7
        assert gauge.queries.get_repetitions() == []
