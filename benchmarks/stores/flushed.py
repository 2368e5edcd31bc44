"""
Snapshots as hosts flush them: in go a service, a process, a moment and patterns, out comes one.

Deliberately not here: where they are written.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from querygauge.histogram import Histogram
from querygauge.values import (
    OutcomeCounts,
    Pattern,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    ProcessUsage,
    QueryErrors,
    QueryStats,
    ScopeStats,
    Snapshot,
)

__all__ = ["SERVICES", "made_patterns", "snapshot", "with_details"]

SERVICES: Final = ("shop", "mail", "stock", "users")
_BUCKETS: Final = 40
_MS: Final = 1_000_000


def made_patterns(count: int) -> list[Pattern]:
    """So many, each of some ten columns and two of 130 tables; their ids are their numbers."""
    dice = random.Random(1)
    tables, columns = ([f"{kind}_{number}" for number in range(130)] for kind in ("table", "column"))

    def made(number: int) -> Pattern:
        one, two = dice.sample(tables, 2)
        chosen = ", ".join(f"{one}.{name}" for name in dice.sample(columns, dice.randrange(3, 14)))
        filters = " AND ".join(f"{one}.{name} = ?" for name in dice.sample(columns, dice.randrange(1, 4)))
        text = f"SELECT {chosen} FROM {one} JOIN {two} ON {two}.id = {one}.{two}_id WHERE {filters} LIMIT ?"
        return Pattern(f"{number:016x}", text, f"SELECT {one}, {two}", "SELECT", (one, two), "postgresql")

    return [made(number) for number in range(count)]


def snapshot(service: str, process: str, ended: datetime, patterns: Sequence[Pattern], dice: random.Random) -> Snapshot:
    """The ten seconds before a moment, in which every pattern was executed, with 40 buckets each."""
    queries = tuple(_stats(number, pattern, ended, dice) for number, pattern in enumerate(patterns))
    usage = ProcessUsage(180_000_000, 2_000_000_000, ended.timestamp() % 1e6)
    return Snapshot(service, process, ended - timedelta(seconds=10), ended, queries, usage=usage)


def _stats(number: int, pattern: Pattern, ended: datetime, dice: random.Random) -> QueryStats:
    first = -400 + number % 300  # a query is about as fast in every process and minute
    buckets = {first + 3 * step: dice.randrange(1, 100) for step in range(_BUCKETS)}
    count = sum(buckets.values())
    durations = Histogram(count, count * _MS, 1_000, 9_000_000_000, buckets)
    return QueryStats(
        pattern, "main", OutcomeCounts(ok=count), 0, count, count, durations, ended, ended,
        lines={f"{pattern.tables[0]}.py:{number} in find": count},
    )  # fmt: skip


def with_details(service: str, process: str, ended: datetime, patterns: Sequence[Pattern]) -> Snapshot:
    """A process with one of everything that is kept by minute: a pool, ten scopes, a few patterns that failed."""
    dice = random.Random(2)
    base = snapshot(service, process, ended, patterns[:5], dice)
    waits, uses = (Histogram.of([round(_MS * dice.lognormvariate(0, 0.5)) for _ in range(300)]) for _ in range(2))
    pool = PoolWindow(
        "main",
        PoolSnapshot(ended, 10, 4, 6, 0, 0, 20, 0.2, pool_class="QueuePool", driver="asyncpg"),
        PoolMetrics(300, 300, 300, 0, 0, waits, uses, peak_active=7),
    )
    scopes = tuple(
        ScopeStats(
            f"GET /{number}", {"tenant": f"t{number % 7}"}, 30, 900.0, OutcomeCounts(ok=300), 20, 600.0, 12, 45.0
        )
        for number in range(10)
    )
    failed = tuple(
        QueryErrors(each, "main", "UniqueViolation", "23505", 3, ended, "duplicate key value ?")
        for each in patterns[:5]
    )
    return Snapshot(
        service, process, base.started, ended, base.queries, pools=(pool,), usage=base.usage, scopes=scopes,
        errors=failed, flush_interval_s=10.0,
    )  # fmt: skip
