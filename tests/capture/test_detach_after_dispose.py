"""A gauge that is closed after a `dispose()` leaves the pool that took its place as it would have been made."""

import gc
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.pool import QueuePool

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


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_dispose_that_was_under_way(new_engine: NewEngine, *, is_copied: bool) -> None:
    """The pool that another thread was making as the gauge came is watched once the engine has it, and then left."""
    due: list[bool] = []

    class Disposed(QueuePool):
        def recreate(self) -> Any:
            copy = super().recreate() if is_copied else None
            if due:
                due.clear()
                instrument(engine, store=None)
            return copy or super().recreate()

    engine = new_engine("sqlite3", poolclass=Disposed)
    engine.connect().close()
    engine.dispose()
    before, methods = listeners(engine), set(vars(engine.pool))
    due.append(True)
    engine.dispose()
    gauge = instrument(engine, store=None)
    for checkouts in (1, 2):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            assert gauge.pool.get_current_snapshot().active_connections == 1
        assert gauge.pool.get_metrics().total_checkouts == gauge.pool.get_metrics().total_checkins == checkouts
        engine.dispose()
    assert gauge.report_data().self_metrics.hook_errors == 0
    assert not engine._has_events  # which would cost every statement
    gauge.close()
    assert listeners(engine) == before
    assert list(engine.dispatch.engine_disposed) == []
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
