"""
Days and weeks of a store as Parquet files, and views over them, which any number of readers may open at any time.

A day that is over is written once, and again only if something comes late; the one under way is written all the time.
A week is made of the files of its days. Every file is written beside its place and renamed, so a reader sees the old
one or the new one, and whoever is killed leaves nothing half done. The store is read, and never written.

Deliberately not here: what is in the report of a week.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import dropwhile
from pathlib import Path
from typing import Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    attached,
    first_line,
    quoted,
    scratch_connection,
    statements,
    used,
)
from querygauge.storage.election import elected
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.manifest import Manifest, Totals
from querygauge.storage.publishing.views import view_statements, write_views
from querygauge.storage.publishing.weeks import PARQUET, WEEK, monday_of, week_number, write_week
from querygauge.storage.rollups import kept

__all__ = ["Published", "day_file", "publish", "week_file"]

_DATABASE_TIMEOUT_S: Final = 10.0
_DAY: Final = timedelta(days=1)
_LAST: Final = date.max - 2 * WEEK  # a clock may be ahead by centuries; from here on, dates have no next week
_NOTHING: Final[Totals] = (0, 0)
_TOTALS: Final = """
SELECT date_trunc('day', "at")::DATE, sum(executions)::BIGINT, sum(total_ns)::BIGINT
FROM query_history('0001-01-01', '9999-12-31', true)
GROUP BY ALL
"""
_FINER: Final = """
CREATE OR REPLACE TABLE memory.finer AS
SELECT date_trunc('hour', "at") AS period, * EXCLUDE ("at") FROM query_history($begin, $until, false)
"""
_DAY_ROWS: Final = """
SELECT
    period AS "hour", coalesce((SELECT max(scale) FROM memory.finer), 5)::TINYINT AS scale, * EXCLUDE (period)
FROM memory.rolled
ORDER BY "hour"
"""


class Published(NamedTuple):
    """
    What a publication wrote.

    Attributes:
        days: Files of days.
        weeks: Reports of weeks.
        removed: Files that were removed for their age.
        waiting: Files that are left for the next time.
        is_busy: Whether somebody else changes the store, and nothing was looked at.
    """

    days: int = 0
    weeks: int = 0
    removed: int = 0
    waiting: int = 0
    is_busy: bool = False


def publish(
    paths: StorePaths,
    limits: Limits,
    now: datetime,
    *,
    believed: datetime | None = None,
    most: int | None = None,
    is_hourly: bool = False,
    lock_timeout_s: float = 0.0,
    database_timeout_s: float = _DATABASE_TIMEOUT_S,
    on_file: Callable[[str, int, int], None] | None = None,
) -> Published:
    """
    Writes the files of the days and weeks that have changed, removes those that are too old, and makes the views.

    Args:
        paths: The store.
        limits: For how long files are kept, and when a pattern is slow, unless the collectors agreed on it.
        now: UTC; its day has a file even if nothing happened.
        believed: How late it is at least, if `now` may be wrong by years; files are as old as that.
        most: Files to write at most; the others wait for the next time.
        is_hourly: Whether weeks under way are written once an hour only.
        lock_timeout_s: How long to wait for somebody else who changes the store.
        database_timeout_s: How long to wait for somebody who holds the database open.
        on_file: Is told what is written next, how many files were written before, and how many there are in all.

    Raises:
        StoreError: If the store cannot be read, or a file cannot be written; what is there stays as it is.
    """
    with elected(paths, lock_timeout_s) as is_elected:
        if not is_elected:
            return Published(is_busy=True)
        try:
            with scratch_connection(paths) as connection:
                with attached(connection, paths, read_only=True, timeout_s=database_timeout_s):
                    limits = limits.following(kept(connection).agreed)
                publication = _Publication(connection, paths, limits, database_timeout_s, most, on_file)
                oldest = monday_of((believed or now).date() - timedelta(days=limits.daily_days))
                try:
                    return publication.run(now.astimezone(UTC), oldest, is_hourly=is_hourly)
                finally:
                    with suppress(OSError):
                        publication.unfinished.unlink(missing_ok=True)
        except DatabaseError as error:
            raise StoreError(f"store {str(paths.root)!r} could not be published: {first_line(error)}") from None
        except OSError as error:
            raise StoreError(
                f"{str(paths.published)!r} could not be written: {error.strerror or error}; "
                "set publish to false if nobody reads it"
            ) from error


def day_file(paths: StorePaths, day: date) -> Path:
    """Where the statistics of a day are."""
    return paths.published_days / f"query_stats_{day:%Y%m%d}.parquet"


def week_file(paths: StorePaths, monday: date) -> Path:
    """Where the report of the week is that begins on a Monday."""
    return paths.published_weeks / f"query_perf_weekly_{week_number(monday)}.parquet"


class _Publication:
    """One run, while the election lock is held."""

    def __init__(
        self,
        connection: Connection,
        paths: StorePaths,
        limits: Limits,
        timeout_s: float,
        most: int | None,
        on_file: Callable[[str, int, int], None] | None,
    ) -> None:
        self._connection = connection
        self._paths = paths
        self._slow_ms = limits.weekly_slow_ms
        self._timeout_s = timeout_s
        self._most = most
        self._on_file = on_file or (lambda _, __, ___: None)
        self._manifest = Manifest(paths)

    def run(self, now: datetime, oldest: date, *, is_hourly: bool) -> Published:
        for folder in (self._paths.published_days, self._paths.published_weeks):
            folder.mkdir(parents=True, exist_ok=True)
        removed = self._remove_older_than(oldest)
        days, waiting = self._write_days(now.date(), oldest)
        weeks = 0
        if not waiting:
            weeks, waiting = self._write_weeks(now, days, is_hourly=is_hourly)
        if not waiting:
            self._write_views()
        self._manifest.written_at = 0.0 if waiting else now.timestamp()
        self._manifest.save()
        return Published(days, weeks, removed, waiting)

    def _write_days(self, today: date, oldest: date) -> tuple[int, int]:
        """How many were written, and how many wait; the newest come first, as they are read most."""
        with attached(self._connection, self._paths, read_only=True, timeout_s=self._timeout_s):
            with used(self._connection):
                totals = {row[0]: tuple(row[1:]) for row in self._connection.execute(_TOTALS).fetchall()}
            totals = {today: _NOTHING, **{day: found for day, found in totals.items() if oldest <= day < _LAST}}
            changed = [day for day in sorted(totals, reverse=True) if self._is_new(day, totals[day])]
            if changed or not self._patterns.exists():
                self._write("SELECT * FROM store.patterns", self._patterns)
            for number, day in enumerate(changed[: self._most]):
                self._on_file(f"day {day}", number, len(changed))
                self._read_day(day)
                self._write(_DAY_ROWS, day_file(self._paths, day))
                self._manifest.days[day] = totals[day]
        self._manifest.save()
        count = len(changed[: self._most])
        return count, len(changed) - count

    def _is_new(self, day: date, totals: Totals) -> bool:
        return self._manifest.days.get(day) != totals or not day_file(self._paths, day).exists()

    def _read_day(self, day: date) -> None:
        """Its rows by hour into `memory.rolled`."""
        begin = datetime.combine(day, datetime.min.time())
        with used(self._connection):
            self._connection.execute(_FINER, {"begin": begin, "until": begin + _DAY})
        self._connection.execute(statements("rolled.sql"), {"factor": 1})

    def _write_weeks(self, now: datetime, already: int, *, is_hourly: bool) -> tuple[int, int]:
        """How many were written, and how many wait; in their order, as each is compared with those before it."""
        hour = f"{now:%Y-%m-%dT%H}"
        is_too_soon = is_hourly and self._manifest.hour == hour

        def is_as_it_was(week: tuple[date, Totals]) -> bool:
            monday, totals = week
            is_known = self._manifest.weeks.get(monday) == totals or (is_too_soon and monday + WEEK > now.date())
            return is_known and week_file(self._paths, monday).exists()

        due = list(dropwhile(is_as_it_was, sorted(self._weeks().items())))
        at_once = due if self._most is None else due[: self._most - already]
        for number, (monday, totals) in enumerate(at_once, already):
            self._on_file(f"week {week_number(monday)}", number, already + len(due))
            self._write_week(monday)
            # What is new in a week that was written before is new to those that follow.
            self._manifest.weeks = {week: made for week, made in self._manifest.weeks.items() if week < monday}
            self._manifest.weeks[monday] = totals
            self._manifest.save()
        self._manifest.hour = hour
        return len(at_once), len(due) - len(at_once)

    def _weeks(self) -> dict[date, Totals]:
        """What each week is made of now."""
        found: dict[date, Totals] = {}
        for day, (executions, nanoseconds, *_) in self._manifest.days.items():
            before = found.get(monday_of(day), _NOTHING)
            found[monday_of(day)] = (before[0] + executions, before[1] + nanoseconds, self._slow_ms)
        return found

    def _write_week(self, monday: date) -> None:
        days = (day_file(self._paths, monday + number * _DAY) for number in range(WEEK.days))
        earlier = (week_file(self._paths, week) for week in self._manifest.weeks if week < monday)
        write_week(
            self._connection,
            monday,
            _existing(days),
            _existing(earlier),
            self._patterns,
            self._slow_ms,
            self.unfinished,
        )
        self.unfinished.replace(week_file(self._paths, monday))

    def _write(self, rows: str, path: Path) -> None:
        self._connection.execute(f"COPY ({rows}) TO {quoted(self.unfinished)} ({PARQUET})")
        self.unfinished.replace(path)

    def _write_views(self) -> None:
        sql = view_statements(self._paths)
        if self._manifest.views == sql and self._paths.views.exists():
            return
        unfinished = self._paths.views.with_suffix(".new")
        for leftover in (unfinished, Path(f"{unfinished}.wal")):
            leftover.unlink(missing_ok=True)
        write_views(self._connection, sql, unfinished)
        unfinished.replace(self._paths.views)
        self._manifest.views = sql

    def _remove_older_than(self, oldest: date) -> int:
        """Days and weeks go by whole weeks, so that what is left of a week is all of it."""
        folders = ((self._paths.published_days, day_file), (self._paths.published_weeks, week_file))
        old = [path for folder, file in folders for path in folder.iterdir() if path < file(self._paths, oldest)]
        for path in old:
            path.unlink(missing_ok=True)
        self._manifest.days = {day: made for day, made in self._manifest.days.items() if day >= oldest}
        self._manifest.weeks = {week: made for week, made in self._manifest.weeks.items() if week >= oldest}
        return len(old)

    @property
    def _patterns(self) -> Path:
        return self._paths.published / "patterns.parquet"

    @property
    def unfinished(self) -> Path:
        """Where every file is written first; no view looks there."""
        return self._paths.published / "unfinished"


def _existing(files: Iterable[Path]) -> list[Path]:
    return [path for path in files if path.exists()]
