"""
Whether a storm of slow statements takes longer where somebody is told of it: its latency and CPU time, arm by arm.

100,000 statements a minute of 50 patterns, each of them slow, come at a fixed rate over SQLite in memory, in a process
with its store and collector: without alerts; with the collector's, which look at every tick and send to a web server
that takes a fifth of a second to answer; and with a handler in the process besides. `no alerts` stands twice, so that
what its second differs by is how far two equal things differ here. Ticks come every three seconds, not every sixty, and
each turn has a store of its own and so a message of its own. Beside the latency, which also has what ticks and others
take of the processor, the CPU time of the thread that sends is told, by statement. Arms are in turn, each round from
another first one; a ratio is that to `no alerts` of the same round, and the figure the median of the rounds, with the
lowest and highest.

Run with `make bench SCRIPT=alerting.py`; `--json` prints the figures for machines. It asserts nothing: a machine at
work tells little of single microseconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import StaticPool

import querygauge

_ARMS: Final = ("no alerts", "alerts", "alerts and a handler", "no alerts again")
_PATTERNS: Final = 50
_RATE: Final = 100_000 / 60
_WARM_UP_S: Final = 1.0
_SLOW_MS: Final = 0.0001  # which every statement takes
_ANSWER_S: Final = 0.2


@dataclass(frozen=True)
class Figure:
    """Microseconds of a statement, medians of the rounds; ratios to `no alerts`, their median, lowest and highest."""

    arm: str
    messages: int
    median_us: float
    p99_us: float
    cpu_us: float
    median_ratio: tuple[float, float, float]
    p99_ratio: tuple[float, float, float]
    cpu_ratio: tuple[float, float, float]


def _latencies(engine: Engine, seconds: float) -> list[int]:
    """Of statements that come at their times; one that is late is sent at once."""
    names = ("".join(letters) for letters in product(ascii_lowercase, repeat=2))
    statements = [text(f"SELECT 1 AS of_{name}") for name in islice(names, _PATTERNS)]
    taken = []
    began = time.perf_counter()
    with engine.connect() as connection:
        for number in range(int(seconds * _RATE)):
            time.sleep(max(0.0, began + number / _RATE - time.perf_counter()))
            at = time.perf_counter_ns()
            connection.execute(statements[number % _PATTERNS]).all()
            taken.append(time.perf_counter_ns() - at)
    return taken


def work(arm: str, seconds: float) -> tuple[float, float, float]:
    """Median, 99th percentile and CPU time of a statement in microseconds, under the settings of this directory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    gauge = querygauge.instrument(
        engine,
        store=Path("store"),
        slow_query_threshold_ms=_SLOW_MS,
        flush_interval_s=1,
        tick_interval_s=3,
        enable_logging=False,
        enable_alerting=arm == "alerts and a handler",
    )
    told: list[object] = []
    if arm == "alerts and a handler":
        gauge.queries.add_alert_handler(querygauge.RateLimitedAlertHandler(told.append, max_per_minute=10))
    _latencies(engine, _WARM_UP_S)
    before = time.thread_time()
    taken = _latencies(engine, seconds)
    cpu_us = 1e6 * (time.thread_time() - before) / len(taken)
    gauge.close()
    with suppress(ChildProcessError):
        while True:
            os.wait()
    return statistics.median(taken) / 1e3, statistics.quantiles(taken, n=100)[-1] / 1e3, cpu_us


@contextmanager
def _receiver() -> Iterator[tuple[str, list[int]]]:
    """A web server that takes its time; gives its address, and the size of each message."""
    sizes: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sizes.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(_ANSWER_S)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", sizes
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _turn(arm: str, seconds: float, url: str, sizes: list[int]) -> tuple[list[float], int]:
    """What a process of its own takes, in a directory of its own, and how many messages came of it."""
    before = len(sizes)
    is_told = str(arm.startswith("alerts")).lower()
    with tempfile.TemporaryDirectory() as folder:
        # Patterns that are slow as such would be told after five minutes, single executions are at once.
        Path(folder, "querygauge.toml").write_text(
            f"[alerts]\nenabled = {is_told}\n[alerts.thresholds]\np95_ms = 1000000\n"
            f'[alerts.channels.web]\ntype = "webhook"\nurl = "{url}"\nseverity = "info"\n'
        )
        command = [sys.executable, os.path.realpath(__file__), "--arm", arm, "--seconds", str(seconds)]
        answer = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(answer), len(sizes) - before


def measure(rounds: int, seconds: float) -> list[Figure]:
    """Every arm in every round."""
    taken: dict[str, list[tuple[list[float], int]]] = {arm: [] for arm in _ARMS}
    with _receiver() as (url, sizes):
        for number in track(range(rounds * len(_ARMS)), "turns", console=Console(stderr=True), transient=True):
            place = (number + number // len(_ARMS)) % len(_ARMS)
            taken[_ARMS[place]].append(_turn(_ARMS[place], seconds, url, sizes))
    return [_figure(arm, turns, taken[_ARMS[0]]) for arm, turns in taken.items()]


def _figure(arm: str, turns: list[tuple[list[float], int]], base: list[tuple[list[float], int]]) -> Figure:
    mine, theirs = ([took for took, _ in some] for some in (turns, base))
    ratios = [sorted(one[of] / other[of] for one, other in zip(mine, theirs, strict=True)) for of in range(3)]
    told = ((statistics.median(each), each[0], each[-1]) for each in ratios)
    median_us, p99_us, cpu_us = (statistics.median(took[of] for took in mine) for of in range(3))
    return Figure(arm, sum(messages for _, messages in turns), median_us, p99_us, cpu_us, *told)


def _shown(ratio: tuple[float, float, float]) -> str:
    return f"{ratio[0]:.2f} ({ratio[1]:.2f} … {ratio[2]:.2f})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=12, help="of one turn")
    parser.add_argument("--arm", choices=_ARMS, help="do the work of one arm, and print its figures")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if arguments.arm is not None:
        print(json.dumps(work(arguments.arm, arguments.seconds)))
        return
    figures = measure(arguments.rounds, arguments.seconds)
    if arguments.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=1))
        return
    table = Table("arm", title="a statement in a storm", title_justify="left")
    for heading in ("messages", "median", "p99", "CPU", "median / no alerts", "p99", "CPU"):
        table.add_column(heading, justify="right")
    for figure in figures:
        numbers = (f"{number:.1f} µs" for number in (figure.median_us, figure.p99_us, figure.cpu_us))
        ratios = map(_shown, (figure.median_ratio, figure.p99_ratio, figure.cpu_ratio))
        table.add_row(figure.arm, str(figure.messages), *numbers, *ratios)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
