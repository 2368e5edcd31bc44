"""
What a driver's connection is at: in goes the connection of a checkout, out comes a word, or None if nobody can tell.

Every driver keeps it up to date by itself, so it is asked only when somebody looks, and costs a statement nothing.
Deliberately not here: whose connection it is.
"""

from collections.abc import Callable
from typing import Any, Final

from querygauge.values import ConnectionActivity

__all__ = ["activity_of"]

# libpq's states of a transaction.
_LIBPQ: Final[dict[int, ConnectionActivity]] = {
    0: "idle",
    1: "active",
    2: "idle in transaction",
    3: "idle in transaction",  # a failed one, which holds its locks until it is rolled back
}
_MYSQL_IN_TRANSACTION: Final = 1  # SERVER_STATUS_IN_TRANS


def activity_of(connection: Any) -> ConnectionActivity | None:
    """
    What a connection of a driver is at, as far as the driver knows without asking the server.

    Known are psycopg and psycopg2, asyncpg, sqlite3 and aiosqlite, PyMySQL and aiomysql.
    """
    for read in _READS:
        try:
            return read(connection)
        except Exception:  # noqa: BLE001, S112  # another driver's, or a connection that is closed meanwhile
            continue
    return None


def _by_libpq(connection: Any) -> ConnectionActivity | None:
    return _LIBPQ.get(int(connection.info.transaction_status))


def _by_asyncpg(connection: Any) -> ConnectionActivity:
    return _between_statements(connection.is_in_transaction())


def _by_sqlite(connection: Any) -> ConnectionActivity:
    return _between_statements(connection.in_transaction)


def _by_mysql(connection: Any) -> ConnectionActivity:
    return _between_statements(connection.server_status & _MYSQL_IN_TRANSACTION)


def _between_statements(is_in_transaction: object) -> ConnectionActivity:
    return "idle in transaction" if is_in_transaction else "idle"


_READS: Final[tuple[Callable[[Any], ConnectionActivity | None], ...]] = (
    _by_libpq,
    _by_asyncpg,
    _by_sqlite,
    _by_mysql,
)
