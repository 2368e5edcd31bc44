"""
Who may change a store: one at a time, whoever takes the election lock; of a remote one, in turn with other machines.

Deliberately not here: what is changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from querygauge.errors import StoreError
from querygauge.storage.database import has_turn
from querygauge.storage.locking import FileLock
from querygauge.storage.paths import StorePaths

__all__ = ["elected"]

_TURN_S: Final = 20.0


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
        if not is_elected or paths.remote is None:
            yield is_elected
            return
        # Other machines have their turns as well, and nobody waits in vain.
        with has_turn(paths, paths.remote, max(timeout_s, _TURN_S)) as is_ours:
            yield is_ours
    finally:
        lock.release()
