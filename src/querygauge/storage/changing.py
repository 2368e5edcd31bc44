"""
A store that is written, a little at a time: by a tick that has its turn, or by somebody who waits for it.

Deliberately not here: what is written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from querygauge.errors import StoreError
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    attached,
    first_line,
    scratch_connection,
    transaction,
    used,
)
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths

__all__ = ["changing", "written"]

_TIMEOUT_S: Final = 10.0


@contextmanager
def written(paths: StorePaths) -> Iterator[Connection]:
    """
    A store for the length of the block, in one transaction: all of it, or nothing. The caller holds the election lock.

    Raises:
        StoreError: If it cannot be written; it is as it was.
    """
    with _opened(paths) as connection, transaction(connection, paths):
        yield connection


@contextmanager
def changing(paths: StorePaths) -> Iterator[Connection]:
    """
    A store in use for the length of the block, by one who waits for his turn.

    Raises:
        StoreError: If somebody else changes it for too long, or it cannot be written.
    """
    with elected(paths, _TIMEOUT_S) as is_elected:
        if not is_elected:
            raise StoreError(f"store {paths.name!r} is being changed by somebody else; try again in a moment")
        with _opened(paths) as connection, used(connection):
            yield connection


@contextmanager
def _opened(paths: StorePaths) -> Iterator[Connection]:
    try:
        with (
            scratch_connection(paths) as connection,
            attached(connection, paths, read_only=False, timeout_s=_TIMEOUT_S),
        ):
            yield connection
    except DatabaseError as error:
        # Its own text may have the password of a catalog, and a traceback would show it.
        raise StoreError(f"store {paths.database_name!r} could not be written: {first_line(error)}") from None
