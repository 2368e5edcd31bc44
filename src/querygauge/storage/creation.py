"""
Databases that come to be: a new one with its tables, one of an older version brought up, one written anew.

Whoever does so holds the election lock. Each is made whole or not at all.
Deliberately not here: opening one, and what is put into it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.database import (
    SCHEMA_VERSION,
    Connection,
    DatabaseError,
    attach,
    attached,
    attached_new,
    first_line,
    has_tables,
    log_of,
    quoted,
    remove_database,
    scratch_connection,
    statements,
    transaction,
    used,
)
from querygauge.storage.paths import StorePaths

__all__ = ["copied", "create_database", "made_database", "made_remote", "migrate"]

log = get_logger(__name__)


def create_database(paths: StorePaths) -> None:
    """
    Makes the database with its tables if there is none; the caller holds the election lock.

    Raises:
        StoreError: If it cannot be made.
    """
    if paths.remote is not None:
        try:
            with scratch_connection(paths) as connection, made_remote(connection, paths):
                return
        except DatabaseError as error:
            raise StoreError(f"store {paths.name!r} could not be made: {first_line(error)}") from None
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
        raise StoreError(f"store {paths.database_name!r} could not be made: {error.strerror or error}") from error
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be made: {first_line(error)}") from None


@contextmanager
def made_database(connection: Connection, path: Path) -> Iterator[None]:
    """A new database at `path` with empty tables, attached as `store` and in use for the length of the block."""
    with attached_new(connection, path):
        _make_tables(connection)
        yield


@contextmanager
def made_remote(connection: Connection, paths: StorePaths) -> Iterator[bool]:
    """
    The remote store with its tables, attached as `store` and in use for the length of the block, in one transaction.

    Gives whether the tables are new; those that were there are as they were.
    """
    attach(connection, paths, read_only=False, deadline=time.monotonic())
    with used(connection):
        connection.execute("BEGIN")
        is_new = not has_tables(connection)
        if is_new:
            _make_tables(connection)
        yield is_new
        connection.execute("COMMIT")
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
        with attached(connection, paths, read_only=True, timeout_s=timeout_s):
            connection.execute(f"ATTACH {quoted(paths.unfinished)} AS fresh (TYPE duckdb)")
            try:
                connection.execute("COPY FROM DATABASE store TO fresh")
            finally:
                connection.execute("DETACH fresh")
            # Nobody writes meanwhile. Who has the old file open goes on reading it.
            paths.unfinished.replace(paths.database)
    except OSError as error:
        raise StoreError(f"store {paths.database_name!r} could not be copied: {error.strerror or error}") from error


def migrate(connection: Connection, paths: StorePaths, timeout_s: float) -> None:
    """
    Brings an older store to this version, in one transaction; the caller holds the election lock.

    Raises:
        StoreError: As `attached` does.
        DatabaseError: If it could not be; the store is as it was.
    """
    with (
        attached(connection, paths, read_only=False, timeout_s=timeout_s) as version,
        used(connection),
        transaction(connection, paths),
    ):
        for following in range(version + 1, SCHEMA_VERSION + 1):
            connection.execute(statements(f"migrations/{following}.sql"))
        _make_views(connection)
        connection.execute("UPDATE meta SET schema_version = ?", [SCHEMA_VERSION])
    log.info("store_migrated", store=paths.name, before=version, after=SCHEMA_VERSION)


def _make_tables(connection: Connection) -> None:
    connection.execute(statements("schema.sql"))
    _make_views(connection)
    created_at = datetime.now(UTC).replace(tzinfo=None)
    connection.execute("INSERT INTO meta (schema_version, created_at) VALUES (?, ?)", [SCHEMA_VERSION, created_at])


def _make_views(connection: Connection) -> None:
    for name in ("buckets.sql", "views.sql", "performance.sql", "rating.sql"):
        connection.execute(statements(name))
