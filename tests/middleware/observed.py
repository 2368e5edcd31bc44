"""What a middleware has made of the requests of a test."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from querygauge import Instrumentation, instrument
from querygauge.middleware.request_scope import GUARD

__all__ = ["asend", "failures", "observed", "scopes", "send"]


@contextmanager
def observed(*targets: Any) -> Iterator[Instrumentation]:
    """A gauge that keeps every execution, so that each can be asked for its scope."""
    with instrument(*targets, store=None, slow_query_threshold_ms=0, enable_logging=False) as gauge:
        yield gauge


def scopes(gauge: Instrumentation) -> Counter[str | None]:
    """What was sent here, by the scope it was counted in; a driver asks things of its own when it connects."""
    return Counter(slow.scope for slow in gauge.queries.get_slow_queries(0) if slow.query == "SELECT abs(?)")


def send(engine: Engine, times: int = 1) -> None:
    """Sends a statement, on one connection."""
    with engine.connect() as connection:
        for _ in range(times):
            connection.execute(text("SELECT abs(1)"))


async def asend(engine: AsyncEngine, times: int = 1) -> None:
    """Sends a statement, on one connection."""
    async with engine.connect() as connection:
        for _ in range(times):
            await connection.execute(text("SELECT abs(1)"))


@contextmanager
def failures(count: int) -> Iterator[None]:
    """Holds that so many failures are counted inside."""
    before = GUARD.failures
    yield
    assert GUARD.failures - before == count
