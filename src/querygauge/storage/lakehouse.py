"""
A store on many machines: a DuckLake with its catalog in PostgreSQL, or a database of MotherDuck, behind one connection.

DuckLake takes what several write at once, but not what several change, so whoever folds or keeps the store up takes
turns on an advisory lock of the catalog. Where one lost it without knowing, or there is none, as in MotherDuck, what is
written at once meets in a row of `meta`: one writer fails whole, and tries again later.

In goes a connection to a database in memory, which gets the store as `store`. Deliberately not here: what is written.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from querygauge.errors import StoreError
from querygauge.remote import RemoteStore

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection as Connection

__all__ = ["attach_remote", "bytes_in", "has_turn", "tidy"]

# Its own, and those it loads from: reading s3:// is a part of httpfs.
_LAKE_EXTENSIONS: Final = ("httpfs", "postgres_scanner", "ducklake")
_SCHEMA: Final = "querygauge"
_LOCK: Final = 0x7175657279676175  # `querygau`, so that nobody else has it by chance
_PAUSE_S: Final = 0.05
_S3_SETTINGS: Final = {
    "KEY_ID": "AWS_ACCESS_KEY_ID",
    "SECRET": "AWS_SECRET_ACCESS_KEY",
    "SESSION_TOKEN": "AWS_SESSION_TOKEN",
    "REGION": "AWS_REGION",
}


def attach_remote(connection: "Connection", remote: RemoteStore, *, read_only: bool) -> None:
    """
    Attaches the store as `store`; a DuckLake that does not exist is made, without tables, unless it is only read.

    Raises:
        StoreError: If what DuckDB needs for it is not installed.
    """
    mode = "READ_ONLY" if read_only else ""
    if not remote.is_lake:
        _load(connection, "motherduck")
        # An alias is only taken where one database is attached and not all of somebody's.
        separator = "&" if "?" in remote.uri else "?"
        connection.execute(_attach(f"{remote.uri}{separator}attach_mode=single", mode))
        return
    _load_lake(connection)
    place = f"DATA_PATH {_quoted(remote.data_path)}, " if remote.data_path else ""
    # What is written inside the catalog first has to be moved out of it later, which loses races with readers.
    options = f"{place}METADATA_SCHEMA '{_SCHEMA}', DATA_INLINING_ROW_LIMIT 0{', ' if mode else ''}{mode}"
    connection.execute(_attach(remote.uri, options))


@contextmanager
def has_turn(connection: "Connection", remote: RemoteStore, timeout_s: float) -> Iterator[bool]:
    """Whether nobody else writes for the length of the block; false if somebody does for longer than `timeout_s`."""
    if not remote.is_lake:
        yield True
        return
    _load(connection, "postgres_scanner")
    connection.execute(f"ATTACH {_quoted(remote.catalog)} AS catalog (TYPE postgres, READ_ONLY)")
    deadline = time.monotonic() + timeout_s
    # The lock is that of a transaction: it goes with the connection, whatever becomes of this process.
    while True:
        connection.execute("BEGIN")
        if _is_locked(connection):
            break
        connection.execute("ROLLBACK")
        if time.monotonic() >= deadline:
            yield False
            return
        time.sleep(_PAUSE_S)
    yield True


def _is_locked(connection: "Connection") -> bool:
    found = connection.execute(
        f"SELECT * FROM postgres_query('catalog', 'SELECT pg_try_advisory_xact_lock({_LOCK})')"  # noqa: S608
    ).fetchall()
    return bool(found[0][0])


def bytes_in(connection: "Connection", remote: RemoteStore) -> int:
    """What the files of the attached store take; 0 where that is not told."""
    if not remote.is_lake:
        return 0
    ((size,),) = connection.execute(
        "SELECT coalesce(sum(file_size_bytes + delete_file_size_bytes), 0)::BIGINT FROM ducklake_table_info('store')"
    ).fetchall()
    return int(size)


def tidy(connection: "Connection", remote: RemoteStore) -> None:
    """
    Makes few large files of many small ones, and removes those that nobody has read for an hour.

    The store is attached for writing, and it is the caller's turn.
    """
    if not remote.is_lake:
        return
    for step in (
        "ducklake_expire_snapshots('store', older_than => now() - INTERVAL 1 HOUR)",
        "ducklake_merge_adjacent_files('store')",
        "ducklake_rewrite_data_files('store')",
        "ducklake_cleanup_old_files('store', older_than => now() - INTERVAL 1 HOUR)",
    ):
        connection.execute(f"CALL {step}").fetchall()  # to the end: what is left unread keeps a transaction open


def _load_lake(connection: "Connection") -> None:
    for name in _LAKE_EXTENSIONS:
        _load(connection, name)
    connection.execute("SET ducklake_max_retry_count = 100")
    _make_secret(connection)


def _make_secret(connection: "Connection") -> None:
    """What S3 asks for, from the variables that every tool reads; without them DuckDB takes the secrets it keeps."""
    given = {name: os.environ[variable] for name, variable in _S3_SETTINGS.items() if os.environ.get(variable)}
    if "KEY_ID" not in given:
        return
    options = [f"{name} {_quoted(value)}" for name, value in given.items()]
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        scheme, _, host = endpoint.rpartition("://")
        options += [f"ENDPOINT {_quoted(host.rstrip('/'))}", "URL_STYLE 'path'", f"USE_SSL {scheme != 'http'}"]
    connection.execute(f"CREATE OR REPLACE SECRET store (TYPE s3, {', '.join(options)})")


def _load(connection: "Connection", name: str) -> None:
    """From a package, where one is installed, else from where `INSTALL` put it; never from the network."""
    found = _packaged(name)
    try:
        connection.execute(f"LOAD {_quoted(str(found)) if found else name}")
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(
            f"DuckDB's extension {name} must be installed; install querygauge[lake], or run "
            f"python -c \"import duckdb; duckdb.sql('INSTALL {name}')\" once, on each machine: {reason}"
        ) from error


def _packaged(name: str) -> Path | None:
    found = find_spec(f"duckdb_extension_{name}")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations)))
    return next(folder.glob(f"extensions/*/{name}.duckdb_extension"), None)


def _attach(uri: str, options: str) -> str:
    return f"ATTACH {_quoted(uri)} AS store{f' ({options})' if options else ''}"


def _quoted(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
