"""
What beside asking a store costs: publishing its days and weeks, and what keys and indexes on its statistics would cost.

The stores are those of `store.py`. The first publication is of all days and weeks, the second of the day under way, as
a tick does it every five minutes, the third of its week too. The second table has one query_stats without keys, with
an index and with a primary key, filled in turn by a hundred thousand rows at a time.

Run with `make bench SCRIPT=history.py`; `--rows` names the sizes, `--json` prints the figures for machines.
"""

import argparse
import json
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
from rich.console import Console
from rich.table import Table

from querygauge.storage.database import Connection
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Pattern
from stores.filling import PATTERNS, ROWS, SHAPES, fill
from stores.flushed import made_patterns, with_details
from stores.limits import Figures
from stores.upkeep import elapsed_ms

_SIZES: Final = (100_000, 1_000_000)
_ROUNDS: Final = 5
_KEYS: Final = {
    "no key": "CREATE TABLE other.t AS FROM memory.made LIMIT 0",
    "an index": "CREATE TABLE other.t AS FROM memory.made LIMIT 0; CREATE INDEX i ON other.t (pattern_id)",
    "a primary key": """
        CREATE TABLE other.t AS FROM memory.made LIMIT 0;
        ALTER TABLE other.t ADD PRIMARY KEY ("minute", service, target, pattern_id)
    """,
}
_KEY_QUESTIONS: Final = {
    "one pattern": "SELECT sum(executions) FROM other.t WHERE pattern_id = '0000000000000007'",
    "an hour": """
        SELECT sum(executions) FROM other.t WHERE "minute" BETWEEN '2026-01-01 02:00' AND '2026-01-01 03:00'
    """,
}


def _median_ms(connection: Connection, sql: str, rounds: int = _ROUNDS) -> float:
    return statistics.median(elapsed_ms(lambda: connection.execute(sql).fetchall()) for _ in range(rounds))


def measure(rows: int, patterns: list[Pattern]) -> Figures:
    """Milliseconds, but for kilobytes, of a store of so many rows."""
    now, limits = datetime.now(UTC).replace(second=0, microsecond=0), Limits()
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        fill(paths, rows, now, patterns)
        found = {"all days and weeks published": elapsed_ms(lambda: publish(paths, limits, now))}
        SpoolSink(paths.root, 100).write(with_details("shop", "web:0", now, patterns))
        fold(paths)
        found["the day under way published"] = elapsed_ms(lambda: publish(paths, limits, now, is_hourly=True))
        found["the report of its week"] = elapsed_ms(lambda: publish(paths, limits, now))
        found["nothing to publish"] = elapsed_ms(lambda: publish(paths, limits, now))
        found["KB published"] = sum(path.stat().st_size for path in paths.published.rglob("*.parquet")) / 1e3
        with duckdb.connect(str(paths.views), read_only=True) as connection:
            for view in ("perf_all_weeks", "perf_top_patterns"):
                found[view] = _median_ms(connection, f"FROM {view}")
    return found


def measure_keys(rows: int) -> dict[str, Figures]:
    """By kind of key: milliseconds for a hundred thousand rows put in and for questions, and megabytes."""
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(3):
        for key, made in _KEYS.items():
            figures = found.setdefault(key, {})
            with TemporaryDirectory() as folder, duckdb.connect(":memory:", config={"threads": 1}) as connection:
                path = Path(folder) / "t.duckdb"
                first = datetime(2026, 1, 1)  # noqa: DTZ001  # as DuckDB's timestamps are
                connection.execute(SHAPES, {"patterns": PATTERNS})
                parts = {"minutes": rows // PATTERNS, "rows": rows, "from": 0, "to": rows, "patterns": PATTERNS}
                connection.execute(f"CREATE TABLE made AS {ROWS}", {"first": first, **parts})
                connection.execute(f"ATTACH '{path}' AS other (STORAGE_VERSION 'v1.0.0')")
                connection.execute(made)
                for begin in range(0, rows, 100_000):
                    sql = f"INSERT INTO other.t FROM memory.made WHERE rowid >= {begin} AND rowid < {begin + 100_000}"
                    figures.setdefault("100,000 rows put in", []).append(_median_ms(connection, sql, 1))
                for name, sql in _KEY_QUESTIONS.items():
                    figures.setdefault(name, []).append(_median_ms(connection, sql))
                connection.execute("DETACH other")
                figures.setdefault("MB of the database", []).append(path.stat().st_size / 1e6)
    return {key: {name: statistics.median(times) for name, times in each.items()} for key, each in found.items()}


def _print(title: str, columns: dict[str, Figures]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("ms")
    for name in columns:
        table.add_column(name, justify="right")
    for name in next(iter(columns.values())):
        table.add_row(name, *(f"{figures[name]:,.1f}" for figures in columns.values()))
    Console().print(table)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", nargs="+", type=int, default=_SIZES, help="of query_stats, by minute")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    patterns = made_patterns(PATTERNS)
    sizes = {f"{rows:,} rows": measure(rows, patterns) for rows in arguments.rows}
    keys = measure_keys(500_000)
    if arguments.json:
        json.dump({"duckdb": duckdb.__version__, "sizes": sizes, "keys": keys}, sys.stdout, indent=1)
        return
    _print(f"a store by its rows, {PATTERNS} patterns; duckdb {duckdb.__version__}", sizes)
    _print("500,000 rows with and without keys", keys)


if __name__ == "__main__":
    main()
