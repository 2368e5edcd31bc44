"""PostgreSQL's log, as a server of version 18 wrote it while one session did the same work under several settings."""

from collections import Counter
from pathlib import Path

import pytest

from querygauge.surfaces.statement_log.execution import Execution
from querygauge.surfaces.statement_log.postgresql_entries import form_of
from querygauge.surfaces.statement_log.postgresql_log import PostgresqlLog
from querygauge.values import CANCELLED, ERROR, OK, TIMEOUT

LOGS = Path(__file__).parent.parent / "logs"
EXCERPTS = sorted(path.name for path in LOGS.glob("postgresql_*"))
_AT = "2026-01-05 10:00:00.500 UTC [7] "
_CSV_ENTRY = '2026-01-05 10:00:00.500 UTC,"u","d",7,"[local]",6b.7,1,"",2026-01-05 10:00:00 UTC,3/4,0,LOG,00000,"x"\n'
_JSON_ENTRY = '{"timestamp":"t","pid":1,"error_severity":"LOG","message":"x"}\n'


def read(text: str, form: str = "stderr") -> list[Execution]:
    """The executions of a log."""
    return list(PostgresqlLog(form).read([text]))


def excerpt(name: str) -> list[Execution]:
    """The executions of an excerpt, whose form is found."""
    text = (LOGS / name).read_text()
    form = form_of(text)
    assert form is not None
    return read(text, form)


@pytest.mark.parametrize("name", EXCERPTS)
def test_every_execution_counts_once(name: str) -> None:
    """
    Whatever the server was told to log, in whatever form: 24 executions ended well, 4 failed, 1 took too long.

    Durations of parsing and binding are none, and what was logged at its beginning and at its end is one.
    """
    executions = excerpt(name)
    assert Counter(execution.outcome for execution in executions) == {OK: 24, ERROR: 4, TIMEOUT: 1}
    found = [
        execution for execution in executions if execution.statement.startswith("INSERT INTO orders (id, customer, t")
    ]
    assert len(found) == 3


@pytest.mark.parametrize("name", [name for name in EXCERPTS if "duration" in name or "all" in name])
def test_what_ended_well_has_its_duration(name: str) -> None:
    """A duration on a line of its own belongs to the statement that the session began before."""
    executions = excerpt(name)
    assert [found.statement for found in executions if found.outcome == OK and found.duration_ns is None] == []


def test_a_duration_without_a_session_is_nobodys() -> None:
    """Where no process is in the prefix, no duration is given to a statement, and it is said why."""
    log = PostgresqlLog("stderr")
    executions = list(log.read([(LOGS / "postgresql_no_prefix.log").read_text()]))
    assert {found.duration_ns for found in executions} == {None}
    assert "log_line_prefix must have %p or %c" in log.notes()[0]


def test_sessions_that_write_in_turn_keep_their_durations() -> None:
    """A statement of one session does not get the duration of another."""
    text = (
        "t:[1]: LOG:  statement: SELECT 1\nt:[2]: LOG:  statement: SELECT 2\n"
        "t:[1]: LOG:  duration: 1.5 ms\nt:[2]: LOG:  duration: 2.25 ms\nt:[2]: LOG:  duration: 9 ms\n"
    )
    assert read(text) == [Execution("SELECT 1", 1_500_000), Execution("SELECT 2", 2_250_000)]


def test_a_statement_goes_on_in_lines_with_a_tab() -> None:
    """Lines of a statement are put together, the server's tabs removed; what else stands between is not of it."""
    text = f"{_AT}LOG:  duration: 1 ms  statement: SELECT a\n\tFROM t\n\t\tWHERE b\nnoise of others\n\tWHERE secret\n"
    assert [found.statement for found in read(text)] == ["SELECT a\nFROM t\n\tWHERE b"]


def test_parameters_and_details_are_dropped() -> None:
    """Of an entry only its statement is kept, also where a detail goes on for lines."""
    detail = f"{_AT}DETAIL:  parameters: $1 = 'ann\n\tSELECT ann'\n"
    text = f"{_AT}LOG:  execute s: SELECT $1\n{detail}{_AT}LOG:  duration: 1 ms\n"
    assert read(text) == [Execution("SELECT $1", 1_000_000, started_us=1767607200_500_000)]


def test_the_start_is_the_moment_of_the_line_less_the_duration() -> None:
    """The server writes when a statement has ended."""
    assert read(f"{_AT}LOG:  duration: 500.000 ms  statement: SELECT 1\n")[0].started_us == 1767607200_000_000


@pytest.mark.parametrize(
    "entry",
    [
        "LOG:  duration: 1.0 ms  parse p: SELECT 1",
        "LOG:  duration: 1.0 ms  bind p/c: SELECT 1",
        "LOG:  duration: 1.0 ms  execute fetch from p/c: SELECT 1",
        "LOG:  execute fetch from p/c: SELECT 1",
        "LOG:  duration: 1.0 ms  plan:\n\tQuery Text: SELECT 1\n\tResult",
        "LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,SELECT 1,<none>",
        "LOG:  process 7 still waiting for ShareLock\n" + _AT + "STATEMENT:  SELECT 1",
        "LOG:  checkpoint starting: time",
        "WARNING:  there is no transaction in progress",
        "FATAL:  password authentication failed",
    ],
)
def test_what_is_no_execution_is_not_counted(entry: str) -> None:
    """Steps before an execution, plans, audits, waits and everything else a server logs are no executions."""
    assert read(f"{_AT}{entry}\n") == []


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("division by zero", ERROR),
        ("canceling statement due to statement timeout", TIMEOUT),
        ("57014: canceling statement due to user request", CANCELLED),
    ],
)
def test_a_failure_tells_how_it_ended(message: str, outcome: int) -> None:
    """The statement below an error failed; a timeout and a cancellation are kept apart."""
    text = f"{_AT}ERROR:  {message}\n{_AT}HINT:  none\n{_AT}STATEMENT:  SELECT\n\t1/0\n"
    assert [(found.statement, found.outcome) for found in read(text)] == [("SELECT\n1/0", outcome)]


def test_a_statement_that_began_and_failed_is_one() -> None:
    """The error ends the statement of its session, and leaves those of others alone."""
    text = (
        "[1] LOG:  statement: SELECT 1/0\n[2] LOG:  statement: SELECT 2\n"
        "[1] ERROR:  division by zero\n[1] STATEMENT:  SELECT 1/0\n"
    )
    assert [(found.statement, found.outcome) for found in read(text)] == [("SELECT 1/0", ERROR), ("SELECT 2", OK)]


def test_a_record_that_was_cut_does_not_spoil_the_next() -> None:
    """In the other forms too, an entry that cannot be read is counted, and the rest is read."""
    whole = (LOGS / "postgresql_all.json").read_text()
    log = PostgresqlLog("jsonlog")
    assert len(list(log.read(['{"timestamp":"2026-01-05 10:0\n', whole]))) == 29
    assert log.notes()[0].startswith("entries that could not be read, being cut or of another kind: 1")


@pytest.mark.parametrize("cut", ['\' AND b = ""c""\n AND d = 1', "\n\tWHERE x'"])
def test_a_log_may_begin_in_the_middle_of_an_entry(cut: str) -> None:
    """The end of a log in CSV is a log: what is left of its first entry is counted as unread, whatever it quotes."""
    whole = (LOGS / "postgresql_all.csv").read_text()
    text = f'{cut}",,,,,,,,,"shop","client backend",,-12\n{whole}'
    log = PostgresqlLog(form_of(text) or "none")
    assert len(list(log.read([text]))) == 29
    assert log.notes()[0].startswith("entries that could not be read, being cut or of another kind: 1")


@pytest.mark.parametrize("statement", ["SELECT '{}'", "INSERT INTO t VALUES ('{}''\"\"')"])
def test_a_long_statement_in_csv_is_cut_and_counted(statement: str) -> None:
    """A record of megabytes takes no more memory than others, and the next one is read."""
    columns = '2026-01-05 10:00:00.500 UTC,"u","d",7,"[local]",6b.7,1,"SELECT",2026-01-05 10:00:00 UTC,3/4,0,LOG,00000,'
    message = f'"duration: 1 ms  statement: {statement.format("x, ;" * 400_000)}",,,,,,,,,"psql"\n'
    after = f'{columns}"duration: 2 ms  statement: SELECT 1",,,,,,,,,"psql"\n'
    executions = read(columns + message + after, "csvlog")
    assert [execution.duration_ns for execution in executions] == [1_000_000, 2_000_000]
    assert len(executions[0].statement) < 140_000


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (f"{_AT}LOG:  x\n", "stderr"),
        ("\tcontinued;\n2026 db=shop,user=ann LOG:  x\n", "stderr"),
        ("LOG:  x\nLOG:  y\n", "stderr"),
        (_JSON_ENTRY, "jsonlog"),
        ("-- LOG:  x\nSELECT 1;\n", None),
        ("-- LOG:  x\n", None),
        ("INSERT INTO logs VALUES ('ERROR:  x');\n", None),
        ('{"timestamp":"t","message":"another program\'s"}\n', None),
        (f'"x"}}\n{_JSON_ENTRY}', "jsonlog"),
        (f'1;",,,"psql"\n{_CSV_ENTRY}', "csvlog"),
        (f"\n{_CSV_ENTRY}", "csvlog"),
        (f"INSERT INTO logs VALUES ('\n{_CSV_ENTRY}", None),
        (f"INSERT INTO logs\nVALUES ('\n{_JSON_ENTRY}", None),
        ("SELECT 1;\n", None),
        ("\n \n", None),
    ],
)
def test_only_what_is_surely_a_log_is_taken_for_one(head: str, form: str | None) -> None:
    """Most lines must be entries of the server's; SQL that mentions one is SQL."""
    assert form_of(head) == form
