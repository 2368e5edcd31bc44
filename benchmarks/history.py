"""
What the history of a store costs: its questions at several sizes, its upkeep, and what keys and indexes would cost.

A store is filled with statistics of 500 patterns by minute, as one service writes them, until it has so many rows,
ended now, and rolled up. Questions are those of a dashboard, asked as anybody's DuckDB asks them, on a connection that
has two threads; each is the best of five. Answers are whole calls of `open_store(…)`, with opening and closing the
database; `similar` is asked of 10,000 patterns in a store of their own. `fold` is of the snapshots of one process with
100 patterns, the whole call and the time for which the database is locked. The report of a week is that of the week
under way, made of the files of its days. The second table has one query_stats without keys, with an index and with a
primary key, filled in turn by a hundred thousand rows at a time.

Run with `make bench SCRIPT=history.py`, seconds for the first sizes and minutes for ten million rows; `--rows` names
the sizes, `--json` prints the figures for machines.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
from rich.console import Console
from rich.progress import track
from rich.table import Table

from querygauge.histogram import Histogram
from querygauge.storage import folding
from querygauge.storage.answers.similarity import similar_patterns
from querygauge.storage.database import Connection, attached, create_database, scratch_connection
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.store import Store
from querygauge.values import OutcomeCounts, Pattern, QueryStats, Snapshot

_SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
_PATTERNS: Final = 500
_A_TIME: Final = 1_440  # minutes filled by one statement
_ROUNDS: Final = 5
_ROWS: Final = """
SELECT
    $first::TIMESTAMP + to_minutes(m::INTEGER) AS "minute", 'shop' AS service, 'main' AS target,
    printf('%016x', p) AS pattern_id, CASE WHEN p % 3 > 0 THEN 'GET /' || (p % 17) END AS scope,
    CASE WHEN p % 3 > 0 THEN MAP {'tenant': 't' || (p % 7), 'plan': 'p' || (p % 2)} ELSE MAP() END AS tags,
    list_sum(bucket_n)::BIGINT AS executions, executions - 1 AS ok, 1 AS error, 0 AS timeout, 0 AS cancelled, 2 AS slow,
    5 * executions AS "rows", executions AS rows_known,
    executions * (1_000_000 + hash(p, m) % 900_000)::BIGINT AS total_ns,
    100_000 AS min_ns, 90_000_000 AS max_ns, "minute" AS first_seen, "minute" AS last_seen, bucket_k, bucket_n,
    ['shop/orders.py:' || p || ' in find'] AS lines, [executions] AS line_counts, 0 AS pool_wait_ns, 0 AS connect_ns,
    0 AS begin_ns, 0 AS prepare_ns, 0 AS fetch_ns, 0 AS stream_ns, 0 AS commit_ns, 0 AS loop_lag_ns
FROM (
    SELECT
        m, p, [(-300 + p % 200 + 2 * i + (hash(m, p) % 3)::INTEGER)::SMALLINT for i in range(24)] AS bucket_k,
        [(1 + hash(m, p, i) % 40)::BIGINT for i in range(24)] AS bucket_n
    FROM range($from, $to) AS minutes(m), range($patterns) AS patterns(p)
    ORDER BY m, p
)
"""
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

Figures = dict[str, float]


def _ms(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - started)


def _best_ms(connection: Connection, sql: str, rounds: int = _ROUNDS) -> float:
    return min(_ms(lambda: connection.execute(sql).fetchall()) for _ in range(rounds))


@contextmanager
def _store(connection: Connection, paths: StorePaths, *, read_only: bool) -> Iterator[None]:
    with attached(connection, paths.database, read_only=read_only, timeout_s=10.0):
        connection.execute("USE store")
        yield
        connection.execute("USE memory")


def _fill(paths: StorePaths, rows: int, now: datetime) -> None:
    """So many rows, the last of them of the minute before now."""
    paths.create()
    create_database(paths)
    minutes = rows // _PATTERNS
    first = (now - timedelta(minutes=minutes)).replace(tzinfo=None)
    with scratch_connection(paths) as connection, _store(connection, paths, read_only=False):
        title = f"{rows:,} rows"
        for begin in track(range(0, minutes, _A_TIME), title, console=Console(stderr=True), transient=True):
            parts = {"first": first, "from": begin, "to": min(begin + _A_TIME, minutes), "patterns": _PATTERNS}
            connection.execute(f"INSERT INTO query_stats BY NAME {_ROWS}", parts)
        connection.execute(
            """
            INSERT INTO patterns
            SELECT
                printf('%016x', p), 'SELECT ' || p, 'SELECT t' || p, 'SELECT', ['t'], 'sqlite', 'query', $first, $first
            FROM range($patterns) AS patterns(p)
            """,
            {"first": first, "patterns": _PATTERNS},
        )
        connection.execute(
            "INSERT INTO pending_rollups SELECT DISTINCT unnest(['hour', 'day']), "
            """unnest([date_trunc('hour', "minute"), date_trunc('day', "minute")]) FROM query_stats"""
        )


def _questions(now: datetime) -> dict[str, str]:
    def since(days: float) -> str:
        return f"'{(now - timedelta(days=days)).replace(tzinfo=None)}', '{now.replace(tzinfo=None)}'"

    return {
        "p95 by hour, 7 days": f"FROM quantiles_over_time({since(7)})",
        "top patterns, 24 hours": (
            f"SELECT pattern_id, sum(total_ns) AS ns FROM query_history({since(1)}, false) "
            "GROUP BY pattern_id ORDER BY ns DESC LIMIT 10"
        ),
        "performance by tag, 24 hours": f"FROM history_by(unnest(map_entries(h.tags)), {since(1)}, false)",
        "percentiles of all patterns, 24 hours": f"FROM pattern_quantiles({since(1)})",
        "percentiles of all patterns, 7 days": f"FROM pattern_quantiles({since(7)})",
        "one pattern by day, 30 days": (
            f"FROM quantiles_over_time({since(30)}, width := '1 day', pattern := '0000000000000007')"
        ),
    }


def _answers(store: Store) -> dict[str, Callable[[], object]]:
    return {
        "status": store.status,
        "execution_statistics, 24 hours": store.execution_statistics,
        "execution_statistics, 7 days": lambda: store.execution_statistics("7d"),
        "performance_metrics, 7 days": lambda: store.performance_metrics("7d"),
        "compare, 24 hours with those before": store.compare,
        "cost, 24 hours and four weeks before": lambda: store.cost("24h"),
        "quality, 7 days": store.quality,
        "errors, 24 hours": store.errors,
    }


def _similar_ms() -> float:
    """Of 10,000 patterns with some ten columns and two tables each; the best of five."""
    dice = random.Random(1)
    tables, columns = ([f"{kind}_{number}" for number in range(130)] for kind in ("table", "column"))

    def text() -> str:
        one, two = dice.sample(tables, 2)
        chosen = ", ".join(f"{one}.{name}" for name in dice.sample(columns, dice.randrange(3, 14)))
        filters = " AND ".join(f"{one}.{name} = ?" for name in dice.sample(columns, dice.randrange(1, 4)))
        return f"SELECT {chosen} FROM {one} JOIN {two} ON {two}.id = {one}.{two}_id WHERE {filters} LIMIT ?"

    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        paths.create()
        create_database(paths)
        with scratch_connection(paths) as connection, _store(connection, paths, read_only=False):
            connection.execute(
                """
                INSERT INTO patterns
                SELECT
                    printf('%016x', row_number() OVER ()), text, 'SELECT t', 'SELECT', ['t'], 'sqlite', 'query',
                    '2026-01-01', '2026-01-01'
                FROM (SELECT unnest($texts) AS text)
                """,
                {"texts": [text() for _ in range(10_000)]},
            )
        with scratch_connection(paths, threads=2) as connection, _store(connection, paths, read_only=True):
            return min(_ms(lambda: similar_patterns(connection, f"{7:016x}", 5)) for _ in range(_ROUNDS))


def _snapshot(now: datetime) -> Snapshot:
    durations = Histogram.of([round(1e6 * 1.05**step) for step in range(40)])
    queries = tuple(
        QueryStats(
            Pattern(f"{number:016x}", f"SELECT {number}", f"SELECT t{number}", "SELECT", ("t",), "sqlite"),
            "main", OutcomeCounts(ok=durations.count), 0, 0, 0, durations, now, now,
        )
        for number in range(100)
    )  # fmt: skip
    return Snapshot("shop", "web:1", now - timedelta(seconds=10), now, queries)


def _fold_ms(paths: StorePaths, now: datetime) -> tuple[float, float]:
    """The whole call, and how long the database is locked for writing; medians."""
    locked: list[float] = []

    @contextmanager
    def watched(*arguments: object, read_only: bool, timeout_s: float) -> Iterator[int]:
        started = time.perf_counter()
        with attached(*arguments, read_only=read_only, timeout_s=timeout_s) as version:  # type: ignore[arg-type]
            yield version
        if not read_only:
            locked.append(1e3 * (time.perf_counter() - started))

    times = []
    vars(folding)["attached"] = watched
    for _ in range(_ROUNDS):
        SpoolSink(paths.root, 100).write(_snapshot(now))
        times.append(_ms(lambda: folding.fold(paths)))
    vars(folding)["attached"] = attached
    return statistics.median(times), statistics.median(locked)


def _published_ms(paths: StorePaths, now: datetime) -> Figures:
    """Everything at once, then a tick's share while the day under way goes on, and one week of it."""
    limits = Limits()
    found = {"all days and weeks published": _ms(lambda: publish(paths, limits, now))}
    SpoolSink(paths.root, 100).write(_snapshot(now))
    folding.fold(paths)
    found["the day under way published"] = _ms(lambda: publish(paths, limits, now, is_hourly=True))
    found["the report of a week"] = _ms(lambda: publish(paths, limits, now))
    found["nothing to publish"] = _ms(lambda: publish(paths, limits, now))
    found["KB published"] = sum(path.stat().st_size for path in paths.published.rglob("*.parquet")) / 1e3
    with duckdb.connect(str(paths.views), read_only=True) as connection:
        for view in ("perf_all_weeks", "perf_top_patterns"):
            found[view] = _best_ms(connection, f"FROM {view}")
    return found


def measure(rows: int) -> Figures:
    """Milliseconds, but for megabytes and kilobytes, of a store of so many rows."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    found: Figures = {}
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        _fill(paths, rows, now)
        found["MB of the database"] = paths.database.stat().st_size / 1e6
        found["bytes a row"] = paths.database.stat().st_size / rows
        found["one hour or day rolled up"] = _ms(lambda: roll_up(paths, now, most=1))
        roll_up(paths, now)
        with scratch_connection(paths, threads=2) as connection, _store(connection, paths, read_only=True):
            for name, sql in _questions(now).items():
                found[name] = _best_ms(connection, sql)
        for name, ask in _answers(open_store(paths.root)).items():
            found[name] = min(_ms(ask) for _ in range(_ROUNDS))
        found["fold of 100 rows"], found["fold of 100 rows: locked"] = _fold_ms(paths, now)
        found |= _published_ms(paths, now)
        found["retention"] = _ms(lambda: retain(paths, Limits(3, 7, 30), now))
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
                parts = {"first": first, "from": 0, "to": rows // _PATTERNS, "patterns": _PATTERNS}
                connection.execute(f"CREATE TABLE made AS {_ROWS}", parts)
                connection.execute(f"ATTACH '{path}' AS other (STORAGE_VERSION 'v1.0.0')")
                connection.execute(made)
                for begin in range(0, rows, 100_000):
                    sql = f"INSERT INTO other.t FROM memory.made WHERE rowid >= {begin} AND rowid < {begin + 100_000}"
                    figures.setdefault("100,000 rows put in", []).append(_best_ms(connection, sql, 1))
                for name, sql in _KEY_QUESTIONS.items():
                    figures.setdefault(name, []).append(_best_ms(connection, sql))
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
    sizes = {f"{rows:,} rows": measure(rows) for rows in arguments.rows}
    keys = measure_keys(500_000)
    similar_ms = _similar_ms()
    if arguments.json:
        json.dump(
            {"duckdb": duckdb.__version__, "sizes": sizes, "keys": keys, "similar_ms": similar_ms}, sys.stdout, indent=1
        )
        return
    _print(f"a store by its rows, {_PATTERNS} patterns; duckdb {duckdb.__version__}", sizes)
    _print("500,000 rows with and without keys", keys)
    Console().print(f"similar, of 10,000 patterns: {similar_ms:,.1f} ms")


if __name__ == "__main__":
    main()
