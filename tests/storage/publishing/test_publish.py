"""Files for everybody: whole at any moment, written again when something changed, and only then."""

import os
import random
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage.election import elected
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.manifest import is_publication_due
from querygauge.storage.publishing.publish import Published, day_file, publish, week_file
from querygauge.storage.publishing.weeks import monday_of
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from storage.making import NOON, files_limited_to, snapshot
from storage.publishing.test_weeks import weeks_of

DAY = timedelta(days=1)
TODAY = NOON.date()
_KILLS = 20


def fill(paths: StorePaths, *days: int, now: datetime = NOON) -> None:
    """One execution for each day before noon, folded and rolled up."""
    for day in days:
        SpoolSink(paths.root, 10).write(snapshot(1, ended=NOON - day * DAY))
    fold(paths)
    roll_up(paths, now)


def asked(paths: StorePaths, sql: str) -> list[Any]:
    """What the database of views answers."""
    with duckdb.connect(str(paths.views), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def identities(files: Iterable[Path]) -> dict[str, int]:
    """A file that is written anew is another one."""
    return {path.name: path.stat().st_ino for path in files}


def test_a_day_that_is_over_is_written_once(paths: StorePaths) -> None:
    """And the one under way whenever something was added."""
    fill(paths, 0, 1, 2)
    assert publish(paths, Limits(), NOON) == Published(days=3, weeks=1)
    before = identities(paths.published_days.iterdir())
    assert publish(paths, Limits(), NOON) == Published()
    fill(paths, 0)
    assert publish(paths, Limits(), NOON) == Published(days=1, weeks=1)
    after = identities(paths.published_days.iterdir())
    assert {name for name in before if before[name] != after[name]} == {"query_stats_20260101.parquet"}
    assert asked(paths, 'SELECT "hour"::DATE, sum(executions)::INTEGER FROM perf_hours GROUP BY ALL ORDER BY ALL') == [
        (TODAY - 2 * DAY, 1), (TODAY - DAY, 1), (TODAY, 2)
    ]  # fmt: skip


def test_what_comes_late_is_written_once_more(paths: StorePaths) -> None:
    """With the week it belongs to."""
    fill(paths, 0, 20, 40)
    publish(paths, Limits(), NOON)
    fill(paths, 40)
    assert publish(paths, Limits(), NOON) == Published(days=1, weeks=3)
    assert asked(paths, "SELECT sum(executions)::INTEGER FROM perf_hours") == [(4,)]
    assert [row["samples"] for row in weeks_of(paths)] == [2, 1, 1]


def test_files_are_finer_than_what_is_left_of_the_store(paths: StorePaths) -> None:
    """A day keeps its hours when the store has no longer any."""
    fill(paths, 0, 100)
    publish(paths, Limits(), NOON)
    before = identities(paths.published_days.iterdir())
    retain(paths, Limits(), NOON)
    assert publish(paths, Limits(), NOON) == Published()
    assert identities(paths.published_days.iterdir()) == before
    assert asked(paths, 'SELECT hour("hour"), scale FROM perf_hours ORDER BY "hour"') == [(12, 5), (12, 5)]


def test_a_day_of_which_only_the_day_is_left(paths: StorePaths) -> None:
    """It is published as it is, with the buckets it has, and merged with finer ones."""
    fill(paths, 0, 100)
    retain(paths, Limits(), NOON)
    publish(paths, Limits(), NOON)
    assert asked(paths, 'SELECT hour("hour"), scale FROM perf_hours ORDER BY "hour"') == [(0, 4), (12, 5)]
    assert asked(paths, "SELECT total_samples, p95_ms FROM perf_top_patterns") == [(2, 2.0)]


def test_an_empty_store_has_files(paths: StorePaths) -> None:
    """Every view can be asked."""
    tick(paths.root)
    for view in ("perf_all_weeks", "perf_slow_patterns", "perf_top_patterns", "perf_hours", "perf_patterns"):
        assert asked(paths, f"SELECT * FROM {view}") == []


def test_the_views_of_a_store_that_has_moved(paths: StorePaths) -> None:
    """They name whole paths, and are made again where the store is now."""
    fill(paths, 0)
    publish(paths, Limits(), NOON)
    moved = StorePaths(paths.root.with_name("moved [too]"))
    paths.root.rename(moved.root)
    with pytest.raises(duckdb.IOException):
        weeks_of(moved)
    assert publish(moved, Limits(), NOON) == Published()
    assert [row["samples"] for row in weeks_of(moved)] == [1]


def test_views_can_be_asked_from_anywhere(paths: StorePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder, and attached under another name."""
    fill(paths, 0)
    publish(paths, Limits(), NOON)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        name = str(paths.views).replace("'", "''")
        connection.execute(f"ATTACH '{name}' AS other (READ_ONLY)")
        assert connection.execute("SELECT total_samples FROM other.perf_top_patterns").fetchall() == [(1,)]


def test_a_column_that_is_added_later(paths: StorePaths) -> None:
    """It is there for those weeks that have it, and NULL for the others."""
    fill(paths, 0, 10)
    publish(paths, Limits(), NOON)
    newest = week_file(paths, monday_of(TODAY))
    later = paths.root.parent / "later.parquet"
    newest.rename(later)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS SELECT *, 7 AS later FROM '{later}'")
        connection.execute(f"COPY t TO '{later}' (FORMAT parquet)")
    later.rename(newest)
    assert asked(paths, "SELECT later FROM perf_all_weeks ORDER BY week_start") == [(None,), (7,)]


def test_nothing_of_the_store_is_changed(paths: StorePaths) -> None:
    """It is opened for reading only."""
    fill(paths, 0, 1)
    before = paths.database.read_bytes()
    paths.database.chmod(0o400)
    publish(paths, Limits(), NOON)
    assert paths.database.read_bytes() == before


def test_files_go_when_the_days_of_the_store_do(paths: StorePaths) -> None:
    """By whole weeks: a week of which one day is left still has the others."""
    fill(paths, 0, 10, 11, 12, 20)  # the 22nd, 21st and 20th of December are a Monday, Sunday and Saturday
    publish(paths, Limits(), NOON)
    result = publish(paths, Limits(7, 7, 10), NOON)
    assert (result.removed, len(list(paths.published_days.iterdir()))) == (5, 2)
    assert [row["week"] for row in weeks_of(paths)] == [202552, 202601]
    assert publish(paths, Limits(7, 7, 10), NOON) == Published()


def test_a_clock_that_is_ahead_removes_nothing(paths: StorePaths) -> None:
    """Files are as old as it is believed to be late; what has a time of years ahead has a file there."""
    fill(paths, 0, -3_000)
    publish(paths, Limits(), NOON)
    assert publish(paths, Limits(), NOON + 3_000 * DAY, believed=NOON).removed == 0
    assert [row["samples"] for row in weeks_of(paths)] == [1, 1]


def test_the_last_days_of_the_calendar_have_no_file(paths: StorePaths) -> None:
    """They have no next week; the others are published."""
    SpoolSink(paths.root, 10).write(snapshot(1, ended=datetime(9999, 12, 30, tzinfo=UTC)))
    fill(paths, 0)
    publish(paths, Limits(), NOON)
    assert [row["samples"] for row in weeks_of(paths)] == [1]


def test_what_is_much_is_written_a_part_at_a_time(paths: StorePaths) -> None:
    """The newest days first; weeks when all days are there, and the oldest of them first."""
    fill(paths, 0, 1, 8, 15)
    assert publish(paths, Limits(), NOON, most=3) == Published(days=3, waiting=1)
    assert not day_file(paths, TODAY - 15 * DAY).exists()
    assert is_publication_due(paths, NOON)
    assert publish(paths, Limits(), NOON, most=3) == Published(days=1, weeks=2, waiting=1)
    assert publish(paths, Limits(), NOON, most=3) == Published(weeks=1)
    assert [row["weeks_present"] for row in weeks_of(paths)] == [1, 2, 3]


def test_weeks_under_way_are_written_once_an_hour(paths: StorePaths) -> None:
    """If they are told to; a day is written each time."""
    fill(paths, 0)
    publish(paths, Limits(), NOON, is_hourly=True)
    fill(paths, 0)
    assert publish(paths, Limits(), NOON, is_hourly=True) == Published(days=1)
    assert publish(paths, Limits(), NOON + timedelta(hours=1), is_hourly=True) == Published(weeks=1)
    assert [row["samples"] for row in weeks_of(paths)] == [2]


def test_every_five_minutes(paths: StorePaths) -> None:
    """Also by a clock that was set back."""
    assert is_publication_due(paths, NOON)
    fill(paths, 0)
    publish(paths, Limits(), NOON)
    minutes = (-60, -1, 0, 4, 5)
    assert [is_publication_due(paths, NOON + timedelta(minutes=each)) for each in minutes] == [
        True, False, False, False, True
    ]  # fmt: skip


def test_the_collector_publishes(paths: StorePaths) -> None:
    """Unless it is told not to."""
    SpoolSink(paths.root, 10).write(snapshot(5))
    tick(paths.root, Limits(publishes=False))
    assert not paths.published.exists()
    tick(paths.root)
    assert [row["samples"] for row in weeks_of(paths)] == [5]


def test_whoever_changes_the_store_is_left_alone(paths: StorePaths) -> None:
    """Nothing is looked at."""
    fill(paths, 0)
    with elected(paths, 0.0):
        assert publish(paths, Limits(), NOON) == Published(is_busy=True)


def test_what_it_was_made_of_may_be_lost(paths: StorePaths) -> None:
    """Everything is written again."""
    fill(paths, 0, 10)
    publish(paths, Limits(), NOON)
    (paths.published / "manifest.json").write_text('{"days": 3')
    assert publish(paths, Limits(), NOON) == Published(days=2, weeks=2)


def test_a_file_that_somebody_removed_is_written_again(paths: StorePaths) -> None:
    """A day, a week, the patterns or the views."""
    fill(paths, 0, 10)
    publish(paths, Limits(), NOON)
    for path in (
        day_file(paths, TODAY),
        week_file(paths, date(2025, 12, 22)),
        paths.views,
        paths.published / "patterns.parquet",
    ):
        path.unlink()
        publish(paths, Limits(), NOON)
        assert path.exists()


def test_a_folder_that_cannot_be_written(paths: StorePaths) -> None:
    """The error names it, and says how to go without."""
    fill(paths, 0)
    paths.published.write_text("mine")
    with pytest.raises(StoreError, match=r"published\S could not be written: .*; set publish to false"):
        publish(paths, Limits(), NOON)


def test_a_disk_that_is_full(paths: StorePaths) -> None:
    """What was published stays as it was, nothing unfinished takes room, and the next time all of it is written."""
    fill(paths, 0)
    publish(paths, Limits(), NOON)
    fill(paths, 0, 1)
    with files_limited_to(500), pytest.raises(StoreError, match="could not be published"):
        publish(paths, Limits(), NOON)
    assert not (paths.published / "unfinished").exists()
    assert [row["samples"] for row in weeks_of(paths)] == [1]
    assert publish(paths, Limits(), NOON) == Published(days=2, weeks=1)
    assert [row["samples"] for row in weeks_of(paths)] == [3]


def test_archived_hours_are_in_the_view(paths: StorePaths) -> None:
    """Of days that have no file of their own; of those that have, once."""
    fill(paths, 0, 100, 120)
    retain(paths, Limits(has_archive=True), NOON)
    publish(paths, Limits(), NOON, most=2)
    publish(paths, Limits(7, 90, 110), NOON)
    assert len(list(paths.published_days.iterdir())) == 2
    assert asked(paths, 'SELECT "hour"::DATE, executions, scale FROM perf_hours ORDER BY "hour"') == [
        (TODAY - 120 * DAY, 1, 5), (TODAY - 100 * DAY, 1, 4), (TODAY, 1, 5)
    ]  # fmt: skip


def test_a_reader_keeps_what_it_opened(paths: StorePaths) -> None:
    """Views that are made again meanwhile do not wait for it, and files they name are read as they are now."""
    fill(paths, 0)
    publish(paths, Limits(), NOON)
    reader = _start(_READER, paths.views)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "1\n"
    fill(paths, 0, 10)
    paths.archive.mkdir()
    before = paths.views.stat().st_ino
    retain(paths, Limits(7, 7, 1_826, has_archive=True), NOON)
    publish(paths, Limits(), NOON)
    assert paths.views.stat().st_ino != before
    assert reader.communicate("again\n")[0] == "3\n"
    assert reader.returncode == 0
    assert asked(paths, "SELECT sum(samples)::INTEGER FROM perf_all_weeks") == [(3,)]


def test_publishers_that_are_killed_leave_whole_files(paths: StorePaths) -> None:
    """At any moment of theirs, and with two of them at once; what is read meanwhile is whole, and nothing is lost."""
    fill(paths, *range(0, 60, 6))
    publish(paths, Limits(), NOON)
    for number in range(_KILLS):
        fill(paths, 6 * (number % 10))
        publishers = [_start(_PUBLISHER, paths.root) for _ in range(2)]
        for publisher in publishers:
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == "ready\n"
        with suppress(subprocess.TimeoutExpired):
            publishers[0].wait(timeout=random.uniform(0.0, 0.3))
        assert len(asked(paths, "SELECT samples FROM perf_all_weeks")) == 9
        for publisher in publishers:
            publisher.kill()
            publisher.communicate()
    publish(paths, Limits(), NOON)
    assert asked(paths, "SELECT sum(samples)::INTEGER FROM perf_all_weeks") == [(10 + _KILLS,)]
    assert asked(paths, "SELECT sum(executions)::INTEGER FROM perf_hours") == [(10 + _KILLS,)]
    assert [row["weeks_present"] for row in weeks_of(paths)] == list(range(1, 10))
    assert not (paths.published / "unfinished").exists()


_READER = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in range(2):
    print(connection.execute("SELECT sum(samples)::INTEGER FROM perf_all_weeks").fetchall()[0][0], flush=True)
    sys.stdin.readline()
"""
# Its files seem lost each time, so that there is always something to write.
_PUBLISHER = """
import sys
from pathlib import Path
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from storage.making import NOON
paths = StorePaths(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    publish(paths, Limits(), NOON, lock_timeout_s=10)
    (paths.published / "manifest.json").unlink(missing_ok=True)
"""


def _start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def test_what_cannot_be_published_stops_nothing_else(paths: StorePaths) -> None:
    """The tick tells why, and an hour later, whoever looks at the store is told that there is nothing new."""
    fill(paths, 0)
    paths.published.write_text("in the way")
    (failure,) = tick(paths.root).failures
    assert 'published" could not be written' in failure
    now = datetime.now(UTC)
    SpoolSink(paths.root, 10).write(snapshot(1, ended=now))
    assert tick(paths.root).folded.files == 1
    assert open_store(paths).status().warnings == ()
    SpoolSink(paths.root, 10).write(snapshot(1, ended=now + timedelta(minutes=61)))
    store = open_store(paths)
    (warning,) = store.status().warnings
    assert warning.startswith(f"nothing was published since {now:%Y-%m-%d %H:}")
    assert "published files" in {finding.check for finding in store.doctor().findings if finding.severity == "warning"}
    paths.published.unlink()
    assert tick(paths.root).failures == ()
    SpoolSink(paths.root, 10).write(snapshot(1, ended=now + timedelta(minutes=62)))
    assert open_store(paths).status().warnings == (warning,)  # by that clock, it was an hour ago
    os.utime(paths.published / "manifest.json", (now.timestamp() + 3_600, now.timestamp() + 3_600))
    assert open_store(paths).status().warnings == ()
