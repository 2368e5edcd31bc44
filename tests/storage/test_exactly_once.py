"""
Applications, collectors and readers at once, killed at any moment: what was flushed is stored once.

It takes 12 seconds; `QUERYGAUGE_TEST_STORE_SECONDS=60` makes it a minute.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from querygauge.collector import tick
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import SUFFIX, waiting_files
from storage.ledger import KEEPING, flushed, kept_files, stored, summed
from storage.making import total

SECONDS: Final = float(os.environ.get("QUERYGAUGE_TEST_STORE_SECONDS", "12"))
_WRITERS: Final = 8
_READERS: Final = 2
_LONGEST_PAUSE_S: Final = 1.5  # between two kills
_START_S: Final = 60.0  # a machine that has much to do may take so long until all of them run
_KINDS: Final = ("writer", "collector")

# An application: it flushes after every burst besides its flush thread, starts ticks, goes on until its input ends, and
# then says how many statements it sent and how many of them failed. The third argument is the seed of what it does.
_WRITER: Final = f"""{KEEPING}
import json, random, select
from pathlib import Path
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from querygauge import instrument
chance = random.Random(sys.argv[3])
engine = create_engine("sqlite://")
STATEMENTS = ("INSERT INTO t{{}} VALUES (1)", "SELECT x FROM t{{}}", "SELECT absent FROM t{{}}")
sent = failed = 0
with engine.begin() as connection:
    for number in range(10):
        connection.execute(text(f"CREATE TABLE t{{number}} (x INTEGER)"))
settings = {{"flush_interval_s": 0.8, "tick_interval_s": 2, "enable_logging": False}}
with instrument(engine, service="shop", store=Path(sys.argv[1]), collector="auto", **settings) as gauge:
    while not select.select([sys.stdin], [], [], chance.uniform(0, 0.1))[0]:
        with engine.begin() as connection:
            for _ in range(chance.randrange(1, 30)):
                statement = chance.choice(STATEMENTS)
                sent += 1
                try:
                    connection.execute(text(statement.format(chance.randrange(10))))
                except OperationalError:
                    failed += 1
        gauge.flush()
print(json.dumps([os.getpid(), sent, failed]))
"""

_COLLECTOR: Final = """
import sys
from pathlib import Path
from querygauge.collector import run
run(Path(sys.argv[1]), interval_s=0.02, fold_interval_s=0.1)
"""

# What it sees is one moment: every bucket adds up, and no execution it saw before is gone. It stays for up to half a
# second, with DuckDB alone or by ours, and says at the end how often it read.
_READER: Final = """
import random, select, sys
import duckdb
from querygauge.storage.opening import open_store
root, chance, seen, reads = sys.argv[1], random.Random(sys.argv[3]), 0, 0
ASK = "SELECT coalesce(sum(executions), 0), coalesce(sum(list_sum(bucket_n)), 0) FROM query_stats"
while not select.select([sys.stdin], [], [], chance.uniform(0, 0.2))[0]:
    try:
        if chance.random() < 0.2:
            found = sum(stats.execution_count for stats in open_store(root).query_stats())
        else:
            with duckdb.connect(f"{root}/querygauge.duckdb", read_only=True) as connection:
                ((found, in_buckets),) = connection.execute(ASK).fetchall()
                assert found == in_buckets, (found, in_buckets)
                select.select([sys.stdin], [], [], chance.uniform(0, 0.5))
    except duckdb.IOException as error:
        assert "lock" in str(error) or "does not exist" in str(error), error
    else:
        assert found >= seen, (found, seen)
        seen, reads = found, reads + 1
print(reads)
"""
_CODE: Final = {"writer": _WRITER, "collector": _COLLECTOR, "reader": _READER}


class _Crowd:
    """The processes around one store; what they say, and what they complain of, is in files of `told`."""

    def __init__(self, paths: StorePaths, told: Path, kept: Path) -> None:
        self._arguments = (paths.root, kept)
        self._told = told
        self._numbers: Counter[str] = Counter()
        self._running: dict[str, list[subprocess.Popen[bytes]]] = {kind: [] for kind in _CODE}
        self.kills: Counter[str] = Counter()

    def start(self, kind: str) -> None:
        """One more of a kind."""
        self._numbers[kind] += 1
        name, seed = f"{kind}-{self._numbers[kind]}", random.randrange(2**32)
        command = [sys.executable, "-c", _CODE[kind], *map(str, self._arguments), str(seed)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QUERYGAUGE_")}
        with (self._told / f"{name}.out").open("wb") as out, (self._told / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err, cwd=self._told, env=kept)
        self._running[kind].append(process)

    def kill_one(self, kind: str) -> None:
        """Kills one of a kind, and has another take its place."""
        victim = self._running[kind].pop(random.randrange(len(self._running[kind])))
        # Nobody ends by itself, so what has ended by now has failed.
        assert victim.poll() is None, kind
        victim.kill()
        assert _ended(victim) == -signal.SIGKILL
        self.kills[kind] += 1
        self.start(kind)

    def end(self, kind: str) -> None:
        """Has all of a kind end by themselves."""
        processes, self._running[kind] = self._running[kind], []
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [_ended(process) for process in processes] == [0] * len(processes)

    def stop(self) -> None:
        """Leaves nobody behind."""
        for process in (process for processes in self._running.values() for process in processes):
            process.kill()
            _ended(process)

    def said(self, kind: str) -> list[str]:
        """What those of a kind said who ended by themselves."""
        return [text for path in self._told.glob(f"{kind}-*.out") if (text := path.read_text(encoding="utf-8"))]

    def complaints(self, *kinds: str) -> str:
        """Everything that those of some kinds wrote on standard error."""
        return "".join(path.read_text(encoding="utf-8") for kind in kinds for path in self._told.glob(f"{kind}-*.err"))


def _ended(process: "subprocess.Popen[bytes]") -> int:
    with process:
        return process.wait(timeout=60)


@contextmanager
def _crowd(paths: StorePaths, told: Path, kept: Path) -> Iterator[_Crowd]:
    for folder in (told, kept):
        folder.mkdir()
    with ExitStack() as stack:
        crowd = _Crowd(paths, told, kept)
        stack.callback(crowd.stop)
        for kind in (*_WRITERS * ["writer"], "collector"):
            crowd.start(kind)
        _wait_for_writers(kept)
        for _ in range(_READERS):
            crowd.start("reader")
        yield crowd


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_what_was_flushed_is_stored_once(paths: StorePaths, tmp_path: Path) -> None:
    """Whoever dies, the store adds up to the files that were renamed into its spool, and no application noticed."""
    kept = tmp_path / "kept"
    with _crowd(paths, tmp_path / "told", kept) as crowd:
        _let_live(crowd, SECONDS / 2)
        damaged = _drop_damaged(paths, kept_files(kept, paths)[0].read_bytes())
        _let_live(crowd, SECONDS / 2)
        crowd.end("writer")
        crowd.kill_one("collector")
        crowd.end("reader")
    tick(paths.root, lock_timeout_s=60)
    files = kept_files(kept, paths)
    expected = flushed(files)
    assert stored(paths) == expected
    assert total(open_store(paths).query_stats()) == summed(expected, "executions")
    assert ({path.name for path in paths.rejected.iterdir()}, waiting_files(paths)) == (damaged, [])
    assert f"2 snapshots could not be used, in {paths.rejected}" in str(open_store(paths).doctor())
    assert crowd.complaints("writer") == ""
    assert "Traceback" not in crowd.complaints("collector", "reader")
    reads = _assert_alive(crowd, files)
    print(
        f"{SECONDS:g} s: {dict(crowd.kills)} killed, {_WRITERS} writers at a time, {reads} reads, {len(files)} files, "
        f"{summed(expected, 'executions')} executions and {summed(expected, 'error')} errors, "
        f"{len(expected)} sums compared"
    )


def _wait_for_writers(kept: Path) -> None:
    """Until each has flushed."""
    until = time.monotonic() + _START_S
    while len({path.name.split("-")[2] for path in kept.iterdir()}) < _WRITERS:
        assert time.monotonic() < until
        time.sleep(0.1)


def _let_live(crowd: _Crowd, seconds: float) -> None:
    """Kills and replaces one process after the other for so long."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, random.uniform(0, _LONGEST_PAUSE_S)))
        crowd.kill_one(random.choice(_KINDS))


def _drop_damaged(paths: StorePaths, content: bytes) -> set[str]:
    """Puts into the spool what was a sound file: one with a bit that is another, one that ends too early."""
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for name, damaged in (("flipped", flipped), ("truncated", content[: len(content) // 2])):
        unfinished = paths.root / name
        unfinished.write_bytes(damaged)
        unfinished.replace(paths.spool / f"{name}{SUFFIX}")
    return {f"flipped{SUFFIX}", f"truncated{SUFFIX}"}


def _assert_alive(crowd: _Crowd, files: list[Path]) -> int:
    """Every writer that was not killed flushed all it sent; gives how often somebody read."""
    told = [json.loads(said) for said in crowd.said("writer")]
    for pid, sent, failed in told:
        own = flushed(path for path in files if f"-{pid}-" in path.name)
        assert (summed(own, "executions"), summed(own, "error")) == (sent, failed)
    assert len(told) == _WRITERS
    assert min(sum(sent for _, sent, _ in told), sum(failed for *_, failed in told)) > 0
    assert min(crowd.kills[kind] for kind in _KINDS) > 1, crowd.kills
    reads = [int(said) for said in crowd.said("reader")]
    assert min(reads) > 0
    return sum(reads)
