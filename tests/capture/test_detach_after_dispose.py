"""A gauge that is closed after a `dispose()` leaves the pool that took its place as it would have been made."""

import gc
from typing import Any

import pytest
from sqlalchemy import Engine, text

from databases.engines import NewEngine
from querygauge.instrumenting import instrument

EVENTS = ("connect", "checkout", "checkin", "close", "detach", "close_detached", "invalidate", "reset")


def listeners(engine: Engine) -> dict[str, int]:
    """How many listeners the pool has, by event."""
    dispatch: Any = engine.pool.dispatch
    return {name: len(list(getattr(dispatch, name))) for name in EVENTS}


@pytest.mark.parametrize("disposals", [1, 3])
def test_listeners_are_gone(new_engine: NewEngine, disposals: int) -> None:
    """However often the pool was replaced, no listener of ours is left on it, and no method replaced."""
    engine = new_engine("sqlite3")
    engine.connect().close()
    engine.dispose()
    before, methods = listeners(engine), set(vars(engine.pool))
    with instrument(engine, store=None):
        for _ in range(disposals):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            engine.dispose()
    assert listeners(engine) == before
    assert set(vars(engine.pool)) == methods


def test_replaced_pools_are_let_go(new_engine: NewEngine) -> None:
    """Replacing the pool a hundred times keeps no more than the present one's attachments."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None) as gauge:
        for _ in range(100):
            engine.dispose()
        gc.collect()
        engine.dispose()
        attachment: Any = gauge._watched.attached()[0]
        assert len(attachment._hooks._wraps) <= 2
