"""
asyncpg's own connections beneath a SQLAlchemy pool: an application may take one and send statements through it itself.

Those statements are counted like any other's. What SQLAlchemy sends through the same connection is counted where
SQLAlchemy sends it; it is told by the lock that SQLAlchemy holds meanwhile, by the transaction that it ends, and by a
ping that is under way. Deliberately not here: what happens to a statement.
"""
# ruff: noqa: SLF001  # neither the entry of a pool nor SQLAlchemy's connection tells in another way what it is at

from collections.abc import Callable
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine.interfaces import Dialect

from querygauge.capture.asyncpg_connection import ConnectionStatements
from querygauge.capture.asyncpg_executions import IsCounted
from querygauge.capture.wrapping import Replacement, Wraps

__all__ = ["AsyncpgBeneath"]

_ENDS: Final = frozenset({"COMMIT;", "ROLLBACK;"})


class AsyncpgBeneath:
    """The attachment to what a dialect that speaks through asyncpg has beneath it."""

    def __init__(self, dialect: Dialect, statements: ConnectionStatements) -> None:
        self._statements = statements
        self._pinging: set[int] = set()
        self._wraps = Wraps(dialect)

    def attach(self) -> None:
        """Replaces the dialect's ping, to know what belongs to it."""
        self._wraps.replace("do_ping", self._noted_ping)

    def detach(self) -> None:
        """Restores what `attach` and `watch` found."""
        self._wraps.restore()
        self._statements.detach()

    def watch(self, adapted: Any, entry: Any) -> None:
        """
        Begins to count what an application sends through one connection itself.

        Args:
            adapted: SQLAlchemy's connection over asyncpg's.
            entry: The pool's entry of it, under whose id it is held.
        """
        self._statements.attach(adapted.driver_connection, id(entry), self._is_counted_on(adapted, entry))

    def _is_counted_on(self, adapted: Any, entry: Any) -> IsCounted:
        # The entry weakly, the connection by it: what is kept here must not keep a connection from being finalised.
        is_locked, entry_of, pinging = adapted._execute_mutex.locked, ref(entry), self._pinging

        def is_counted(query: str) -> bool:
            if is_locked():
                return True
            known = entry_of()
            mine = None if known is None else known.dbapi_connection
            if mine is None:
                return True  # being closed, by nobody but SQLAlchemy
            return (query in _ENDS and mine._transaction is not None) or id(mine) in pinging

        return is_counted

    def _noted_ping(self, original: Callable[[Any], bool], _is_off: list[bool]) -> Replacement:
        pinging = self._pinging

        def ping(connection: Any) -> bool:
            pinging.add(id(connection))
            try:
                return original(connection)
            finally:
                pinging.discard(id(connection))

        return ping
