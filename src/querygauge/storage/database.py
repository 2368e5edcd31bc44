"""
The DuckDB file of a store, opened for a moment: the only importer of duckdb.

DuckDB lets one process write or many read, and a reader keeps a writer out. So everybody opens, does one thing and
closes, and whoever finds the file held tries again for a while. The file is attached to a connection in memory:
what can be prepared without the store is prepared there, before anybody else is kept out.

Deliberately not here: what is read or written.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from querygauge.errors import StoreError
from querygauge.forking import survive_forks
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths

try:
    # The library without what it adds in Python for data frames, which takes three times as long to load.
    from _duckdb import DataError, DuckDBPyConnection, Error, IntegrityError, InvalidInputException, connect
except ImportError:
    from duckdb import DataError, DuckDBPyConnection, Error, IntegrityError, InvalidInputException, connect

__all__ = [
    "CONTENT_ERRORS",
    "SCHEMA_VERSION",
    "Connection",
    "DatabaseError",
    "StoreBusyError",
    "StoreVersionError",
    "attached",
    "attached_new",
    "copied",
    "create_database",
    "first_line",
    "glob_escaped",
    "log_of",
    "made_database",
    "migrate",
    "open_database",
    "quoted",
    "remove_database",
    "scratch_connection",
    "statements",
    "transaction",
    "used",
]

log = get_logger(__name__)

Connection = DuckDBPyConnection
DatabaseError = Error
# Raised because of the rows at hand; every other error of DuckDB is about the disk, the memory or the file.
CONTENT_ERRORS: Final = (DataError, IntegrityError, InvalidInputException)
SCHEMA_VERSION: Final = 2

_HERE: Final = Path(__file__).parent

# Newer DuckDB writes files that older ones cannot open, and dashboards bundle older ones.
_STORAGE_VERSION: Final = "v1.0.0"
_CONFIG: Final[dict[str, Any]] = {
    "storage_compatibility_version": _STORAGE_VERSION,
    "memory_limit": "1GB",
    "autoinstall_known_extensions": False,  # nothing here may reach for the network
}
# A fold has one, which takes less CPU time for the same: it stands beside hosts it must not disturb, and nobody waits.
_READERS_THREADS: Final = 2
# Somebody else has the file open: another process, or another connection of this one.
_BUSY: Final = ("Could not set lock on file", "Unique file handle conflict", "different configuration than existing")
_NO_DATABASE: Final = ("not a valid DuckDB database file", "database does not exist")
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.25


class StoreBusyError(StoreError):
    """Somebody else kept the database open for longer than we wanted to wait."""


class StoreVersionError(StoreError):
    """A newer version made the store, or an older one and nobody has brought it up."""


class _Gate:
    """
    Lets one thread of this process at the database.

    The operating system's record locks belong to the process: as soon as one connection closes the file, the locks
    of every other connection of the same process on it are gone too, and a writer elsewhere overwrites what the
    others are reading.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Whoever held the lock did not come along."""
        self._lock = threading.Lock()

    @contextmanager
    def passed(self, path: Path, timeout_s: float) -> Iterator[None]:
        """Holds the gate for one connection."""
        lock = self._lock
        if not lock.acquire(timeout=timeout_s):
            raise StoreBusyError(f"store {str(path)!r} is open in another thread; waited {timeout_s:g} s")
        try:
            yield
        finally:
            lock.release()


_gate = _Gate()


def statements(name: str) -> str:
    """The SQL of one of the files here."""
    return (_HERE / name).read_text(encoding="utf-8")


@contextmanager
def scratch_connection(paths: StorePaths | None, *, threads: int = 1) -> Iterator[Connection]:
    """A connection to an empty database in memory, which spills into the store's directory; without one it does not."""
    scratch = "" if paths is None else str(paths.scratch)
    connection = connect(":memory:", config={**_CONFIG, "threads": threads, "temp_directory": scratch})
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def attached(connection: Connection, path: Path, *, read_only: bool, timeout_s: float) -> Iterator[int]:
    """
    The database at `path` as `store` on `connection`, for the length of the block; gives its schema version.

    Raises:
        StoreBusyError: If somebody else holds it for longer than `timeout_s`.
        StoreError: If it is absent, is no store of ours, or was made by a newer version. It is not changed.
    """
    with _gate.passed(path, timeout_s):
        deadline = time.monotonic() + timeout_s
        # Opening for writing replays what a killed writer left, and somebody else's file is not ours to touch.
        _attach(connection, path, read_only=True, deadline=deadline)
        try:
            version = _version_of_ours(connection, path)
            if not read_only:
                connection.execute("DETACH store")
                _attach(connection, path, read_only=False, deadline=deadline)
            yield version
        finally:
            # A failed commit may have detached it already, and its error is the one to be told.
            with suppress(DatabaseError):
                connection.execute("DETACH store")


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All of the block, or nothing of it."""
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except DatabaseError:
        with suppress(DatabaseError):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def open_database(paths: StorePaths, *, read_only: bool, timeout_s: float) -> Iterator[Connection]:
    """
    A connection that uses the store, attached as `store`.

    Raises:
        StoreError: As `attached` does, or if an older version made it and nobody has brought it up yet.
    """
    with (
        scratch_connection(paths, threads=_READERS_THREADS) as connection,
        attached(connection, paths.database, read_only=read_only, timeout_s=timeout_s) as version,
        used(connection),
    ):
        if version < SCHEMA_VERSION:
            raise StoreVersionError(
                f"store {str(paths.database)!r} must have schema version {SCHEMA_VERSION}; got {version}; an older "
                "querygauge made it: let somebody who may write there run querygauge collect --once"
            )
        yield connection


@contextmanager
def used(connection: Connection) -> Iterator[None]:
    """Where macros look for their tables."""
    connection.execute("USE store")
    try:
        yield
    finally:
        connection.execute("USE memory")


def create_database(paths: StorePaths) -> None:
    """
    Makes the database with its tables if there is none; the caller holds the election lock.

    Raises:
        StoreError: If it cannot be made.
    """
    if paths.database.exists():
        return
    try:
        remove_database(paths.unfinished)
        log_of(paths.database).unlink(missing_ok=True)  # of one that is gone
        with scratch_connection(paths) as connection, made_database(connection, paths.unfinished):
            pass
        # A kill before this line leaves no half-made store behind.
        paths.unfinished.replace(paths.database)
    except OSError as error:
        raise StoreError(f"store {str(paths.database)!r} could not be made: {error.strerror or error}") from error
    except DatabaseError as error:
        raise StoreError(f"store {str(paths.database)!r} could not be made: {first_line(error)}") from error


def remove_database(path: Path) -> None:
    """
    Removes a database, if there is one, and its log.

    Raises:
        OSError: If it cannot be removed.
    """
    for part in (path, log_of(path)):
        part.unlink(missing_ok=True)


def log_of(path: Path) -> Path:
    """Where DuckDB writes what is not in a database yet; absent at rest, unless its writer was killed."""
    return Path(f"{path}.wal")


def first_line(error: BaseException) -> str:
    """What an error of DuckDB says, without the statement it quotes."""
    return str(error).strip().partition("\n")[0]


def _make_views(connection: Connection) -> None:
    for name in ("buckets.sql", "views.sql", "performance.sql", "rating.sql"):
        connection.execute(statements(name))


@contextmanager
def made_database(connection: Connection, path: Path) -> Iterator[None]:
    """A new database at `path` with empty tables, attached as `store` and in use for the length of the block."""
    with attached_new(connection, path):
        connection.execute(statements("schema.sql"))
        _make_views(connection)
        created_at = datetime.now(UTC).replace(tzinfo=None)
        connection.execute("INSERT INTO meta (schema_version, created_at) VALUES (?, ?)", [SCHEMA_VERSION, created_at])
        yield


@contextmanager
def attached_new(connection: Connection, path: Path) -> Iterator[None]:
    """A new database at `path`, attached as `store` and in use for the length of the block."""
    connection.execute(f"ATTACH {quoted(path)} AS store (TYPE duckdb)")
    with used(connection):
        yield
    connection.execute("DETACH store")


def copied(connection: Connection, paths: StorePaths, *, timeout_s: float) -> None:
    """
    Writes the database anew without the room that rows have left; the caller holds the election lock.

    Raises:
        StoreError: As `attached` does, or if the copy cannot take its place.
        DatabaseError: If it could not be; the store is as it was.
    """
    try:
        remove_database(paths.unfinished)
        if log_of(paths.database).exists():  # it belongs to the old file; whoever writes next takes it in
            return
        with attached(connection, paths.database, read_only=True, timeout_s=timeout_s):
            connection.execute(f"ATTACH {quoted(paths.unfinished)} AS fresh (TYPE duckdb)")
            try:
                connection.execute("COPY FROM DATABASE store TO fresh")
            finally:
                connection.execute("DETACH fresh")
            # Nobody writes meanwhile. Who has the old file open goes on reading it.
            paths.unfinished.replace(paths.database)
    except OSError as error:
        raise StoreError(f"store {str(paths.database)!r} could not be copied: {error.strerror or error}") from error


def migrate(connection: Connection, paths: StorePaths, timeout_s: float) -> None:
    """
    Brings an older store to this version, in one transaction; the caller holds the election lock.

    Raises:
        StoreError: As `attached` does.
        DatabaseError: If it could not be; the store is as it was.
    """
    with (
        attached(connection, paths.database, read_only=False, timeout_s=timeout_s) as version,
        used(connection),
        transaction(connection),
    ):
        for following in range(version + 1, SCHEMA_VERSION + 1):
            connection.execute(statements(f"migrations/{following}.sql"))
        _make_views(connection)
        connection.execute("UPDATE meta SET schema_version = ?", [SCHEMA_VERSION])
    log.info("store_migrated", store=str(paths.root), before=version, after=SCHEMA_VERSION)


def quoted(path: Path) -> str:
    """A path as SQL takes it."""
    escaped = str(path).replace("'", "''")
    return f"'{escaped}'"


def glob_escaped(path: Path) -> str:
    """A path that DuckDB takes as it stands: it reads these characters as wildcards."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(path))


def _attach(connection: Connection, path: Path, *, read_only: bool, deadline: float) -> None:
    mode = ", READ_ONLY" if read_only else ""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            connection.execute(f"ATTACH {quoted(path)} AS store (TYPE duckdb{mode})")
        except DatabaseError as error:
            reason = first_line(error)
            if not any(words in reason for words in _BUSY):
                raise _unusable(path, reason) from error
            if time.monotonic() >= deadline:
                raise StoreBusyError(f"store {str(path)!r} is held by somebody else: {reason}") from error
        else:
            return
        # Waiters that woke together would collide together.
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # nothing secret in a pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _unusable(path: Path, reason: str) -> StoreError:
    if not path.exists():
        return StoreError(f"store {str(path)!r} does not exist; instrument an application, or name another store")
    if any(words in reason for words in _NO_DATABASE):
        return StoreError(f"store must be a DuckDB database; got {str(path)!r}, which is something else")
    return StoreError(f"store {str(path)!r} could not be opened: {reason}")


def _version_of_ours(connection: Connection, path: Path) -> int:
    try:
        row = connection.execute("SELECT max(schema_version) FROM store.meta").fetchone()
    except DatabaseError as error:
        raise StoreError(f"store must be a database that querygauge made; got {str(path)!r}, which is not") from error
    version = row[0] if row else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"store {str(path)!r} must have schema version {SCHEMA_VERSION} or older; got {version}; "
            "a newer querygauge made it: upgrade this one"
        )
    return version
