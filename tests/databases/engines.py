"""
SQLAlchemy engines over real databases, one for each driver that querygauge supports.

A test that holds for every driver asks for `sync_engine` or `async_engine` and runs once for each. One that needs a
driver, options or several engines asks for `new_engine` or `new_async_engine` and calls it.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from databases.mysql import new_mysql_database
from databases.postgres import new_postgres_database

__all__ = [
    "ASYNC_DRIVERS",
    "SYNC_DRIVERS",
    "NewAsyncEngine",
    "NewDatabase",
    "NewEngine",
    "async_engine",
    "new_async_engine",
    "new_database",
    "new_engine",
    "sync_engine",
]

SYNC_DRIVERS = ("sqlite3", "psycopg", "pymysql")
ASYNC_DRIVERS = ("aiosqlite", "asyncpg", "aiomysql")

_DIALECTS = {
    "sqlite3": "sqlite+pysqlite",
    "aiosqlite": "sqlite+aiosqlite",
    "psycopg": "postgresql+psycopg",
    "asyncpg": "postgresql+asyncpg",
    "pymysql": "mysql+pymysql",
    "aiomysql": "mysql+aiomysql",
}

NewDatabase = Callable[[str], URL]
NewEngine = Callable[..., Engine]
NewAsyncEngine = Callable[..., AsyncEngine]


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """`new_database(driver)` is the URL of an empty database, which is gone after the test."""
    with ExitStack() as databases:

        def new(driver: str) -> URL:
            dialect = _DIALECTS[driver]
            if dialect.startswith("sqlite"):
                return URL.create(dialect, database=str(tmp_path / f"{uuid.uuid4().hex[:12]}.sqlite"))
            # Asked for only now, so that a server is started, or missed, only by a test that needs it.
            if dialect.startswith("postgresql"):
                url = databases.enter_context(new_postgres_database(request.getfixturevalue("postgres_server")))
            else:
                url = databases.enter_context(new_mysql_database(request.getfixturevalue("mysql_server")))
            return url.set(drivername=dialect)

        yield new


@pytest.fixture
def new_engine(new_database: NewDatabase) -> Iterator[NewEngine]:
    """`new_engine(driver, **options)` is an engine over an empty database; `url=` puts it over an existing one."""
    with ExitStack() as engines:

        def new(driver: str, *, url: URL | None = None, **options: Any) -> Engine:
            engine = create_engine(new_database(driver) if url is None else url, **options)
            engines.callback(engine.dispose)
            return engine

        yield new


@pytest.fixture
async def new_async_engine(new_database: NewDatabase) -> AsyncIterator[NewAsyncEngine]:
    """As `new_engine`, for the asynchronous drivers."""
    dispose: list[Callable[[], Awaitable[None]]] = []

    def new(driver: str, *, url: URL | None = None, **options: Any) -> AsyncEngine:
        engine = create_async_engine(new_database(driver) if url is None else url, **options)
        dispose.append(engine.dispose)
        return engine

    yield new
    for disposed in reversed(dispose):
        await disposed()


@pytest.fixture(params=SYNC_DRIVERS)
def sync_engine(request: pytest.FixtureRequest, new_engine: NewEngine) -> Engine:
    """An engine over an empty database, once for each synchronous driver."""
    return new_engine(request.param)


@pytest.fixture(params=ASYNC_DRIVERS)
async def async_engine(request: pytest.FixtureRequest, new_async_engine: NewAsyncEngine) -> AsyncEngine:
    """An engine over an empty database, once for each asynchronous driver."""
    return new_async_engine(request.param)
