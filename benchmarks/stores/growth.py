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

from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.ticks import start_child
from querygauge.values import Pattern
from stores.flushed import snapshot
from stores.limits import Figures
from stores.upkeep import elapsed_ms

__all__ = ["grown", "ticked"]

_PROCESSES: Final = 8
_PATTERNS: Final = 200
_FLUSHES: Final = 6  # a minute
_TICK_FILES: Final = 6
_MINUTES_A_DAY: Final = 1_440


def grown(minutes: int, now: datetime, patterns: Sequence[Pattern]) -> Figures:
    """
    Bytes by row and day, told from the second half of so many minutes, and what those take once they are rolled up.

    The processes are of one service, so there are 200 rows a minute.
    """
    dice, begin = random.Random(3), (now - timedelta(days=2)).replace(hour=0, minute=0)
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        sink = SpoolSink(paths.root, 1_000)
        sizes, times = [], []
        for minute in range(minutes):
            for flush in range(_FLUSHES):
                ended = begin + timedelta(minutes=minute, seconds=10 * flush)
                for process in range(_PROCESSES):
                    sink.write(snapshot("shop", f"web:{process}", ended, patterns[:_PATTERNS], dice))
            times.append(elapsed_ms(lambda: fold(paths)))
            sizes.append(paths.database.stat().st_size)
        bytes_a_minute = (sizes[-1] - sizes[minutes // 2 - 1]) / (minutes - minutes // 2)
        roll_up(paths, now)
        return {
            "bytes a row by minute": bytes_a_minute / _PATTERNS,
            "MB a day by minute": bytes_a_minute * _MINUTES_A_DAY / 1e6,
            "KB an hour by hour": (paths.database.stat().st_size - sizes[-1]) / 1e3 / (minutes / 60),
            "fold of a minute": statistics.median(times),
        }


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
