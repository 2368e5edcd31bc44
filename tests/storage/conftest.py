"""A store in a directory of the test's own, or on a disk of its own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from querygauge.storage.paths import StorePaths

Mount = Callable[[str], None]


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    """A store that does not exist yet, under a name that SQL and wildcards would trip over."""
    return StorePaths(tmp_path / "it's a [store]*")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of sixteen megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def remount(disk: Path) -> Mount:
    """`remount("ro")` makes the disk one that nobody may write to, root neither, and `remount("rw")` one as before."""
    return lambda mode: _mount("-o", f"remount,{mode}", str(disk))


def _mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk; tests beside this one limit the size of files instead")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
