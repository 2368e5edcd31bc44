"""
What a store takes, from a thousand rows to ten million, beside what it may take.

Each store has fourteen days of minutes by 500 patterns, twelve weeks more by hour and day, and 10,000 patterns it knows
(`stores/filling.py`). Everything is done through the function that users call. Rounds go through all sizes and
all that is measured, so that what else the machine does meets all of them; figures are medians, in milliseconds
unless their name says something else, and what was the least is told too, as other work can only add to it. A limit is
that of stores of up to a million rows, and of larger ones, and meant for medians.

The second table is of 200 patterns in eight processes of one service, which flush every ten seconds and are folded each
minute: bytes by row and day, and what hosts and ticks spend.

Run with `make bench SCRIPT=store.py`; `ARGS="--rows 10000000"` names other sizes. `--json` prints the figures for
machines. Ends with status 1 if anything is over its limit.
"""

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
from rich.console import Console
from rich.progress import track
from rich.table import Table

from querygauge.storage.database import scratch_connection
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.values import Pattern
from stores.asked import answers, labelled, missed_percent, questions
from stores.filling import fill, opened
from stores.flushed import made_patterns
from stores.growth import grown, ticked
from stores.limits import LIMITS, Figures, exceeded, limit_of
from stores.upkeep import backed_up, elapsed_ms, folded, reported, retained

_SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
_KNOWN: Final = 10_000


def _asked(paths: StorePaths, now: datetime) -> Figures:
    found: Figures = {}
    with scratch_connection(paths, threads=2) as connection, opened(connection, paths, read_only=True):
        for name, sql in questions(now).items():
            found[name] = elapsed_ms(lambda sql=sql: connection.execute(sql).fetchall())  # type: ignore[misc]
    for name, ask in answers(open_store(paths.root), now).items():
        found[name] = elapsed_ms(ask)
    return found


def _round(paths: StorePaths, now: datetime, patterns: Sequence[Pattern], dice: random.Random) -> Figures:
    found = _asked(paths, now)
    found |= folded(paths, now, patterns, dice)
    found |= reported(paths, now)
    found |= backed_up(paths)
    return found | retained(paths, now)


def _filled(root: Path, rows: int, now: datetime, patterns: Sequence[Pattern]) -> tuple[StorePaths, Figures]:
    paths = StorePaths(root / str(rows))
    fill(paths, rows, now, patterns)
    publish(paths, Limits(), now)
    missed = missed_percent(open_store(paths.root))
    return paths, {
        "MB of the database": paths.database.stat().st_size / 1e6,
        "similar: not among the first three, %": missed,
    }


def measure(sizes: Sequence[int], rounds: int) -> tuple[dict[int, Figures], dict[int, Figures]]:
    """Medians by name for each number of rows, and what was the least."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    others = [pattern for two in labelled() for pattern in two]
    patterns = made_patterns(_KNOWN)[: _KNOWN - len(others)] + others
    dice, times = random.Random(5), {rows: dict[str, list[float]]() for rows in sizes}
    with TemporaryDirectory() as folder:
        filled = {rows: _filled(Path(folder), rows, now, patterns) for rows in sizes}
        for _ in track(range(rounds), "rounds", console=Console(stderr=True), transient=True):
            for rows, (paths, _) in filled.items():
                for name, value in _round(paths, now, patterns, dice).items():
                    times[rows].setdefault(name, []).append(value)
    medians, least = (
        {rows: filled[rows][1] | {name: of(each) for name, each in times[rows].items()} for rows in sizes}
        for of in (statistics.median, min)
    )
    return medians, least


def _print(sizes: dict[int, Figures], least: dict[int, Figures], growth: Figures) -> None:
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, duckdb {duckdb.__version__}"
    table = Table(title=f"a store by its rows, median and least; {machine}", title_justify="left")
    for column in ("ms", *(f"{rows:,} rows" for rows in sizes), "limit", "beyond a million"):
        table.add_column(column, justify="left" if column == "ms" else "right")
    for name in next(iter(sizes.values())):
        values = [_told(sizes[rows][name], least[rows][name], limit_of(name, rows)) for rows in sizes]
        limits = ("" if limit is None else f"{limit:,.0f}" for limit in LIMITS.get(name, (None, None)))
        table.add_row(name, *values, *limits)
    Console(width=80 + 20 * len(sizes)).print(table)
    for name, value in growth.items():
        print(f"{name:44}{value:>10,.1f}")


def _told(median: float, least: float, limit: float | None) -> str:
    text = f"{median:,.1f}" if median == least else f"{median:,.1f} ({least:,.1f})"
    return f"[red]{text}[/]" if limit is not None and median > limit else text


def main() -> None:
    """Measures, prints, and tells what is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", nargs="+", type=int, default=_SIZES, help="of query_stats, by minute")
    parser.add_argument("--rounds", type=int, default=5, help="medians are of so many")
    parser.add_argument("--minutes", type=int, default=10, help="that are folded and repeated over a day")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    sizes, least = measure(options.rows, options.rounds)
    growth = grown(options.minutes, now, made_patterns(500)) | ticked(options.rounds, now, made_patterns(500))
    over = exceeded(sizes)
    if options.json:
        told = {"sizes": sizes, "least": least, "growth": growth, "limits": LIMITS, "exceeded": over}
        json.dump({"duckdb": duckdb.__version__, **told}, sys.stdout, indent=1)
    else:
        _print(sizes, least, growth)
    for each in over:
        print(f"over its limit: {each}", file=sys.stderr)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
