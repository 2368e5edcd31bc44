"""Writers and collectors killed at any moment: what was flushed is stored once, in minutes, hours or days."""

import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from querygauge.storage.database import open_database
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from storage.making import NOON

_WRITERS = 4
_KILLS = 12
_SNAPSHOTS = 10  # per writer, while one collector lives
_TIERS = """
SELECT count(*) FROM query_stats UNION ALL SELECT count(*) FROM query_stats_hourly
UNION ALL SELECT count(*) FROM query_stats_daily
"""

# Every snapshot holds one execution of a pattern of its own, and its number is told when it was flushed.
_WRITER = """
import sys
from itertools import count, islice
from pathlib import Path
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot
sink = SpoolSink(Path(sys.argv[1]), 100)
numbers = count(int(sys.argv[2]))
for many in sys.stdin:
    for number in islice(numbers, int(many)):
        sink.write(snapshot(1, number=number, process=f"web:{sys.argv[2]}"))
        print(number, flush=True)
"""
# Its second argument says how many days have gone by: minutes, hours or nothing of that day are dropped by then.
_COLLECTOR = """
import sys
from datetime import timedelta
from pathlib import Path
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from storage.making import NOON
paths, now = StorePaths(Path(sys.argv[1])), NOON + timedelta(days=float(sys.argv[2]))
print("ready", flush=True)
while True:
    fold(paths, lock_timeout_s=10)
    roll_up(paths, now)
    retain(paths, Limits(), now)
"""


def test_every_flushed_snapshot_is_stored_exactly_once(tmp_path: Path) -> None:
    """Four writers, one of them killed while it writes; collectors killed again and again; a reader in between."""
    paths = StorePaths(tmp_path)
    paths.create()
    writers = [_start(_WRITER, tmp_path, str(1 + number * 0x1000)) for number in range(_WRITERS)]
    for number in range(_KILLS):
        for writer in writers:
            _say(writer, _SNAPSHOTS)
        _kill_a_collector(tmp_path, days=(0, 2, 20, 120)[number % 4])
    _say(writers[0], 1000 * _SNAPSHOTS)
    assert writers[0].stdout is not None
    told = {int(writers[0].stdout.readline()) for _ in range(_KILLS * _SNAPSHOTS + 1)}
    writers[0].kill()
    open_store(tmp_path)
    told |= {int(number) for writer in writers for number in _last_words(writer).split()}
    open_store(tmp_path)
    # On a slow machine none of the killed ones may have come so far.
    roll_up(paths, NOON + timedelta(days=120))
    retain(paths, Limits(), NOON + timedelta(days=120))
    _assert_stored_once(paths, told)


def _start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _say(writer: "subprocess.Popen[str]", snapshots: int) -> None:
    assert writer.stdin is not None
    writer.stdin.write(f"{snapshots}\n")
    writer.stdin.flush()


def _last_words(process: "subprocess.Popen[str]") -> str:
    """Everything it said, until it ended."""
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        return process.stdout.read()


def _kill_a_collector(root: Path, days: float) -> None:
    """Kills a collector at any moment of its first rounds."""
    collector = _start(_COLLECTOR, root, days)
    assert collector.stdout is not None
    assert collector.stdout.readline() == "ready\n"
    with suppress(subprocess.TimeoutExpired):
        collector.wait(timeout=random.uniform(0.0, 1.0))
    collector.kill()
    _last_words(collector)


def _assert_stored_once(paths: StorePaths, told: set[int]) -> None:
    with open_database(paths, read_only=True, timeout_s=10) as connection:
        rows = connection.execute(
            "SELECT pattern_id, executions FROM query_history('0001-01-01', '9999-12-31', true)"
        ).fetchall()
        by_tier = [count for (count,) in connection.execute(_TIERS).fetchall()]
    stored: Counter[int] = Counter()
    for pattern_id, executions in rows:
        stored[int(pattern_id, 16)] += executions
    assert set(stored.values()) == {1}
    assert told <= set(stored)
    # The killed writer may have flushed one that it had no time to tell.
    assert len(set(stored) - told) <= 1
    assert by_tier[-1] > 0, by_tier
    assert len(told) > _WRITERS * _SNAPSHOTS * _KILLS
