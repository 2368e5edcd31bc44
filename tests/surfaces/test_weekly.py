"""The report of a week and the files it is in, as a shell gets them."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.weeks import monday_of, week_number
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot

Command = Callable[..., subprocess.CompletedProcess[str]]
NOW = datetime.now(UTC)
THIS_WEEK = week_number(monday_of(NOW.date()))
LAST_WEEK = week_number(monday_of(NOW.date()) - timedelta(days=7))


def test_the_week_under_way_is_told_to_people(run: Command, store: Path) -> None:
    """As there is no other: what took most time, and what is slow by the setting of this directory."""
    told = run("weekly", "--store", store, QUERYGAUGE_WEEKLY_SLOW_MS="5").stdout
    assert told.startswith(f"WEEK {THIS_WEEK}\n")
    assert "UTC, so far\n" in told
    assert "Executions         1,320" in told
    assert "SLOW PATTERNS (95th percentile over 5 ms)\n  1" in told
    assert "COMMIT" not in told


def test_the_last_week_that_is_over_is_compared(run: Command, tmp_path: Path) -> None:
    """With the one before it; another one is named."""
    sink = SpoolSink(tmp_path, 10)
    for weeks, executions in ((0, 7), (1, 6), (2, 4)):
        sink.write(snapshot(executions, ended=NOW - timedelta(days=7 * weeks), number=max(weeks, 1)))
    told = run("weekly", "--store", tmp_path).stdout
    assert told.startswith(f"WEEK {LAST_WEEK}\n")
    assert "+50.0 %" in told
    assert "1 never seen before, 1 gone" in told
    named = json.loads(run("weekly", str(THIS_WEEK), "--store", tmp_path, "--format", "json").stdout)
    assert (named["totals"]["samples"], named["previous"]["samples"], named["new_patterns"]) == (7, 6, 0)
    assert [row["weeks_present"] for row in named["patterns"]] == [2]


def test_rows_for_machines(run: Command, store: Path) -> None:
    """One per pattern, transaction control among them."""
    rows = list(csv.DictReader(io.StringIO(run("weekly", "--store", store, "--format", "csv").stdout)))
    assert {row["week"] for row in rows} == {str(THIS_WEEK)}
    assert [(row["summary"], row["samples"]) for row in rows] == [
        ("SELECT orders", "1200"), ("UPDATE", "60"), ("COMMIT", "60")
    ]  # fmt: skip


def test_a_week_that_is_none(run: Command, store: Path) -> None:
    """Or that is not there: the error says what would be."""
    failed = run("weekly", "202699", "--store", store)
    assert failed.returncode == 2
    assert "a week must be one of ISO 8601, such as 202653 or 2026-W53, or a day of it; got '202699'" in failed.stderr
    assert f"it has {THIS_WEEK} to {THIS_WEEK}" in run("weekly", "2001-W01", "--store", store).stderr


def test_publishing_says_what_it_wrote(run: Command, store: Path) -> None:
    """Once, as nothing has changed afterwards."""
    assert run("store", "publish", "--store", store).stdout == f"wrote 1 day and 1 week: {store / 'published'}\n"
    assert run("store", "publish", "--store", store).stdout.startswith("nothing has changed since")
    told = run("store", "publish", "--store", store, "--json").stdout
    assert json.loads(told) == {"days": 0, "weeks": 0, "removed": 0}


def test_more_than_is_written_at_once(run: Command, tmp_path: Path) -> None:
    """All of it, in as many parts as it takes."""
    sink = SpoolSink(tmp_path, 10)
    for days in range(25):
        sink.write(snapshot(1, ended=NOW - timedelta(days=days)))
    assert run("store", "publish", "--store", tmp_path).stdout.startswith("wrote 25 days and ")


def test_what_was_published_is_shown_where_nothing_can_be_written(run: Command, store: Path) -> None:
    """With a word about it on the other stream."""
    run("store", "publish", "--store", store)
    manifest = store / "published" / "manifest.json"
    manifest.unlink()
    manifest.mkdir()
    told = run("weekly", "--store", store)
    assert (told.returncode, "1,320" in told.stdout) == (0, True)
    assert "what was published before is shown" in told.stderr


def test_somebody_else_who_changes_the_store(run: Command, store: Path) -> None:
    """Is waited for, and then told of."""
    run("status", "--store", store)
    with elected(StorePaths(store), 0.0):
        failed = run("store", "publish", "--store", store)
    assert failed.returncode == 2
    assert "is being changed by somebody else; try again in a moment" in failed.stderr


def test_whoever_asks_goes_by_what_the_collector_does(run: Command, store: Path) -> None:
    """Other settings in another directory neither remove its files nor say that something else is slow."""
    SpoolSink(store, 10).write(snapshot(2, ended=NOW - timedelta(days=100)))
    run("collect", "--once", "--store", store, QUERYGAUGE_WEEKLY_SLOW_MS="5")
    files = sorted(store.glob("published/*/*.parquet"))
    assert len(files) == 4
    told = run("store", "publish", "--store", store, QUERYGAUGE_KEEP_DAILY_DAYS="90").stdout
    assert told.startswith("nothing has changed since")
    assert "SLOW PATTERNS (95th percentile over 5 ms)" in run("weekly", str(THIS_WEEK), "--store", store).stdout
    assert sorted(store.glob("published/*/*.parquet")) == files


def test_a_week_in_which_nothing_was_executed(run: Command, tmp_path: Path) -> None:
    """It says so, in any form."""
    run("collect", "--once", "--store", tmp_path / "store")
    told = [run("weekly", "--store", tmp_path / "store", "--format", form) for form in ("text", "json", "csv")]
    assert [each.returncode for each in told] == [0, 0, 0]
    assert "no queries in this week" in told[0].stdout
