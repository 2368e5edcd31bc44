"""
What a backup is: a folder with a Parquet file for each table, and a manifest that tells what is in them.

In goes a folder, out comes whether it is as it was written. Deliberately not here: writing one, and making a store of
it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    first_line,
    glob_escaped,
    quoted,
    scratch_connection,
)

__all__ = [
    "MANIFEST",
    "PREFIX",
    "Backup",
    "Manifest",
    "Table",
    "Tell",
    "backups_in",
    "check",
    "content",
    "duckdb_version",
    "manifest_of",
    "parquet",
    "sha256_of",
    "tell_nobody",
    "told_as_ours",
    "verify",
]

PREFIX: Final = "querygauge-"
MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile("[a-z_]+")
_CHUNK_BYTES: Final = 1 << 20

Tell = Callable[[str, int, int], None]
"""Is told what comes next, how many steps are done, and how many there are."""


class Backup(NamedTuple):
    """
    One backup.

    Attributes:
        path: Its folder.
        created_at: When it was taken, UTC.
        tables: Tables of the store.
        rows: Their rows.
        bytes: Size of its files.
    """

    path: Path
    created_at: datetime
    tables: int
    rows: int
    bytes: int


class Table(NamedTuple):
    """What a manifest says of a table; `digest` is of its rows, in whatever order, as one version of DuckDB hashes."""

    name: str
    rows: int
    digest: str
    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """What a backup says of itself; `store` is when the store was made, by which it is told from others."""

    created_at: str
    store: str
    schema_version: int
    duckdb: str
    tables: tuple[Table, ...]

    def of(self, path: Path) -> Backup:
        """The backup in a folder."""
        return Backup(
            path,
            datetime.fromisoformat(self.created_at),
            len(self.tables),
            sum(table.rows for table in self.tables),
            sum(table.bytes for table in self.tables),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {**self._asdict(), "tables": [table._asdict() for table in self.tables]}


def backups_in(folder: Path) -> list[Path]:
    """The backups of a folder, the oldest first."""
    return sorted(path.parent for path in folder.glob(f"{PREFIX}*Z*/{MANIFEST}") if "." not in path.parent.name)


def verify(backup: Path, *, on_step: Tell | None = None) -> Backup:
    """
    Reads a backup, each file of it, and compares it with what was written.

    Args:
        backup: Its folder.
        on_step: Is told of progress.

    Raises:
        StoreError: If it is none, or is damaged; the message names the file.
    """
    tell = on_step or tell_nobody
    manifest = manifest_of(backup)
    with told_as_ours(f"the backup {str(backup)!r} could not be read"), scratch_connection(None) as connection:
        is_same_duckdb = manifest.duckdb == duckdb_version(connection)
        for number, table in enumerate(manifest.tables):
            tell(f"reading {table.name}", number, len(manifest.tables))
            check(connection, backup, table, is_same_duckdb=is_same_duckdb)
    return manifest.of(backup)


def check(connection: Connection, backup: Path, table: Table, *, is_same_duckdb: bool) -> None:
    """Compares a table's file with what was written; raises as `verify` does."""
    path = backup / f"{table.name}.parquet"
    if not path.exists():
        raise StoreError(f"the backup {str(backup)!r} must have a file for each table; {path.name} is missing")
    if (found := sha256_of(path)) != table.sha256:
        raise StoreError(f"{str(path)!r} must have the checksum {table.sha256}; got {found}: it is damaged")
    rows, digest = content(connection, parquet(path))
    # How rows are hashed may differ from one version of DuckDB to the next.
    if rows != table.rows or (is_same_duckdb and digest != table.digest):
        raise StoreError(f"{str(path)!r} must hold {table.rows} rows as they were; got {rows} that differ")


def content(connection: Connection, source: str) -> tuple[int, str]:
    """How many rows a table has, and what they add up to in whatever order."""
    ((rows, digest),) = connection.execute(
        f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0) FROM {source} AS t"  # noqa: S608  # our own names
    ).fetchall()
    return int(rows), str(digest)


def manifest_of(backup: Path) -> Manifest:
    """
    What a backup says of itself.

    Raises:
        StoreError: If it is none.
    """
    path = backup / MANIFEST
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**{**told, "tables": tuple(Table(**table) for table in told["tables"])})
    except OSError as error:
        raise StoreError(
            f"a backup must be a folder with a {MANIFEST}; got {str(backup)!r}: {error.strerror or error}"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{str(path)!r} must be what a backup wrote; got something else: {error}") from error
    strange = [table.name for table in manifest.tables if not _NAME.fullmatch(table.name)]
    if strange:  # they become names of files and parts of statements
        raise StoreError(f"{str(path)!r} must name tables of a store; got {strange[0]!r}")
    return manifest


@contextmanager
def told_as_ours(what: str) -> Iterator[None]:
    """Errors of the disk and of DuckDB as ours, behind what they kept from being done."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}") from error
    except DatabaseError as error:
        raise StoreError(f"{what}: {first_line(error)}") from None


def duckdb_version(connection: Connection) -> str:
    """Of the library."""
    return str(connection.execute("SELECT version()").fetchall()[0][0])


def parquet(path: Path) -> str:
    """A file as the table of a query."""
    return f"read_parquet({quoted(Path(glob_escaped(path)))})"


def sha256_of(path: Path) -> str:
    """Checksum of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def tell_nobody(_step: str, _done: int, _all: int) -> None:
    """What is told of progress if nobody asks."""
