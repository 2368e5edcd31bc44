"""
A driver's exception → how the execution ended, and why, with nothing personal in it.

Read from attributes alone, so no driver is imported: MySQL's error number as the first argument, SQLSTATE from
`sqlstate` (psycopg, asyncpg) or `pgcode` (psycopg2), SQLite's `sqlite_errorname`, or its number where it has no name.
"""

import asyncio
from typing import Any, Final

from querygauge.errors import QueryGaugeError
from querygauge.patterns.redaction import redact
from querygauge.values import CANCELLED, ERROR, TIMEOUT, Failure

__all__ = ["failure_of"]

_TIMEOUT_CODES: Final = frozenset(
    {
        "57014",  # PostgreSQL query_canceled: statement_timeout, and pg_cancel_backend too
        "55P03",  # PostgreSQL lock_not_available
        "3024",  # MySQL max_execution_time
        "1205",  # MySQL and MariaDB lock wait timeout
        "1969",  # MariaDB max_statement_time
    }
)
_MYSQL_DRIVERS: Final = frozenset({"pymysql", "aiomysql", "asyncmy", "MySQLdb", "mysql"})
_DRIVER_WRAPPERS: Final = ("sqlalchemy.",)  # SQLAlchemy's adapters chain the driver's own exception as the cause


def failure_of(error: BaseException, dialect: str) -> tuple[int, Failure]:
    """
    The outcome (a place in `values.OUTCOMES`) and the failure of an exception that ended a statement.

    `asyncio.timeout` reaches a statement as a cancellation, so it counts as one.
    """
    own = _driver_error(error)
    code = _code_of(own) or _code_of(error)
    # What this package says itself has no value of the application's in it.
    message = str(own) if isinstance(own, QueryGaugeError) else redact(_message_of(own), dialect)
    failure = Failure(type(own).__name__, code, message)
    if code in _TIMEOUT_CODES or isinstance(own, TimeoutError):
        return TIMEOUT, failure
    if isinstance(own, asyncio.CancelledError) or not isinstance(own, Exception):
        # What is no Exception is somebody's order to stop: KeyboardInterrupt, GreenletExit, a gevent timeout.
        return CANCELLED, failure
    return ERROR, failure


def _driver_error(error: BaseException) -> BaseException:
    wrapped = error.__cause__
    if wrapped is not None and type(error).__module__.startswith(_DRIVER_WRAPPERS):
        return wrapped
    return error


def _code_of(error: BaseException) -> str | None:
    # MySQL's number first: some versions of its drivers tell a SQLSTATE too, and one of those stands for many errors.
    number = error.args[0] if error.args else None
    is_mysql = type(error).__module__.partition(".")[0] in _MYSQL_DRIVERS
    if is_mysql and isinstance(number, int) and not isinstance(number, bool):
        return str(number)
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code: Any = getattr(error, name, None)
        if isinstance(code, str) and code and code != "unknown":
            return code
    number = getattr(error, "sqlite_errorcode", None)
    return None if number is None else str(number)


def _message_of(error: BaseException) -> str:
    # MySQL's drivers put the number first and the text second.
    texts = [part for part in error.args if isinstance(part, str)]
    return texts[0] if texts else str(error)
