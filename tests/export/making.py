"""Snapshots of processes, with whatever is exported."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from querygauge.histogram import Histogram
from querygauge.values import (
    OutcomeCounts,
    Pattern,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    QueryErrors,
    QueryStats,
    Snapshot,
)
from storage.making import NOON

__all__ = ["MS", "SELECT", "busy", "errors", "of", "pool", "stats"]

MS = 1_000_000
SELECT = Pattern("1", "SELECT * FROM orders WHERE id = ?", "SELECT orders", "SELECT", ("orders",), "postgresql")


def of(number: int) -> Pattern:
    """Pattern `number`."""
    return Pattern(str(number), f"SELECT ? FROM t{number}", f"SELECT t{number}", "SELECT", (f"t{number}",), "sqlite")


def stats(
    durations_ns: Iterable[int],
    pattern: Pattern = SELECT,
    *,
    target: str = "db:5433/shop",
    rows: int = 7,
    at: datetime = NOON,
) -> QueryStats:
    """Executions that took so long."""
    durations = Histogram.of(durations_ns)
    count = durations.count
    return QueryStats(pattern, target, OutcomeCounts(ok=count), 0, rows, count, durations, at, at)


def errors(
    count: int, pattern: Pattern = SELECT, *, target: str = "db:5433/shop", sqlstate: str = "23505"
) -> QueryErrors:
    """So many executions that failed."""
    return QueryErrors(pattern, target, "UniqueViolation", sqlstate, count, NOON, "a message")


def pool(
    name: str = "shop", *, used: int = 2, idle: int = 3, waits_ns: Iterable[int] = (), timeouts: int = 0, most: int = 15
) -> PoolWindow:
    """A pool in a snapshot."""
    state = PoolSnapshot(NOON, 5, used, idle, 4, 0, most, 0.0, idle_max=None)
    waits = Histogram.of(waits_ns)
    return PoolWindow(name, state, PoolMetrics(total_timeouts=timeouts, wait=waits, use=waits))


def busy(
    *queries: QueryStats,
    minutes: float = 0,
    process: str = "web:1",
    service: str = "shop",
    failed: Iterable[QueryErrors] = (),
    pools: Iterable[PoolWindow] = (),
) -> Snapshot:
    """The minute that ends so many minutes past noon."""
    ended = NOON + timedelta(minutes=minutes)
    return Snapshot(
        service,
        process,
        ended - timedelta(minutes=1),
        ended,
        queries,
        errors=tuple(failed),
        pools=tuple(pools),
    )
