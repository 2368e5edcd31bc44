"""
What people say of what is stored, such as a mark: one who writes it waits for his turn.

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
    used,
)
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths

__all__ = ["changing"]

_TIMEOUT_S: Final = 10.0


@contextmanager
def changing(paths: StorePaths) -> Iterator[Connection]:
    """
    A store in use for the length of the block, by one who may write it.

    Raises:
        StoreError: If somebody else changes it for too long, or it cannot be written.
    """
    with elected(paths, _TIMEOUT_S) as is_elected:
        if not is_elected:
            raise StoreError(f"store {paths.name!r} is being changed by somebody else; try again in a moment")
        try:
            with (
                scratch_connection(paths) as connection,
                attached(connection, paths, read_only=False, timeout_s=_TIMEOUT_S),
                used(connection),
            ):
                yield connection
        except DatabaseError as error:
            raise StoreError(f"store {paths.database_name!r} could not be written: {first_line(error)}") from None
