"""The commands that ask a store one question, as a shell runs them."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from querygauge.storage.spool_sink import SpoolSink

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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status"], {"status": "OK", "total": "1320", "warnings": ""}),
        (["stats", "--range", "1h"], {"list": "by_operation", "name": "SELECT", "execution_count": "1200"}),
        (["metrics", "--range", "1h"], {"execution_count": "1320", "error_count": "12", "cpu_s": ""}),
    ],
)
def test_answers_as_csv_can_be_parsed(run: Command, store: Path, arguments: list[str], told: dict[str, str]) -> None:
    """Standard output is a header line and rows; JSON is one value."""
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "--store", store, "--format", "csv").stdout)))
    assert any(told.items() <= row.items() for row in rows)
    assert json.loads(run(*arguments, "--store", store, "--format", "json").stdout)
