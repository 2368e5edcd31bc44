"""A file that one process holds at a time."""

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from querygauge.storage.locking import FileLock

_OPEN = Path("/proc/self/fd")
# Holds it, and has a child that outlives it: one that was forked, or a program that was handed every open file.
_HOLDER = """
import os, subprocess, sys
from pathlib import Path
from querygauge.storage.locking import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire()
if sys.argv[2] == "program":
    subprocess.Popen(["sh", "-c", "echo started; read line"], close_fds=False)
elif os.fork() == 0:
    print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a file that nobody has made yet."""
    return tmp_path / "lock"


def test_one_holds_it_at_a_time(path: Path) -> None:
    """Who comes second, in the same process too, gets it once the first has let go."""
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    assert not second.acquire(timeout_s=0.1)
    second.release()
    first.release()
    assert second.acquire()
    second.release()
    first.release()


def test_others_know_it_too(path: Path) -> None:
    """It is the lock that the system has for files, whoever asks for it."""
    ours = FileLock(path)
    with filelock.FileLock(path):
        assert not ours.acquire()
    ours.release()
    assert ours.acquire()
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(path).acquire(timeout=0)
    ours.release()


def test_a_forked_child_takes_nothing_away(path: Path) -> None:
    """A child that ends, and lets go of what it believes to hold, leaves its parent's lock held."""
    ours = FileLock(path)
    assert ours.acquire()
    child = os.fork()
    if child == 0:
        ours.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert not FileLock(path).acquire()
    ours.release()


@pytest.mark.parametrize("child", ["fork", "program"])
def test_it_is_free_when_its_owner_was_killed(path: Path, child: str) -> None:
    """Whatever the owner has started, and however long that goes on."""
    command = [sys.executable, "-c", _HOLDER, str(path), child]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n"
        ours = FileLock(path)
        assert not ours.acquire()
        ours.release()
        owner.kill()
        owner.wait()
        assert ours.acquire()
        ours.release()


def test_no_file_stays_open(path: Path) -> None:
    """Neither a lock that was held nor one that was not to be had leaves its file open."""
    before = len(list(_OPEN.iterdir()))
    first, second = FileLock(path), FileLock(path)
    assert (first.acquire(), second.acquire()) == (True, False)
    second.release()
    first.release()
    assert len(list(_OPEN.iterdir())) == before


def test_a_file_that_cannot_be_made_is_an_error(path: Path) -> None:
    """The system's own error says why; nothing is held, and nothing needs to be let go."""
    lock = FileLock(path / "absent")
    with pytest.raises(FileNotFoundError):
        lock.acquire()
    lock.release()
