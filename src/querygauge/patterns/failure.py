"""
A driver's exception → how the execution ended, and why, with nothing personal in it.

Read from attributes alone, so no driver is imported: the error number as the first argument (MySQL's drivers, pymssql),
SQLSTATE among the arguments (pyodbc) or from `sqlstate` (psycopg, asyncpg) and `pgcode` (psycopg2), the code of
Oracle's error object, SQLite's `sqlite_errorname`, or its number where it has no name.
"""

import asyncio
import re
from typing import Any, Final

from querygauge.errors import QueryGaugeError
from querygauge.patterns.redaction import MAX_MESSAGE_CHARACTERS, ODBC_STATE, redact
from querygauge.values import CANCELLED, ERROR, TIMEOUT, Failure

__all__ = ["failure_of"]

_TIMEOUT_CODES: Final = frozenset(
    {
        "57014",  # PostgreSQL query_canceled: statement_timeout, and pg_cancel_backend too
        "55P03",  # PostgreSQL lock_not_available
        "HYT00",  # ODBC timeout expired: of a query, or of a login
        "ORA-00054",  # resource busy: NOWAIT, or a timeout of DDL
        "ORA-02049",  # a lock of a distributed transaction
        "ORA-30006",  # SELECT ... FOR UPDATE WAIT
        "DPY-4024",  # python-oracledb's call_timeout
    }
)
# Oracle calls ORA-01013 a user's cancel and ODBC calls HY008 an operation canceled: python-oracledb and pyodbc raise
# them for `cancel()`, and have DPY-4024 and HYT00 for their timeouts.
_CANCEL_CODES: Final = frozenset({"ORA-01013", "HY008"})
_MYSQL_TIMEOUTS: Final = frozenset(
    {
        "3024",  # MySQL max_execution_time
        "1205",  # MySQL and MariaDB lock wait timeout; SQL Server's 1205 is a deadlock
        "1969",  # MariaDB max_statement_time
    }
)
_PYMSSQL_TIMEOUTS: Final = frozenset(
    {
        "1222",  # SQL Server LOCK_TIMEOUT
        "20003",  # DB-Library, when a query takes longer than pymssql's timeout
    }
)
# Drivers whose first argument is the database's error number, and which numbers are timeouts.
_NUMBERING_DRIVERS: Final = {
    "pymysql": _MYSQL_TIMEOUTS,
    "aiomysql": _MYSQL_TIMEOUTS,
    "asyncmy": _MYSQL_TIMEOUTS,
    "MySQLdb": _MYSQL_TIMEOUTS,
    "mysql": _MYSQL_TIMEOUTS,
    "pymssql": _PYMSSQL_TIMEOUTS,
}
# What an application raised inside the database has no words but the application's own.
_RAISED_CODES: Final = frozenset(
    {
        "P0001",  # PostgreSQL RAISE
        "P0004",  # PostgreSQL ASSERT
        "1644",  # MySQL and MariaDB SIGNAL
        "SQLITE_CONSTRAINT_TRIGGER",  # SQLite RAISE()
    }
)
_RAISED_IN_ORACLE: Final = re.compile(r"ORA-20\d{3}").fullmatch  # RAISE_APPLICATION_ERROR
_RAISED_IN_SQL_SERVER: Final = 50_000  # from here on the numbers of RAISERROR and THROW
_ODBC_NUMBER: Final = re.compile(r"\((\d{5,10})\) \(SQL[A-Z]").finditer
# With any SQLSTATE an application likes: what PostgreSQL calls the place in its own source where the error is from.
_RAISED_BY_FUNCTIONS: Final = frozenset({"exec_stmt_raise", "exec_stmt_assert"})
# What is read of bytes, so that no more than this is decoded; a character has four at most.
_MAX_BYTES: Final = 4 * MAX_MESSAGE_CHARACTERS
_RAISED: Final = "raised by the application inside the database"
# SQL Server's 1222 by ODBC, whatever SQLSTATE a driver gives it.
_LOCK_TIMEOUT: Final = "Lock request time out period exceeded. (1222)"
_DRIVER_WRAPPERS: Final = ("sqlalchemy.",)  # SQLAlchemy's adapters chain the driver's own exception as the cause
_IS_STATE: Final = re.compile(ODBC_STATE).fullmatch
_IS_ORACLE_CODE: Final = re.compile(r"[A-Z]{3}-\d{4,5}").fullmatch


def failure_of(error: BaseException, dialect: str, *, pattern_text: str = "") -> tuple[int, Failure]:
    """
    The outcome (a place in `values.OUTCOMES`) and the failure of an exception that ended a statement.

    `asyncio.timeout` reaches a statement as a cancellation, so it counts as one.

    Args:
        error: The driver's exception, or SQLAlchemy's.
        dialect: SQLAlchemy's name of the dialect.
        pattern_text: Pattern of the statement, as for `redact`.
    """
    own = _driver_error(error)
    code = _code_of(own) or _code_of(error)
    failure = Failure(type(own).__name__, code, _redacted_message(own, code, dialect, pattern_text))
    if _is_timeout(own, failure):
        return TIMEOUT, failure
    if code in _CANCEL_CODES or isinstance(own, asyncio.CancelledError) or not isinstance(own, Exception):
        # What is no Exception is somebody's order to stop: KeyboardInterrupt, GreenletExit, a gevent timeout.
        return CANCELLED, failure
    return ERROR, failure


def _redacted_message(error: BaseException, code: str | None, dialect: str, pattern_text: str) -> str:
    try:
        if _is_raised(error, code):
            return _RAISED
        message = _message_of(error)
    except Exception:  # noqa: BLE001  # an exception that cannot say what it is still ended a statement
        return ""
    # What this package says itself has no value of the application's in it.
    return message if isinstance(error, QueryGaugeError) else redact(message, dialect, pattern_text=pattern_text)


def _is_raised(error: BaseException, code: str | None) -> bool:
    if code is None:
        return False
    driver = _driver_of(error)
    if driver == "pymssql":
        return code.isdecimal() and int(code) >= _RAISED_IN_SQL_SERVER
    if driver == "pyodbc":
        said = _message_of(error)[:_MAX_BYTES]
        return any(int(number[1]) >= _RAISED_IN_SQL_SERVER for number in _ODBC_NUMBER(said))
    return code in _RAISED_CODES or _RAISED_IN_ORACLE(code) is not None or _function_of(error) in _RAISED_BY_FUNCTIONS


def _function_of(error: BaseException) -> str | None:
    # Of psycopg and psycopg2, and of asyncpg, which SQLAlchemy's adapter of it has as its cause.
    for each in (error, error.__cause__):
        diagnostics = getattr(each, "diag", None)
        name = getattr(diagnostics, "source_function", None) or getattr(each, "server_source_function", None)
        if isinstance(name, str):
            return name
    return None


def _driver_error(error: BaseException) -> BaseException:
    wrapped = error.__cause__
    if wrapped is not None and type(error).__module__.startswith(_DRIVER_WRAPPERS):
        return wrapped
    return error


def _is_timeout(error: BaseException, failure: Failure) -> bool:
    return (
        isinstance(error, TimeoutError)
        or failure.code in _TIMEOUT_CODES
        or failure.code in _NUMBERING_DRIVERS.get(_driver_of(error), ())
        or failure.message.endswith(_LOCK_TIMEOUT)
    )


def _code_of(error: BaseException) -> str | None:
    # A number first: some versions of MySQL's drivers tell a SQLSTATE too, and one of those stands for many errors.
    driver, arguments = _driver_of(error), _arguments_of(error)
    first: Any = arguments[0] if arguments else None
    if driver in _NUMBERING_DRIVERS and isinstance(first, int) and not isinstance(first, bool):
        return str(first)
    # SQL Server's own number is in the message; the code is what other databases can be compared by.
    if driver == "pyodbc":
        return next((part for part in arguments if isinstance(part, str) and _IS_STATE(part)), None)
    if driver in {"oracledb", "cx_Oracle"}:
        return _oracle_code(first)
    for name in ("sqlstate", "pgcode", "sqlite_errorname"):
        code: Any = getattr(error, name, None)
        if isinstance(code, str) and code and code != "unknown":
            return code
    number = getattr(error, "sqlite_errorcode", None)
    return None if number is None else str(number)


def _oracle_code(detail: Any) -> str | None:
    code, number = getattr(detail, "full_code", None), getattr(detail, "code", None)
    if isinstance(code, str) and _IS_ORACLE_CODE(code):
        return code
    return f"ORA-{number:05}" if isinstance(number, int) and number else None  # cx_Oracle has the number alone


def _driver_of(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _arguments_of(error: BaseException) -> tuple[Any, ...]:
    # pymssql gives the two in a tuple when a connection fails.
    arguments = error.args
    return arguments[0] if arguments and isinstance(arguments[0], tuple) else arguments


def _message_of(error: BaseException) -> str:
    # A number or a SQLSTATE may stand before the text, and pymssql's text is bytes.
    for part in _arguments_of(error):
        text = part[:_MAX_BYTES].decode("utf-8", "replace") if isinstance(part, bytes) else part
        if isinstance(text, str) and not _IS_STATE(text):
            return text
    return str(error)
