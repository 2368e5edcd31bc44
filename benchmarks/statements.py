"""
Some two hundred statements as applications send them, by kind, each with its dialect.

Most are compiled by SQLAlchemy itself for four drivers; the literal-heavy ones are what reports, migrations and scripts
send by hand. Sizes follow what was asked of the normaliser: ORM selects of 200 to 400 bytes, IN lists of 3 KB, inserts
of many rows of 10 KB, literals of 5 KB.
"""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, joinedload, mapped_column, relationship, selectinload

__all__ = ["ORM_SELECT", "Sent", "statements"]

Sent = tuple[str, str]
"""Dialect and statement."""


class _Base(DeclarativeBase):
    """What can be selected."""


class _User(_Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    is_active: Mapped[bool]
    created_at: Mapped[int]
    updated_at: Mapped[int | None]
    locale: Mapped[str | None]
    orders: Mapped[list["_Order"]] = relationship(back_populates="user")


class _Order(_Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    state: Mapped[str]
    total: Mapped[int]
    placed_at: Mapped[int]
    shipped_at: Mapped[int | None]
    note: Mapped[str | None]
    user: Mapped[_User] = relationship(back_populates="orders")
    lines: Mapped[list["_Line"]] = relationship()


class _Line(_Base):
    __tablename__ = "order_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    article: Mapped[str]
    quantity: Mapped[int]
    price: Mapped[int]


_asyncpg: Any = postgresql.asyncpg
_psycopg: Any = postgresql.psycopg
_DRIVERS: Final = (
    ("postgresql", _asyncpg.dialect()),
    ("postgresql", _psycopg.dialect()),
    ("mysql", mysql.pymysql.dialect()),
    ("sqlite", sqlite.dialect()),
)

ORM_SELECT: Final = (
    "SELECT users.id AS users_id, users.name AS users_name, users.email AS users_email, users.created_at AS "
    "users_created_at, addresses_1.id AS addresses_1_id, addresses_1.city AS addresses_1_city \nFROM users LEFT OUTER "
    "JOIN addresses AS addresses_1 ON users.id = addresses_1.user_id \nWHERE users.id = %(id_1)s::INTEGER AND "
    "users.name = %(name_1)s::VARCHAR"
)
"""351 bytes, the statement whose cost on a miss is stated."""


def _transaction_control() -> Iterator[Sent]:
    for dialect in ("postgresql", "mysql", "sqlite"):
        for statement in (
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT sa_savepoint_1",
            "RELEASE SAVEPOINT sa_savepoint_1",
        ):
            yield dialect, statement
        yield dialect, "ROLLBACK TO SAVEPOINT sa_savepoint_2"
    yield "postgresql", "SET search_path TO shop, public"
    yield "postgresql", "SET LOCAL statement_timeout = 500"
    yield "postgresql", "select pg_catalog.version()"
    yield "postgresql", "show standard_conforming_strings"
    yield "mysql", "SELECT @@transaction_isolation"
    yield "mysql", "SET NAMES utf8mb4"
    yield "sqlite", "PRAGMA foreign_keys=ON"


def _compiled() -> Iterator[Sent]:
    author = aliased(_User)
    recent = sa.select(_Order.user_id, sa.func.max(_Order.placed_at).label("last")).group_by(_Order.user_id).subquery()
    queries: list[Any] = [
        sa.select(_User).where(_User.id == 5),
        sa.select(_User).where(_User.email == "ann@example.org", _User.is_active.is_(True)),
        sa.select(_User).options(joinedload(_User.orders)).where(_User.id == 5),
        sa.select(_Order).options(joinedload(_Order.user)).order_by(_Order.placed_at.desc()).limit(20).offset(40),
        sa.select(_Order).options(selectinload(_Order.lines)).where(_Order.state.in_(["new", "paid"])),
        sa.select(_Line).where(_Line.order_id.in_([1, 2, 3])),
        sa.select(_Order.state, sa.func.count(), sa.func.sum(_Order.total)).group_by(_Order.state),
        sa.select(author.name, _Order.total).join(author, author.id == _Order.user_id).where(_Order.total > 100),
        sa.select(sa.func.count()).select_from(sa.select(_User.id).where(_User.created_at > 7).subquery()),
        sa.select(_User.name, recent.c.last).join(recent, recent.c.user_id == _User.id, isouter=True),
        sa.select(_User).where(sa.exists().where(_Order.user_id == _User.id, _Order.state == "new")),
        sa.select(_User).where(_User.name.like("ann%") | _User.name.is_(None)).with_for_update(),
        sa.insert(_User).values(name="ann", email="ann@example.org", is_active=True, created_at=1),
        sa.update(_User).where(_User.id == 5).values(name="bob", is_active=False),
        sa.update(_Order).where(_Order.id.in_([1, 2])).values(total=_Order.total + 5),
        sa.delete(_Line).where(_Line.order_id == 9, _Line.quantity == 0),
    ]
    # As `Session.query` labels its columns, too.
    queries += [
        query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL) for query in queries if isinstance(query, sa.Select)
    ]
    for query in queries:
        for name, dialect in _DRIVERS:
            yield name, str(query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True}))
    yield "postgresql", ORM_SELECT


def _in_lists() -> Iterator[Sent]:
    head = "SELECT orders.id, orders.total \nFROM orders \nWHERE orders.id IN ("
    for size in (400, 500, 600, 700):
        yield "postgresql", head + ", ".join(f"${number}::INTEGER" for number in range(1, size // 2)) + ")"
        yield "postgresql", head + ", ".join(f"%(id_1_{number})s::INTEGER" for number in range(1, size // 4)) + ")"
        yield "mysql", head + ", ".join(["%s"] * size) + ")"
        yield "sqlite", head + ", ".join(["?"] * size) + ")"
        yield "sqlite", head + ", ".join(str(number * 37) for number in range(size)) + ")"


def _many_rows() -> Iterator[Sent]:
    head = "INSERT INTO users (name, email, is_active, created_at) VALUES "
    for rows in (100, 150):
        yield (
            "postgresql",
            head
            + ", ".join(
                f"(%(name__{n})s::VARCHAR, %(email__{n})s::VARCHAR, %(is_active__{n})s, %(created_at__{n})s::INTEGER)"
                for n in range(rows)
            ),
        )
        yield (
            "postgresql",
            head
            + ", ".join(
                f"(${4 * n + 1}::VARCHAR, ${4 * n + 2}::VARCHAR, ${4 * n + 3}::BOOLEAN, ${4 * n + 4}::INTEGER)"
                for n in range(rows)
            ),
        )
        yield "mysql", head + ", ".join(f"('name {n}', 'n{n}@example.org', 1, {n * 1001})" for n in range(2 * rows))
        yield "mysql", head + ", ".join(f"('it\\'s {n}', 'n{n}@example.org', 0, now())" for n in range(2 * rows))
        yield "sqlite", head + ", ".join(f"('it''s {n}', NULL, 1, {n * 1001})" for n in range(3 * rows))
        yield "sqlite", head + ", ".join(["(?, ?, ?, ?)"] * 6 * rows)


def _literals() -> Iterator[Sent]:
    for dialect in ("postgresql", "mysql", "sqlite"):
        cases = " ".join(f"WHEN orders.state = 'state {n}' THEN {n}.5" for n in range(120))
        yield dialect, f"SELECT orders.id, CASE {cases} ELSE -1 END AS rank FROM orders WHERE orders.total > 1e3"
        columns = ", ".join(f"'value {n}' AS c{n}" for n in range(220))
        yield dialect, f"SELECT {columns}"
        terms = " OR ".join(f"(users.name = 'name {n}' AND users.created_at >= {n * 86_400})" for n in range(80))
        yield dialect, f"SELECT users.id FROM users WHERE {terms} ORDER BY users.id LIMIT 100"
        assigned = ", ".join(f"column_{n % 10}x{n} = 'a longer text, with (marks) in it: {n}'" for n in range(80))
        yield dialect, f"UPDATE articles SET {assigned} WHERE articles.id = 7"
        yield (
            dialect,
            "INSERT INTO documents (body) VALUES ('" + "lorem ipsum dolor sit amet, 12 consectetur; " * 120 + "')",
        )
    yield "postgresql", "SELECT $$it's$$, E'a\\'b' FROM t -- a comment\nWHERE a = 'x' /* another */ AND b = 1.5e-3"
    yield "mysql", "SELECT \"it's\", 'a\\'b' FROM t # a comment\nWHERE a = 'x' /* another */ AND b = 0xFF"
    yield "postgresql", "DO $body$ BEGIN " + "PERFORM pg_notify('a', 'b'); " * 150 + "END $body$"


_KINDS: Final = {
    "transaction control": _transaction_control,
    "compiled by SQLAlchemy": _compiled,
    "IN lists": _in_lists,
    "inserts of many rows": _many_rows,
    "literals": _literals,
}


def statements() -> dict[str, list[Sent]]:
    """The statements of each kind, as pairs of dialect and text."""
    return {kind: list(made()) for kind, made in _KINDS.items()}
