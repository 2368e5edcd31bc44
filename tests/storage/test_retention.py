"""What has grown old leaves the store, and nothing else does."""

from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import duckdb
import pytest

from querygauge.collector import TickResult, tick
from querygauge.errors import SettingsError, StoreError
from querygauge.settings import Settings
from querygauge.storage.backup_files import backups_in
from querygauge.storage.database import open_database
from querygauge.storage.election import elected
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.retention import Retained, is_due, retain
from querygauge.storage.rollups import kept, roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import SlowQuery
from storage.making import NOON, snapshot, total

DAY = timedelta(days=1)
LIMITS = Limits(7, 90, 1_826)


def _fill(paths: StorePaths, *days: int, rolls_up: bool = True) -> None:
    """One execution for each day after noon, with a slow query."""
    for day in days:
        ended = NOON + day * DAY
        slow = SlowQuery("SELECT ?", "1", "SELECT", "main", 5_000.0, ended)
        SpoolSink(paths.root, 10).write(replace(snapshot(1, ended=ended), slow_queries=(slow,)))
    fold(paths)
    if rolls_up:
        roll_up(paths, NOON + (max(days) + 2) * DAY)


def _counts(paths: StorePaths) -> dict[str, int]:
    tables = ("query_stats", "query_stats_hourly", "query_stats_daily", "slow_queries")
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in tables}


def test_minutes_go_first_then_hours_then_days(paths: StorePaths) -> None:
    """What is left tells the same number, until days go as well."""
    _fill(paths, *range(0, 100, 10))
    now = NOON + 95 * DAY
    assert retain(paths, LIMITS, now) == Retained(0, 9 + 1 + 2, 9, 0)  # minutes, an hour, a slow query, and its process
    assert _counts(paths) == {
        "query_stats": 1,
        "query_stats_hourly": 9,
        "query_stats_daily": 10,
        "slow_queries": 9,
    }
    assert total(open_store(paths).query_stats()) == 10
    assert retain(paths, LIMITS, now) == Retained(0, 0, 0, 0)
    retain(paths, LIMITS, NOON + 1_850 * DAY)
    store = open_store(paths)
    assert total(store.query_stats()) == 7
    retain(paths, LIMITS, NOON + 2_000 * DAY)
    assert store.query_stats() == []
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT count(*) FROM patterns").fetchall() == [(0,)]


def test_what_is_not_rolled_up_stays(paths: StorePaths) -> None:
    """However old it is."""
    _fill(paths, 0, rolls_up=False)
    assert retain(paths, LIMITS, NOON + 95 * DAY).deleted_count == 2  # the slow query, and what its process took
    assert total(open_store(paths).query_stats()) == 1
    assert _counts(paths)["query_stats"] == 1


def test_what_comes_late_is_added_to_what_is_left(paths: StorePaths) -> None:
    """A file from before the limit is counted, where the rest of its time is."""
    _fill(paths, 0, 30, 60)
    retain(paths, LIMITS, NOON + 95 * DAY)
    _fill(paths, 0, 30, rolls_up=False)
    assert total(open_store(paths).query_stats()) == 5
    roll_up(paths, NOON + 95 * DAY)
    assert total(open_store(paths).query_stats()) == 5
    assert total(open_store(paths).query_stats(NOON - DAY, NOON + DAY)) == 2


def test_a_limit_that_is_raised_brings_nothing_back(paths: StorePaths) -> None:
    """Nor does it have the store believe that the minutes are there."""
    _fill(paths, 0, 20)
    retain(paths, LIMITS, NOON + 30 * DAY)
    retain(paths, LIMITS._replace(minutes_days=60), NOON + 31 * DAY)
    _fill(paths, 0, rolls_up=False)
    assert _counts(paths)["query_stats"] == 0
    assert total(open_store(paths).query_stats()) == 3


def test_the_archive_has_what_is_dropped(paths: StorePaths) -> None:
    """In a file that any Parquet reader takes; what comes late is in another one."""
    limits = LIMITS._replace(has_archive=True)
    _fill(paths, 0, 1, 50)
    assert retain(paths, limits, NOON + 95 * DAY).archived_count == 2
    (first,) = paths.archive.iterdir()
    assert first.name == "query_stats_archive_20260101_20260102.parquet"
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT sum(executions), min(hour) FROM '{_glob_free(first)}'").fetchall()
    assert rows == [(2, datetime(2026, 1, 1, 12))]  # noqa: DTZ001  # as DuckDB's timestamps are
    assert retain(paths, limits, NOON + 96 * DAY).archived_count == 0
    assert retain(paths, limits, NOON + 145 * DAY).archived_count == 1
    assert len(list(paths.archive.iterdir())) == 2
    assert total(open_store(paths).query_stats()) == 3


def test_an_archive_that_was_not_ended_is(paths: StorePaths) -> None:
    """A run that was killed left its file: what it holds is archived if it was dropped, and not twice if it was not."""
    limits = LIMITS._replace(has_archive=True)
    final = paths.archive / "query_stats_archive_20260101_20260101.parquet"
    unfinished = final.with_name(f"{final.name}.unfinished")
    _fill(paths, 0, 1)
    paths.archive.mkdir()
    unfinished.write_text("half")
    assert retain(paths, limits, NOON + 91 * DAY).archived_count == 1
    assert list(paths.archive.iterdir()) == [final]
    final.rename(unfinished)
    assert _is_due(paths, NOON + 91 * DAY)
    assert retain(paths, LIMITS, NOON + 91 * DAY).archived_count == 0
    assert list(paths.archive.iterdir()) == [final]
    assert not _is_due(paths, NOON + 91 * DAY)


def _glob_free(path: Path) -> str:
    moved = path.parents[3] / "read.parquet"
    moved.write_bytes(path.read_bytes())
    return str(moved)


def test_nothing_goes_that_could_not_be_archived(paths: StorePaths) -> None:
    """The error names the folder, and the rows are there."""
    _fill(paths, 0, 50)
    paths.archive.write_text("in the way")
    before = _counts(paths)
    with pytest.raises(StoreError, match=r"the archive '?\"?.*archive.* could not be written"):
        retain(paths, LIMITS._replace(has_archive=True), NOON + 95 * DAY)
    assert _counts(paths) == before


def test_the_space_is_given_back(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is mostly empty becomes a small file, with all that it has, macros included."""
    monkeypatch.setattr("querygauge.storage.retention._LEAST_COPIED_BYTES", 1)
    _fill(paths, 0)
    with open_database(paths, read_only=False, timeout_s=1) as connection:
        connection.execute(
            "INSERT INTO slow_queries SELECT s.* REPLACE (s.query || repeat(hash(n)::VARCHAR, 20) AS query) "
            "FROM slow_queries AS s, range(200_000) AS numbers(n)"
        )
    _fill(paths, 90)  # at the end of the file, which could be cut off otherwise
    before = paths.database.stat().st_size
    retained = retain(paths, LIMITS, NOON + 95 * DAY)
    assert retained.deleted_count == 200_004
    assert retained.freed_bytes == before - paths.database.stat().st_size > before / 2
    assert total(open_store(paths).query_stats()) == 2
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT executions FROM pattern_quantiles('2026-01-01', '2027-01-01')").fetchall()


def test_a_store_that_is_too_large_keeps_less(paths: StorePaths) -> None:
    """Minutes first, of which hours have the numbers; then what is told one by one; nothing more than is needed."""
    days = range(0, 90, 3)
    _fill(paths, *days)
    now = NOON + 90 * DAY
    with open_database(paths, read_only=False, timeout_s=1) as connection:
        connection.execute(
            "INSERT INTO slow_queries "
            "SELECT s.* REPLACE (concat(query, md5(concat(n, started_at)), md5(concat(n, 1, started_at))) AS query) "
            "FROM slow_queries AS s, range(6_000) AS numbers(n)"
        )
    assert paths.database.stat().st_size > 8_000_000
    retained = retain(paths, LIMITS._replace(max_mb=8), now)
    assert paths.database.stat().st_size <= 8_000_000
    assert retained.freed_bytes > 0
    assert total(open_store(paths).query_stats()) == len(days)
    left = _counts(paths)
    assert left["query_stats"] == 0
    assert 12_100 < left["slow_queries"] < 180_000
    assert left["query_stats_daily"] == len(days)


def test_who_cannot_keep_less_keeps_the_least(paths: StorePaths) -> None:
    """A week of what is told one by one, a month of days; it ends."""
    _fill(paths, *range(0, 90, 3))
    retain(paths, LIMITS._replace(max_mb=1), NOON + 90 * DAY)
    assert _counts(paths) == {
        "query_stats": 0,
        "query_stats_hourly": 2,
        "query_stats_daily": 10,
        "slow_queries": 2,
    }


def test_who_finds_the_lock_held_drops_nothing(paths: StorePaths) -> None:
    """Somebody else changes the store."""
    _fill(paths, 0)
    with elected(paths, 0.0):
        assert retain(paths, LIMITS, NOON + 95 * DAY) == Retained(is_busy=True)


def test_it_is_due_once_a_day(paths: StorePaths) -> None:
    """And not again on the same day."""
    _fill(paths, 0)
    now = NOON + 30 * DAY
    assert _is_due(paths, now)
    retain(paths, LIMITS, now)
    assert not _is_due(paths, now)
    assert not _is_due(paths, now + DAY / 3)
    assert _is_due(paths, now + DAY / 2)
    retain(paths, LIMITS, now + 3_650 * DAY)
    assert _is_due(paths, now + DAY / 2)


def _is_due(paths: StorePaths, moment: datetime) -> bool:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return is_due(paths, kept(connection), moment.replace(tzinfo=None))


def test_a_clock_that_is_ahead_drops_nothing(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick, which nobody watches, believes it no further than four days after the last days with rows."""
    _fill(paths, *range(10))
    before = _counts(paths)
    _tick_at(NOON + 3_650 * DAY, paths, monkeypatch)
    after = _counts(paths)
    assert before["query_stats"] == 10
    assert after == {**before, "query_stats": 6}  # those of the last seven days before the eleventh
    _tick_at(NOON + 11 * DAY, paths, monkeypatch)
    assert _counts(paths) == after


def test_so_does_a_clock_that_is_ahead_everywhere(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was flushed while it was is one day with rows, or two, however far they are."""
    _fill(paths, *range(10), 3_649, 3_650)
    before = _counts(paths)
    _tick_at(NOON + 3_652 * DAY, paths, monkeypatch)
    assert _counts(paths) == {**before, "query_stats": 4 + 2}


def test_few_days_are_never_old(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that ran on two days, and not since, keeps them."""
    _fill(paths, 0, 1)
    before = _counts(paths)
    _tick_at(NOON + 400 * DAY, paths, monkeypatch)
    assert _counts(paths) == before


def test_an_archive_that_cannot_be_written_stops_nothing_else(
    paths: StorePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was to have stays in the store, and the tick tells why; backups and files for everybody are written."""
    _fill(paths, 0, 1, 118, 119, 120)
    before = _counts(paths)
    paths.archive.write_text("in the way")
    (failure,) = _tick_at(NOON + 121 * DAY, paths, monkeypatch, Limits(has_archive=True)).failures
    assert "the archive" in failure
    assert _counts(paths) == before
    assert len(backups_in(paths.backups)) == 1
    assert paths.views.exists()


def _tick_at(
    moment: datetime, paths: StorePaths, monkeypatch: pytest.MonkeyPatch, limits: Limits = LIMITS
) -> TickResult:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp(moment.timestamp(), tz)

    monkeypatch.setattr("querygauge.collector.datetime", Clock)
    return tick(paths.root, limits)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"retention_days": 6}, "retention_days must be >= 7"),
        ({"retention_days": 366}, "retention_days must be <= 365"),
        ({"keep_minutes_days": 91}, "keep_minutes_days <= retention_days <= keep_daily_days must hold.*91, 90"),
        ({"keep_daily_days": 30}, "must hold.*90 and 30"),
    ],
)
def test_impossible_limits_are_an_error(values: dict[str, int], message: str) -> None:
    """It names the setting and the rule."""
    with pytest.raises(SettingsError, match=message):
        Settings(**values)  # type: ignore[arg-type]
