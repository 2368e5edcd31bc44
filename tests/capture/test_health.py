"""Pings through the pool of an engine: real ones, and in no statistics."""

import asyncio
import threading
from collections.abc import Callable

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

PATIENCE_S = 20.0


def until(condition: Callable[[], bool]) -> None:
    """Waits for what another thread does, and fails if it takes too long."""
    tick = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("the condition did not come true")


def pinged(gauge: Instrumentation) -> bool:
    """Whether a check has ended."""
    gauge.poll()
    return bool(gauge.pool.get_health_checks())


def test_a_ping_is_in_no_statistics(sync_engine: Engine) -> None:
    """The pool answers, and neither a statement nor a checkout is counted; the connection is idle afterwards."""
    sync_engine.connect().close()  # the dialect learns what it talks to
    with instrument(sync_engine, store=None, health_check=True) as gauge:
        until(lambda: pinged(gauge))
        (check,) = gauge.pool.get_health_checks()
        assert (check.error, check.is_healthy) == (None, True)
        metrics = gauge.pool.get_metrics()
        assert (metrics.total_requests, metrics.total_checkouts, metrics.health_checks) == (0, 0, 1)
        assert gauge.queries.get_query_stats() == []
        snapshot = gauge.pool.get_current_snapshot()
        assert (snapshot.active_connections, snapshot.idle_connections) == (0, 1)


def test_a_ping_that_opens_a_connection_is_in_no_statistics() -> None:
    """A pool that keeps none opens one for each ping, and the application opened none."""
    with instrument(create_engine("sqlite://", poolclass=NullPool), store=None, health_check=True) as gauge:
        until(lambda: pinged(gauge))
        assert gauge.pool.get_metrics().create.count == 0


def test_a_refused_ping_is_a_failure(sync_engine: Engine) -> None:
    """A database that cannot be reached is a failed check with the driver's error, and no harm."""
    with instrument(sync_engine, store=None, health_check=True) as gauge:

        def refuse() -> None:
            raise ConnectionRefusedError("no server at mark-7f3a9c")

        sync_engine.pool._invoke_creator = lambda _entry: refuse()  # type: ignore[assignment]
        until(lambda: pinged(gauge))
        (check,) = gauge.pool.get_health_checks()
        assert check.error is not None
        assert "ConnectionRefusedError" in check.error
        assert "mark-7f3a9c" not in check.error


async def test_an_async_engine_is_pinged_on_its_own_loop(async_engine: AsyncEngine) -> None:
    """Nothing is pinged before the application used the engine; then it is, on the application's loop."""
    with instrument(async_engine, store=None, health_check=True) as gauge:
        gauge.poll()
        assert gauge.pool.get_health_checks() == []
        async with async_engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        before = gauge.pool.get_metrics().total_checkouts
        await asyncio.to_thread(until, lambda: pinged(gauge))
        (check,) = gauge.pool.get_health_checks()
        assert check.error is None
        assert gauge.pool.get_metrics().total_checkouts == before == 1
