"""A store in a directory of the test's own, or on a disk of its own; under QUERYGAUGE_TEST_LAKE a remote one."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from missing import skip_or_fail
from querygauge.remote import RemoteStore
from querygauge.storage.paths import StorePaths

Mount = Callable[[str], None]


@pytest.fixture
def paths(tmp_path: Path, request: pytest.FixtureRequest) -> StorePaths:
    """A store that does not exist yet, under a name that SQL and wildcards would trip over."""
    directory = tmp_path / "it's a [store]*"
    if os.environ.get("QUERYGAUGE_TEST_LAKE") != "1":
        return StorePaths(directory)
    catalog = request.getfixturevalue("postgres_url").render_as_string(hide_password=False)
    return StorePaths(directory, RemoteStore.of(f"ducklake:postgres:{catalog}", str(tmp_path / "it's data")))


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
        skip_or_fail("only root may mount a disk; tests beside this one limit the size of files instead")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        skip_or_fail(f"a disk cannot be mounted here: {done.stderr.strip()}")
