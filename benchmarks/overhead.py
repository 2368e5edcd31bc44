"""
What querygauge adds to a statement and to a unit of work, in CPU time, beside an empty listener and tracing products.

Every arm works in a process of its own, one at a time, in turn from a different first arm, so that all of them meet the
same machine; `bare` stands twice, and what its second adds is how far two equal things differ here. A figure is the
median of the differences to `bare` within a round. All processes are started anew a few times, as the layout of one may
favour it: `from … to` are the medians of each start.

Run with `make bench`; `--json` prints the figures for machines, `--rounds` sets how many, `--arms` and `--work` choose.
asyncpg's statements need PostgreSQL: one is started, unless QUERYGAUGE_TEST_POSTGRES names it.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from costs.arms import ARMS, BARE, PAIR, version_of
from costs.work import WORK
from databases.postgres import running_postgres

_HERE: Final = Path(__file__).parent
_ON_POSTGRES: Final = "asyncpg fetch"


@dataclass(frozen=True)
class Figure:
    """Medians in microseconds of CPU time per operation, and the lowest and highest of several starts."""

    arm: str
    version: str
    total_us: float
    added_us: float
    from_us: float
    to_us: float


@contextmanager
def _worker(arm: str, work: str, url: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "costs.worker", arm, work, url]
    with subprocess.Popen(command, cwd=_HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018  # pipes were asked for
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{arm} could not do its work ({work}); see above")
        yield process
        process.stdin.close()


def _round(process: "subprocess.Popen[str]") -> float:
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline()) / 1e3


def _start(arms: Sequence[str], work: str, url: str, rounds: int, label: str) -> dict[str, list[float]]:
    """The figures of each arm, round by round, of processes that were started for it."""
    with ExitStack() as stack:
        workers = {arm: stack.enter_context(_worker(arm, work, url)) for arm in arms}
        samples: dict[str, list[float]] = {arm: [] for arm in arms}
        for number in track(range(rounds), label, console=Console(stderr=True), transient=True):
            first = number % len(arms)
            for arm in (*arms[first:], *arms[:first]):
                samples[arm].append(_round(workers[arm]))
    return samples


def measure(arms: Sequence[str], work: str, url: str, starts: int, rounds: int) -> list[Figure]:
    """Figures of all arms for one kind of work."""
    runs = [_start(arms, work, url, rounds, f"{work}, {number + 1} of {starts}") for number in range(starts)]
    return [_figure(arm, runs) for arm in arms]


def _figure(arm: str, runs: Sequence[dict[str, list[float]]]) -> Figure:
    added = [[value - bare for value, bare in zip(run[arm], run[BARE], strict=True)] for run in runs]
    by_start = [statistics.median(start) for start in added]
    total = statistics.median(value for run in runs for value in run[arm])
    median = statistics.median(value for start in added for value in start)
    return Figure(arm, version_of(arm) or "", total, median, min(by_start), max(by_start))


def _print(title: str, figures: Sequence[Figure], console: Console) -> None:
    pair = next((figure.added_us for figure in figures if figure.arm == PAIR), None)
    table = Table(title=title, title_justify="left")
    for heading in ("arm", "CPU µs", "added µs", "from … to", "of the empty listener"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for figure in figures:
        of_pair = f"{figure.added_us / pair:.2f}" if pair else ""
        spread = f"{figure.from_us:+.2f} … {figure.to_us:+.2f}"
        name = f"{figure.arm} {figure.version}".strip()
        table.add_row(name, f"{figure.total_us:.2f}", f"{figure.added_us:+.2f}", spread, of_pair)
    console.print(table)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--starts", type=int, default=5, help="how often all processes are started anew")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of each start")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="`bare` is always among them")
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    arms = list(dict.fromkeys([BARE, *(arm for arm in arguments.arms if version_of(arm) is not None)]))
    for arm in arguments.arms:
        if arm not in arms:
            print(f"{arm} is left out: it is not installed", file=sys.stderr)
    with ExitStack() as stack:
        url = stack.enter_context(running_postgres()) if _ON_POSTGRES in arguments.work else None
        at = "" if url is None else url.render_as_string(hide_password=False)
        found = {work: measure(arms, work, at, arguments.starts, arguments.rounds) for work in arguments.work}
    if arguments.json:
        print(json.dumps({title: [asdict(figure) for figure in figures] for title, figures in found.items()}, indent=1))
        return
    for title, figures in found.items():
        _print(title, figures, Console())


if __name__ == "__main__":
    main()
