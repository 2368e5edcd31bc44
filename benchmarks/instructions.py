"""
What querygauge adds to a statement and to a unit of work, in instructions, beside an empty listener.

Where the time of two equal things differs by more than what is to be told (`make bench` says so, in the arm `bare
again`), instructions still tell: they are the same each time. Counted by valgrind, without randomised addresses and
hashes, and without collections of garbage; querygauge's flush thread is kept from running. Both are in the figures of
`load.py`. Instructions are not time: how many of them a processor does in a nanosecond depends on what is in its
caches.

Run with `make bench SCRIPT=instructions.py`, some two minutes a kind of work; `--arms` adds products, `--json` prints
the figures for machines. Needs valgrind and util-linux's `setarch`. asyncpg's statements need PostgreSQL, as in
overhead.py.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from costs.arms import ARMS, BARE, PAIR
from costs.counted import OPERATIONS
from costs.work import WORK
from databases.postgres import running_postgres

_HERE: Final = Path(__file__).parent
_WITHOUT_PRODUCTS: Final = (BARE, "bare again", PAIR, "querygauge")
_ON_POSTGRES: Final = "asyncpg fetch"
_COUNTER: Final = (
    "setarch",
    "-R",
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
)
_COUNTED: Final = re.compile(r"^==(\d+)== I\s+refs:\s+([\d,]+)", re.MULTILINE).findall
_SETTINGS: Final = {
    "QUERYGAUGE_FLUSH_INTERVAL_S": "3600",
    "QUERYGAUGE_SLOW_QUERY_THRESHOLD_MS": "60000",  # everything takes fifty times as long
}


@dataclass(frozen=True)
class Figure:
    """Thousands of instructions per operation, those added, their range, and their part of what the pair adds."""

    arm: str
    total_k: float
    added_k: float
    from_k: float
    to_k: float
    of_pair: float


def _count(arm: str, work: str, url: str, seed: int) -> float:
    """Instructions per operation."""
    command = [*_COUNTER, sys.executable, "-m", "costs.counted", arm, work, url]
    settings = {**os.environ, **_SETTINGS, "PYTHONHASHSEED": str(seed)}
    ended = subprocess.run(command, cwd=_HERE, env=settings, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{arm} could not do its work ({work}):\n{ended.stderr}")
    by_process = {process: int(count.replace(",", "")) for process, count in _COUNTED(ended.stderr)}
    fewer, more = (by_process[line.split()[0]] for line in ended.stdout.splitlines())
    return (more - fewer) / (OPERATIONS[1] - OPERATIONS[0])


def measure(arms: Sequence[str], work: str, url: str, seeds: int) -> list[Figure]:
    """Figures of the arms, bare and the pair among them, for one kind of work."""
    asked = [(arm, seed + seeds * (arm == "bare again")) for arm in arms for seed in range(seeds)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counting = pool.map(lambda one: _count(one[0], work, url, one[1]), asked)
        console = Console(stderr=True)
        counts = list(track(counting, work, total=len(asked), console=console, transient=True))
    by_arm = {arm: counts[place * seeds : (place + 1) * seeds] for place, arm in enumerate(arms)}
    added = {
        arm: [count - bare for count, bare in zip(of_arm, by_arm[BARE], strict=True)] for arm, of_arm in by_arm.items()
    }
    pair = statistics.median(added[PAIR])
    return [
        Figure(
            arm,
            statistics.median(by_arm[arm]) / 1e3,
            statistics.median(more) / 1e3,
            min(more) / 1e3,
            max(more) / 1e3,
            statistics.median(more) / pair,
        )
        for arm, more in added.items()
    ]


def _print(title: str, figures: Sequence[Figure], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for heading in ("arm", "thousand instructions", "added", "from … to", "of the empty listener"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for figure in figures:
        spread = f"{figure.from_k:+.1f} … {figure.to_k:+.1f}"
        table.add_row(figure.arm, f"{figure.total_k:.1f}", f"{figure.added_k:+.1f}", spread, f"{figure.of_pair:.2f}")
    console.print(table)


def main() -> None:
    """Counts and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=_WITHOUT_PRODUCTS, help="besides bare and the pair")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of hashes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    arms = [arm for arm in ARMS if arm in {BARE, PAIR, *arguments.arms}]
    for tool in ("setarch", "valgrind"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not there, which counts instructions; apt-get install valgrind util-linux")
    with ExitStack() as stack:
        url = stack.enter_context(running_postgres()) if _ON_POSTGRES in arguments.work else None
        at = "" if url is None else url.render_as_string(hide_password=False)
        found = {work: measure(arms, work, at, arguments.seeds) for work in arguments.work}
    if arguments.json:
        print(json.dumps({title: [asdict(figure) for figure in figures] for title, figures in found.items()}, indent=1))
        return
    for title, figures in found.items():
        _print(title, figures, Console())


if __name__ == "__main__":
    main()
