"""
What has grown old leaves the store: minutes first, which hours have, then hours, which days have, then the rest.

Once a day, by whoever ticks. Nothing is dropped that is not rolled up; what is to be kept in files is written there,
and counted there, before it goes, and is part of the archive from then on. A database never shrinks by itself, so one
that has become half empty is copied.

Deliberately not here: when a period is rolled up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.storage.backup_files import parquet
from querygauge.storage.creation import copied
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    attached,
    bytes_of,
    first_line,
    quoted,
    scratch_connection,
    tidy,
    transaction,
)
from querygauge.storage.election import elected
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths, free_path, reach_disk
from querygauge.storage.rollups import Kept, kept

__all__ = ["STEPS", "Retained", "is_due", "retain"]

_DATABASE_TIMEOUT_S: Final = 10.0
_BYTES_PER_MB: Final = 1_000_000
_LEAST_COPIED_BYTES: Final = 16_000_000  # a smaller file is not worth it
_DAY: Final = "%Y%m%d"
_UNFINISHED: Final = ".unfinished"

_UNKNOWN_MARKS: Final = "DELETE FROM store.marks WHERE pattern_id NOT IN (SELECT pattern_id FROM store.patterns)"

_TIERS: Final = (("query_stats", "minute"), ("query_stats_hourly", "hour"), ("query_stats_daily", "day"))
_DETAIL: Final = (
    ("scope_stats", "minute"),
    ("slow_queries", "started_at"),
    ("query_errors", "minute"),
    ("pool_stats", "minute"),
    ("health_checks", "checked_at"),
    ("repetitions", "found_at"),
    ("process_stats", "minute"),
    ("alerts", "ended_at"),  # what has not ended has none, and stays
    ("alert_messages", "made_at"),
    ("silences", "until"),
)


STEPS: Final = len(_TIERS) + len(_DETAIL) + 2
"""How many steps a run has, unless the database is too large after it: the archive, each table, and the copy."""


class Retained(NamedTuple):
    """
    What left the store.

    Attributes:
        archived_count: Rows that are in a file of the archive now.
        deleted_count: Rows that left the database.
        days_cleaned: Days of which something was dropped.
        freed_bytes: By how much its file became smaller.
        is_busy: Whether somebody else changes the store, and nothing was looked at.
    """

    archived_count: int = 0
    deleted_count: int = 0
    days_cleaned: int = 0
    freed_bytes: int = 0
    is_busy: bool = False

    def and_then(self, more: "Retained") -> "Retained":
        """Both together; a day of which something was dropped twice counts twice."""
        return Retained(
            self.archived_count + more.archived_count,
            self.deleted_count + more.deleted_count,
            self.days_cleaned + more.days_cleaned,
            self.freed_bytes + more.freed_bytes,
        )


class _Step(NamedTuple):
    """Rows of a table to drop: those before `end`."""

    table: str
    column: str
    end: datetime

    @property
    def condition(self) -> str:
        return f'"{self.column}" < $end'


def is_due(paths: StorePaths, known: Kept, now: datetime) -> bool:
    """Whether it was not yet done on this day, or was not ended; `now` is naive UTC."""
    # Not "later": a run by hand under a clock that was years ahead must not be the last one for years.
    return _day_before(now, 0) != _day_before(known.retained_at, 0) or bool(_unfinished(paths))


def retain(
    paths: StorePaths,
    limits: Limits,
    now: datetime,
    *,
    lock_timeout_s: float = 0.0,
    database_timeout_s: float = _DATABASE_TIMEOUT_S,
    on_step: Callable[[str], None] | None = None,
) -> Retained:
    """
    Drops what is older than its limit, by whole days, and gives the space back.

    If the database is larger than it may be after that, more is dropped until it is not, or the least is left: minutes
    but for the last day, then what is by hour or one by one but for a week, then days but for a month.

    Args:
        paths: The store.
        limits: For how long what is kept, and how much.
        now: UTC.
        lock_timeout_s: How long to wait for somebody else who changes the store.
        database_timeout_s: How long to wait for somebody who holds the database open.
        on_step: Is told what comes next, of `STEPS` at most.

    Returns:
        What was dropped; nothing if somebody else changes the store for longer than that.

    Raises:
        StoreError: If the store or the archive cannot be written; what is not in the archive is not dropped.
    """
    with elected(paths, lock_timeout_s) as is_elected:
        if not is_elected:
            return Retained(is_busy=True)
        try:
            with scratch_connection(paths) as connection:
                retention = _Retention(connection, paths, database_timeout_s, on_step)
                retained = retention.run(limits, now)
                while retention.is_too_large(limits) and (tighter := limits.tighter()) is not None:
                    limits = tighter
                    retained = retained.and_then(retention.run(limits, now))
                return retained
        except DatabaseError as error:
            raise StoreError(f"store {paths.database_name!r} could not be written: {first_line(error)}") from None


class _Retention:
    """One run, while the election lock is held."""

    def __init__(
        self,
        connection: Connection,
        paths: StorePaths,
        timeout_s: float,
        on_step: Callable[[str], None] | None,
    ) -> None:
        self._connection = connection
        self._paths = paths
        self._timeout_s = timeout_s
        self._on_step = on_step or (lambda _: None)

    def run(self, limits: Limits, now: datetime) -> Retained:
        moment = now.astimezone(UTC).replace(tzinfo=None)
        with attached(self._connection, self._paths, read_only=True, timeout_s=self._timeout_s):
            before, known = bytes_of(self._connection, self._paths), kept(self._connection)
            steps = _steps(known, limits, moment)
            counts = {step.table: self._count(step) for step in steps}
            days = self._days(steps)
        _end_archive(self._paths, known.hours_since)
        archived = self._archived(steps[1]) if limits.has_archive and counts[steps[1].table] else 0
        self._drop(steps, moment, limits)
        _end_archive(self._paths, steps[1].end)
        self._compact(is_needed=self.is_too_large(limits))
        freed = max(0, before - self._size())
        return Retained(archived, sum(counts.values()), days, freed)

    def is_too_large(self, limits: Limits) -> bool:
        """Whether the database has more than it may."""
        return bool(limits.max_mb) and self._size() > limits.max_mb * _BYTES_PER_MB

    def _size(self) -> int:
        with attached(self._connection, self._paths, read_only=True, timeout_s=self._timeout_s):
            return bytes_of(self._connection, self._paths)

    def _count(self, step: _Step) -> int:
        found = self._connection.execute(
            f"SELECT count(*) FROM store.{step.table} WHERE {step.condition}",  # noqa: S608  # built of constants
            {"end": step.end},
        ).fetchone()
        return 0 if found is None else int(found[0])

    def _days(self, steps: tuple[_Step, ...]) -> int:
        days: set[object] = set()
        for step in steps:
            days |= {
                row[0]
                for row in self._connection.execute(
                    f"SELECT DISTINCT date_trunc('day', \"{step.column}\") "  # noqa: S608  # built of constants
                    f"FROM store.{step.table} WHERE {step.condition}",
                    {"end": step.end},
                ).fetchall()
            }
        return len(days)

    def _archived(self, step: _Step) -> int:
        """Writes what is to go into a file, and reads it back; how many rows it has."""
        self._on_step("writing the archive")
        folder = self._paths.archive
        totals = f'count(*), sum(executions), sum(total_ns), min("{step.column}"), max("{step.column}")'
        with _archiving(self._paths):
            folder.mkdir(exist_ok=True)
            with attached(self._connection, self._paths, read_only=True, timeout_s=self._timeout_s):
                leaving, chosen = f"FROM store.{step.table} WHERE {step.condition}", {"end": step.end}
                ((count, *sums, first, last),) = self._connection.execute(
                    f"SELECT {totals} {leaving}", chosen
                ).fetchall()
                unfinished = folder / f"query_stats_archive_{first:{_DAY}}_{last:{_DAY}}.parquet{_UNFINISHED}"
                self._connection.execute(
                    f'COPY (SELECT * {leaving} ORDER BY "{step.column}") '  # built of constants
                    f"TO {quoted(unfinished)} (FORMAT parquet, COMPRESSION zstd)",
                    chosen,
                )
            expected = (count, *sums, first, last)
            written = self._connection.execute(f"SELECT {totals} FROM {parquet(unfinished)}").fetchone()  # noqa: S608
            if written != expected:
                raise StoreError(
                    f"the archive {str(unfinished)!r} must have all that is dropped, {expected}; got {written}"
                )
            reach_disk(unfinished)
        return int(count)

    def _drop(self, steps: tuple[_Step, ...], moment: datetime, limits: Limits) -> None:
        minutes, hours, oldest = steps[0].end, steps[1].end, moment - timedelta(days=limits.daily_days)
        with (
            attached(self._connection, self._paths, read_only=False, timeout_s=self._timeout_s),
            transaction(self._connection, self._paths),
        ):
            for step in steps:
                self._on_step(f"dropping from {step.table}")
                self._connection.execute(
                    f"DELETE FROM store.{step.table} WHERE {step.condition}",  # noqa: S608  # built of constants
                    {"end": step.end},
                )
            self._connection.execute("DELETE FROM store.patterns WHERE last_seen < ?", [oldest])
            self._connection.execute(_UNKNOWN_MARKS)
            self._connection.execute("DELETE FROM store.processes WHERE last_at < ?", [hours])
            self._connection.execute("DELETE FROM store.running WHERE seen_at < ?", [hours])
            self._connection.execute(
                "DELETE FROM store.folded_files WHERE folded_at < ? AND spool IS NOT NULL", [hours]
            )
            self._connection.execute(
                "UPDATE store.meta SET minutes_since = ?, hours_since = ?, retained_at = ?",
                [minutes, hours, moment],
            )

    def _compact(self, *, is_needed: bool) -> None:
        if self._paths.remote is not None:
            self._on_step("merging its files")
            with attached(self._connection, self._paths, read_only=False, timeout_s=self._timeout_s):
                tidy(self._connection, self._paths)
            return
        with attached(self._connection, self._paths, read_only=True, timeout_s=self._timeout_s):
            found = self._connection.execute(
                "SELECT block_size, used_blocks, free_blocks FROM pragma_database_size() WHERE database_name = 'store'"
            ).fetchone()
        block_size, used, free = found or (0, 0, 0)
        # Rows that were dropped from the midst of others leave no free block, but go from a copy.
        if is_needed or (free > used and free * block_size >= _LEAST_COPIED_BYTES):
            self._on_step("writing the database anew")
            copied(self._connection, self._paths, timeout_s=self._timeout_s)


def _end_archive(paths: StorePaths, hours_since: datetime) -> None:
    """
    Makes the file that a run has written a part of the archive if its rows were dropped, and removes it if not.

    Whoever is killed in between leaves that to the next, so no row is in the archive twice, or in no place.
    """
    with _archiving(paths):
        for unfinished in _unfinished(paths):
            final = unfinished.with_suffix("")
            last = datetime.strptime(final.stem[-len("YYYYMMDD") :], _DAY)  # noqa: DTZ007  # as hours_since
            if last < hours_since:
                # What is archived later, as it came late, is a file of its own.
                unfinished.replace(free_path(final))
                reach_disk(paths.archive)
            else:
                unfinished.unlink()


def _unfinished(paths: StorePaths) -> list[Path]:
    return list(paths.archive.glob(f"query_stats_archive_*{_UNFINISHED}"))


@contextmanager
def _archiving(paths: StorePaths) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the archive {str(paths.archive)!r} could not be written: {error.strerror or error}"
        ) from error


def _steps(known: Kept, limits: Limits, moment: datetime) -> tuple[_Step, ...]:
    """What to drop of which table; what is not rolled up stays, and a limit that was in force is not taken back."""
    hours = min((period.begin for period in known.pending if period.tier == "hour"), default=moment)
    days = min((period.begin for period in known.pending if period.tier == "day"), default=moment)
    ends = (
        max(known.minutes_since, min(_day_before(moment, limits.minutes_days), hours)),
        max(known.hours_since, min(_day_before(moment, limits.days), days)),
        _day_before(moment, limits.daily_days),
    )
    tiers = (_Step(table, column, end) for (table, column), end in zip(_TIERS, ends, strict=True))
    detail = (_Step(table, column, _day_before(moment, limits.days)) for table, column in _DETAIL)
    return (*tiers, *detail)


def _day_before(moment: datetime, days: int) -> datetime:
    return (moment - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
