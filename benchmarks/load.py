"""
What a steady load costs: CPU time of one core that hooks, flush and fold take at 1,000 statements a second.

Requests of five statements, a transaction each, of 200 patterns in all, come at a fixed rate over SQLite in memory, in
a process with querygauge and its store as they are by default and in one without, in turn. `bare` stands twice, as in
overhead.py. The collector's ticks are processes of their own, which are waited for and counted. A turn lasts two
minutes, and has the two ticks of two minutes; the first of them makes the database.

Run with `make bench SCRIPT=load.py`; `--json` prints the figures for machines.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import QueuePool

import querygauge

_ARMS: Final = ("bare", "querygauge", "bare again")
_A_REQUEST: Final = 5
_LIMIT_PERCENT: Final = 1.0


@dataclass(frozen=True)
class Figure:
    """Medians over the turns, in percent of one core; hooks run in the thread that sends, and are in its time."""

    arm: str
    sending_percent: float
    flush_percent: float
    ticks_percent: float
    added_percent: float


def _requests(engine: Engine, patterns: int, rate: float, seconds: float) -> None:
    """Sends them at their times; one that is late is sent at once."""
    # No two are one pattern, as names that differ by a number would be.
    names = ("".join(letters) for letters in product(ascii_lowercase, repeat=3))
    statements = [text(f"SELECT :id AS of_{name}") for name in islice(names, patterns)]
    began, pause = time.perf_counter(), _A_REQUEST / rate
    for request in range(int(seconds / pause)):
        time.sleep(max(0.0, began + request * pause - time.perf_counter()))
        with engine.begin() as connection:
            for number in range(_A_REQUEST):
                connection.execute(statements[(request * _A_REQUEST + number) % patterns], {"id": request}).all()


def work(arm: str, patterns: int, rate: float, seconds: float) -> tuple[float, float, float]:
    """CPU seconds of the thread that sends, after a second of warming up, of other threads, and of ticks."""
    engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=1)
    with tempfile.TemporaryDirectory() as folder:
        gauge = querygauge.instrument(engine, store=Path(folder) / "store") if arm == "querygauge" else None
        _requests(engine, patterns, rate, 1)
        before, all_before = time.thread_time(), time.process_time()
        _requests(engine, patterns, rate, seconds)
        sending = time.thread_time() - before
        others = time.process_time() - all_before - sending
        if gauge is not None:
            gauge.close()
        with suppress(ChildProcessError):
            while True:
                os.wait()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sending, others, children.ru_utime + children.ru_stime


def measure(turns: int, options: Sequence[str], seconds: float) -> list[Figure]:
    """Every arm in a process of its own, in turn."""
    spent: dict[str, list[list[float]]] = {arm: [] for arm in _ARMS}
    for turn in track(range(turns * len(_ARMS)), "turns", console=Console(stderr=True), transient=True):
        arm = _ARMS[turn % len(_ARMS)]
        command = [sys.executable, __file__, "--arm", arm, *options]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        spent[arm].append([100 * cpu_s / seconds for cpu_s in json.loads(answer)])
    medians = {arm: tuple(map(statistics.median, zip(*rows, strict=True))) for arm, rows in spent.items()}
    bare = sum(medians["bare"])
    return [
        Figure(arm, sending, flush, ticks, sending + flush + ticks - bare)
        for arm, (sending, flush, ticks) in medians.items()
    ]


def main() -> None:
    """Measures and prints; ends with status 1 where the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rate", type=float, default=1_000, help="statements a second")
    parser.add_argument("--patterns", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120, help="of one turn; whole minutes have one tick each")
    parser.add_argument("--turns", type=int, default=2, help="of each arm")
    parser.add_argument("--arm", choices=_ARMS, help="do the work of one arm, and print its CPU seconds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if arguments.arm is not None:
        print(json.dumps(work(arguments.arm, arguments.patterns, arguments.rate, arguments.seconds)))
        return
    options = [
        "--rate",
        str(arguments.rate),
        "--patterns",
        str(arguments.patterns),
        "--seconds",
        str(arguments.seconds),
    ]
    figures = measure(arguments.turns, options, arguments.seconds)
    if arguments.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=1))
    else:
        title = f"{arguments.rate:,.0f} statements a second of {arguments.patterns} patterns, in % of one core"
        table = Table("arm", title=title, title_justify="left")
        for heading in ("sending thread", "flush thread", "ticks", "added"):
            table.add_column(heading, justify="right")
        for figure in figures:
            numbers = (figure.sending_percent, figure.flush_percent, figure.ticks_percent, figure.added_percent)
            table.add_row(figure.arm, *(f"{number:.2f}" for number in numbers))
        Console().print(table)
    added = next(figure.added_percent for figure in figures if figure.arm == "querygauge")
    if added >= _LIMIT_PERCENT:
        raise SystemExit(f"added {added:.2f} % of one core; the limit is {_LIMIT_PERCENT:g} %")


if __name__ == "__main__":
    main()
