"""
Waiting spool files into the database, each exactly once.

Whoever holds the election lock folds. Files are checked and merged in memory, written in one transaction together
with their names, and removed after it is committed; a fold killed in between leaves files whose names are in the
database, and the next fold only removes them. What cannot be used is set aside and named.

Deliberately not here: when to fold, and what happens to rows that grow old.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.creation import create_database, migrate
from querygauge.storage.database import (
    CONTENT_ERRORS,
    SCHEMA_VERSION,
    Connection,
    DatabaseError,
    StoreAbsentError,
    StoreBusyError,
    attached,
    first_line,
    glob_escaped,
    remove_database,
    scratch_connection,
    statements,
    transaction,
)
from querygauge.storage.election import elected
from querygauge.storage.kinds import kinds_in, statements_for, tables_of
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import NOTHING_KEPT, Kept, kept
from querygauge.storage.spool import TEMPORARY_SUFFIX, read_spool_file, waiting_files
from querygauge.storage.subscribers import hand_over

__all__ = ["FoldResult", "fold"]

log = get_logger(__name__)

_DATABASE_TIMEOUT_S: Final = 10.0
# One transaction takes so much: merging it stays within the memory a collector may have.
_BATCH_BYTES: Final = 32_000_000
_BATCH_FILES: Final = 500
# A name is of use while its file can be found. A removal that had not reached the disk before a power cut is undone by
# it, seconds later at most.
_NAMES_KEPT: Final = timedelta(hours=1)
_FOLDED: Final = "SELECT name FROM store.folded_files WHERE name IN (SELECT unnest(?::VARCHAR[]))"
# A writer renames its temporary file within milliseconds, and a query ends within minutes; a file so old, or
# from so far ahead, belongs to a process that was killed.
_ABANDONED_S: Final = 3600.0
_MOMENT: Final = "CREATE OR REPLACE TABLE folding AS SELECT ? AS now"
_BOUNDS: Final = "CREATE OR REPLACE TABLE bounds AS SELECT ? AS minutes_since, ? AS hours_since"
_HOURS: Final = """SELECT DISTINCT date_trunc('hour', "minute") FROM new_query_stats"""


class FoldResult(NamedTuple):
    """
    What one fold did.

    Attributes:
        files: Files whose rows are in the database now and were not before.
        rows: Their rows.
        rejected: Where the files were put that could not be used.
        is_busy: Whether somebody else folds, or holds the database; files may still wait.
        held: Who holds the database, as DuckDB tells it; empty if nobody does.
        known: What the store says of its minutes, hours and days; None if nobody looked.
        held_ms: For how long the database was written to.
    """

    files: int = 0
    rows: int = 0
    rejected: tuple[Path, ...] = ()
    is_busy: bool = False
    held: str = ""
    known: Kept | None = None
    held_ms: float = 0.0


def fold(
    paths: StorePaths, *, lock_timeout_s: float = 0.0, database_timeout_s: float = _DATABASE_TIMEOUT_S
) -> FoldResult:
    """
    Moves what waits in the spool into the database, and makes the database if there is none.

    Args:
        paths: The store.
        lock_timeout_s: How long to wait for somebody else who folds.
        database_timeout_s: How long to wait for somebody who holds the database open.

    Raises:
        StoreError: If the store cannot be written; everything that waits is kept.
    """
    paths.create()
    with elected(paths, lock_timeout_s) as is_elected:
        if not is_elected:
            return FoldResult(is_busy=True)
        if paths.remote is None:  # that of a remote one is made when it turns out not to be there
            create_database(paths)
        return _Fold(paths, database_timeout_s).run()


class _Fold:
    """One fold, while the election lock is held."""

    def __init__(self, paths: StorePaths, database_timeout_s: float) -> None:
        self._paths = paths
        self._timeout_s = database_timeout_s
        self._files = 0
        self._rows = 0
        self._rejected: list[Path] = []
        self._kept = NOTHING_KEPT
        self._held_s = 0.0

    def run(self) -> FoldResult:
        _remove_abandoned(self._paths)
        held = ""
        with scratch_connection(self._paths) as connection:
            try:
                self._fold_all(connection, waiting_files(self._paths))
            except StoreBusyError as error:
                log.warning("store_busy", store=self._paths.name, error=str(error))
                held = str(error)
            except DatabaseError as error:
                raise StoreError(
                    f"store {self._paths.database_name!r} could not be written: {first_line(error)}"
                ) from None
        known = None if held else self._kept
        rejected = tuple(self._rejected)
        return FoldResult(self._files, self._rows, rejected, bool(held), held, known, 1e3 * self._held_s)

    def _fold_all(self, connection: Connection, waiting: list[Path]) -> None:
        folded = self._known(connection, [path.name for path in waiting])
        # A killed fold committed them and could not remove them.
        _remove(self._paths, [path for path in waiting if path.name in folded])
        fresh = [path for path in waiting if path.name not in folded]
        for batch in _batches(fresh):
            sound = [found for path in batch if (found := self._if_sound(path)) is not None]
            try:
                self._fold_together(connection, sound)
            except CONTENT_ERRORS:
                # Nothing of the transaction is left; one bad file must not hold up the others.
                for found in sound:
                    self._fold_alone(connection, found)

    def _known(self, connection: Connection, names: list[str]) -> set[str]:
        """Those of the names that are of folded files; notes what a fold has to know, and brings an older store up."""
        try:
            with attached(connection, self._paths, read_only=True, timeout_s=self._timeout_s) as version:
                if version == SCHEMA_VERSION:
                    self._kept = kept(connection)
                    return {row[0] for row in connection.execute(_FOLDED, [names]).fetchall()}
            migrate(connection, self._paths, self._timeout_s)
        except StoreAbsentError:
            create_database(self._paths)
        return self._known(connection, names)

    def _if_sound(self, path: Path) -> "_SpoolFile | None":
        """A file and what it holds; None if it is of no use, or gone."""
        try:
            header, content = read_spool_file(path)
        except FileNotFoundError:
            return None  # its writer dropped it to keep the spool within its limit
        except StoreError as error:
            self._reject(path, str(error))
            return None
        return _SpoolFile(path, header.rows, content)

    def _fold_alone(self, connection: Connection, found: "_SpoolFile") -> None:
        try:
            self._fold_together(connection, [found])
        except CONTENT_ERRORS as error:
            self._reject(found.path, first_line(error))

    def _fold_together(self, connection: Connection, sound: "list[_SpoolFile]") -> None:
        if not sound:
            return
        # What is done in memory runs as it is written. To look for a better way takes longer than all of it.
        connection.execute("PRAGMA disable_optimizer")
        kinds = kinds_in(found.content for found in sound)
        impossible = _load(connection, self._paths.folding, sound, kinds)
        for number, reason in impossible.items():
            self._reject(sound[number].path, reason)
        good = [found for number, found in enumerate(sound) if number not in impossible]
        if not good:
            return
        connection.execute(_MOMENT, [datetime.now(UTC).replace(tzinfo=None)])
        connection.execute(statements_for("merge.sql", kinds))
        hours = {row[0] for row in connection.execute(_HOURS).fetchall()}
        is_late = min(hours, default=self._kept.minutes_since) < self._kept.minutes_since
        if is_late:
            connection.execute(_BOUNDS, [self._kept.minutes_since, self._kept.hours_since])
            connection.execute(statements("late.sql"))
        connection.execute("PRAGMA enable_optimizer")
        files = [found.path for found in good]
        self._commit(connection, files, hours, kinds, is_late=is_late)
        _remove(self._paths, files)
        self._files += len(good)
        self._rows += sum(found.rows for found in good)

    def _commit(
        self,
        connection: Connection,
        files: Sequence[Path],
        hours: set[datetime],
        kinds: frozenset[str],
        *,
        is_late: bool,
    ) -> None:
        changed = self._kept.changed_by(hours)
        names = [path.name for path in files]
        waiting = [path.name for path in waiting_files(self._paths)]
        appended = [f"INSERT INTO store.{name} BY NAME FROM memory.new_{name};" for name in tables_of(kinds)]
        folded_at = datetime.now(UTC).replace(tzinfo=None)
        forgotten, spool = folded_at - _NAMES_KEPT, self._paths.spool_id()
        with (
            self._no_content_error(),
            attached(connection, self._paths, read_only=False, timeout_s=self._timeout_s),
            self._timed(),
            transaction(connection, self._paths),
        ):
            connection.execute("".join(appended) + statements("insert.sql"))
            if "running" in kinds:
                connection.execute(statements("insert_running.sql"))
            if is_late:
                connection.execute(statements("insert_late.sql"))
            for period in changed:
                connection.execute("INSERT INTO store.pending_rollups VALUES (?, ?)", period)
            connection.execute(
                "DELETE FROM store.folded_files "
                "WHERE folded_at < ? AND spool IS NOT DISTINCT FROM ? AND name NOT IN (SELECT unnest(?))",
                [forgotten, spool, waiting],
            )
            connection.execute("INSERT INTO store.folded_files SELECT unnest(?), ?, ?", [names, folded_at, spool])
        self._kept = self._kept._replace(pending=self._kept.pending | changed)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._held_s += time.perf_counter() - started

    @contextmanager
    def _no_content_error(self) -> Iterator[None]:
        """A network that fails must not look like rows that are wrong, for which their files are set aside."""
        try:
            yield
        except CONTENT_ERRORS as error:
            if self._paths.remote is None:
                raise
            raise StoreError(f"store {self._paths.name!r} could not be written: {first_line(error)}") from None

    def _reject(self, path: Path, reason: str) -> None:
        aside = self._paths.rejected / path.name
        try:
            path.replace(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{str(path)!r} could not be set aside: {error.strerror or error}") from error
        log.warning("spool_file_rejected", file=str(aside), reason=reason)
        self._rejected.append(aside)


class _SpoolFile(NamedTuple):
    path: Path
    rows: int
    content: bytes


def _load(connection: Connection, together: Path, files: list[_SpoolFile], kinds: frozenset[str]) -> dict[int, str]:
    """Reads files into `spooled`; gives those with impossible values by number, their rows taken out again."""
    try:
        with together.open("wb") as output:
            output.writelines(_numbered(found.content, number) for number, found in enumerate(files))
        connection.execute(statements_for("load.sql", kinds), {"path": glob_escaped(together)})
    except OSError as error:
        raise StoreError(f"{str(together)!r} could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            together.unlink()
    impossible = dict(connection.execute(statements_for("check.sql", kinds)).fetchall())
    if impossible:
        connection.execute("DELETE FROM spooled WHERE file IN (SELECT unnest(?))", [list(impossible)])
    return impossible


def _numbered(content: bytes, number: int) -> bytes:
    """The rows with a member that tells their file; no text in JSON holds a line break."""
    mark = b'{"file":%d,' % number
    return mark + content[1:].replace(b"\n{", b"\n" + mark)


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in files:
        with suppress(FileNotFoundError):
            size += path.stat().st_size
        batch.append(path)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _remove(paths: StorePaths, files: Sequence[Path]) -> None:
    # What is kept here for the want of it is not counted again: its name is in the database.
    for path in files if hand_over(paths, files) else ():
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("folded_file_not_removed", file=str(path), error=error.strerror or str(error))


def _remove_abandoned(paths: StorePaths) -> None:
    """What processes left that were killed."""
    with suppress(OSError):
        remove_database(paths.unfinished)  # of somebody who was elected, as we are now
        if paths.older.exists():
            shutil.rmtree(paths.older)
    now = time.time()
    for folder, ending in ((paths.spool, TEMPORARY_SUFFIX), (paths.scratch, "")):
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name.endswith(ending) and abs(now - path.stat().st_mtime) > _ABANDONED_S:
                    path.unlink(missing_ok=True)
