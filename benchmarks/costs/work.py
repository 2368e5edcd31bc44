"""
What is measured: a Core statement, one of the ORM, a unit of work, and a statement of asyncpg without SQLAlchemy.

The first three run over SQLite in memory, the fastest database there is, so that what is added is as large a part as
it can be; asyncpg's over PostgreSQL, whose own CPU time is in another process and not counted. Figures are CPU
nanoseconds of this process for one operation, threads that a product keeps included.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import sqlalchemy
from sqlalchemy import Engine, String, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import QueuePool

from costs.arms import Watch

__all__ = ["TIMES", "WORK", "Round"]

_ROWS: Final = 10
Round = Callable[[int], float]
"""Does so many operations and gives CPU nanoseconds per operation."""


class Base(DeclarativeBase):
    """Of the mapping."""


class Item(Base):
    """What is read."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


ONE_ROW: Final = select(Item.id, Item.name).where(Item.id == 5)
ONE_ITEM: Final = select(Item).where(Item.id == 5)


def _engine(watch: Watch) -> Engine:
    # As a module that was imported after the products began. One connection in a queue pool, as an application has; a
    # memory database lives as long as its connection.
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Item), [{"id": number, "name": f"item {number}"} for number in range(_ROWS)])
    watch.attach(engine)
    return engine


def _timed(times: int, operation: Callable[[], object], around: AbstractContextManager[object]) -> float:
    with around:
        operation()
        started = time.process_time_ns()
        for _ in range(times):
            operation()
        return (time.process_time_ns() - started) / times


def _core_statement(watch: Watch, _url: str) -> Round:
    engine = _engine(watch)

    def some(times: int) -> float:
        with engine.connect() as connection:
            return _timed(times, lambda: connection.execute(ONE_ROW).all(), watch.around())

    return some


def _orm_statement(watch: Watch, _url: str) -> Round:
    engine = _engine(watch)

    def some(times: int) -> float:
        with Session(engine) as session:
            return _timed(times, lambda: session.scalars(ONE_ITEM).all(), watch.around())

    return some


def _unit_of_work(watch: Watch, _url: str) -> Round:
    engine = _engine(watch)

    def unit() -> None:
        with engine.connect() as connection:
            connection.execute(ONE_ROW).all()
            connection.commit()

    return lambda times: _timed(times, unit, watch.around())


def _asyncpg_statement(watch: Watch, url: str) -> Round:
    loop = asyncio.new_event_loop()

    async def connected() -> asyncpg.pool.PoolConnectionProxy:
        pool = await asyncpg.create_pool(url, min_size=1, max_size=1)
        watch.attach(pool)
        connection = await pool.acquire()
        watch.on_connection(connection)
        return connection

    connection = loop.run_until_complete(connected())

    async def fetches(times: int) -> float:
        with watch.around():
            await connection.fetch("SELECT $1::int AS id", 5)
            started = time.process_time_ns()
            for _ in range(times):
                await connection.fetch("SELECT $1::int AS id", 5)
            return (time.process_time_ns() - started) / times

    return lambda times: loop.run_until_complete(fetches(times))


WORK: Final[dict[str, Callable[[Watch, str], Round]]] = {
    "Core statement": _core_statement,
    "ORM statement": _orm_statement,
    "unit of work": _unit_of_work,
    "asyncpg fetch": _asyncpg_statement,
}
TIMES: Final = {"Core statement": 500, "ORM statement": 500, "unit of work": 200, "asyncpg fetch": 200}
"""Operations of a round that is timed."""
