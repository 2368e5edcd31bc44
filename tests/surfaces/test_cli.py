"""The commands, as a shell runs them."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

import querygauge
from querygauge.storage.election import elected
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.surfaces.cli import app
from rendering.making import Make
from storage.making import snapshot, total

Command = Callable[..., subprocess.CompletedProcess[str]]


def commands(group: Any, path: str = "querygauge") -> Iterator[tuple[str, Any]]:
    """Every command below a group, with its path."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_explains_itself(path: str) -> None:
    """A command without a sentence, or an option without help, is one nobody finds."""
    assert COMMANDS[path].help
    assert [parameter.name for parameter in COMMANDS[path].params if not getattr(parameter, "help", None)] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_a_help_page(path: str) -> None:
    """`--help` works for each, and exits with 0."""
    result = CliRunner().invoke(app, [*path.split()[1:], "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_version_is_printed(run: Command) -> None:
    """`--version` names the program and its version, and nothing else happens."""
    assert run("--version").stdout == f"querygauge {querygauge.__version__}\n"


def test_a_report_folds_what_waits_and_prints_it(run: Command, store: Path) -> None:
    """What was flushed a moment ago is in the report; piped text has no escape codes."""
    result = run("report", "--store", store)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("QUERY PERFORMANCE REPORT\nshop, ")
    assert "Total Queries     1,320" in result.stdout
    assert "UniqueViolation" not in result.stdout
    assert "hooks; the log names each kind" in result.stdout
    assert result.stdout.endswith(f"querygauge patterns show ID --store {store}\n")
    assert "\x1b" not in result.stdout


def test_a_report_as_json_can_be_parsed(run: Command, store: Path) -> None:
    """Standard output is one JSON value."""
    read = json.loads(run("report", "--store", store, "--format", "json").stdout)
    assert read["overall"]["total_queries"] == 1_320
    assert read["queries"][0]["summary"] == "SELECT orders"
    assert read["repetitions"][0]["max_per_scope"] == 41


def test_a_report_as_csv_can_be_parsed(run: Command, store: Path) -> None:
    """Standard output is one row per query, in the order asked for."""
    text = run("report", "--store", store, "--format", "csv", "--order-by", "avg_duration").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["operation"] for row in rows] == ["UPDATE", "SELECT", "COMMIT"]
    assert rows[1]["error_count"] == "12"


def test_order_and_limit_reach_the_report(run: Command, store: Path) -> None:
    """One ranking, with as many entries as asked for."""
    text = run("report", "--store", store, "--order-by", "rows", "--limit", 1).stdout
    assert "TOP 1 QUERIES BY ROWS" in text
    assert "UPDATE" not in text


def test_the_store_may_come_from_the_settings(run: Command, store: Path) -> None:
    """What told the application where to write tells the command where to read."""
    assert "1,320" in run("report", QUERYGAUGE_STORE=str(store)).stdout
    (store.parent / "pyproject.toml").write_text(f'[tool.querygauge]\nstore = "{store}"\n')
    assert "1,320" in run("report").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "--since", "yesterday"], "a range must be a number and a unit"),
        (["report", "--order-by", "speed"], "order_by must be one of"),
        (["report", "--service", "nobody"], "no service 'nobody' in store"),
        (["report", "--store", "absent"], "does not exist"),
        (["patterns", "show", "zz"], "a pattern id must be"),
        (["top", "--once", "--order-by", "speed"], "order_by must be one of"),
        (["demo", "--database", "not a url with secret-7"], "--database must be an SQLAlchemy URL"),
    ],
)
def test_errors_are_one_line(run: Command, store: Path, arguments: list[str], message: str) -> None:
    """What is wrong is said in one line on standard error, without a traceback; the status is 2."""
    result = run(*arguments, QUERYGAUGE_STORE=str(store))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("querygauge: ")
    assert message in result.stderr
    assert "secret-7" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_store_in_the_settings_is_said(run: Command) -> None:
    """Whoever keeps everything in memory has nothing to read here."""
    result = run("report", QUERYGAUGE_STORE="none")
    assert (result.returncode, "--store" in result.stderr) == (2, True)


def test_a_damaged_file_does_not_spoil_the_output(run: Command, store: Path) -> None:
    """Warnings go to standard error; what is printed can still be parsed, and has the sound numbers."""
    (store / "spool" / "00000000000000001-damaged.ndjson").write_text("no header\n")
    result = run("report", "--store", store, "--format", "json")
    assert json.loads(result.stdout)["overall"]["total_queries"] == 1_320
    assert "damaged" in result.stderr


def test_patterns_are_listed_with_their_whole_ids(run: Command, store: Path, make: Make) -> None:
    """The list names every query, transaction control included."""
    text = run("patterns", "list", "--store", store).stdout
    assert make.pattern("SELECT * FROM orders").id in text
    assert "COMMIT" in text


def test_a_pattern_is_shown_by_the_beginning_of_its_id(run: Command, store: Path, make: Make) -> None:
    """Text, statistics, hours, slow executions and repetitions, found by eight digits."""
    text = run("patterns", "show", make.pattern("SELECT * FROM orders").id[:8], "--store", store).stdout
    for expected in ("SELECT * FROM orders", "BY HOUR", "UniqueViolation [23505]", "shop/orders.py:12 in show", "shop"):
        assert expected in text


def test_top_prints_once_into_a_pipe(run: Command, store: Path) -> None:
    """Without a terminal there is nothing to refresh."""
    text = run("top", "--store", store).stdout
    assert "1,320 in all" in text
    assert "SELECT orders" in text
    assert "\x1b" not in text


def test_top_refreshes_on_a_terminal_until_interrupted(store: Path, environment: dict[str, str]) -> None:
    """On a terminal it draws the table, and Ctrl-C ends it without an error."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "querygauge", "top", "--store", str(store), "--interval", "0.2"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm", "COLUMNS": "120"}
    ) as process:
        os.close(theirs)
        seen = b""
        while seen.count(b"SELECT orders") < 2:  # the second one is a refreshed picture
            seen += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        while _read_or_end(ours):
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"executions/s" in seen


def _read_or_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # how a pty says that the other side is gone
        return b""


def test_collect_folds_once(run: Command, store: Path) -> None:
    """`--once` folds what waits, says so, and ends; one snapshot is one."""
    assert "folded 1 snapshot, " in run("collect", "--once", "--store", store).stdout
    assert not list((store / "spool").glob("*.ndjson"))
    assert run("collect", "--once", "--store", store).stdout == "nothing waits\n"


def test_prune_drops_what_is_old_and_tells(run: Command, tmp_path: Path) -> None:
    """As a sentence, and as JSON; hours are in the archive if that is asked for."""
    long_ago = datetime.now(UTC) - timedelta(days=200)
    SpoolSink(tmp_path, 10).write(snapshot(5, ended=long_ago))
    assert run("store", "prune", "--store", tmp_path, "--archive").stdout.startswith(
        f"dropped 3 rows of 1 day; 1 by hour are in {tmp_path / 'archive'}"
    )
    assert run("store", "prune", "--store", tmp_path).stdout == "nothing is older than its limit\n"
    assert json.loads(run("store", "prune", "--store", tmp_path, "--json").stdout) == {
        "archived_count": 0,
        "deleted_count": 0,
        "days_cleaned": 0,
        "freed_bytes": 0,
        "is_busy": False,
    }
    assert total(open_store(tmp_path).query_stats()) == 5


def test_a_store_is_backed_up_verified_and_restored(run: Command, store: Path, tmp_path: Path) -> None:
    """Each says what it did, as a sentence or as JSON; the newest is verified unless one is named."""
    told = json.loads(run("store", "backup", "--store", store, "--json").stdout)
    assert Path(told["path"]).parent == store / "backups"
    assert set(told) == {"path", "created_at", "tables", "rows", "bytes"}
    assert run("store", "verify", "--store", store).stdout.startswith(f"verified {told['rows']} rows of ")
    assert run("store", "restore", told["path"], "--store", tmp_path / "new").stdout.startswith("restored ")
    assert total(open_store(tmp_path / "new").query_stats()) == total(open_store(store).query_stats()) > 0
    refused = run("store", "restore", told["path"], "--store", store)
    assert refused.returncode == 2
    assert "or replace it (--replace)" in refused.stderr
    assert "there is no backup in" in run("store", "verify", "--store", tmp_path / "new").stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_collect_ends_cleanly_on_a_signal(store: Path, environment: dict[str, str], number: signal.Signals) -> None:
    """The loop folds, and a signal ends it with status 0."""
    command = [sys.executable, "-u", "-m", "querygauge", "collect", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("folded" in line and "snapshot" in line for line in lines)
        process.send_signal(number)
        assert process.wait() == 0


def test_reading_loads_no_more_than_it_needs() -> None:
    """The command's own module is light: help and errors need no database, no study and no live table."""
    code = "import sys, querygauge.surfaces.cli;print(sorted({'_duckdb', 'optuna', 'rich.live'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_prune_fails_where_somebody_else_changes_the_store(run: Command, store: Path) -> None:
    """Nothing was dropped, and a script must not go on as if it had been."""
    run("status", "--store", store)
    with elected(StorePaths(store), 0.0):
        failed = run("store", "prune", "--store", store)
    assert failed.returncode == 2
    assert "is being changed by somebody else; try again in a moment" in failed.stderr


def test_a_tick_that_could_not_publish_says_so(run: Command, store: Path) -> None:
    """After what it folded, which is kept."""
    (store / "published").write_text("in the way")
    ticked = run("collect", "--once", "--store", store)
    assert (ticked.returncode, "folded 1 snapshot" in ticked.stdout) == (2, True)
    assert "published' could not be written" in ticked.stderr
