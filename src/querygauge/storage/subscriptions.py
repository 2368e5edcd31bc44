"""
Snapshots for those who add them up outside of the database: each gets every one exactly once.

A subscriber has a directory in the store. While it is there, whoever folds puts each file into it before he removes
it from the spool. What a subscriber knows is its state, a file that also names the files that are in it, and the files
that are not yet: those of its directory and of the spool. So anybody can tell its numbers at any time, without a lock
and without the database, and they are the same for everybody.

Deliberately not here: what is added up, and what the state holds.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_values import read_snapshot
from querygauge.storage.subscribers import dropped_count, names_in, replaced
from querygauge.values import Snapshot

__all__ = ["Subscription", "Unread"]

log = get_logger(__name__)

_STATE: Final = "state"
_FORMAT: Final = 1
_ATTEMPTS: Final = 20  # a state is written once in a tick; a reader that meets that twice running is a slow one
# A tick may be long in coming; somebody who is scraped meanwhile must not have all that waits in memory.
_MOST_AT_ONCE: Final = 100


class Unread(NamedTuple):
    """
    What a subscriber knows at one moment.

    Attributes:
        state: What it kept last; None before it kept anything.
        snapshots: What is not in it yet, oldest first, by the name of the file.
        dropped: Files that were dropped because they were too many, since it subscribed.
        has_more: Whether there are more, which come when it is asked again.
    """

    state: bytes | None
    snapshots: Mapping[str, Snapshot]
    dropped: int
    has_more: bool


class Subscription:
    """One subscriber of a store. Not for several threads at once."""

    def __init__(self, paths: StorePaths, name: str) -> None:
        """
        Reads and writes nothing.

        Args:
            paths: The store.
            name: What tells the subscriber from others; the name of its directory.
        """
        self._paths = paths
        self._folder = paths.exports / name
        self._read: dict[str, Any] = {}

    @property
    def is_begun(self) -> bool:
        """Whether anybody subscribed."""
        return self._folder.is_dir()

    def begin(self) -> None:
        """
        Subscribes, unless that was done; what waits in the spool is the first to be unread.

        Raises:
            StoreError: If the directory cannot be made.
        """
        self._paths.create()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{str(self._folder)!r} could not be made: {error.strerror or error}") from error

    def end(self) -> None:
        """
        Unsubscribes: the state is lost. The caller holds the election lock.

        Raises:
            StoreError: If the directory cannot be removed.
        """
        try:
            shutil.rmtree(self._folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{str(self._folder)!r} could not be removed: {error.strerror or error}") from error

    def unread(self, added: Collection[str] = (), state: bytes | None = None) -> Unread:
        """
        The state, and what is not in it yet, of which so much at a time that it takes little memory. Needs no lock.

        What was read lately is not read again. A file that cannot be used is left out: the fold that comes to it
        sets it aside.

        Args:
            added: Names of files that the caller has added up with a state, and does not need any more.
            state: That one; where it was replaced meanwhile, he needs them all.

        Raises:
            StoreError: If the directories cannot be read, or the state is none.
        """
        for _ in range(_ATTEMPTS):
            before = self._version()
            kept, taken = self._kept()
            names = [name for name in self._names() if name not in taken]
            wanted = [name for name in names if kept != state or name not in added]
            snapshots, has_more = self._snapshots(names, wanted)
            if self._version() == before:
                return Unread(kept, snapshots, dropped_count(self._folder), has_more)
        raise StoreError(f"{str(self._folder)!r} is being changed all the time; try again in a moment")

    def keep(self, state: bytes, taken: Iterable[str]) -> None:
        """
        Replaces the state, whole or not at all. The caller holds the election lock since before he read.

        Args:
            state: The new state.
            taken: Names of the files that are in it and were not in the last.

        Raises:
            StoreError: If it cannot be written; what was kept last is kept still.
        """
        _, before = self._kept()
        own = names_in(self._folder)
        taken = before.union(taken)
        # A file that is nowhere any more cannot be read again.
        known = sorted(taken.intersection([*(path.name for path in waiting_files(self._paths)), *own]))
        header = json.dumps({"format": _FORMAT, "taken": known}).encode()
        try:
            replaced(self._folder / _STATE, header + b"\n" + state)
        except OSError as error:
            raise StoreError(
                f"{str(self._folder / _STATE)!r} could not be written: {error.strerror or error}"
            ) from error
        for name in taken.intersection(own):
            with suppress(OSError):  # it is named in the state until it is gone
                (self._folder / name).unlink()

    @staticmethod
    def kept_of(snapshot: Snapshot) -> Any:
        """What is kept of a snapshot while it is unread; a subscriber that needs less of it says so here."""
        return snapshot

    def _version(self) -> tuple[int, int, int] | None:
        """Another one whenever the state was replaced."""
        try:
            found = (self._folder / _STATE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _kept(self) -> tuple[bytes | None, frozenset[str]]:
        path = self._folder / _STATE
        try:
            first, _, state = path.read_bytes().partition(b"\n")
            header = json.loads(first)
            if header["format"] != _FORMAT:
                raise StoreError(
                    f"{str(path)!r} must be of format {_FORMAT}; got {header['format']!r}; a newer querygauge wrote it"
                )
            return state, frozenset(header["taken"])
        except FileNotFoundError:
            return None, frozenset()
        except OSError as error:
            raise StoreError(f"{str(path)!r} could not be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{str(path)!r} must begin with a header; remove it to begin anew") from error

    def _names(self) -> list[str]:
        """All files that might be unread, oldest first."""
        # In this order: a file that is handed over meanwhile is in the second list, if it is not in the first any more.
        waiting = {path.name for path in waiting_files(self._paths)}
        return sorted(waiting.union(names_in(self._folder)))

    def _snapshots(self, names: Sequence[str], wanted: Sequence[str]) -> tuple[dict[str, Any], bool]:
        """The first of those that are wanted and of use, and whether there are more."""
        read = {name: self._read[name] for name in names if name in self._read}
        new = [name for name in wanted if name not in read or read[name] is not None]
        for name in new[:_MOST_AT_ONCE]:
            if name not in read:
                read[name] = self._snapshot(name)
        found = {name: read[name] for name in new[:_MOST_AT_ONCE] if read[name] is not None}
        lately = {*sorted(name for name, snapshot in read.items() if snapshot is not None)[-_MOST_AT_ONCE:]}
        self._read = {name: each for name, each in read.items() if each is None or name in lately}
        return found, len(new) > _MOST_AT_ONCE

    def _snapshot(self, name: str) -> Any:
        """What a file holds; None if it is of no use, or gone."""
        for folder in (self._paths.spool, self._folder):
            with suppress(FileNotFoundError):
                try:
                    return self.kept_of(read_snapshot(folder / name))
                except StoreError as error:
                    log.warning("spool_file_not_exported", file=str(folder / name), reason=str(error))
                    return None
        return None
