"""The tables that a pattern's text tells are those of the tree that SQLAlchemy sent."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)
from sqlalchemy.sql.util import find_tables

from databases.engines import NewEngine
from querygauge import instrument


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "User"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20))
    boss_id: Mapped[int | None] = mapped_column(sa.ForeignKey("User.id"))
    orders: Mapped[list["Order"]] = relationship(back_populates="user")
    boss: Mapped["User | None"] = relationship(remote_side="User.id")


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("User.id"))
    user: Mapped[User] = relationship(back_populates="orders")
    lines: Mapped[list["Line"]] = relationship()


class Line(Base):
    __tablename__ = "order lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("order.id"))


@pytest.fixture(params=["sqlite3", "psycopg", "pymysql"])
def engine(request: pytest.FixtureRequest, new_engine: NewEngine) -> Iterator[sa.Engine]:
    """A database with three tables whose names need quotes."""
    made = new_engine(request.param)
    Base.metadata.create_all(made)
    yield made
    Base.metadata.drop_all(made)


BOSS = aliased(User)
LATEST = sa.select(Order.user_id, sa.func.max(Order.id).label("last")).group_by(Order.user_id)
LATEST_ONE = LATEST.subquery("latest")
STATEMENTS: list[Any] = [
    sa.select(User).where(User.id == 5),
    sa.select(User).options(joinedload(User.orders).joinedload(Order.lines)),
    sa.select(Order).options(joinedload(Order.user)).limit(3),
    sa.select(User).options(selectinload(User.orders), subqueryload(User.boss)),
    sa.select(User.name, BOSS.name).join(BOSS, BOSS.id == User.boss_id),
    sa.select(User.name, LATEST_ONE.c.last).join(LATEST_ONE, LATEST_ONE.c.user_id == User.id),
    sa.select(User.id).where(User.orders.any(Order.lines.any())),
    sa.select(User.id).where(User.id.in_(sa.select(Order.user_id))),
    sa.select(sa.func.count()).select_from(LATEST.subquery()),
    sa.select(LATEST.cte("latest")),
    sa.select(User.id).union_all(sa.select(Order.id)).order_by("id"),
    sa.select(User.id, sa.select(sa.func.count(Order.id)).where(Order.user_id == User.id).scalar_subquery()),
    sa.select(User.id).where(User.name.is_(None) | ~sa.exists().where(Order.user_id == User.id)).order_by(User.name),
    sa.update(User).where(User.id.in_(sa.select(Order.user_id))).values(name="x"),
    sa.delete(Line).where(Line.order_id.in_(sa.select(Order.id).where(Order.user_id == 1))),
    sa.insert(Order).from_select(["user_id"], sa.select(User.id)),
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_text_tells_what_the_tree_tells(engine: sa.Engine, statement: Any) -> None:
    """The same tables, whatever is joined, nested or loaded along."""
    sent: list[tuple[str, set[str]]] = []

    def note(_connection: Any, _cursor: Any, text: str, _parameters: Any, context: Any, _many: bool) -> None:
        if context.compiled is not None:
            sent.append((text, _tables_of(context.compiled)))

    with instrument(engine, store=None) as gauge, Session(engine) as session:
        session.add(User(name="ann", orders=[Order(lines=[Line()])]))
        session.commit()
        gauge.queries.clear_history()
        sa.event.listen(engine, "before_cursor_execute", note)
        result = session.execute(statement)
        if statement.is_select:
            result.unique().all()
        told = [stats.pattern.tables for stats in gauge.queries.get_query_stats() if stats.pattern.category == "query"]
    assert sorted(map(sorted, told)) == sorted(map(sorted, dict(sent).values()))


def _tables_of(compiled: Any) -> set[str]:
    state = getattr(compiled.compile_state, "statement", None)
    found = find_tables(
        compiled.statement if state is None else state,
        include_joins=True,
        include_aliases=True,
        include_selects=True,
        include_crud=True,
    )
    return {table.fullname for table in found if isinstance(table, sa.TableClause)}
