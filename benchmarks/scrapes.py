"""
What a scrape by Prometheus takes, and how large it is.

Eight processes flush every ten seconds, each with 100 patterns of 40 buckets and a pool; a tick adds up each minute.
Scraped every 15 seconds is `querygauge collect`, which has read ahead what was flushed; and one worker of an
application, which has to read it. The last figure is that of a worker that is scraped for the first time when a minute
of it waits, as the first scrape after a start, or one of a worker that the balancer rarely chooses.

Run with `make bench SCRIPT=scrapes.py`; `--json` prints the figures for machines. Ends with status 1 if a scrape is
larger than 150 KB, or one of the first two kinds takes longer than 50 ms at the median.
"""

import argparse
import json
import random
import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from rich.table import Table

from querygauge.collector import tick
from querygauge.export.prometheus import QueryGaugeCollector
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Pattern, RunningState, Snapshot
from stores.flushed import made_patterns, snapshot, with_details
from stores.limits import Figures
from stores.upkeep import elapsed_ms

_PROCESSES: Final = 8
_PATTERNS: Final = 100
_OPERATIONS: Final = ("SELECT", "SELECT", "SELECT", "INSERT", "UPDATE", "DELETE", "COMMIT")
_FLUSH_S: Final = 10
_MINUTES: Final = 5
_LIMITS: Final = {"bytes": 150_000.0, "collector": 50.0, "worker": 50.0}


class Application:
    """Processes that flush into a store."""

    def __init__(self, root: Path, patterns: int) -> None:
        self._sink = SpoolSink(root, 100)
        self._dice = random.Random(3)
        self._patterns = [
            replace(each, operation=_OPERATIONS[number % len(_OPERATIONS)])
            for number, each in enumerate(made_patterns(patterns))
        ]

    def flush(self, ended: datetime, processes: range = range(_PROCESSES)) -> None:
        """Each writes what it did in the ten seconds before."""
        for number in processes:
            self._sink.write(self._snapshot(f"web-1.example:{4_000 + number}", ended, self._patterns))

    def _snapshot(self, process: str, ended: datetime, patterns: list[Pattern]) -> Snapshot:
        details = with_details("shop", process, ended, patterns)
        return replace(
            snapshot("shop", process, ended, patterns, self._dice),
            pools=details.pools,
            errors=details.errors,
            flush_interval_s=float(_FLUSH_S),
            running=(RunningState("main", 2, 5.0),),
            instance=f"{process[-4:]}.1",
        )


class Scraped:
    """Somebody who serves the numbers of a store."""

    def __init__(self, paths: StorePaths) -> None:
        self._collector = QueryGaugeCollector(paths)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        self.size = 0

    def read_ahead(self) -> None:
        """As the collector does every two seconds."""
        self._collector.refresh()

    def scrape(self) -> tuple[float, float]:
        """Milliseconds of a scrape, and those of them on a processor: somebody else may have had it meanwhile."""

        def answer() -> None:
            self.size = len(generate_latest(self._registry))

        began_s = time.thread_time()
        lasted_ms = elapsed_ms(answer)
        return lasted_ms, 1e3 * (time.thread_time() - began_s)


def measure(patterns: int, rounds: int) -> Figures:
    """Milliseconds of a scrape by who is scraped, and bytes."""
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder))
        application = Application(paths.root, patterns)
        collector, worker = Scraped(paths), Scraped(paths)
        began = datetime.now(UTC) - timedelta(minutes=_MINUTES)
        for flushes in range(_MINUTES * 60 // _FLUSH_S):
            application.flush(began + timedelta(seconds=_FLUSH_S * flushes))
            if flushes % 6 == 5:
                tick(paths.root, Limits(publishes=False, backups=0))
        times: dict[str, list[tuple[float, float]]] = {"collector": [], "worker": [], "worker, first": []}
        for number in range(rounds):
            collector.scrape()
            worker.scrape()
            # In 15 seconds each of eight processes flushes, and half of them once more.
            now = datetime.now(UTC)
            application.flush(now)
            application.flush(now, range(_PROCESSES // 2))
            collector.read_ahead()
            times["collector"].append(collector.scrape())
            times["worker"].append(worker.scrape())
            if number % 4 == 3:
                times["worker, first"].append(Scraped(paths).scrape())
                tick(paths.root, Limits(publishes=False, backups=0))
        figures = {"bytes": float(worker.size)}
        for name, found in times.items():
            lasted_ms, worked_ms = zip(*found, strict=True)
            figures |= {name: statistics.median(lasted_ms), f"{name}: CPU": statistics.median(worked_ms)}
        return figures


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--patterns", type=int, default=_PATTERNS)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    figures = measure(arguments.patterns, max(4, arguments.rounds))
    over = [name for name, limit in _LIMITS.items() if figures[name] > limit]
    if arguments.json:
        json.dump({"figures": figures, "limits": _LIMITS, "over": over}, sys.stdout, indent=1)
        return bool(over)
    table = Table(title=f"a scrape of {arguments.patterns} patterns in {_PROCESSES} processes", title_justify="left")
    for column in ("", "median", "limit"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in figures.items():
        limit = _LIMITS.get(name)
        unit = "B" if name == "bytes" else "ms"
        table.add_row(name, f"{value:,.1f} {unit}", "" if limit is None else f"{limit:,.0f} {unit}")
    Console().print(table)
    return bool(over)


if __name__ == "__main__":
    sys.exit(main())
