"""
Whether the numbers of a store are in order, how it grows, and why it may have none.

In go an open store and the files around it, out comes a finding for each check. Deliberately not here: mending
anything; what a killed process left is mended by whoever folds next.
"""

import re
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from querygauge.errors import StoreError
from querygauge.storage.asking import asked
from querygauge.storage.backup_files import PREFIX, backups_in
from querygauge.storage.database import Connection, StoreVersionError, bytes_of, statements
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.manifest import overdue_since
from querygauge.storage.spool import waiting_files
from querygauge.storage.subscribers import dropped_count, failing_path, folders
from querygauge.values.answers.diagnosis import Diagnosis, Finding, Growth

__all__ = ["diagnosed", "other_stores", "unopened"]

_STATEMENTS: Final = "answers/diagnosis.sql"
_AHEAD_S: Final = 60.0
_OLD_BACKUP: Final = timedelta(days=2)
_DAY: Final = timedelta(days=1)
_S_PER_MINUTE: Final = 60
_BYTES_PER_MB: Final = 1e6
_HOLDER: Final = re.compile(r"held in (?P<program>\S+) \(PID (?P<pid>\d+)\)")

Rows = list[dict[str, Any]]


def diagnosed(
    connection: Connection, paths: StorePaths, now: datetime, warn_mb: float, limit_mb: float, held: str = ""
) -> Diagnosis:
    """
    What each check found in a store whose spool was folded just now.

    Args:
        connection: To the store.
        paths: Where it is.
        now: Naive UTC.
        warn_mb: From so many megabytes on its size is a warning.
        limit_mb: And from so many on an error.
        held: Who holds the database, as DuckDB tells it, if nothing could be folded for that.
    """
    sums, copies, tiers, gaps, pending, processes, sizes, unsent = (
        asked(connection, sql, {"now": now} if "$now" in sql else {})
        for sql in statements(_STATEMENTS).split(";\n")
        if sql.strip()
    )
    growth = _growth(bytes_of(connection, paths), sizes[0], limit_mb)
    findings = (
        *_held(paths, held),
        _data(paths, processes, sum(row["rows"] for row in sums), now),
        _possible(sums),
        _named(sums),
        _copied(copies),
        _rolled_up(tiers),
        _kept_up(pending[0]),
        _clocks(processes),
        _gaps(gaps),
        _losses(processes),
        _set_aside(paths),
        _size(growth, warn_mb),
        _published(overdue_since(connection, paths, processes[0]["last_at"] if processes else None)),
        _backups(paths, now),
        _exports(paths),
        _alerts(unsent),
    )
    return Diagnosis(paths.name, findings, growth)


def unopened(paths: StorePaths, error: StoreError) -> Diagnosis:
    """What there is to say of a store whose database could not be opened."""
    held = _held(paths, str(error))
    if isinstance(error, StoreVersionError):
        finding = Finding("database", "error", str(error))  # which is sound, and the message says what to do
    elif paths.remote is not None:
        remedy = "see that its catalog answers, from this machine and with these rights"
        finding = Finding("database", "error", str(error), remedy)
    elif not held:
        remedy = "restore a backup: querygauge store restore BACKUP --replace"
        finding = Finding("database", "error", str(error), remedy)
    else:
        (finding,) = held
    return Diagnosis(paths.name, (finding, _waiting(paths), _set_aside(paths)))


def _held(paths: StorePaths, told: str) -> tuple[Finding, ...]:
    """Who holds the database, if DuckDB told; a reader keeps out whoever folds, and no other reader."""
    holder = _HOLDER.search(told)
    if holder is None:
        return ()
    return (
        Finding(
            "database",
            "error",
            f"{paths.database} is held open by process {holder['pid']}, {holder['program']}",
            "close it there: whoever holds the database open keeps everybody else out, and what is flushed waits",
        ),
    )


def _data(paths: StorePaths, processes: Rows, rows: int, now: datetime) -> Finding:
    waiting = _waiting(paths)
    if not processes:
        if waiting.severity != "ok":
            return waiting
        return Finding(
            "data",
            "error",
            "no process has flushed into this store",
            "instrument an application, let it run for ten seconds, and see that it and you name the same store",
        )
    latest = processes[0]
    name = f"{latest['service']} {latest['process']}"
    if now - latest["last_at"] > _DAY:
        return Finding("data", "warning", f"the last snapshot is of {latest['last_at']:%Y-%m-%d %H:%M} UTC, of {name}")
    if not rows:
        return Finding(
            "data",
            "warning",
            f"{name} flushes, and saw no statement",
            "see that the engine it uses is the one that was instrumented",
        )
    return Finding("data", "ok", f"{rows:,} rows; the last snapshot is of {latest['last_at']:%H:%M:%S} UTC, of {name}")


def _waiting(paths: StorePaths) -> Finding:
    count = len(waiting_files(paths))
    if not count:
        return Finding("data", "ok", "no snapshot waits to be folded")
    return Finding(
        "data",
        "warning",
        f"{_counted(count, 'snapshot')} {_verb(count, 'waits', 'wait')} to be folded",
        "run querygauge collect --once to see why",
    )


def _possible(sums: Rows) -> Finding:
    bad = {row["name"]: row["impossible"] for row in sums if row["impossible"]}
    if bad:
        return Finding("counts and buckets", "error", f"rows that cannot be true: {_told(bad)}", _RESTORE)
    return Finding("counts and buckets", "ok", "outcomes and buckets add up to the executions in every row")


def _named(sums: Rows) -> Finding:
    bad = {row["name"]: row["nameless"] for row in sums if row["nameless"]}
    if bad:
        return Finding("patterns", "error", f"rows of patterns that the store does not know: {_told(bad)}", _RESTORE)
    return Finding("patterns", "ok", "every row is of a known pattern")


def _copied(copies: Rows) -> Finding:
    bad = {row["name"]: row["copies"] for row in copies if row["copies"]}
    if bad:
        return Finding("duplicates", "warning", f"rows that are there more than once, to the last digit: {_told(bad)}")
    return Finding("duplicates", "ok", "no row is there twice")


def _rolled_up(tiers: Rows) -> Finding:
    if tiers:
        told = ", ".join(f"{_counted(row['periods'], row['tier'])} from {row['first']:%Y-%m-%d %H:%M}" for row in tiers)
        return Finding("hours and days", "error", f"sums that differ from those of the finer rows: {told}", _RESTORE)
    return Finding("hours and days", "ok", "hours add up to their minutes, and days to their hours")


def _kept_up(pending: dict[str, Any]) -> Finding:
    if pending["periods"]:
        return Finding(
            "collector",
            "warning",
            f"{_counted(pending['periods'], 'hour or day', 'hours and days')} since {pending['first']:%Y-%m-%d %H:%M} "
            "UTC wait to be rolled up",
            "let a collector run: collector='auto', or querygauge collect as a service",
        )
    return Finding("collector", "ok", "what is over is rolled up")


def _clocks(processes: Rows) -> Finding:
    ahead = [row for row in processes if row["ahead_s"] > _AHEAD_S]
    if ahead:
        worst = max(ahead, key=lambda row: row["ahead_s"])
        return Finding(
            "clocks",
            "warning",
            f"{_counted(len(ahead), 'process', 'processes')} told of times to come, by up to "
            f"{worst['ahead_s']:,.0f} s: {worst['service']} {worst['process']}",
            "set the clock of that machine; its rows stay where it told",
        )
    return Finding("clocks", "ok", "no time was in the future")


def _gaps(gaps: Rows) -> Finding:
    if gaps:
        told = ", ".join(
            f"{row['service']} {row['gaps']:,}, the longest of {row['longest_s'] / _S_PER_MINUTE:,.0f} min"
            for row in gaps[:3]
        )
        return Finding("gaps", "ok", f"no snapshot for ten minutes and more in the last seven days: {told}")
    return Finding("gaps", "ok", "no service was silent for ten minutes in the last seven days")


def _losses(processes: Rows) -> Finding:
    sums = {
        told: sum(row[name] for row in processes)
        for name, told in (
            ("statements_dropped", "statements not counted"),
            ("snapshots_dropped", "snapshots not kept"),
            ("hook_errors", "exceptions caught in hooks"),
        )
    }
    lost = {told: count for told, count in sums.items() if count}
    if lost:
        return Finding("losses", "warning", _told(lost), "each has a line in the log of its application")
    return Finding("losses", "ok", "nothing was dropped")


def _set_aside(paths: StorePaths) -> Finding:
    count = 0
    with suppress(OSError):
        count = sum(1 for _ in paths.rejected.iterdir())
    if count:
        return Finding(
            "rejected files",
            "warning",
            f"{_counted(count, 'snapshot')} could not be used, in {paths.rejected}",
            "the collector's log tells why; remove them once you have looked",
        )
    return Finding("rejected files", "ok", "no file was set aside")


def _growth(size: int, sizes: dict[str, Any], limit_mb: float) -> Growth:
    size_mb = size / _BYTES_PER_MB
    rows, recent, days = sizes["rows"] or 0, sizes["recent"], sizes["days"] or 0.0
    per_day = recent / days * size_mb / rows if rows and days >= 1 else None
    until = (limit_mb - size_mb) / per_day if per_day and size_mb < limit_mb else None
    return Growth(size_mb, per_day, until, limit_mb)


def _size(growth: Growth, warn_mb: float) -> Finding:
    told = f"{growth.size_mb:,.1f} MB"
    if growth.mb_per_day is not None:
        told += f", {growth.mb_per_day:,.2f} MB more a day"
    if growth.days_until_limit is not None:
        told += (
            f", which is {growth.limit_mb:,.0f} MB in {growth.days_until_limit:,.0f} days unless rows go for their age"
        )
    if growth.size_mb >= growth.limit_mb:
        return Finding("size", "error", told, _KEEP_LESS)
    if growth.size_mb >= warn_mb:
        return Finding("size", "warning", told, _KEEP_LESS)
    return Finding("size", "ok", told)


def _published(overdue: datetime | None) -> Finding:
    if overdue is not None:
        return Finding(
            "published files",
            "warning",
            f"nothing was published since {overdue:%Y-%m-%d %H:%M} UTC",
            "run querygauge store publish to see why; set publish to false if nobody reads it",
        )
    return Finding("published files", "ok", "as new as they are to be")


def _backups(paths: StorePaths, now: datetime) -> Finding:
    taken = backups_in(paths.backups)
    if not taken:
        return Finding("backups", "ok", f"none in {paths.backups}")
    newest = datetime.strptime(taken[-1].name.removeprefix(PREFIX)[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007  # UTC
    told = f"{_counted(len(taken), 'backup')}, the newest of {newest:%Y-%m-%d %H:%M} UTC"
    if now - newest > _OLD_BACKUP:
        return Finding("backups", "warning", told, "see whether a collector runs, and keep_backups is not 0")
    return Finding("backups", "ok", told)


def _exports(paths: StorePaths) -> Finding:
    names = [folder.name for folder in folders(paths)]
    for folder in folders(paths):
        with suppress(OSError, ValueError):
            told = failing_path(folder).read_text(encoding="utf-8")
            return Finding(
                "exports", "warning", f"{folder.name} fails: {told}", "see that it answers; what is not sent is kept"
            )
    dropped = sum(map(dropped_count, folders(paths)))
    if dropped:
        told = f"{_counted(dropped, 'snapshot')} that nobody came for {_verb(dropped, 'was', 'were')} dropped"
        return Finding("exports", "warning", told, f"remove what is not used any more from {paths.exports}")
    return Finding("exports", "ok", f"to {', '.join(names)}" if names else "nothing is exported")


def _alerts(unsent: Rows) -> Finding:
    for row in unsent:
        waits = f", and {row['waiting']:,} {_verb(row['waiting'], 'waits', 'wait')}" if row["waiting"] else ""
        return Finding(
            "alerts",
            "warning",
            f"{_counted(row['failed'], 'message')} to {row['channel']} in the last day did not arrive{waits}: "
            f"{row['error']}",
            f"querygauge alerts test --channel {row['channel']} tells whether it does now",
        )
    return Finding("alerts", "ok", "every message of the last day arrived")


_RESTORE: Final = "restore a backup into another directory and compare: docs/operations/recovery.md"
_KEEP_LESS: Final = "keep fewer days, or set max_store_mb; then querygauge store prune"


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _counted(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def _verb(count: int, one: str, several: str) -> str:
    return one if count == 1 else several


def other_stores(root: Path) -> list[Path]:
    """Stores near a directory that has none: in those above it, and in those beside and below it."""
    here = root.absolute().parent
    near = [here, *here.parents, *(path for path in _directories(here)), *(path for path in _directories(here.parent))]
    found = {path / root.name for path in near if (path / root.name / "spool").is_dir()}
    return sorted(found - {root.absolute()})


def _directories(path: Path) -> list[Path]:
    try:
        return [each for each in path.iterdir() if each.is_dir()]
    except OSError:
        return []
