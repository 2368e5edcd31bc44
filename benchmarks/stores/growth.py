"""
How a store grows, and what hosts and ticks spend on it: in go minutes, out come bytes and milliseconds.

Eight processes flush 200 patterns every ten seconds, and each minute somebody folds.
"""

import os
import random
import statistics
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from querygauge.storage.database import scratch_connection
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.ticks import start_child
from querygauge.values import Pattern
from stores.filling import opened
from stores.flushed import snapshot
from stores.limits import Figures
from stores.upkeep import elapsed_ms

__all__ = ["grown", "ticked"]

_PROCESSES: Final = 8
_PATTERNS: Final = 200
_FLUSHES: Final = 6  # a minute
_TICK_FILES: Final = 6
_MINUTES: Final = 1_440  # of a day
_REPEATED: Final = """
INSERT INTO {table} BY NAME
SELECT t.* REPLACE ("minute" + to_minutes((n * $minutes)::INTEGER) AS "minute")
FROM {table} AS t, range(1, $count) AS numbers(n)
ORDER BY n, "minute"
"""
_PENDING: Final = """
INSERT INTO pending_rollups
SELECT DISTINCT 'hour', date_trunc('hour', "minute") FROM query_stats EXCEPT FROM pending_rollups
"""


def grown(minutes: int, now: datetime, patterns: Sequence[Pattern]) -> Figures:
    """
    Bytes by row and day of one service: so many minutes folded, repeated over a day, and rolled up.

    Blocks that are free do not count, as they are used before the file grows.
    """
    dice, begin = random.Random(3), (now - timedelta(days=2)).replace(hour=0, minute=0)
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        sink, times = SpoolSink(paths.root, 1_000), []
        for minute in range(minutes):
            for flush in range(_FLUSHES):
                ended = begin + timedelta(minutes=minute, seconds=10 * flush)
                for process in range(_PROCESSES):
                    sink.write(snapshot("shop", f"web:{process}", ended, patterns[:_PATTERNS], dice))
            times.append(elapsed_ms(lambda: fold(paths)))
        before = _used_bytes(paths)
        with scratch_connection(paths) as connection, opened(connection, paths, read_only=False):
            for table in ("query_stats", "process_stats"):
                connection.execute(_REPEATED.format(table=table), {"minutes": minutes, "count": _MINUTES // minutes})
            connection.execute(_PENDING)
        with_minutes = _used_bytes(paths)
        roll_up(paths, now)
        bytes_a_minute = (with_minutes - before) / (_MINUTES - minutes)
        return {
            "bytes a row by minute": bytes_a_minute / _PATTERNS,
            "MB a day by minute": bytes_a_minute * _MINUTES / 1e6,
            "MB a day by hour and day": (_used_bytes(paths) - with_minutes) / 1e6,
            "fold of a minute": statistics.median(times),
        }


def _used_bytes(paths: StorePaths) -> int:
    with scratch_connection(paths) as connection, opened(connection, paths, read_only=True):
        ((size,),) = connection.execute(
            "SELECT block_size * used_blocks FROM pragma_database_size() WHERE database_name = 'store'"
        ).fetchall()
        return int(size)


def ticked(rounds: int, now: datetime, patterns: Sequence[Pattern]) -> Figures:
    """
    What a host spends on a file of 500 patterns, and the tick that hosts start on six files of 200.

    Its CPU time is that of its process from the first instruction to the end; medians, after one that warms up.
    """
    dice = random.Random(4)
    written, cpu = [], []
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        sink = SpoolSink(paths.root, 1_000)
        for minute in range(-1, rounds):
            ended = now + timedelta(minutes=minute - rounds)
            one = snapshot("shop", "web:0", ended, patterns[:500], dice)
            started = time.perf_counter()
            sink.write(one)
            written.append(1e3 * (time.perf_counter() - started))
            (file,) = waiting_files(paths)
            size = file.stat().st_size
            file.unlink()
            for process in range(_TICK_FILES):
                sink.write(snapshot("shop", f"web:{process}", ended, patterns[:_PATTERNS], dice))
            cpu.append(_tick_cpu_ms(paths))
    return {
        "writing a file of 500 patterns": statistics.median(written[1:]),
        "KB of a file of 500 patterns": size / 1e3,
        "CPU time of a tick, 6 files of 200": statistics.median(cpu[1:]),
    }


def _tick_cpu_ms(paths: StorePaths) -> float:
    child = start_child(paths.root)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the tick ended with status {child.returncode}")
    return 1e3 * (used.ru_utime + used.ru_stime)
