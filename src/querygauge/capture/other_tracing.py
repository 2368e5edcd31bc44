"""
Whether somebody else makes spans of the statements of a target, of which one is enough.

In goes an engine or the name of a driver, out comes the name of an instrumentation: one that listens to the engine, or
one that has changed the driver beneath. Nothing is loaded to find out; who is not loaded makes no spans. Deliberately
not here: what is done about it.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine import Engine

__all__ = ["OtherTracing"]

_AGAIN_NS: Final = 10_000_000_000  # somebody may begin while we are at it
_TRACERS: Final = ("opentelemetry.instrumentation.", "ddtrace.")
_MARKS: Final = ("_datadog_patch", "__datadog_patch")  # of Datadog's, on a module that it has changed
_OPENTELEMETRY: Final = "opentelemetry.instrumentation."
# By the name of the driver: what OpenTelemetry calls its instrumentation, and the driver's module.
_DRIVERS: Final[Mapping[str, tuple[str, str]]] = {
    "aiomysql": ("pymysql", "aiomysql"),
    "aiosqlite": ("sqlite3", "sqlite3"),
    "asyncpg": ("asyncpg", "asyncpg"),
    "mysqlconnector": ("mysql", "mysql"),
    "mysqldb": ("mysqlclient", "MySQLdb"),
    "psycopg": ("psycopg", "psycopg"),
    "psycopg_async": ("psycopg", "psycopg"),
    "psycopg2": ("psycopg2", "psycopg2"),
    "pymssql": ("pymssql", "pymssql"),
    "pymysql": ("pymysql", "pymysql"),
    "pysqlite": ("sqlite3", "sqlite3"),
}


class OtherTracing:
    """
    Who else makes spans of one target.

    Args:
        driver: Name of the driver, as SQLAlchemy has it.
        engine: The engine; None for a target without.
    """

    def __init__(self, driver: str, engine: Engine | None = None) -> None:
        self._driver = driver
        self._engine = None if engine is None else ref(engine)
        self._looked_ns: int | None = None
        self._found: str | None = None

    def __call__(self) -> str | None:
        """Name of the instrumentation; None if there is none. As of some seconds ago, at most."""
        now_ns = time.monotonic_ns()
        if self._looked_ns is None or now_ns - self._looked_ns >= _AGAIN_NS:
            engine = None if self._engine is None else self._engine()
            self._found = next(chain(_listening(engine), _beneath(self._driver)), None)
            self._looked_ns = now_ns
        return self._found


def _listening(engine: Engine | None) -> Iterator[str]:
    """Instrumentations that listen to an engine."""
    for listener in () if engine is None else engine.dispatch.before_cursor_execute:
        for function in (listener, *_wrapped_in(listener)):
            module = getattr(function, "__module__", None) or ""
            if module.startswith(_TRACERS):
                yield module.rpartition(".")[0]


def _wrapped_in(listener: Any) -> Iterator[Any]:
    """What SQLAlchemy has wrapped, as a listener that returns nothing is."""
    for cell in getattr(listener, "__closure__", None) or ():
        if callable(cell.cell_contents):
            yield cell.cell_contents


def _beneath(driver: str) -> Iterator[str]:
    """Instrumentations that have changed a driver."""
    name, module_name = _DRIVERS.get(driver, (driver, driver))
    instrumentation = sys.modules.get(_OPENTELEMETRY + name)
    for member in vars(instrumentation).values() if instrumentation is not None else ():
        if getattr(getattr(member, "_instance", None), "_is_instrumented_by_opentelemetry", False):
            yield _OPENTELEMETRY + name
    module = sys.modules.get(module_name)
    if any(getattr(module, mark, False) is True for mark in _MARKS):
        yield f"ddtrace.contrib.{name}"
