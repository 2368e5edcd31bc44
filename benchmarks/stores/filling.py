"""
A store as weeks of use leave it, made by DuckDB in minutes at most: in goes how many rows it has, out comes the store.

Rows of query_stats are spread over the last fourteen days and what there is of today. They are of 500 patterns, each of
one of four services, on one of two targets, two of three with a scope and two tags; ten million rows have nearly all of
them in each minute. Hours and days are rolled up from them as a tick does it, but several at once; twelve weeks before
are those two weeks over again by hour and day, as minutes are not kept for so long. For each 500 rows there is one
minute in which eight processes tell of their pools, scopes, errors and memory.

Deliberately not here: what is measured.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from rich.console import Console
from rich.progress import track

from querygauge.storage.database import Connection, attached, scratch_connection, statements
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Pattern
from stores.flushed import SERVICES, with_details

__all__ = ["PATTERNS", "ROWS", "SHAPES", "fill", "opened"]

PATTERNS: Final = 500
"""Patterns that are executed."""
_DAYS: Final = 14
_REPEATED: Final = 6  # times fourteen days before
_AT_ONCE: Final = 500_000
_TIMEOUT_S: Final = 10.0
_DAY: Final = timedelta(days=1)
_HOURS: Final = timedelta(hours=6)  # of ten million rows in minutes, so many are rolled up the fastest

SHAPES: Final = """
CREATE OR REPLACE TABLE memory.shapes AS
SELECT
    p, shape, ['shop', 'mail', 'stock', 'users'][1 + p % 4] AS service,
    CASE WHEN p % 5 = 0 THEN 'replica' ELSE 'main' END AS target, printf('%016x', p) AS pattern_id,
    CASE WHEN p % 3 > 0 THEN 'GET /' || (p % 40) END AS scope,
    CASE WHEN p % 3 > 0 THEN MAP {'plan': ['free', 'pro'][1 + p % 2], 'tenant': 't' || p % 7} ELSE MAP() END AS tags,
    list_sum(bucket_n)::BIGINT AS executions, executions - (shape = 0)::BIGINT AS ok, (shape = 0)::BIGINT AS error,
    0 AS timeout, 0 AS cancelled, (p % 50 = 0)::BIGINT AS slow, 5 * executions AS "rows", executions AS rows_known,
    list_sum([n * 1e9 * pow(2, (bucket_k[i] - 0.5) / 32) for n, i in bucket_n])::BIGINT AS total_ns,
    (1e9 * pow(2, (bucket_k[1] - 0.5) / 32))::BIGINT AS min_ns,
    (1e9 * pow(2, (bucket_k[-1] - 0.5) / 32))::BIGINT AS max_ns, bucket_k, bucket_n,
    [printf('%s/orders.py:%d in find', service, p)] AS lines, [executions] AS line_counts, 0 AS pool_wait_ns,
    0 AS connect_ns, 0 AS begin_ns, 0 AS prepare_ns, 0 AS fetch_ns, 0 AS stream_ns, 0 AS commit_ns, 0 AS loop_lag_ns
FROM (
    SELECT
        p, shape, [(-300 + p % 200 + 2 * i + (hash(p, shape) % 3)::INTEGER)::SMALLINT for i in range(24)] AS bucket_k,
        [(1 + hash(p, shape, i) % 40)::BIGINT for i in range(24)] AS bucket_n
    FROM range($patterns) AS patterns(p), range(16) AS shapes(shape)
)
"""
"""What a row may look like: sixteen of each pattern, with 24 buckets."""
ROWS: Final = """
SELECT
    $first::TIMESTAMP + to_minutes((i * $minutes // $rows)::INTEGER) AS "minute", shapes.* EXCLUDE (p, shape),
    "minute" AS first_seen, "minute" AS last_seen
FROM range($from, $to) AS numbers(i)
JOIN memory.shapes ON p = i * 7919 % $patterns AND shape = hash(i) % 16
ORDER BY i
"""
"""Rows in order of time; those of neighbouring numbers are of different patterns."""
_DETAILS: Final = ("scope_stats", "query_errors", "pool_stats", "process_stats")
_KNOWN: Final = """
INSERT INTO patterns
SELECT
    unnest($ids), unnest($texts), unnest($summaries), 'SELECT', unnest($tables), 'postgresql', 'query', $first, $first
"""


@contextmanager
def opened(connection: Connection, paths: StorePaths, *, read_only: bool) -> Iterator[None]:
    """The store, where statements and macros look for their tables."""
    with attached(connection, paths, read_only=read_only, timeout_s=_TIMEOUT_S):
        connection.execute("USE store")
        yield
        connection.execute("USE memory")


def fill(paths: StorePaths, rows: int, now: datetime, patterns: Sequence[Pattern]) -> None:
    """
    A new store with so many rows by minute, rolled up.

    Args:
        paths: Where it will be.
        rows: Of query_stats, beside the few of what is folded first.
        now: The end of its last minute, UTC.
        patterns: What it knows, the oldest first; the first 500 are executed.
    """
    first = (now - timedelta(days=_DAYS)).replace(hour=0, minute=0)
    _fold_details(paths, first, patterns)
    with scratch_connection(paths, threads=2) as connection, opened(connection, paths, read_only=False):
        _insert(connection, rows, first, now)
        _repeat_details(connection, rows, first, now)
        _know(connection, patterns, first)
        for number in range((now - first).days + 1):
            _roll_up(connection, first + timedelta(days=number), now)
        _repeat_before(connection, first)


def _fold_details(paths: StorePaths, first: datetime, patterns: Sequence[Pattern]) -> None:
    sink = SpoolSink(paths.root, 100)
    for number in range(8):
        sink.write(with_details(SERVICES[number % 4], f"web:{number}", first, patterns))
    fold(paths)


def _insert(connection: Connection, rows: int, first: datetime, now: datetime) -> None:
    connection.execute(SHAPES, {"patterns": PATTERNS})
    title = f"{rows:,} rows"
    for begin in track(range(0, rows, _AT_ONCE), title, console=Console(stderr=True), transient=True):
        chosen = {
            "first": first.replace(tzinfo=None),
            "minutes": int((now - first) / timedelta(minutes=1)),
            "rows": rows,
            "patterns": PATTERNS,
            "from": begin,
            "to": min(begin + _AT_ONCE, rows),
        }
        connection.execute(f"INSERT INTO query_stats BY NAME {ROWS}", chosen)
    connection.execute(
        "INSERT INTO pending_rollups SELECT DISTINCT unnest(['hour', 'day']), "
        """unnest([date_trunc('hour', "minute"), date_trunc('day', "minute")]) FROM query_stats """
        "EXCEPT FROM pending_rollups"
    )


def _roll_up(connection: Connection, day: datetime, now: datetime) -> None:
    """The hours of a day that are over, a few at once, and the day if it is."""
    over = min(day + _DAY, now.replace(minute=0))
    for begin in (day + number * _HOURS for number in range(_DAY // _HOURS)):
        _roll_up_span(
            connection, "query_stats", "minute", "query_stats_hourly", "hour", begin, min(begin + _HOURS, over)
        )
    if over == day + _DAY:
        _roll_up_span(connection, "query_stats_hourly", "hour", "query_stats_daily", "day", day, over)


def _roll_up_span(
    connection: Connection, finer: str, column: str, table: str, period: str, begin: datetime, end: datetime
) -> None:
    span = {"begin": begin.replace(tzinfo=None), "end": end.replace(tzinfo=None)}
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE memory.finer AS
        SELECT date_trunc('{period}', {column}) AS period, * EXCLUDE ({column})
        FROM {finer}
        WHERE {column} >= $begin AND {column} < $end
        """,
        span,
    )
    connection.execute(statements("rolled.sql"), {"factor": 1 if period == "hour" else 2})
    connection.execute(f"INSERT INTO {table} BY NAME SELECT period AS {period}, * EXCLUDE (period) FROM memory.rolled")
    connection.execute(
        "DELETE FROM pending_rollups WHERE tier = $tier AND period >= $begin AND period < $end",
        {"tier": period, **span},
    )


def _repeat_details(connection: Connection, rows: int, first: datetime, now: datetime) -> None:
    minutes = int((now - first) / timedelta(minutes=1))
    for table in _DETAILS:
        connection.execute(
            f"""
            INSERT INTO {table} BY NAME
            SELECT t.* REPLACE ("minute" + to_minutes((n * $minutes // $count)::INTEGER) AS "minute")
            FROM {table} AS t, range(1, $count) AS numbers(n)
            ORDER BY n
            """,
            {"minutes": minutes, "count": min(minutes, 1 + rows // PATTERNS)},
        )


def _know(connection: Connection, patterns: Sequence[Pattern], first: datetime) -> None:
    known = {row[0] for row in connection.execute("SELECT pattern_id FROM patterns").fetchall()}
    others = [each for each in patterns if each.id not in known]
    connection.execute(
        _KNOWN,
        {
            "ids": [each.id for each in others],
            "texts": [each.text for each in others],
            "summaries": [each.summary for each in others],
            "tables": [list(each.tables) for each in others],
            "first": first.replace(tzinfo=None),
        },
    )


def _repeat_before(connection: Connection, first: datetime) -> None:
    """Days and hours of the weeks before, whose minutes were dropped."""
    moment = first.replace(tzinfo=None)
    for table, column in (("query_stats_hourly", "hour"), ("query_stats_daily", "day")):
        for number in range(_REPEATED, 0, -1):
            connection.execute(
                f"""
                INSERT INTO {table} BY NAME
                SELECT * REPLACE ({column} - to_days($days) AS {column})
                FROM {table}
                WHERE {column} >= $first AND {column} < $first + to_days({_DAYS})
                """,
                {"first": moment, "days": _DAYS * number},
            )
    connection.execute("UPDATE meta SET minutes_since = ?", [moment])
