"""
How drivers' exceptions are read.

SQL Server and Oracle were not there to raise any: these exceptions are shaped like those of pyodbc 5.5, pymssql 2.4 and
python-oracledb 26.1, whose `args` their sources tell.
"""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from querygauge.patterns.failure import failure_of
from querygauge.values import CANCELLED, ERROR, OUTCOMES, TIMEOUT

ODBC = "[Microsoft][ODBC Driver 18 for SQL Server]"
LOCKED = "Lock request time out period exceeded."


class Detail(SimpleNamespace):
    """Oracle's error object."""

    def __str__(self) -> str:
        return str(self.message)


def raised(module: str, *args: object) -> Exception:
    """An exception of a driver's module."""
    error = type("DatabaseError", (Exception,), {"__module__": module})(*args)
    assert isinstance(error, Exception)
    return error


def oracle(message: str, number: int = 0) -> Exception:
    """As python-oracledb makes it: everything is in one object, and the code is what stands before the colon."""
    return raised("oracledb.exceptions", Detail(message=message, code=number, full_code=message.partition(":")[0]))


def pyodbc(state: str, text: str) -> Exception:
    """As pyodbc makes it: SQLSTATE, and the text with SQLSTATE and number in it."""
    return raised("pyodbc", state, f"[{state}] {text}")


def pymssql(number: int, text: str) -> Exception:
    """As pymssql makes it: number, and the text as bytes, with what DB-Library adds."""
    said = f"{text}DB-Lib error message 20018, severity 16:\nGeneral SQL Server error: Check messages from ...\n"
    return raised("pymssql.exceptions", number, said.encode())


DUPLICATE = (
    "Cannot insert duplicate key row in object 'dbo.users' with unique index 'uq'. The duplicate key value is ({})."
)


@pytest.mark.parametrize(
    ("error", "dialect", "code", "message"),
    [
        (
            pyodbc("23000", f"{ODBC}[SQL Server]{DUPLICATE.format('ann')} (2601) (SQLExecDirectW)"),
            "mssql",
            "23000",
            f"[23000] [SQL Server]{DUPLICATE.format('?')} (2601)",
        ),
        (
            raised("pyodbc", "String data, right truncation: length 30 buffer 24", "22001"),
            "mssql",
            "22001",
            "String data, right truncation: length ? buffer ?",
        ),
        (raised("pyodbc", "ALICE", "HY000"), "mssql", "HY000", "?"),
        (pymssql(2601, DUPLICATE.format("ann")), "mssql", "2601", DUPLICATE.format("?")),
        (
            raised(
                "pymssql.exceptions", (18456, b"Login failed for user 'ann'.DB-Lib error message 20018, severity 14")
            ),
            "mssql",
            "18456",
            "Login failed for user '?'.",
        ),
        (
            oracle(
                "ORA-00001: unique constraint (SHOP.UQ) violated\nHelp: https://docs.oracle.com/error-help/db/ora-00001/",
                1,
            ),
            "oracle",
            "ORA-00001",
            "ORA-00001: unique constraint (SHOP.UQ) violated",
        ),
        (
            oracle("ORA-20001: ann is blocked", 20001),
            "oracle",
            "ORA-20001",
            "raised by the application inside the database",
        ),
        (oracle("ann: unknown"), "oracle", None, "?: unknown"),
        (
            raised("cx_Oracle", Detail(code=942, message="ORA-00942: table or view does not exist")),
            "oracle",
            "ORA-00942",
            "ORA-00942: table or view does not exist",
        ),
    ],
)
def test_code_and_message(error: Exception, dialect: str, code: str | None, message: str) -> None:
    """The code is a SQLSTATE or the database's own number, wherever a driver keeps it, and the message has no value."""
    outcome, failure = failure_of(error, dialect)
    assert (OUTCOMES[outcome], failure.code, failure.message) == ("error", code, message)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (pyodbc("HYT00", f"{ODBC}Query timeout expired (0) (SQLExecDirectW)"), TIMEOUT),
        (pyodbc("42000", f"{ODBC}[SQL Server]{LOCKED} (1222) (SQLExecDirectW)"), TIMEOUT),
        (pymssql(1222, LOCKED), TIMEOUT),
        (raised("pymssql.exceptions", 20003, b"DB-Lib error message 20003, severity 6:\nAdaptive Server ..."), TIMEOUT),
        (oracle("ORA-00054: resource busy and acquire with NOWAIT specified or timeout expired", 54), TIMEOUT),
        (oracle("ORA-30006: resource busy; acquire with WAIT timeout expired", 30006), TIMEOUT),
        (oracle("DPY-4024: call timeout of 5000 ms exceeded"), TIMEOUT),
        (oracle("ORA-01013: user requested cancel of current operation", 1013), CANCELLED),
        (pyodbc("HY008", f"{ODBC}Operation canceled (0) (SQLExecDirectW)"), CANCELLED),
        (raised("pymysql.err", 1205, "Lock wait timeout exceeded"), TIMEOUT),
        (pymssql(1205, "Transaction (Process ID 51) was deadlocked"), ERROR),
        (oracle("ORA-20001: Lock request time out period exceeded", 20001), ERROR),
    ],
)
def test_outcome(error: Exception, outcome: int) -> None:
    """A limit that ran out is a timeout, somebody's cancel is none, and a number means what its database says."""
    for dialect in ("mssql", "nobody"):
        assert OUTCOMES[failure_of(error, dialect)[0]] == OUTCOMES[outcome]


@pytest.mark.parametrize(
    ("own", "code"),
    [(pyodbc("23000", "x"), "23000"), (pymssql(547, "x"), "547"), (oracle("ORA-00942: x", 942), "ORA-00942")],
)
def test_through_sqlalchemy(own: Exception, code: str) -> None:
    """SQLAlchemy's exception tells of the driver's, whose class and code are kept."""
    wrapper: Any = DBAPIError("SELECT 1", {}, own)
    wrapper.__cause__ = own
    failure = failure_of(wrapper, "mssql")[1]
    assert (failure.error_type, failure.code) == ("DatabaseError", code)


@pytest.mark.parametrize(
    "error",
    [
        oracle("ORA-20001: table zanzibar already exists"),
        pymssql(50_000, "Invalid object name 'zanzibar'."),
        pyodbc(
            "42000",
            f"{ODBC}[SQL Server]Violation of UNIQUE KEY constraint 'zanzibar'. Cannot insert duplicate key in object"
            " 'zanzibar'. (50000) (SQLExecDirectW)",
        ),
        raised("pymysql.err", 1644, "Unknown column 'zanzibar' in 'field list'"),
        raised("sqlite3", "UNIQUE constraint failed: zanzibar"),
    ],
)
def test_what_an_application_raises_in_the_database_says_nothing(error: Any) -> None:
    """Even words that are a database's own may hold a value there, so class and code are all that stays."""
    if type(error).__module__ == "sqlite3":
        error.sqlite_errorname = "SQLITE_CONSTRAINT_TRIGGER"
    outcome, failure = failure_of(error, "unknown")
    assert outcome == ERROR
    assert failure.code
    assert failure.message == "raised by the application inside the database"


def test_an_exception_that_cannot_say_what_it_is_counts() -> None:
    """Class and code stay, and nothing is raised."""

    class OddError(Exception):
        sqlstate = "22000"

        def __str__(self) -> str:
            raise ValueError("no")

    outcome, failure = failure_of(OddError(), "postgresql")
    assert OUTCOMES[outcome] == "error"
    assert (failure.error_type, failure.code, failure.message) == ("OddError", "22000", "")
