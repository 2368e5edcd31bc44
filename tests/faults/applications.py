"""
An application in three shapes: over SQLAlchemy and psycopg in threads, over SQLAlchemy and asyncpg, and over asyncpg.

Each has a pool of at most two connections and the same few ways to use it, so that a scenario is written once. What
they give back are values that can be compared. Deliberately not here: what goes wrong.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from faults.proxy import TcpProxy

__all__ = ["APPLICATIONS", "Application"]

_SIZE = 2  # connections; one that is used and one that waits show everything
_LIMITS: dict[str, Any] = {"pool_size": _SIZE, "max_overflow": 0}


class Application(Protocol):
    """
    An application and its pool.

    Attributes:
        target: What `instrument` takes.
        patience_s: How long `acquire` waits for a connection.
        sent: Statements handed to the driver so far, those that failed included.
    """

    target: Any
    patience_s: float
    sent: int

    async def open(self) -> None:
        """Makes the pool, with no connection in it yet."""

    async def acquire(self) -> Any:
        """A connection of the pool."""

    async def run(self, connection: Any, statement: str) -> list[tuple[Any, ...]]:
        """Executes a statement and fetches all of its rows, in a transaction that stays open where there is one."""

    async def read(self, connection: Any, statement: str) -> Callable[[], Any]:
        """Executes a statement whose rows stay on the server; the function awaits the next ten of them."""

    async def begin(self, connection: Any) -> None:
        """Begins a transaction, if none has begun by itself."""

    async def commit(self, connection: Any) -> None:
        """Commits it."""

    async def release(self, connection: Any) -> None:
        """Gives the connection back."""

    def truth(self) -> tuple[int, int]:
        """Connections in use and idle, as the pool itself knows them."""

    async def renew(self) -> None:
        """Has every connection opened anew."""

    async def aclose(self) -> None:
        """Closes the pool."""


class _Threads:
    """A synchronous application: each step in some thread, as under a web server."""

    def __init__(self, proxy: TcpProxy, connect_timeout_s: float = 30, **options: Any) -> None:
        self.sent = 0
        self.patience_s = 30.0
        url, arguments = proxy.url("postgresql+psycopg"), {"connect_timeout": max(2, round(connect_timeout_s))}
        self.target: Engine = create_engine(url, **_LIMITS, connect_args=arguments, **options)

    async def open(self) -> None:
        pass

    async def acquire(self) -> Connection:
        vars(self.target.pool)["_timeout"] = self.patience_s
        return await asyncio.to_thread(self.target.connect)

    async def run(self, connection: Connection, statement: str) -> list[tuple[Any, ...]]:
        def work() -> list[tuple[Any, ...]]:
            self.sent += not connection.invalidated  # SQLAlchemy sends nothing then
            return [tuple(row) for row in connection.execute(text(statement))]

        return await asyncio.to_thread(work)

    async def read(self, connection: Connection, statement: str) -> Callable[[], Any]:
        def work() -> Any:
            self.sent += 1
            return connection.execution_options(yield_per=10).execute(text(statement))

        result = await asyncio.to_thread(work)
        return lambda: asyncio.to_thread(lambda: [tuple(row) for row in result.fetchmany(10)])

    async def begin(self, connection: Connection) -> None:
        pass

    async def commit(self, connection: Connection) -> None:
        await asyncio.to_thread(connection.commit)

    async def release(self, connection: Connection) -> None:
        await asyncio.to_thread(connection.close)

    def truth(self) -> tuple[int, int]:
        pool = self.target.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout(), sum(entry.dbapi_connection is not None for entry in pool._pool.queue)  # type: ignore[attr-defined]

    async def renew(self) -> None:
        await asyncio.to_thread(self.target.dispose)

    async def aclose(self) -> None:
        await asyncio.to_thread(self.target.dispose)


class _Tasks:
    """An asynchronous application over SQLAlchemy."""

    def __init__(self, proxy: TcpProxy, connect_timeout_s: float = 30, **options: Any) -> None:
        self.sent = 0
        self.patience_s = 30.0
        url, arguments = proxy.url("postgresql+asyncpg"), {"timeout": connect_timeout_s}
        self.target: AsyncEngine = create_async_engine(url, **_LIMITS, connect_args=arguments, **options)

    async def open(self) -> None:
        pass

    async def acquire(self) -> AsyncConnection:
        vars(self.target.pool)["_timeout"] = self.patience_s
        return await self.target.connect()

    async def run(self, connection: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
        self.sent += not connection.invalidated  # SQLAlchemy sends nothing then
        return [tuple(row) for row in await connection.execute(text(statement))]

    async def read(self, connection: AsyncConnection, statement: str) -> Callable[[], Any]:
        self.sent += 1
        streaming = await connection.execution_options(yield_per=10)
        result = await streaming.stream(text(statement))

        async def following() -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await result.fetchmany(10)]

        return following

    async def begin(self, connection: AsyncConnection) -> None:
        pass

    async def commit(self, connection: AsyncConnection) -> None:
        await connection.commit()

    async def release(self, connection: AsyncConnection) -> None:
        await connection.close()

    def truth(self) -> tuple[int, int]:
        pool = self.target.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)
        queue: Any = pool._pool
        return pool.checkedout(), sum(entry.dbapi_connection is not None for entry in queue._queue._queue)

    async def renew(self) -> None:
        await self.target.dispose()

    async def aclose(self) -> None:
        await self.target.dispose()


class _Raw:
    """An asynchronous application over asyncpg alone."""

    def __init__(self, proxy: TcpProxy, connect_timeout_s: float = 30) -> None:
        self.sent = 0
        self.patience_s = 30.0
        dsn = proxy.url("postgresql").render_as_string(hide_password=False)
        self.target = asyncpg.create_pool(dsn, min_size=0, max_size=_SIZE, timeout=connect_timeout_s)
        self._transactions: dict[Any, Any] = {}

    async def open(self) -> None:
        await self.target

    async def acquire(self) -> Any:
        return await self.target.acquire(timeout=self.patience_s)

    async def run(self, connection: Any, statement: str) -> list[tuple[Any, ...]]:
        self.sent += not connection.is_closed()  # asyncpg sends nothing on a connection that it knows to be closed
        return [tuple(row) for row in await connection.fetch(statement)]

    async def read(self, connection: Any, statement: str) -> Callable[[], Any]:
        await self.begin(connection)
        self.sent += 1
        cursor = await connection.cursor(statement)

        async def following() -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await cursor.fetch(10)]

        return following

    async def begin(self, connection: Any) -> None:
        self._transactions[connection] = transaction = connection.transaction()
        await transaction.start()

    async def commit(self, connection: Any) -> None:
        await self._transactions.pop(connection).commit()

    async def release(self, connection: Any) -> None:
        self._transactions.pop(connection, None)
        await self.target.release(connection)

    def truth(self) -> tuple[int, int]:
        holders = self.target._holders
        in_use = [holder for holder in holders if not holder.is_idle()]
        return len(in_use), sum(holder.is_idle() and holder.is_connected() for holder in holders)

    async def renew(self) -> None:
        await self.target.expire_connections()

    async def aclose(self) -> None:
        with suppress(asyncpg.InterfaceError):  # it was never opened
            self.target.terminate()


APPLICATIONS: dict[str, Callable[..., Application]] = {"psycopg": _Threads, "asyncpg": _Tasks, "asyncpg pool": _Raw}
