"""
A file that one process holds at a time, of all that know its path; whoever ends, however it ends, lets go of it.

Deliberately not here: which files, and what they protect.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from querygauge.forking import survive_forks

__all__ = ["FileLock"]

_PAUSE_S: Final = 0.05


class FileLock:
    """
    A lock on a file, which is made if there is none, and stays.

    The system holds it for as long as the file is open, in any process that has inherited it; so a forked child closes
    what it inherited, and neither keeps it nor lets go of it in its parent's name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        survive_forks(self)

    def acquire(self, timeout_s: float = 0.0) -> bool:
        """
        Whether it is held now, once or if that is possible within so many seconds.

        Raises:
            OSError: If the file can be neither made nor locked.
        """
        deadline = time.monotonic() + timeout_s
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
            else:
                return True
            time.sleep(_PAUSE_S)

    def release(self) -> None:
        """Lets go of it, if it is held."""
        if self._file is not None:
            # A child that was just forked may not have closed its own yet.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._close()

    def after_fork_in_child(self) -> None:
        """Closes the parent's, which the parent holds on."""
        if self._file is not None:
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
