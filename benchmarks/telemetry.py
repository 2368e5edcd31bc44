"""
What sending metrics over OTLP adds to a tick: CPU time of the process that an application starts, with it and without.

A store is given what so many processes flush in a minute, of so many patterns; then a tick folds it. The first of each
kind makes the database, and does not count. The receiver runs in this process, on this machine.

Run with `make bench SCRIPT=telemetry.py`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from export.making import MS, busy, of, pool, stats
from export.receivers import http_receiver
from querygauge.storage.spool_sink import SpoolSink

_TICK: Final = (
    "import sys; from pathlib import Path; from querygauge.collector import tick; "
    "from querygauge.storage.limits import Limits; "
    "tick(Path(sys.argv[1]), Limits(opentelemetry=sys.argv[2], backups=0, publishes=False))"
)
_SPREAD: Final = [MS * 1.25**step for step in range(30)]  # the buckets that a pattern has in a minute


def _cpu_ms(store: Path, kind: str, endpoint: str) -> float:
    """CPU milliseconds of one tick, as a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    subprocess.run([sys.executable, "-c", _TICK, str(store), kind], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def _flush(store: Path, processes: int, patterns: int, minute: int) -> None:
    ended = datetime.now(UTC) - timedelta(hours=1) + timedelta(minutes=minute)
    sink = SpoolSink(store, 1_000)
    for process in range(processes):
        queries = (stats(map(int, _SPREAD), of(number), at=ended) for number in range(patterns))
        made = busy(*queries, process=f"web:{process}", pools=[pool(waits_ns=[MS])])
        sink.write(replace(made, started=ended - timedelta(minutes=1), ended=ended))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="ticks of each kind that count")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--patterns", type=int, nargs="+", default=[20, 200])
    options = parser.parse_args()
    table = Table("processes", "patterns", "tick, off", "tick, otlp", "KB sent", "KB kept", title="CPU ms of a tick")
    for processes in options.processes:
        for patterns in options.patterns:
            with tempfile.TemporaryDirectory() as folder, http_receiver() as receiver:
                found: dict[str, list[float]] = {"off": [], "otlp": []}
                for minute in range(options.rounds + 1):
                    for kind, times in found.items():
                        store = Path(folder) / kind
                        _flush(store, processes, patterns, minute)
                        times.append(_cpu_ms(store, kind, receiver.url))
                kept = (Path(folder) / "otlp" / "exports" / "opentelemetry" / "state").stat().st_size
            sent = int(receiver.headers[-1]["Content-Length"])
            medians = [f"{statistics.median(times[1:]):.0f}" for times in found.values()]
            table.add_row(str(processes), str(patterns), *medians, f"{sent / 1e3:.0f}", f"{kept / 1e3:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
