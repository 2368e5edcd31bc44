"""
What the store costs: writing a snapshot, folding many, reading them back.

The load is that of eight processes that each flushed 500 patterns with 40 buckets. A fold is told in its steps, because
only the last of them keeps others out of the database: `held` is the time it was attached for writing, and `writer`
what a host's flush thread spends on its own file. Figures are medians of the rounds, after one that warms up, on a
database that grows by each of them. `tick` is the CPU time, not the clock's, of the process that hosts start each
minute, from its first instruction to its end, for six files of 200 patterns.

Run with `python benchmarks/store.py`; `--json` prints the figures for machines, `--rounds` sets how many.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from querygauge.histogram import Histogram
from querygauge.storage import database, folding
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.ticks import start_child
from querygauge.values import OutcomeCounts, Pattern, QueryStats, Snapshot

_PROCESSES = 8
_PATTERNS = 500
_BUCKETS = 40
_TICK_FILES = 6
_TICK_PATTERNS = 200
_START = datetime(2026, 1, 1, tzinfo=UTC)

Figures = dict[str, list[float]]


def _stats(number: int, moment: datetime, dice: random.Random) -> QueryStats:
    first = -400 + number % 300  # a query is about as fast in every process and minute
    buckets = {first + 3 * step: dice.randrange(1, 100) for step in range(_BUCKETS)}
    count = sum(buckets.values())
    text = f"SELECT t{number}.id, t{number}.name FROM t{number} WHERE t{number}.id = ?"
    pattern = Pattern(f"{number:016x}", text, f"SELECT t{number}", "SELECT", (f"t{number}",), "postgresql")
    durations = Histogram(count, count * 1_000_000, 1_000, 9_000_000, buckets)
    return QueryStats(pattern, "main", OutcomeCounts(ok=count), 0, count, count, durations, moment, moment)


def _snapshots(minute: int, dice: random.Random) -> list[Snapshot]:
    ended = _START + timedelta(minutes=minute)
    return [
        Snapshot(
            "shop",
            f"web:{process}",
            ended - timedelta(seconds=10),
            ended,
            tuple(_stats(number, ended, dice) for number in range(_PATTERNS)),
        )
        for process in range(_PROCESSES)
    ]


@contextmanager
def _timed(figures: Figures, name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    figures.setdefault(name, []).append(1e3 * (time.perf_counter() - started))


def _watched(figures: Figures) -> None:
    """Times how long each fold keeps others out."""
    attached = database.attached

    @contextmanager
    def watched(*arguments: Any, read_only: bool, timeout_s: float) -> Iterator[int]:
        name = "fold: held for reading" if read_only else "fold: held for writing"
        with _timed(figures, name), attached(*arguments, read_only=read_only, timeout_s=timeout_s) as version:
            yield version

    vars(folding)["attached"] = watched


def _round(sink: SpoolSink, paths: StorePaths, minute: int, dice: random.Random, figures: Figures) -> None:
    for snapshot in _snapshots(minute, dice):
        with _timed(figures, "writer: one file"):
            sink.write(snapshot)
    figures.setdefault("writer: KB of one file", []).append(waiting_files(paths)[0].stat().st_size / 1e3)
    with _timed(figures, "fold: all of it"):
        folding.fold(paths)


def _tick(sink: SpoolSink, paths: StorePaths, minute: int, dice: random.Random) -> float:
    for snapshot in _snapshots(minute, dice)[:_TICK_FILES]:
        sink.write(replace(snapshot, queries=snapshot.queries[:_TICK_PATTERNS]))
    child = start_child(paths.root)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the tick ended with status {child.returncode}")
    return 1e3 * (used.ru_utime + used.ru_stime)


def _reads(paths: StorePaths, figures: Figures) -> None:
    store = open_store(paths.root)
    reads: dict[str, Callable[[], object]] = {
        "read: query_stats of everything": store.query_stats,
        "read: one pattern": lambda: store.pattern(f"{7:016x}"),
        "read: span": store.span,
    }
    for name, read in reads.items():
        with _timed(figures, name):
            read()


def measure(rounds: int) -> Figures:
    """Milliseconds by name, one per round."""
    figures: Figures = {}
    dice = random.Random(1)
    _watched(figures)
    with TemporaryDirectory() as directory, TemporaryDirectory() as another:
        paths, ticked = StorePaths(Path(directory)), StorePaths(Path(another))
        sink, ticked_sink = SpoolSink(paths.root, 1000), SpoolSink(ticked.root, 1000)
        _tick(ticked_sink, ticked, 0, dice)
        _round(sink, paths, 0, dice, {})
        figures.clear()
        for minute in range(1, rounds + 1):
            _round(sink, paths, minute, dice, figures)
            _reads(paths, figures)
            figures.setdefault("tick: CPU time of its process", []).append(_tick(ticked_sink, ticked, minute, dice))
        figures["database: KB per minute"] = [paths.database.stat().st_size / 1e3 / (rounds + 1)]
    return figures


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps({"duckdb": duckdb.__version__, "figures": figures}))
        return
    print(f"duckdb {duckdb.__version__}; {_PROCESSES} files x {_PATTERNS} patterns x {_BUCKETS} buckets per fold")
    print(f"{'':34}{'median':>10}{'worst':>10}")
    for name, values in sorted(figures.items()):
        unit = "KB" if "KB" in name else "ms"
        print(f"{name:34}{statistics.median(values):>10.1f}{max(values):>10.1f} {unit}")


if __name__ == "__main__":
    main()
