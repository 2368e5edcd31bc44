"""
A store into a folder of Parquet files, while everything runs.

Whoever flushes goes on, and what is to be folded waits. A backup is read back and compared before it counts as one. Any
version of DuckDB reads its files. What waits in the spool, and what is in the archive, is no part of it.

Deliberately not here: making a store of one.
"""

import json
import secrets
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from querygauge.errors import StoreError
from querygauge.storage.backup_files import (
    MANIFEST,
    PREFIX,
    Backup,
    Manifest,
    Table,
    Tell,
    backups_in,
    check,
    content,
    duckdb_version,
    manifest_of,
    sha256_of,
    tell_nobody,
    told_as_ours,
)
from querygauge.storage.database import Connection, attached, quoted, scratch_connection
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths, free_path, reach_disk
from querygauge.storage.rollups import Kept

__all__ = ["back_up", "is_backup_due"]

_TIMEOUT_S: Final = 10.0
_UNFINISHED: Final = ".unfinished"
_ABANDONED_S: Final = 3_600.0
_TRIED: Final = ".tried"
_TABLES: Final = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'store' ORDER BY table_name"


def is_backup_due(paths: StorePaths, known: Kept, now: datetime) -> bool:
    """Whether a day is over that the newest backup does not have; what failed is tried again after an hour."""
    if not known.days:
        return False
    today, last = f"{now:%Y%m%d}", f"{known.days[0]:%Y%m%d}"
    days = (path.name.removeprefix(PREFIX)[:8] for path in backups_in(paths.backups))
    # Those of days ahead were taken before somebody set the clock back.
    newest = max((day for day in days if day <= today), default="")
    return newest <= last and newest < today and _is_old(paths.backups / _TRIED)


def back_up(
    paths: StorePaths,
    folder: Path | None = None,
    *,
    keep: int | None = None,
    now: datetime | None = None,
    lock_timeout_s: float = _TIMEOUT_S,
    on_step: Tell | None = None,
) -> Backup | None:
    """
    Writes the database into a folder of its own, and reads it back; then removes what is more than so many.

    Args:
        paths: The store.
        folder: Where backups lie; by default `backups` in the directory of the store.
        keep: Backups of this store that stay, this one included; None keeps all.
        now: Moment it is named for.
        lock_timeout_s: How long to wait for somebody else who changes the store.
        on_step: Is told of progress.

    Returns:
        The backup; None if somebody else changed the store for longer than that.

    Raises:
        StoreError: If it could not be written, or what was read back is not what was written. Nothing of it is left,
            and no other one is removed.
    """
    folder = paths.backups if folder is None else folder
    with elected(paths, lock_timeout_s) as is_elected:
        if not is_elected:
            return None
        with told_as_ours(f"the backup of {paths.name!r} could not be written to {str(folder)!r}"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _TRIED).touch()
            _remove_abandoned(folder)
            backup = _written(paths, folder, (now or datetime.now(UTC)).astimezone(UTC), on_step or tell_nobody)
            if keep is not None:
                _remove_all_but(folder, max(1, keep), backup)
    return backup


def _written(paths: StorePaths, folder: Path, now: datetime, tell: Tell) -> Backup:
    final = free_path(folder / f"{PREFIX}{now:%Y%m%dT%H%M%S-%fZ}")
    unfinished = _unfinished(final)
    unfinished.mkdir()
    try:
        with scratch_connection(paths) as connection:
            manifest = _exported(connection, paths, unfinished, now, tell)
            for number, table in enumerate(manifest.tables):
                tell(f"reading {table.name}", len(manifest.tables) + number, 2 * len(manifest.tables))
                check(connection, unfinished, table, is_same_duckdb=True)
        (unfinished / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1), encoding="utf-8")
        for path in (*unfinished.iterdir(), unfinished):
            reach_disk(path)
        unfinished.replace(final)
        reach_disk(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest.of(final)


def _exported(connection: Connection, paths: StorePaths, folder: Path, now: datetime, tell: Tell) -> Manifest:
    # As long as it is attached nobody writes, so all tables are of the same moment; of a remote one it is our turn.
    with attached(connection, paths, read_only=True, timeout_s=_TIMEOUT_S) as version:
        names = [row[0] for row in connection.execute(_TABLES).fetchall()]
        ((made_at,),) = connection.execute("SELECT min(created_at) FROM store.meta").fetchall()
        tables = []
        for number, name in enumerate(names):
            tell(f"writing {name}", number, 2 * len(names))
            path = folder / f"{name}.parquet"
            connection.execute(f'COPY store."{name}" TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)')
            rows, digest = content(connection, f'store."{name}"')
            tables.append(Table(name, rows, digest, path.stat().st_size, sha256_of(path)))
    return Manifest(now.isoformat(), made_at.isoformat(), version, duckdb_version(connection), tuple(tables))


def _unfinished(path: Path) -> Path:
    # A process that was killed within the same second may have left one.
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")


def _remove_abandoned(folder: Path) -> None:
    """Those of which a killed process wrote or removed a part."""
    for leftover in folder.glob(f"{PREFIX}*{_UNFINISHED}"):
        if _is_old(leftover):
            shutil.rmtree(leftover)


def _is_old(path: Path) -> bool:
    """Whether it was written long ago, or by a clock that was ahead, or not at all."""
    try:
        return abs(time.time() - path.stat().st_mtime) > _ABANDONED_S
    except OSError:
        return True


def _remove_all_but(folder: Path, keep: int, taken: Backup) -> None:
    """Several stores may share a folder, and each has its own backups."""
    store = manifest_of(taken.path).store
    ours = [path for path in backups_in(folder) if _store_of(path) == store]
    # Those of a clock that was ahead are no newer than this one.
    ours.sort(key=lambda path: path.name <= taken.path.name)
    for path in ours[:-keep]:
        # Whoever is killed here leaves nothing that looks like a backup.
        going = _unfinished(path)
        path.replace(going)
        shutil.rmtree(going)


def _store_of(backup: Path) -> str | None:
    """When its store was made; None if it does not say, so that it is nobody's to remove."""
    try:
        return manifest_of(backup).store
    except StoreError:
        return None
