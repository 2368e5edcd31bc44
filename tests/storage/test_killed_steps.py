"""
A tick killed at each of its steps, and at some moment within: the next one ends with the exact totals.

A step is whatever Python does to a file of the store, and each statement that DuckDB is given. Of some hundred, every
run takes a few by chance; `QUERYGAUGE_TEST_EVERY_PATH=1` takes them all.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pytest

from querygauge.collector import tick
from querygauge.storage.backup import back_up
from querygauge.storage.backup_files import backups_in, verify
from querygauge.storage.database import glob_escaped, open_database, quoted
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, Snapshot
from storage.ledger import Ledger, flushed, summed
from storage.making import snapshot, stats

IS_FULL: Final = os.environ.get("QUERYGAUGE_TEST_EVERY_PATH") == "1"
_TRIALS: Final = 6
_DAY: Final = timedelta(days=1)
_DAYS: Final = 5
# Everything that a tick can do is due: hours and what is older than two days go, the database is written anew.
_LIMITS: Final = Limits(1, 2, 30, has_archive=True, backups=2, max_mb=1)
_MEASURES: Final = ("executions", "ok", "error", "total_ns")

# Ticks in a forked child, which kills itself at a step; its input says where, and at which, and it answers how many
# steps there were. What begins with a whole number ends before that step, with a half one some moment within it.
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
        self.count, self.last = 0, last

    def reach(self):
        self.count += 1
        if self.count == self.last:
            die()

class Connection:
    def __init__(self, real):
        self._real = real

    def execute(self, *arguments):
        steps.reach()
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
            lambda event, arguments: event in FILES and root in str(arguments[0]) and steps.reach()
        )
        tick(Path(root), Limits(**limits))
        os.write(writes, str(steps.count).encode())
        os._exit(0)
    os.close(writes)
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), os.read(reads, 9).decode()]), flush=True)
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


def _ticked(nursery: "subprocess.Popen[str]", root: Path, last: float | None = None) -> tuple[int, int | None]:
    """How a tick that was killed there ended, and how many steps it had if it was not."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(json.dumps([str(root), _LIMITS._asdict(), last, random.randrange(2**32)]) + "\n")
    nursery.stdin.flush()
    status, steps = json.loads(nursery.stdout.readline())
    return status, int(steps) if steps else None


def _flush(paths: StorePaths, kept: Path, *ended: datetime) -> None:
    """One snapshot for each moment, which is kept elsewhere as well."""
    sink = SpoolSink(paths.root, 10)
    before = set(waiting_files(paths))
    for number, moment in enumerate(ended):
        sink.write(_busy(moment, number))
    for path in set(waiting_files(paths)) - before:
        shutil.copy(path, kept)


def _busy(ended: datetime, number: int) -> Snapshot:
    given = snapshot(ended=ended)
    some = (replace(stats(4, number=n, at=ended), outcomes=OutcomeCounts(ok=3, error=1)) for n in (1, 2 + number % 3))
    return replace(given, queries=tuple(some))


def _new(paths: StorePaths, kept: Path) -> None:
    """A store that nobody has folded yet, of which days are over."""
    paths.create()
    now = datetime.now(UTC)
    _flush(paths, kept, *(now - days * _DAY for days in range(_DAYS + 1)))


def _old(paths: StorePaths, kept: Path, nursery: "subprocess.Popen[str]") -> None:
    """The same a tick later, when something came late, one file is damaged, and everything is due."""
    _new(paths, kept)
    assert _ticked(nursery, paths.root)[0] == 0
    now = datetime.now(UTC)
    _flush(paths, kept, now, now - _DAY, now - timedelta(hours=25))
    (paths.spool / "0-damaged.ndjson").write_bytes(b"{}\n")
    (paths.published / "manifest.json").unlink()


@pytest.mark.timeout(3_600 if IS_FULL else 180)
@pytest.mark.parametrize("is_new", [True, False], ids=["first", "later"])
def test_killed_at_each_step(is_new: bool, paths: StorePaths, tmp_path: Path, nursery: "subprocess.Popen[str]") -> None:
    """The tick that follows stores every file once, and leaves no more behind than one that nobody had disturbed."""
    kept = tmp_path / "kept"
    kept.mkdir()
    if is_new:
        _new(paths, kept)
    else:
        _old(paths, kept, nursery)
    expected = _totals(flushed(kept.iterdir()))
    template = paths.root.rename(tmp_path / "template")
    with _copied(template, paths):
        status, steps = _ticked(nursery, paths.root)
        assert (status, steps is not None) == (0, True)
        files = _assert_recovered(paths, expected)
    assert steps is not None
    moments = [half / 2 for half in range(2, 2 * steps + 2)]
    chosen = moments if IS_FULL else random.sample(moments, _TRIALS)
    kills = 0
    for last in chosen:
        with _copied(template, paths):
            status, _ = _ticked(nursery, paths.root, last)
            kills += status == -signal.SIGKILL
            assert _assert_recovered(paths, expected) == files, last
    print(f"{steps} steps, {kills} of {len(chosen)} ticks killed, {len(expected)} sums compared after each")
    assert kills > len(chosen) / 3


@contextmanager
def _copied(template: Path, paths: StorePaths) -> Iterator[None]:
    shutil.copytree(template, paths.root)
    yield
    shutil.rmtree(paths.root)


def _totals(ledger: Ledger) -> Ledger:
    return Ledger({key: count for key, count in ledger.items() if key[1] in _MEASURES})


def _assert_recovered(paths: StorePaths, expected: Ledger) -> set[str]:
    """One more tick has all of it, once; gives the names of the files that are left when everything was due again."""
    tick(paths.root, _LIMITS)
    assert (_history(paths), waiting_files(paths)) == (expected, [])
    tick(paths.root, _LIMITS)  # what the first one could not know of yet
    for path in paths.root.rglob("*"):
        os.utime(path, (0, 0))
    assert back_up(paths, keep=1) is not None
    tick(paths.root, _LIMITS)
    assert _history(paths) == expected
    assert [found for found in open_store(paths.root).doctor().findings if found.severity == "error"] == []
    executions = summed(expected, "executions")
    assert _executions(paths.archive) + _finer_than_days(paths) == executions
    assert _executions(paths.published_days) == executions
    assert all(verify(path).rows for path in backups_in(paths.backups))
    files = (str(path.relative_to(paths.root)) for path in paths.root.rglob("*"))
    return {re.sub(r"querygauge-[\dTZ-]+", "querygauge-moment", name) for name in files}


def _history(paths: StorePaths) -> Ledger:
    sums = ", ".join(f"sum({name})" for name in _MEASURES)
    ledger: Ledger = Ledger()
    with open_database(paths, read_only=True, timeout_s=10) as connection:
        rows = connection.execute(
            f"SELECT pattern_id, {sums} FROM query_history('0001-01-01', '9999-12-31', true) GROUP BY pattern_id"
        ).fetchall()
    for pattern, *counts in rows:
        ledger.update({(pattern, name): count for name, count in zip(_MEASURES, counts, strict=True)})
    return +ledger


def _finer_than_days(paths: StorePaths) -> int:
    """Executions whose hour the store still has."""
    with open_database(paths, read_only=True, timeout_s=10) as connection:
        ((count,),) = connection.execute(
            "SELECT sum(executions) FROM query_history((SELECT hours_since FROM meta), '9999-12-31', false)"
        ).fetchall()
    return int(count)


def _executions(folder: Path) -> int:
    every = quoted(Path(glob_escaped(folder), "*.parquet"))
    with duckdb.connect() as connection:
        ((count,),) = connection.execute(f"SELECT sum(executions) FROM read_parquet({every})").fetchall()
    return int(count)
