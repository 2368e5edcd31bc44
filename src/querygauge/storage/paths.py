"""
Where the parts of a store lie: in goes its directory, out come the paths of its files.

Deliberately not here: what is in them.
"""

import os
import secrets
from itertools import count
from pathlib import Path
from typing import Final

from querygauge.errors import StoreError
from querygauge.remote import RemoteStore, is_remote

__all__ = ["Location", "StorePaths", "free_path", "paths_of", "reach_disk"]

_HIDE_FROM_GIT = "# Statistics of one machine; nothing to commit.\n*\n"


class StorePaths:
    """
    The files of one store.

    Attributes:
        root: Directory of the store, absolute; of a remote one, directory of what this machine keeps of it.
        remote: Where the tables are if they are not in that directory.
    """

    def __init__(self, root: Path, remote: RemoteStore | None = None) -> None:
        # A host may change its working directory after it was instrumented; the store must not move with it.
        self.root: Final = Path(root).absolute()
        self.remote: Final = remote

    @property
    def name(self) -> str:
        """What the store is called in messages, without secrets."""
        return str(self.root) if self.remote is None else self.remote.shown

    @property
    def database_name(self) -> str:
        """What its database is called in messages, without secrets."""
        return str(self.database) if self.remote is None else self.remote.shown

    @property
    def database(self) -> Path:
        """The DuckDB file; a remote store has none."""
        return self.root / "querygauge.duckdb"

    @property
    def unfinished(self) -> Path:
        """A database that is just being written, to take the place of the other; absent at rest."""
        return self.root / "querygauge.new"

    @property
    def older(self) -> Path:
        """Directory of a database of an older version that is just being restored; absent at rest."""
        return self.root / ".older"

    @property
    def spool(self) -> Path:
        """Directory of the snapshots that wait to be folded."""
        return self.root / "spool"

    @property
    def rejected(self) -> Path:
        """Directory of the spool files that could not be used."""
        return self.root / "rejected"

    @property
    def lock(self) -> Path:
        """Locked by whoever folds; one at a time."""
        return self.root / "collector.lock"

    @property
    def tick_lock(self) -> Path:
        """Locked for the moment it takes to decide who starts the next tick."""
        return self.root / "tick.lock"

    @property
    def tick_stamp(self) -> Path:
        """Its modification time is when the last tick was claimed."""
        return self.root / "tick.stamp"

    @property
    def stalled(self) -> Path:
        """The alert that nothing is folded, as long as it cannot be kept in the database; absent at rest."""
        return self.root / "stalled.json"

    @property
    def stalled_lock(self) -> Path:
        """Locked by whoever sends it."""
        return self.root / "stalled.lock"

    @property
    def urgent(self) -> Path:
        """There if something was flushed for which no tick that is due in a minute should be waited for."""
        return self.root / "urgent"

    @property
    def exports(self) -> Path:
        """Directory of those who add snapshots up outside of the database, each with a directory of its own."""
        return self.root / "exports"

    @property
    def archive(self) -> Path:
        """Directory of what was dropped for its age and is kept in files."""
        return self.root / "archive"

    @property
    def backups(self) -> Path:
        """Directory of backups, if nobody named another one."""
        return self.root / "backups"

    @property
    def published(self) -> Path:
        """Directory of the files that anybody may read at any time."""
        return self.root / "published"

    @property
    def published_days(self) -> Path:
        """Directory of a file per day."""
        return self.published / "query_stats"

    @property
    def published_weeks(self) -> Path:
        """Directory of a report per week."""
        return self.published / "weekly"

    @property
    def views(self) -> Path:
        """The DuckDB file of views over what is published."""
        return self.root / "perf.duckdb"

    @property
    def scratch(self) -> Path:
        """Where DuckDB spills to when it outgrows its memory; absent at rest."""
        return self.root / "scratch"

    @property
    def folding(self) -> Path:
        """The rows that a fold is just reading; absent at rest."""
        return self.root / "folding.ndjson"

    def spool_id(self) -> str | None:
        """
        What tells this machine's spool from others that go to the same remote store; None if there are no others.

        Raises:
            StoreError: If it cannot be kept.
        """
        if self.remote is None:
            return None
        path = self.root / "spool.id"
        try:
            if not path.exists():
                unfinished = path.with_suffix(".new")
                unfinished.write_text(secrets.token_hex(16), encoding="utf-8")
                unfinished.replace(path)
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{str(path)!r} could not be written: {error.strerror or error}") from error

    def create(self) -> None:
        """
        Makes the directories that are missing; one we make is hidden from git.

        Raises:
            StoreError: If the path is a file, or a directory cannot be made.
        """
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"store must be a directory; got the file {str(self.root)!r}")
        try:
            if not self.root.is_dir():
                self.root.mkdir(parents=True, exist_ok=True)
                (self.root / ".gitignore").write_text(_HIDE_FROM_GIT, encoding="utf-8")
            self.spool.mkdir(exist_ok=True)
            self.rejected.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"store {str(self.root)!r} could not be made: {error.strerror or error}") from error


Location = str | os.PathLike[str] | RemoteStore | StorePaths
"""Where a store is: a directory, `ducklake:postgres:…` or `md:…`."""


def paths_of(location: Location, spool: Path, data_path: str | None = None) -> StorePaths:
    """
    The store at a location.

    Args:
        location: Where it is.
        spool: Directory of what this machine keeps of a remote store.
        data_path: Where a DuckLake keeps its files; needed to make one.

    Raises:
        SettingsError: If it is no location of a store.
    """
    if isinstance(location, StorePaths):
        return location
    if isinstance(location, str) and is_remote(location):
        location = RemoteStore.of(location, data_path)
    return StorePaths(spool, location) if isinstance(location, RemoteStore) else StorePaths(Path(location))


def free_path(path: Path) -> Path:
    """The path, or where it exists one like it that does not, with a number behind its name."""
    numbers, free = count(2), path
    while free.exists():
        free = path.with_stem(f"{path.stem}_{next(numbers)}")
    return free


def reach_disk(path: Path) -> None:
    """Waits until the disk has a file, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
