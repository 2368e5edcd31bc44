"""MariaDB or MySQL for the tests: the server that `QUERYGAUGE_TEST_MYSQL` names; without one these tests skip."""

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pymysql
import pytest
from sqlalchemy import URL, make_url

from missing import skip_or_fail

__all__ = ["mysql_server", "mysql_url", "new_mysql_database"]

_VARIABLE = "QUERYGAUGE_TEST_MYSQL"
_PORT = 3306


@pytest.fixture(scope="session")
def mysql_server() -> URL:
    """A MariaDB or MySQL server on which databases may be created."""
    named = os.environ.get(_VARIABLE)
    if not named:
        skip_or_fail(f"{_VARIABLE} names no server; mysql://user:password@host:port is its form")
    return make_url(named).set(drivername="mysql")


@pytest.fixture
def mysql_url(mysql_server: URL) -> Iterator[URL]:
    """A MariaDB database of this test's own, without a driver: `.set(drivername="mysql+pymysql")` names one."""
    with new_mysql_database(mysql_server) as url:
        yield url


@contextmanager
def new_mysql_database(server: URL) -> Iterator[URL]:
    """An empty database on `server`, dropped afterwards."""
    name = f"querygauge_{uuid.uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield server.set(database=name)
    finally:
        _execute(server, f"DROP DATABASE {name}")


def _execute(server: URL, statement: str) -> None:
    connection = pymysql.connect(
        host=server.host or "127.0.0.1",
        port=server.port or _PORT,
        user=server.username,
        password=str(server.password or ""),
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
