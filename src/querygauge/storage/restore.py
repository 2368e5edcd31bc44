"""
A backup into a store.

The database is made beside the one that is there, compared with the files, and put into its place at once. One that is
there is put aside and never removed. A backup of an older version is brought up to this one. One that lies elsewhere
than the store's own becomes another store than the one it was taken of, which may still be there.

Deliberately not here: taking a backup.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from querygauge.errors import StoreError
from querygauge.storage.backup_files import (
    Backup,
    Manifest,
    Tell,
    content,
    manifest_of,
    parquet,
    tell_nobody,
    told_as_ours,
    verify,
)
from querygauge.storage.creation import made_database, made_remote, migrate
from querygauge.storage.database import (
    SCHEMA_VERSION,
    Connection,
    log_of,
    quoted,
    remove_database,
    scratch_connection,
)
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths, free_path, reach_disk

__all__ = ["restore"]

_TIMEOUT_S: Final = 10.0


def restore(
    backup: Path,
    paths: StorePaths,
    *,
    replace: bool = False,
    lock_timeout_s: float = _TIMEOUT_S,
    on_step: Tell | None = None,
) -> Backup:
    """
    Makes the database of a store from a backup, which is verified first and stays as it is.

    Args:
        backup: Its folder.
        paths: The store; made if it does not exist.
        replace: Whether a database that is there is put aside, into the folder `replaced`.
        lock_timeout_s: How long to wait for somebody else who changes the store.
        on_step: Is told of progress.

    Raises:
        StoreError: If the backup is damaged or of a newer version, if there is a database and it is not to be replaced,
            or if it cannot be written. The store is as it was.
    """
    manifest = manifest_of(backup)
    if manifest.schema_version > SCHEMA_VERSION:
        raise StoreError(
            f"the backup {str(backup)!r} must have schema version {SCHEMA_VERSION} or older; got "
            f"{manifest.schema_version}; a newer querygauge made it: upgrade this one"
        )
    paths.create()
    with elected(paths, lock_timeout_s) as is_elected:
        if not is_elected:
            raise StoreError(f"store {paths.name!r} is being changed by somebody else; try again in a moment")
        if paths.remote is None and paths.database.exists() and not replace:
            raise StoreError(
                f"store {str(paths.root)!r} has a database; restore into another directory, or replace it (--replace), "
                "which puts it aside"
            )
        verified = verify(backup, on_step=on_step)
        with told_as_ours(f"the backup {str(backup)!r} could not be restored to {paths.name!r}"):
            restored = _restored if paths.remote is None else _restored_remote
            restored(backup, manifest, paths, on_step or tell_nobody)
    return verified


def _restored_remote(backup: Path, manifest: Manifest, paths: StorePaths, tell: Tell) -> None:
    if manifest.schema_version != SCHEMA_VERSION:
        raise StoreError(
            f"the backup {str(backup)!r} must have schema version {SCHEMA_VERSION} to become a remote store; got "
            f"{manifest.schema_version}: restore it into a directory, and take a backup of that"
        )
    with scratch_connection(paths) as connection, made_remote(connection, paths) as is_new:
        if not is_new:
            raise StoreError(
                f"store {paths.name!r} has tables; restore into another one, whose catalog and data_path are empty"
            )
        with _tables(connection, backup, manifest, paths) as tables:
            _fill(connection, tables, tell)
        _make_another(connection)


def _restored(backup: Path, manifest: Manifest, paths: StorePaths, tell: Tell) -> None:
    remove_database(paths.unfinished)
    try:
        with (
            scratch_connection(paths) as connection,
            _tables(connection, backup, manifest, paths) as tables,
            made_database(connection, paths.unfinished),
        ):
            _fill(connection, tables, tell)
            if backup.resolve().parent != paths.backups.resolve():
                _make_another(connection)
        reach_disk(paths.unfinished)
        if paths.database.exists():
            _put_aside(paths)
        paths.unfinished.replace(paths.database)
        reach_disk(paths.root)
    finally:
        remove_database(paths.unfinished)


def _fill(connection: Connection, sources: dict[str, str], tell: Tell) -> None:
    """The rows of each source into the new tables of `store`; what they add up to is compared."""
    connection.execute("DELETE FROM meta")  # that of the backup takes its place
    for number, (name, source) in enumerate(sources.items()):
        tell(f"restoring {name}", number, len(sources))
        connection.execute(f'INSERT INTO store."{name}" BY NAME SELECT * FROM {source}')  # noqa: S608  # our own names
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608  # our own names
        columns = ", ".join(f'"{column[0]}"' for column in described)
        stored = content(connection, f'(SELECT {columns} FROM store."{name}")')  # noqa: S608  # our own names
        if stored != (expected := content(connection, source)):
            raise StoreError(f"table {name} must have {expected[0]} rows as they were; got {stored[0]} that differ")


def _make_another(connection: Connection) -> None:
    """Or a backup of this one would count as one of the store it came from, and push those out of a shared folder."""
    connection.execute("UPDATE meta SET created_at = ?", [datetime.now(UTC).replace(tzinfo=None)])


@contextmanager
def _tables(connection: Connection, backup: Path, manifest: Manifest, paths: StorePaths) -> Iterator[dict[str, str]]:
    """What to read each table of a backup from; those of an older version are made as they were, and migrated."""
    files = {table.name: parquet(backup / f"{table.name}.parquet") for table in manifest.tables}
    if manifest.schema_version == SCHEMA_VERSION:
        yield files
        return
    older = StorePaths(paths.older)
    shutil.rmtree(older.root, ignore_errors=True)
    older.root.mkdir()
    try:
        connection.execute(f"ATTACH {quoted(older.database)} AS store (TYPE duckdb)")
        for name, source in files.items():
            connection.execute(f'CREATE TABLE store."{name}" AS SELECT * FROM {source}')  # noqa: S608
        connection.execute("DETACH store")
        migrate(connection, older, _TIMEOUT_S)
        # Under a name of its own: what is made now is attached as `store`.
        connection.execute(f"ATTACH {quoted(older.database)} AS older (TYPE duckdb, READ_ONLY)")
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'older' ORDER BY table_name"
        ).fetchall()
        yield {name: f'older."{name}"' for (name,) in names}
        connection.execute("DETACH older")
    finally:
        shutil.rmtree(older.root, ignore_errors=True)


def _put_aside(paths: StorePaths) -> None:
    """The database that is there, under a second name, with what a killed writer left beside it; it stays in place."""
    aside = free_path(paths.root / "replaced" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    aside.mkdir(parents=True)
    for path in (log_of(paths.database), paths.database):
        with suppress(FileNotFoundError):
            _give_name(path, aside / path.name)
    # It would be taken for one of the new database; the old one is put aside with it.
    log_of(paths.database).unlink(missing_ok=True)


def _give_name(path: Path, name: Path) -> None:
    try:
        name.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:  # not every file system has links
        shutil.copy2(path, name)
        reach_disk(name)
