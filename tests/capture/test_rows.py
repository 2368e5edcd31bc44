"""Rows are counted where the driver tells them; where it does not, they are unknown, and never zero."""

from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.util import greenlet_spawn

from databases.engines import ASYNC_DRIVERS, SYNC_DRIVERS, NewAsyncEngine, NewEngine
from querygauge.instrumenting import instrument

UNKNOWN = None


class Base(DeclarativeBase):
    """The application's tables."""


class Order(Base):
    """One table."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    age: Mapped[int]


def rows(*ids: int) -> list[dict[str, int]]:
    """Parameters of an insert."""
    return [{"id": number, "age": 1} for number in ids]


# What is sent, and how many rows a driver tells that tells of everything.
WORK: dict[str, tuple[Any, int | None]] = {
    "insert": ((insert(Order), rows(1)), 1),
    "insert of several": ((insert(Order).values(rows(2, 3, 4)),), 3),
    "executemany": ((insert(Order).inline(), rows(5, 6)), 2),
    "update": ((update(Order).where(Order.id <= 3).values(age=2),), 3),
    "update of none": ((update(Order).where(Order.id > 99).values(age=2),), 0),
    "select": ((select(Order).where(Order.id <= 3),), 3),
    "select of none": ((select(Order).where(Order.id > 99),), 0),
    "text": ((text("SELECT id FROM orders WHERE id <= 2"),), 2),
    "insertmanyvalues": ((insert(Order).returning(Order.id), rows(7, 8, 9)), 3),
    "returning": ((insert(Order).values(rows(10, 11)).returning(Order.id),), 2),
    "delete returning": ((delete(Order).where(Order.id > 9).returning(Order.id),), 2),
    "delete": ((delete(Order).where(Order.id <= 3),), 3),
    "create": ((text("CREATE TABLE others (id INTEGER)"),), UNKNOWN),
}
_READS = dict.fromkeys(("select", "select of none", "text"), UNKNOWN)
_RETURNING = dict.fromkeys(("insertmanyvalues", "returning", "delete returning"), UNKNOWN)
# SQLAlchemy 2.0 hands on aiosqlite's number of rows only where no rows come back.
_AIOSQLITE = _READS | (_RETURNING if sqlalchemy.__version__.startswith("2.0.") else {})
# Where a driver tells something else.
OTHERWISE: dict[str, dict[str, int | None]] = {
    "sqlite3": {**_READS, **_RETURNING},  # it says 0 before the rows were read
    "aiosqlite": _AIOSQLITE,
    "asyncpg": {"executemany": UNKNOWN},
    "pymysql": {"create": 0},
    "aiomysql": {"create": 0},
}


def work(engine: Engine) -> dict[str, int | None]:
    """What the gauge says of each piece of work."""
    Base.metadata.create_all(engine)
    told: dict[str, int | None] = {}
    with instrument(engine, store=None, slow_query_threshold_ms=0, enable_logging=False) as gauge:
        for name, (statement, _) in WORK.items():
            gauge.queries.clear_history()
            with engine.begin() as connection:
                result = connection.execute(*statement)
                if result.returns_rows:
                    result.all()
            (stats,) = [entry for entry in gauge.queries.get_query_stats() if entry.pattern.category != "transaction"]
            told[name] = stats.rows if stats.rows_known_count else UNKNOWN
    return told


def expected(driver: str) -> dict[str, int | None]:
    """What should be told."""
    return {name: count for name, (_, count) in WORK.items()} | OTHERWISE.get(driver, {})


@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_sync(driver: str, new_engine: NewEngine) -> None:
    """What each synchronous driver tells is what is counted."""
    assert work(new_engine(driver)) == expected(driver)


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_async(driver: str, new_async_engine: NewAsyncEngine) -> None:
    """What each asynchronous driver tells is what is counted."""
    assert await greenlet_spawn(work, new_async_engine(driver).sync_engine) == expected(driver)


def test_server_side_cursor(sync_engine: Engine) -> None:
    """Rows that stay on the server until they are asked for are unknown when the statement ends."""
    with instrument(sync_engine, store=None, enable_logging=False) as gauge, sync_engine.connect() as connection:
        streaming = connection.execution_options(stream_results=True)
        assert len(streaming.execute(text("SELECT 1 UNION ALL SELECT 2")).all()) == 2
        (stats,) = [entry for entry in gauge.queries.get_query_stats() if "UNION" in entry.query_pattern]
    assert (stats.execution_count, stats.rows_known_count, stats.rows) == (1, 0, 0)


async def test_asynchronous_stream(async_engine: AsyncEngine) -> None:
    """The same for a stream of an asynchronous engine."""
    with instrument(async_engine, store=None, enable_logging=False) as gauge:
        async with async_engine.connect() as connection:
            stream = await connection.stream(text("SELECT 1 UNION ALL SELECT 2"))
            assert len([row async for row in stream]) == 2
        (stats,) = [entry for entry in gauge.queries.get_query_stats() if "UNION" in entry.query_pattern]
    assert (stats.execution_count, stats.rows_known_count, stats.rows) == (1, 0, 0)
