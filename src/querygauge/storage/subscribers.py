"""
Folded files for those who subscribed to a store: in go the files, out come links in the directory of each subscriber.

Deliberately not here: what a subscriber makes of them (`subscriptions`); a fold knows nothing of it.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths, reach_disk
from querygauge.storage.spool import SUFFIX, TEMPORARY_SUFFIX

__all__ = ["dropped_count", "failing_path", "folders", "hand_over", "names_in", "replaced"]

log = get_logger(__name__)

_DROPPED: Final = "dropped"
# Files that wait for one subscriber may take so much: nobody may have come for them in a year.
_MOST_BYTES: Final = 64_000_000


def hand_over(paths: StorePaths, files: Sequence[Path]) -> bool:
    """
    Gives folded files to those who subscribed, before they are removed. The caller holds the election lock.

    Returns:
        Whether they may be removed; else somebody could not be given them, which is logged, and they are to be given
        again.
    """
    try:
        for folder in folders(paths):
            for path in files:
                _give(path, folder)
            _drop_oldest(folder)
    except (OSError, StoreError) as error:
        log.warning("snapshots_not_handed_over", store=paths.name, error=str(error))
        return False
    return True


def folders(paths: StorePaths) -> list[Path]:
    """The directory of each subscriber."""
    try:
        with os.scandir(paths.exports) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        return []  # nobody ever subscribed


def failing_path(folder: Path) -> Path:
    """Where the subscriber with this directory says, in a line, why it cannot do its work; absent while it can."""
    return folder / "failing"


def _give(path: Path, folder: Path) -> None:
    given = folder / path.name
    try:
        # It is there where a fold was killed before it removed the file; its writer may have dropped it.
        with suppress(FileExistsError, FileNotFoundError):
            os.link(path, given)
    except OSError:  # not every file system has links
        replaced(given, path.read_bytes())


def _drop_oldest(folder: Path) -> None:
    sizes = {name: (folder / name).stat().st_size for name in names_in(folder)}
    excess, count = sum(sizes.values()) - _MOST_BYTES, 0
    for name in sorted(sizes):
        if excess <= 0:
            break
        (folder / name).unlink()
        excess -= sizes[name]
        count += 1
    if count:
        replaced(folder / _DROPPED, str(dropped_count(folder) + count).encode())
        log.warning("export_backlog_full", folder=str(folder), dropped=count, max_mb=_MOST_BYTES // 1_000_000)


def names_in(folder: Path) -> list[str]:
    """
    The files that wait for the subscriber with this directory.

    Raises:
        StoreError: If it cannot be read; one that is absent holds no files.
    """
    try:
        return [path.name for path in folder.iterdir() if path.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{str(folder)!r} could not be read: {error.strerror or error}") from error


def dropped_count(folder: Path) -> int:
    """Files that the subscriber with this directory never got, because those that waited were too many."""
    try:
        return int((folder / _DROPPED).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def replaced(path: Path, content: bytes) -> None:
    """Writes a file that is found whole or as it was, after a power cut too."""
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    temporary.write_bytes(content)
    reach_disk(temporary)
    temporary.replace(path)
