"""The commands that ask a store one question, as a shell runs them."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import QueryErrors, Snapshot
from rendering.making import Make
from storage.making import snapshot

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_status_is_the_exit_status(run: Command, store: Path, tmp_path: Path) -> None:
    """Cron and monitors read nothing else."""
    SpoolSink(tmp_path / "empty", max_mb=1.0)
    statuses = [
        run("status", "--store", store).returncode,
        run("status", "--store", store, "--warn-mb", 0).returncode,
        run("status", "--store", store, "--limit-mb", 0).returncode,
        run("status", "--store", tmp_path / "empty").returncode,
        run("status", "--store", tmp_path / "nowhere").returncode,
    ]
    assert statuses == [0, 1, 2, 2, 2]


def test_the_status_is_told_to_people(run: Command, store: Path) -> None:
    """How many executions there were of late, and how they went."""
    assert "Last day    1,320  99.1 % succeeded, 2.32 ms on average" in run("status", "--store", store).stdout
    assert "ERRORS\n  - the database has" in run("status", "--store", store, "--limit-mb", 0).stdout


def test_statistics_are_told_to_people(run: Command, store: Path) -> None:
    """Everything together, over time, and a table for each way in which it is spread."""
    text = run("stats", "--store", store, "--limit", 2).stdout
    assert "all services, " in text
    assert "Executions  1,320, 3.06 s in all" in text
    assert [line for line in text.splitlines() if line.isupper() and not line.startswith(" ")] == [
        "EXECUTION STATISTICS", "PERFORMANCE", "OVER TIME", "BY OPERATION", "TOP SERVICES", "TOP PATTERNS", "BY POOL",
    ]  # fmt: skip
    assert "    and 1 more\n" in text
    assert "no executions in this span" in run("stats", "--store", store, "--range", "2020-01-01/2020-01-02").stdout


def test_metrics_are_told_to_people(run: Command, store: Path) -> None:
    """Durations, what they cost at a price, and what is not known."""
    text = run("metrics", "--store", store, "--price-per-hour", 3_600_000).stdout
    assert "Cost        3,060.00, 2,318,181.82 a million executions; 3,600,000.00 an hour\n" in text
    assert "Memory      unknown\n" in text
    assert "Executions" in text


def test_a_regression_is_told_and_may_fail(run: Command, store: Path, tmp_path: Path, make: Make) -> None:
    """Numbers before and after; the exit status is for those who ask for it, and a store is as itself."""
    now = datetime.now(UTC)
    slower = replace(make.stats("SELECT * FROM orders", 1_200, 3.0, errors=12), first_seen=now, last_seen=now)
    SpoolSink(tmp_path / "new", max_mb=1.0).write(
        Snapshot("shop", "host:2", now - timedelta(seconds=60), now, (slower,))
    )
    result = run("compare", "--store", tmp_path / "new", "--baseline", store, "--fail")
    assert result.returncode == 1
    assert "2.00 ms → 3.00 ms  2.00 ms → 3.00 ms" in result.stdout
    assert [title for title in ("SLOWER", "FASTER", "NEW", "GONE") if title in result.stdout] == ["SLOWER", "GONE"]
    assert run("compare", "--store", tmp_path / "new", "--baseline", store).returncode == 0
    same = run("compare", "--store", store, "--baseline", store, "--fail")
    assert (same.returncode, "3 of 3 as before" in same.stdout) == (0, True)


def test_similar_queries_are_told(run: Command, store: Path, make: Make) -> None:
    """With the words by which they differ."""
    orders = make.pattern("SELECT * FROM orders").id
    text = run("similar", orders[:8], "--store", store).stdout
    assert text.startswith(f"SIMILAR PATTERNS\nto {orders[:8]}  SELECT orders\n     SELECT * FROM orders\n")
    assert "     adds  update set state = ? where id\n     lacks select * from\n" in text
    rows = list(csv.DictReader(io.StringIO(run("similar", orders, "--store", store, "--format", "csv").stdout)))
    assert [row["summary"] for row in rows] == ["UPDATE"]


def test_costs_are_told_to_people(run: Command, store: Path) -> None:
    """In all, and the most expensive first; what has no past is expected to cost what it did."""
    text = run("cost", "--store", store, "--price-per-hour", 3_600_000, "--limit", 2).stdout
    assert "  Cost      3,060.00, 3.06 s of database time at 3,600,000.00 an hour\n  Expected  3,060.00" in text
    assert "  Saved     0.00\n" in text
    assert "    and 1 more\n" in text


def test_scores_are_told_to_people(run: Command, store: Path) -> None:
    """In all, the lowest first, and as a picture of the week."""
    text = run("quality", "--store", store).stdout
    assert "  Score       99.1 of 100, excellent\n" in text
    assert "  Frustrated  12, longer or failed\n" in text
    week = text[text.index("BY HOUR OF THE WEEK") :].splitlines()[2:9]
    assert sum("░░" in day for day in week) == 1
    assert "no executions in this span" in run("quality", "--store", store, "--range", "2020-01-01/2020-01-02").stdout


def test_an_error_steers_no_terminal(run: Command, tmp_path: Path) -> None:
    """Whatever the names are that it tells."""
    SpoolSink(tmp_path, 10).write(snapshot(service="\x1b[2Jshop"))
    assert run("stats", "--store", tmp_path, "--service", "mail").stderr.endswith("it knows \\x1b[2Jshop\n")


def test_a_page_is_no_wider_for_a_long_name(run: Command, store: Path) -> None:
    """Of a service, which anybody may call what they like."""
    SpoolSink(store, 10).write(snapshot(service="s" * 5_000, ended=datetime.now(UTC)))
    for command in ("quality", "stats", "cost", "metrics", "errors"):
        assert max(map(len, run(command, "--store", store).stdout.splitlines())) < 150


def test_errors_are_told_to_people(run: Command, tmp_path: Path, make: Make) -> None:
    """By code with what its class is called, by pattern, and the latest of them."""
    now = datetime.now(UTC)
    stats = replace(make.stats("SELECT * FROM orders", 100, errors=12), first_seen=now, last_seen=now)
    failed = QueryErrors(stats.pattern, "primary", "UniqueViolation", "23505", 12, now, "duplicate key (?)")
    SpoolSink(tmp_path / "new", max_mb=1.0).write(
        Snapshot("shop", "host:1", now - timedelta(seconds=60), now, (stats,), errors=(failed,))
    )
    text = run("errors", "--store", tmp_path / "new").stdout
    assert "  12 of 100 executions (12.0 %)\n" in text
    assert "  23505  12 in 1 pattern, last " in text
    assert "  UniqueViolation, integrity constraint violation\n         duplicate key (?)\n" in text
    rows = list(csv.DictReader(io.StringIO(run("errors", "--store", tmp_path / "new", "--format", "csv").stdout)))
    assert [(row["sqlstate"], row["count"], row["summary"]) for row in rows] == [("23505", "12", "SELECT orders")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status"], {"status": "OK", "total": "1320", "warnings": ""}),
        (["stats", "--range", "1h"], {"list": "by_operation", "name": "SELECT", "execution_count": "1200"}),
        (["metrics", "--range", "1h"], {"execution_count": "1320", "error_count": "12", "cpu_s": ""}),
        (["cost", "--price-per-hour", "3600000"], {"list": "by_service", "name": "shop", "actual": "3060.0"}),
        (["quality"], {"list": "by_operation", "name": "UPDATE", "score": "100.0", "grade": "excellent"}),
        (["compare"], {"change": "new", "summary": "SELECT orders", "executions_after": "1200", "p_value": ""}),
    ],
)
def test_answers_as_csv_can_be_parsed(run: Command, store: Path, arguments: list[str], told: dict[str, str]) -> None:
    """Standard output is a header line and rows; JSON is one value."""
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--store", store, "--format", "csv").stdout)))
    assert any(told.items() <= row.items() for row in rows)
    assert json.loads(run(*arguments, "--store", store, "--format", "json").stdout)
