"""
A tick killed at each of its steps, and at some moment within: the next one ends with the exact totals.

A step is whatever Python does to a file of the store, and each statement that DuckDB is given. Of some hundred, every
run takes a few by chance; `QUERYGAUGE_TEST_EVERY_PATH=1` takes them all.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from querygauge.storage.paths import StorePaths
from storage.recovering import LIMITS, assert_recovered, copied, fill_new, make_all_due, totals

IS_FULL: Final = os.environ.get("QUERYGAUGE_TEST_EVERY_PATH") == "1"
_TRIALS: Final = 4

# Ticks in a forked child, which kills itself at a step; its input says where, and at which, and it answers how many
# steps there were, and which of them come right after something was made to last. A whole number is the moment before
# that step, a half more is some moment within it.
_NURSERY: Final = """
import json, os, random, signal, sys, threading, time
from pathlib import Path
from querygauge.collector import tick
from querygauge.storage import backup, database, folding, retention, rollups
from querygauge.storage.limits import Limits
from querygauge.storage.publishing import publish

def die():
    os.kill(os.getpid(), 9)

class Steps:
    def __init__(self, last):
        self.count, self.last, self.lasting = 0, last, []

    def reach(self, name):
        self.count += 1
        if name in ("COMMIT", "os.rename"):
            self.lasting.append(self.count + 1)
        if self.count == self.last:
            die()

class Connection:
    def __init__(self, real):
        self._real = real

    def execute(self, *arguments):
        steps.reach(arguments[0])
        if steps.count + 0.5 == steps.last:
            threading.Timer(random.uniform(0, 0.005), die).start()
            self._real.execute(*arguments)
            die()
        return self._real.execute(*arguments)

    def __getattr__(self, name):
        return getattr(self._real, name)

FILES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "shutil.rmtree"}

for line in sys.stdin:
    root, limits, last, seed = json.loads(line)
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        random.seed(seed)
        steps = Steps(last)
        connect = database.connect
        database.connect = lambda *arguments, **members: Connection(connect(*arguments, **members))
        sys.addaudithook(
            lambda event, arguments: event in FILES and root in str(arguments[0]) and steps.reach(event)
        )
        tick(Path(root), Limits(**limits))
        os.write(writes, json.dumps([steps.count, steps.lasting]).encode())
        os._exit(0)
    os.close(writes)
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), json.loads(os.read(reads, 60_000) or "null")]), flush=True)
    os.close(reads)
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator["subprocess.Popen[str]"]:
    """Has what a tick needs loaded, so that the child of a moment is one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUERYGAUGE_")}
    command = [sys.executable, "-c", _NURSERY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=kept) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def ticked(nursery: "subprocess.Popen[str]", root: Path, last: float | None = None) -> tuple[int, Any]:
    """How a tick ended; if it was not killed, how many steps it had, and which come after one that lasts."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(json.dumps([str(root), LIMITS._asdict(), last, random.randrange(2**32)]) + "\n")
    nursery.stdin.flush()
    status, steps = json.loads(nursery.stdout.readline())
    return int(status), steps


@pytest.mark.timeout(3_600 if IS_FULL else 180)
@pytest.mark.parametrize("is_new", [True, False], ids=["first", "later"])
def test_killed_at_each_step(is_new: bool, paths: StorePaths, tmp_path: Path, nursery: "subprocess.Popen[str]") -> None:
    """The tick that follows stores every file once, and leaves no more behind than one that nobody had disturbed."""
    kept = tmp_path / "kept"
    kept.mkdir()
    fill_new(paths, kept)
    if not is_new:
        assert ticked(nursery, paths.root)[0] == 0
        make_all_due(paths, kept)
    expected = totals(kept.iterdir())
    template = paths.root.rename(tmp_path / "template")
    with copied(template, paths):
        status, (steps, lasting) = ticked(nursery, paths.root)
        assert status == 0
        files = assert_recovered(paths, expected)
    moments = [half / 2 for half in range(2, 2 * steps + 2)]
    chosen = moments if IS_FULL else random.sample(moments, _TRIALS) + random.sample(lasting, _TRIALS)
    kills = 0
    for last in chosen:
        with copied(template, paths):
            status, _ = ticked(nursery, paths.root, last)
            kills += status == -signal.SIGKILL
            assert assert_recovered(paths, expected) == files, last
    print(f"{steps} steps, {kills} of {len(chosen)} ticks killed, {len(expected)} sums compared after each")
    assert kills > len(chosen) / 3
