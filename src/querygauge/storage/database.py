"""
The database of a store, opened for a moment: the only importer of duckdb.

DuckDB lets one process write or many read, and a reader keeps a writer out. So everybody opens, does one thing and
closes, and whoever finds the file held tries again for a while. The file is attached to a connection in memory:
what can be prepared without the store is prepared there, before anybody else is kept out. A remote store has no file
(`lakehouse`), and is attached in the same place.

Deliberately not here: making one (`creation`), and what is read or written.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from querygauge.errors import StoreError
from querygauge.forking import survive_forks
from querygauge.remote import RemoteStore
from querygauge.storage import lakehouse
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
    "StoreAbsentError",
    "StoreBusyError",
    "StoreVersionError",
    "attach",
    "attached",
    "attached_new",
    "bytes_of",
    "first_line",
    "glob_escaped",
    "has_tables",
    "has_turn",
    "log_of",
    "open_database",
    "quoted",
    "remove_database",
    "scratch_connection",
    "statements",
    "tidy",
    "transaction",
    "used",
]

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
_HAS_TABLES: Final = "SELECT 1 FROM duckdb_tables() WHERE database_name = 'store' AND table_name = 'meta'"
_NO_DATABASE: Final = ("not a valid DuckDB database file", "database does not exist")
_NO_LAKE: Final = "creating a new DuckLake is explicitly disabled"
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.25


class StoreBusyError(StoreError):
    """Somebody else kept the database open for longer than we wanted to wait."""


class StoreVersionError(StoreError):
    """A newer version made the store, or an older one and nobody has brought it up."""


class StoreAbsentError(StoreError):
    """There is no such store, or nobody has made its tables."""


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
_reached: set[RemoteStore] = set()  # whose secrets no message may have


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
        # To close one whose catalog has gone away in the midst of a transaction would end the whole process.
        with suppress(DatabaseError):
            connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def attached(connection: Connection, paths: StorePaths, *, read_only: bool, timeout_s: float) -> Iterator[int]:
    """
    The database of a store as `store` on `connection`, for the length of the block; gives its schema version.

    Raises:
        StoreBusyError: If somebody else holds it for longer than `timeout_s`.
        StoreAbsentError: If it is remote, and nobody has made it.
        StoreError: If it is absent, is no store of ours, or was made by a newer version. It is not changed.
    """
    with ExitStack() as until_detached:
        if paths.remote is None:
            until_detached.enter_context(_gate.passed(paths.database, timeout_s))
        deadline = time.monotonic() + timeout_s
        # Opening for writing replays what a killed writer left, and somebody else's file is not ours to touch.
        looks_first = not read_only and paths.remote is None
        attach(connection, paths, read_only=read_only or looks_first, deadline=deadline)
        try:
            version = _version_of_ours(connection, paths)
            if looks_first:
                connection.execute("DETACH store")
                attach(connection, paths, read_only=False, deadline=deadline)
            yield version
        finally:
            # A failed commit may have detached it already, and its error is the one to be told.
            with suppress(DatabaseError):
                connection.execute("DETACH store")


@contextmanager
def transaction(connection: Connection, paths: StorePaths) -> Iterator[None]:
    """All of the block, or nothing of it."""
    connection.execute("BEGIN")
    try:
        if paths.remote is not None:
            # Where two write at once, one of them fails here or at its commit.
            connection.execute("UPDATE store.meta SET written_at = make_timestamp(epoch_us(now()))")
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
        attached(connection, paths, read_only=read_only, timeout_s=timeout_s) as version,
        used(connection),
        _one_snapshot(connection, paths),
    ):
        if version < SCHEMA_VERSION:
            raise StoreVersionError(
                f"store {paths.database_name!r} must have schema version {SCHEMA_VERSION}; got {version}; an older "
                "querygauge made it: let somebody who may write there run querygauge collect --once"
            )
        yield connection


@contextmanager
def has_turn(paths: StorePaths, remote: RemoteStore, timeout_s: float) -> Iterator[bool]:
    """
    Whether no other machine writes a remote store for the length of the block; false if one does for too long.

    Raises:
        StoreError: If nobody can be asked.
    """
    _reached.add(remote)
    with scratch_connection(paths) as connection, ExitStack() as until_over:
        try:
            is_ours = until_over.enter_context(lakehouse.has_turn(connection, remote, timeout_s))
        except DatabaseError as error:
            raise StoreError(f"store {paths.name!r} could not be locked: {first_line(error)}") from None
        yield is_ours


@contextmanager
def _one_snapshot(connection: Connection, paths: StorePaths) -> Iterator[None]:
    """Several questions about the same moment; nobody writes a file as long as it is open anyway."""
    if paths.remote is None:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(DatabaseError):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def used(connection: Connection) -> Iterator[None]:
    """Where macros look for their tables."""
    connection.execute("USE store")
    try:
        yield
    finally:
        # In a transaction that has failed nothing can be done, and its error is the one to be told.
        with suppress(DatabaseError):
            connection.execute("USE memory")


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
    """
    What an error of DuckDB says, without the statement it quotes, and without secrets.

    Whoever raises it as ours does so `from None`: the error itself may have the password of a catalog, and a traceback
    shows the cause.
    """
    told = str(error).strip().partition("\n")[0]
    for remote in _reached:
        told = remote.without_secrets(told)
    return told


@contextmanager
def attached_new(connection: Connection, path: Path) -> Iterator[None]:
    """A new database at `path`, attached as `store` and in use for the length of the block."""
    connection.execute(f"ATTACH {quoted(path)} AS store (TYPE duckdb)")
    with used(connection):
        yield
    connection.execute("DETACH store")


def bytes_of(connection: Connection, paths: StorePaths) -> int:
    """What the attached store takes of the disk, or of where its files are; 0 where that is not told."""
    if paths.remote is not None:
        return lakehouse.bytes_in(connection, paths.remote)
    size = 0
    for path in (paths.database, log_of(paths.database)):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def tidy(connection: Connection, paths: StorePaths) -> None:
    """Makes few large files of the many small ones of an attached remote store; whose turn it is."""
    if paths.remote is not None:
        lakehouse.tidy(connection, paths.remote)


def quoted(path: Path) -> str:
    """A path as SQL takes it."""
    escaped = str(path).replace("'", "''")
    return f"'{escaped}'"


def glob_escaped(path: Path) -> str:
    """A path that DuckDB takes as it stands: it reads these characters as wildcards."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(path))


def attach(connection: Connection, paths: StorePaths, *, read_only: bool, deadline: float) -> None:
    """
    Attaches the database of a store as `store`, whatever is in it; a file that is held is tried until `deadline`.

    Raises:
        StoreError: As `attached` does, but for what is in it.
    """
    if paths.remote is None:
        _attach_file(connection, paths.database, read_only=read_only, deadline=deadline)
        return
    _reached.add(paths.remote)
    try:
        lakehouse.attach_remote(connection, paths.remote, read_only=read_only)
    except DatabaseError as error:
        # Its own text has the password, and a traceback would show it.
        reason = first_line(error)
        if _NO_LAKE in reason:
            raise StoreAbsentError(
                f"store {paths.name!r} does not exist; instrument an application and let it run"
            ) from None
        raise StoreError(f"store {paths.name!r} could not be opened: {reason}") from None


def _attach_file(connection: Connection, path: Path, *, read_only: bool, deadline: float) -> None:
    mode = ", READ_ONLY" if read_only else ""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            connection.execute(f"ATTACH {quoted(path)} AS store (TYPE duckdb{mode})")
        except DatabaseError as error:
            reason = first_line(error)
            if not any(words in reason for words in _BUSY):
                raise _unusable(path, reason) from None
            if time.monotonic() >= deadline:
                raise StoreBusyError(f"store {str(path)!r} is held by somebody else: {reason}") from None
        else:
            return
        # Waiters that woke together would collide together.
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # nothing secret in a pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def has_tables(connection: Connection) -> bool:
    """Whether what is attached as `store` has those of a store."""
    return bool(connection.execute(_HAS_TABLES).fetchall())


def _unreadable(connection: Connection, paths: StorePaths, error: DatabaseError) -> StoreError:
    if paths.remote is not None and has_tables(connection):
        return StoreError(f"store {paths.name!r} could not be read: {first_line(error)}")
    kind = StoreError if paths.remote is None else StoreAbsentError
    return kind(f"store must be a database that querygauge made; got {paths.database_name!r}, which is not")


def _unusable(path: Path, reason: str) -> StoreError:
    if not path.exists():
        return StoreError(f"store {str(path)!r} does not exist; instrument an application, or name another store")
    if any(words in reason for words in _NO_DATABASE):
        return StoreError(f"store must be a DuckDB database; got {str(path)!r}, which is something else")
    return StoreError(f"store {str(path)!r} could not be opened: {reason}")


def _version_of_ours(connection: Connection, paths: StorePaths) -> int:
    try:
        row = connection.execute("SELECT max(schema_version) FROM store.meta").fetchone()
    except DatabaseError as error:
        raise _unreadable(connection, paths, error) from None
    version = row[0] if row else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"store {paths.database_name!r} must have schema version {SCHEMA_VERSION} or older; got {version}; "
            "a newer querygauge made it: upgrade this one"
        )
    return version
