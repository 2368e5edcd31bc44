"""
Who may change a store: one at a time, whoever takes the election lock.

Deliberately not here: what is changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from querygauge.errors import StoreError
from querygauge.storage.locking import FileLock
from querygauge.storage.paths import StorePaths

__all__ = ["elected"]


@contextmanager
def elected(paths: StorePaths, timeout_s: float) -> Iterator[bool]:
    """
    Whether the caller is the one, for the length of the block; false if somebody else is for longer than `timeout_s`.

    Raises:
        StoreError: If the lock cannot be made.
    """
    lock = FileLock(paths.lock)
    try:
        try:
            is_elected = lock.acquire(timeout_s)
        except OSError as error:
            raise StoreError(f"store {str(paths.root)!r} could not be locked: {error.strerror or error}") from error
        yield is_elected
    finally:
        lock.release()
