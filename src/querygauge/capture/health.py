"""
A ping through the pool of one engine: the way a statement would go, and in no statistics.

It asks the driver through `Dialect.do_ping`, which is below the statements that are timed, and its checkout is marked
with `PINGING`. Deliberately not here: when to ping, and what a failure means.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import ref

from sqlalchemy.engine import Engine

from querygauge.capture.sqlalchemy_pool import PINGING, PoolHooks
from querygauge.errors import QueryGaugeError

__all__ = ["ping_of"]


def ping_of(engine: Engine, hooks: PoolHooks, timeout_s: float) -> Callable[[], bool]:
    """
    A function that pings the engine's database through its pool, from any thread but an event loop's.

    An asynchronous engine is pinged on the loop that last obtained a connection from it, since its connections belong
    to that loop; whoever calls this waits until `hooks.lag` knows it.

    Args:
        engine: Held weakly; once it is gone, nothing is pinged and the answer is True.
        hooks: The attachment to its pool.
        timeout_s: How long to wait for the loop.

    Raises:
        Exception: From the function: whatever the driver or the pool raised.
    """
    engine_of = ref(engine)

    def ping() -> bool:
        alive = engine_of()
        if alive is None:
            return True
        if not alive.dialect.is_async:
            return _ping(alive)
        loop = None if hooks.lag is None else hooks.lag.loop
        if loop is None or loop.is_closed():
            raise QueryGaugeError("the event loop that last used this engine is closed; use the engine again")
        return asyncio.run_coroutine_threadsafe(_ping_async(alive), loop).result(timeout_s)

    return ping


def _ping(engine: Engine) -> bool:
    token = PINGING.set(True)
    try:
        connection: Any = engine.pool.connect()
        try:
            return engine.dialect.do_ping(connection.dbapi_connection)
        finally:
            connection.close()
    finally:
        PINGING.reset(token)


async def _ping_async(engine: Engine) -> bool:
    from sqlalchemy.util.concurrency import greenlet_spawn

    return await greenlet_spawn(_ping, engine)
