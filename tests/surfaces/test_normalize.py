"""`querygauge normalize`, as a shell runs it: what it shows, what it refuses, and that no value is shown."""

import csv
import gzip
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marked_work import FRAGMENTS, MARK, NUMBER
from project import ROOT
from querygauge.patterns.cache import pattern_of
from querygauge.surfaces.cli import app
from querygauge.surfaces.statement_log.choices import DIALECTS, INPUTS

Command = Callable[..., subprocess.CompletedProcess[str]]

LOGS = Path(__file__).with_name("logs")
# Values of the excerpts, and what servers write of people beside the statements.
PERSONAL = ("@example", "'ann", "bob", "eve", "Hara", "4711", "192.0.2", "[local]", "shop_app", "root", "carol")


@pytest.fixture
def pipe(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`pipe("select 1", "--format", "json")` runs the command with a text as its standard input."""

    def run_command(text: str | bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "querygauge", "normalize", *arguments]
        data = text.encode() if isinstance(text, str) else text
        answer = subprocess.run(command, input=data, cwd=tmp_path, env=environment, capture_output=True, check=False)
        return subprocess.CompletedProcess(command, answer.returncode, answer.stdout.decode(), answer.stderr.decode())

    return run_command


def printed(*arguments: object) -> str:
    """What the command prints of files, run in this process; all of it, the standard error stream included."""
    result = CliRunner().invoke(app, ["normalize", *map(str, arguments)])
    assert result.exit_code == 0
    return result.output


def as_json(result: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed."""
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_one_statement_is_shown_as_the_gauge_sees_it(pipe: Command) -> None:
    """A single statement on standard input gives its pattern in full, with the id it has everywhere else."""
    text = pipe("SELECT id FROM orders WHERE customer = 'ann'\n", "--dialect", "postgresql").stdout
    assert text.startswith("  SELECT id FROM orders WHERE customer = ?\n")
    assert pattern_of("SELECT id FROM orders WHERE customer = 'bob'", "postgresql").id in text
    assert "SELECT orders" in text
    assert "unknown" not in text


def test_several_statements_are_a_table(pipe: Command) -> None:
    """Patterns come with their counts, the most frequent first."""
    lines = pipe("select 1; select 2; select a from t", "-").stdout.splitlines()
    assert "  Statements  3, of 2 patterns" in lines
    table = lines[lines.index("PATTERNS BY FREQUENCY") :]
    assert table[1].split() == ["#", "Count", "Share", "Pattern"]
    assert table[2].split()[:3] == ["1", "2", "66.7"]
    assert table[3] == "     select ?"


def test_equals_stand_as_they_were_read(pipe: Command) -> None:
    """What comes as often keeps the order of the script, in every form."""
    script = "create table z (a int); create table b (a int); drop table y; drop table b; drop table b;"
    written = ["drop table b", "create table z (a int)", "create table b (a int)", "drop table y"]
    text = pipe(script).stdout
    assert [line.strip() for line in text.splitlines() if line.strip() in written] == written
    assert [query["query_pattern"] for query in as_json(pipe(script, "--format", "json"))["queries"]] == written


def test_plain_sql_is_of_no_known_dialect(pipe: Command) -> None:
    """No dialect is guessed from SQL, however clear it looks, and the heading says so."""
    text = pipe("select `a` from t; select `b` from t").stdout
    assert "standard input: SQL, read as unknown; what only may be a literal" in " ".join(text.split())


def test_numbered_names_may_be_kept(pipe: Command) -> None:
    """The option does for a file what the setting does in an application."""
    sql = "select a from events_2024_01; select a from events_2024_02;"
    assert "events_?_?" in pipe(sql).stdout
    assert {"events_2024_01", "events_2024_02"} <= set(pipe(sql, "--keep-numbered-names").stdout.split())


@pytest.mark.parametrize("names", [DIALECTS, INPUTS], ids=["dialects", "inputs"])
def test_the_help_and_the_reference_list_what_may_be_said(names: tuple[str, ...]) -> None:
    """Whoever looks for a name finds each that is taken, here and there."""
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    section = reference.partition("### `querygauge normalize`\n")[2].partition("\n### ")[0]
    shown = printed("--help")
    assert [name for name in names if f"`{name}`" not in section or name not in shown] == []


def test_a_log_implies_its_dialect(run: Command) -> None:
    """A log of a server is read in the dialect of that server."""
    sources = as_json(
        run("normalize", LOGS / "postgresql_all.csv", LOGS / "mysql_slow.log", "--format", "json"),
    )["sources"]
    assert [(source["format"], source["dialect"]) for source in sources] == [
        ("postgresql-log (csvlog)", "postgresql"),
        ("mysql-slow-log", "mysql"),
    ]


def test_times_are_shown_where_a_log_has_them(run: Command) -> None:
    """With durations the order is by total time; a pattern without any shows none."""
    text = run("normalize", LOGS / "postgresql_min_duration.log").stdout
    assert "PATTERNS BY TOTAL TIME" in text
    assert "Total      Avg      P95      Max  Errors  Pattern" in text
    assert "and 1 more patterns; --limit shows them" in text


def test_no_line_is_wider_than_the_page(run: Command) -> None:
    """Piped text has lines of 100 characters at most."""
    result = run("normalize", *sorted(LOGS.iterdir()), "--limit", 100)
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "\x1b" not in result.stdout


def test_csv_has_the_columns_of_the_report(run: Command) -> None:
    """A row has the report's columns; what the log does not tell is empty, and not 0."""
    text = run("normalize", LOGS / "postgresql_session_id.log", "--format", "csv", "--limit", 3).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3
    assert rows[0]["execution_count"] == "4"
    assert rows[0]["tables"] == "orders"
    assert {rows[0][name] for name in ("total_duration_ms", "p95_duration_ms", "first_seen", "slow_count", "rows")} == {
        ""
    }


def test_json_has_everything(run: Command) -> None:
    """The overall numbers and one object per pattern, in the members of the report."""
    read = as_json(run("normalize", LOGS / "mysql_slow.log", "--format", "json", "--order-by", "execution_count"))
    assert read["overall"]["total_queries"] == 3
    assert read["overall"]["outcomes"] == {"ok": 2, "error": 0, "timeout": 1, "cancelled": 0}
    first = read["queries"][0]
    assert (first["execution_count"], first["total_duration_ms"], first["rows"]) == (2, 2_000.0, 3)
    assert first["first_seen"] == "2026-01-05T09:59:58+00:00"
    assert (first["pattern"]["id"], first["pattern"]["complexity"]) == (first["pattern_id"], 1)


@pytest.mark.parametrize("order", ["p95", "p99", "max", "avg_duration", "error_rate", "rows"])
def test_every_order_takes_patterns_without_durations(order: str) -> None:
    """An order by durations puts the patterns that have none at the end."""
    text = printed(LOGS / "postgresql_min_duration.log", "--order-by", order, "--format", "json")
    queries = json.loads(text)["queries"]
    known = [query["total_duration_ms"] is not None for query in queries]
    assert len(queries) == 21
    assert order in {"error_rate", "rows"} or known == sorted(known, reverse=True)


@pytest.mark.parametrize("form", ["text", "json", "csv"])
@pytest.mark.parametrize("path", sorted(LOGS.iterdir()), ids=lambda path: path.name)
def test_nothing_personal_is_shown(path: Path, form: str) -> None:
    """Parameters, users, hosts and literals of a log are shown in no form."""
    text = printed(path, "--limit", 100, "--format", form)
    assert [value for value in PERSONAL if value in text] == []


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mariadb", "sqlite", "mssql", "oracle", "unknown"])
def test_no_marked_value_is_shown_of_a_script(tmp_path: Path, dialect: str) -> None:
    """Whatever the dialect, no piece of a value in a script is shown, wherever people and tools put values."""
    script = f"""\
\\connect "dbname=shop password={MARK}"
\\set name {MARK}
:setvar name "{MARK}"
PROMPT {MARK}; don't ask for {NUMBER}
.param set @x {MARK}
-- {MARK}; {MARK}
/* {MARK}; */ SELECT '{MARK};{MARK}', {NUMBER} FROM people; -- {NUMBER}; {MARK}
INSERT INTO people VALUES ({NUMBER}, 'it''s; {MARK}'), ({NUMBER}, '{MARK}');
COPY people (id, email) FROM stdin;
{NUMBER};\t{MARK}; SELECT {MARK}
'\t{MARK}
\\.
{MARK}; {MARK} said 'hello';
UPDATE people SET email = '{MARK}' WHERE id = {NUMBER} \\g /home/{MARK}
SELECT '{MARK}\\'; SELECT {MARK}; SELECT '{MARK}';
"""
    path = tmp_path / "script.sql"
    path.write_text(script)
    for form in ("text", "json", "csv"):
        text = printed(path, "--dialect", dialect, "--format", form)
        assert [piece for piece in FRAGMENTS if piece in text] == []


def test_a_compressed_file_is_read(run: Command, tmp_path: Path) -> None:
    """Logs are read as they are rotated away."""
    path = tmp_path / "old.log.gz"
    path.write_bytes(gzip.compress((LOGS / "postgresql_min_duration.log").read_bytes()))
    assert as_json(run("normalize", path, "--format", "json"))["overall"]["total_queries"] == 29


def test_a_script_of_sql_server_is_read_in_its_encoding(pipe: Command) -> None:
    """What SQL Server's tools write in UTF-16 is text like any other."""
    script = "SELECT N'Ä' FROM t\r\nGO\r\nSELECT N'ö' FROM t\r\nGO\r\n".encode("utf-16")
    read = as_json(pipe(script, "--dialect", "mssql", "--format", "json"))
    assert [query["execution_count"] for query in read["queries"]] == [2]


def test_nothing_in_a_text_is_no_error(pipe: Command) -> None:
    """An empty text, or one of comments, has no statements."""
    assert "no statements were found" in pipe("").stdout
    assert "no statements were found" in pipe("-- nothing\n;\n").stdout


def test_a_log_without_statements_says_why(run: Command, tmp_path: Path) -> None:
    """Whoever forgot to switch the logging on reads how."""
    path = tmp_path / "server.log"
    path.write_text("2026-01-05 10:00:00.000 UTC [1] LOG:  database system is ready to accept connections\n")
    assert "log_min_duration_statement" in run("normalize", path).stdout


def test_patterns_beyond_the_limit_count_together(pipe: Command) -> None:
    """Memory is bounded by the number of patterns; what is beyond still counts."""
    script = "".join(
        f"SELECT a FROM t{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)};" for n in range(5_003)
    )
    read = as_json(pipe(script, "--format", "json"))
    assert (read["overall"]["total_queries"], read["overall"]["unique_patterns"]) == (5_003, 5_001)
    assert read["queries"][0]["query_pattern"] == "(other statements)"
    assert read["notes"] == ["executions counted together, of patterns beyond the first 5,000: 3"]


def test_the_progress_is_for_a_terminal_that_watches(environment: dict[str, str], tmp_path: Path) -> None:
    """The bar is on standard error only: what is printed can be piped on."""
    path = tmp_path / "script.sql"
    path.write_text("select 1; select a from t;" * 20_000)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "querygauge", "normalize", str(path), "--format", "csv"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, env={**environment, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        seen = b""
        while data := _read_or_end(ours):
            seen += data
        output = process.stdout.read() if process.stdout else ""
    os.close(ours)
    assert b"reading" in seen
    assert {line.split(",")[1] for line in output.splitlines()[1:]} == {"select ?", "select a from t"}


def _read_or_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # how a pty says that the other side is gone
        return b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.log"], "'absent.log' cannot be read: No such file or directory"),
        (["."], "'.' cannot be read: Is a directory"),
        (["binary"], "'binary' must be text, gzipped or not; it holds binary data"),
        (["cut.gz"], "'cut.gz' cannot be read: Compressed file ended"),
        (["script.sql", "--dialect", "klingon"], "dialect must be one of postgresql,"),
        (["script.sql", "--input", "xml"], "input must be one of auto, sql, postgresql-log, mysql-slow-log; got 'xml'"),
        (["script.sql", "--order-by", "speed"], "order_by must be one of"),
        (["script.sql", "--input", "postgresql-log"], "'script.sql' must be a log of PostgreSQL; nothing in it is"),
        (["script.sql", "--input", "mysql-slow-log"], "'script.sql' must be a slow log of MySQL; nothing in it is"),
        (["letter.txt"], "'letter.txt' must be SQL, or a log of a kind that is known; nothing in it is"),
        (["server.log", "--dialect", "mysql"], "--dialect of a postgresql-log must be of the family postgresql"),
        (["script.sql", "absent.log"], "'absent.log' cannot be read"),
    ],
)
def test_errors_are_one_line(run: Command, tmp_path: Path, arguments: list[str], message: str) -> None:
    """What is wrong is said in one line on standard error; the status is 2, and nothing is printed."""
    (tmp_path / "binary").write_bytes(b"SQLite format 3\0\1\2")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(4_000).hex().encode())[:2_000])
    (tmp_path / "script.sql").write_text("select 1;")
    (tmp_path / "letter.txt").write_text("Dear secret-7;\nall is well; yours.\n")
    (tmp_path / "server.log").write_text((LOGS / "postgresql_min_duration.log").read_text())
    result = run("normalize", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"querygauge: {message}")
    assert result.stderr.count("\n") == 1
    assert "secret-7" not in result.stderr
