"""
Statements that do not end before a test says so, on every driver: an assistant keeps the table locked that they read.

Deliberately not here: what the tests look at meanwhile.
"""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from querygauge.gauge import Instrumentation
from querygauge.values import RunningQuery

__all__ = ["HELD", "PATIENT", "Locked", "ahead", "held_in", "locked", "seen"]

HELD = "SELECT a FROM held"
_DEADLINE_S = 60.0
_SYNC = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_LOCKS = {
    "sqlite": ("BEGIN EXCLUSIVE",),
    "postgresql": ("BEGIN", "LOCK TABLE held IN ACCESS EXCLUSIVE MODE"),
    "mysql": ("LOCK TABLES held WRITE",),
}
PATIENT: dict[str, dict[str, Any]] = {
    driver: {"connect_args": {"timeout": _DEADLINE_S}} for driver in ("sqlite3", "aiosqlite")
}
"""Options of an engine whose statements wait for a lock; others do so by default."""


class Locked:
    """A lock on the table `held`, which has one row."""

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url.set(drivername=_SYNC[url.get_backend_name()]), poolclass=NullPool)
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        for statement in (
            "CREATE TABLE held (a INTEGER)",
            "INSERT INTO held VALUES (1)",
            *_LOCKS[url.get_backend_name()],
        ):
            self._connection.exec_driver_sql(statement)

    def release(self) -> None:
        """Lets everybody read."""
        if not self._connection.closed:
            self._connection.invalidate()
            self._connection.close()


@contextmanager
def locked(url: URL) -> Iterator[Locked]:
    """The table `held` of a database, made and locked, and released at the end at the latest."""
    lock = Locked(url)
    try:
        yield lock
    finally:
        lock.release()


def seen(
    gauge: Instrumentation, is_seen: Callable[[list[RunningQuery]], bool], pattern: str = "held"
) -> list[RunningQuery]:
    """What runs of the patterns with that word in them, as soon as it is what a test waits for."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        found = [query for query in gauge.running(0) if pattern in query.query_pattern]
        if is_seen(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def held_in(gauge: Instrumentation, count: int = 1) -> list[RunningQuery]:
    """So many statements that wait for the lock."""
    return seen(gauge, lambda found: len(found) == count)


def ahead(lines: int = 1) -> str:
    """The call site that lies so many lines below the caller's line."""
    frame = inspect.currentframe()
    assert frame is not None
    caller = frame.f_back
    assert caller is not None
    return f"capture/{Path(caller.f_code.co_filename).name}:{caller.f_lineno + lines} in {caller.f_code.co_name}"
