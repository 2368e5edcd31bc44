"""The slow log: of MariaDB 10.11 as it wrote it, and of MySQL 8.0 in the form of its manual."""

from pathlib import Path

import pytest

from querygauge.surfaces.statement_log.execution import Execution
from querygauge.surfaces.statement_log.mysql_slow_log import MysqlSlowLog, is_slow_log
from querygauge.values import CANCELLED, ERROR, OK, TIMEOUT

LOGS = Path(__file__).parent.parent / "logs"
_HEAD = "# User@Host: a[a] @ host [192.0.2.1]\n# Query_time: 0.5  Lock_time: 0 Rows_sent: 1  Rows_examined: 2{}\n"


def read(text: str) -> list[Execution]:
    """The executions of a log."""
    return list(MysqlSlowLog().read([text]))


def test_a_log_of_mariadb_is_read() -> None:
    """Every statement with its duration and rows; plans, `use` and time stamps are not of it."""
    executions = read((LOGS / "mariadb_slow.log").read_text())
    assert len(executions) == 17
    assert executions[7] == Execution(
        "SELECT id, total\nFROM orders\nWHERE customer = 'ann@example.org';", 133_000, OK, 1, 1795701899_000_000
    )
    assert [found.rows for found in executions if found.statement.startswith("UPDATE")] == [3]


def test_a_log_of_mysql_is_read() -> None:
    """An administrator command is no statement; a lock that was not had in time is a timeout."""
    log = MysqlSlowLog()
    executions = list(log.read([(LOGS / "mysql_slow.log").read_text()]))
    assert [(found.duration_ns, found.outcome) for found in executions] == [
        (1_250_000_000, OK),
        (750_000_000, OK),
        (51_000_000_000, TIMEOUT),
    ]
    assert log.entries == 4
    assert not any("use shop" in found.statement or "timestamp" in found.statement for found in executions)


def test_a_use_that_somebody_sent_is_a_statement() -> None:
    """The server's own `use` comes before the time stamp, the application's after it."""
    text = _HEAD.format("") + "use shop;\nSET timestamp=1767607200;\nuse shop;\n"
    assert [found.statement for found in read(text)] == ["use shop;"]


def test_a_comment_within_a_statement_is_of_it() -> None:
    """Only the lines that every entry begins with end a statement."""
    text = _HEAD.format("") + "SET timestamp=1767607200;\nSELECT 1\n# why\nFROM t;\n# Time: 260105 10:00:00\n"
    assert [found.statement for found in read(text)] == ["SELECT 1\n# why\nFROM t;"]


def test_a_server_that_starts_again_ends_a_statement() -> None:
    """The lines a server writes when it starts are no SQL."""
    banner = (LOGS / "mysql_slow.log").read_text().split("# Time")[0]
    text = _HEAD.format("") + "SET timestamp=1767607200;\nSELECT 1;\n" + banner
    assert [found.statement for found in read(text)] == ["SELECT 1;"]


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ("  Last_errno: 0  Killed: 0", OK),
        ("  Last_errno: 1062  Killed: 0", ERROR),
        (" Thread_id: 8 Errno: 3024 Killed: 0", TIMEOUT),
        (" Thread_id: 8 Errno: 1317 Killed: 1317", CANCELLED),
        ("  Last_errno: 0  Killed: 1", CANCELLED),
    ],
)
def test_the_error_number_tells_how_it_ended(facts: str, outcome: int) -> None:
    """Where a server writes error numbers, executions that failed are counted so."""
    text = _HEAD.format(facts) + "SET timestamp=1767607200;\nSELECT 1;\n"
    assert [found.outcome for found in read(text)] == [outcome]


def test_a_slow_log_is_known_by_its_two_lines() -> None:
    """A comment of SQL that looks like one of them makes no log."""
    assert is_slow_log((LOGS / "mysql_slow.log").read_text())
    assert is_slow_log((LOGS / "mariadb_slow.log").read_text())
    assert not is_slow_log("# Query_time: 1\nSELECT 1;\n")
