"""An engine that the application forgets goes as it would have gone, and its gauge ends by itself."""

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, insert, text
from sqlalchemy.exc import DBAPIError

from databases.engines import SYNC_DRIVERS, NewDatabase
from querygauge.instrumenting import instrument

orders = Table("orders", MetaData(), Column("id", Integer, primary_key=True, autoincrement=False))


def nothing(engine: Engine) -> None:
    """Leaves the engine as it was made."""


def use(engine: Engine) -> None:
    """Everything that leaves something behind."""
    orders.metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(insert(orders), [{"id": number} for number in range(3)])
        connection.execute(insert(orders).returning(orders.c.id), [{"id": number} for number in range(5, 8)]).all()
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT * FROM nowhere"))
    engine.dispose()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()


def left_of(engine: Engine) -> list[ref[Any]]:
    """What an engine is made of."""
    return [ref(engine), ref(engine.pool), ref(engine.dialect)]


def are_gone(parts: list[ref[Any]]) -> list[bool]:
    """Which parts the garbage collector took."""
    gc.collect()
    return [part() is None for part in parts]


@pytest.mark.parametrize("work", [nothing, use])
@pytest.mark.parametrize("driver", SYNC_DRIVERS)
def test_a_forgotten_engine(driver: str, work: Callable[[Engine], None], new_database: NewDatabase) -> None:
    """Engine, pool and dialect are freed as without a gauge, though it is held; then it closes itself."""
    bare = create_engine(new_database(driver))
    work(bare)
    bare_parts = left_of(bare)
    del bare
    engine = create_engine(new_database(driver))
    gauge = instrument(engine, store=None, slow_query_threshold_ms=0, call_sites="all", enable_logging=False)
    work(engine)
    parts = left_of(engine)
    del engine
    gone = are_gone(parts)
    assert gone == are_gone(bare_parts)
    assert gone[:2] == [True, True]
    gauge.poll()
    # SQLAlchemy itself keeps a dialect of PostgreSQL after some work.
    assert gauge.is_closed == gone[2]
    assert gauge.pool.get_current_snapshot().active_connections == 0
    gauge.close()
