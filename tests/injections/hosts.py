"""
What the applications run over: the targets, how they are made new for the next run, and what must be left of them.

Deliberately not here: what the applications do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from capture.scenarios import Facts
from injections.applications import (
    Look,
    over_asgi,
    over_asyncpg,
    over_connection,
    over_engine,
    over_pool,
    over_wsgi,
    tables,
)

__all__ = ["HOSTS", "Host"]

_LIMITS: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.001}


@dataclass
class Host:
    """
    One application.

    Attributes:
        target: What is watched.
        run: The application, which may be run again after `renew`.
        renew: Forgets what the last run has left in caches.
        in_use: Connections that are checked out.
        shadows: Names of what stands in place of methods and classes, to compare.
        within: Beginning of our modules in which something is to fail.
    """

    target: Any
    run: Callable[[Look], Awaitable[Facts]]
    renew: Callable[[], Awaitable[object]]
    in_use: Callable[[], int]
    shadows: Callable[[], Any]
    within: str = "querygauge."


def _methods(owner: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(owner).items() if callable(value)}


def _engine_host(engine: Engine, work: Callable[[Engine, Look], Any]) -> Host:
    async def run(look: Look) -> Facts:
        found: Any = work(engine, look)
        facts: Facts = await found if hasattr(found, "__await__") else found
        return facts

    async def renew() -> None:
        engine.clear_compiled_cache()
        engine.dispose()

    def in_use() -> int:
        return engine.pool.checkedout()  # type: ignore[attr-defined, no-any-return]  # a queue pool, another each time

    return Host(
        engine,
        run,
        renew,
        in_use,
        lambda: (_methods(engine.dialect), _methods(engine.pool)),
    )


@asynccontextmanager
async def _sqlite(work: Callable[[Engine, Look], Any], url: URL) -> AsyncIterator[Host]:
    engine = create_engine(url, **_LIMITS)
    yield _engine_host(engine, work)
    engine.dispose()


@asynccontextmanager
async def _asyncpg_engine(url: URL) -> AsyncIterator[Host]:
    engine = create_async_engine(url, **_LIMITS)

    async def renew() -> None:
        engine.sync_engine.clear_compiled_cache()  # it loses its connection in every run, and opening one takes long

    await tables(engine)
    yield Host(
        engine.sync_engine,
        lambda look: over_asyncpg(engine, look),
        renew,
        engine.pool.checkedout,  # type: ignore[attr-defined]  # a queue pool
        lambda: (_methods(engine.dialect), _methods(engine.pool)),
        within="querygauge.capture.",  # what the hooks call is what it is for a synchronous engine
    )
    await engine.dispose()


async def _nothing() -> None:
    """Leaves everything as it is."""


@asynccontextmanager
async def _connection(url: URL) -> AsyncIterator[Host]:
    connection = await asyncpg.connect(_dsn(url), statement_cache_size=0)
    yield Host(
        connection,
        lambda look: over_connection(connection, look),
        _nothing,
        lambda: 0,
        lambda: dict(vars(connection._protocol)),
    )
    await connection.close()


@asynccontextmanager
async def _pool(url: URL) -> AsyncIterator[Host]:
    refusals: list[Exception] = []

    async def setup(_: Any) -> None:
        if refusals:
            raise refusals.pop()

    async with asyncpg.create_pool(_dsn(url), min_size=1, max_size=1, setup=setup) as pool:
        yield Host(
            pool,
            lambda look: over_pool(pool, refusals, look),
            pool.expire_connections,
            lambda: sum(not holder.is_idle() for holder in pool._holders),
            lambda: (type(pool), pool._connect),
        )


def _dsn(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


HOSTS: dict[str, tuple[str, Callable[[URL], Any]]] = {
    "engine": ("sqlite3", lambda url: _sqlite(over_engine, url)),
    "asyncpg engine": ("asyncpg", _asyncpg_engine),
    "asyncpg connection": ("asyncpg", _connection),
    "asyncpg pool": ("asyncpg", _pool),
    "ASGI": ("sqlite3", lambda url: _sqlite(over_asgi, url)),
    "WSGI": ("sqlite3", lambda url: _sqlite(over_wsgi, url)),
}
