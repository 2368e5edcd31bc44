"""
Whether a store is well: in goes an open one, out come its size, its counts, and what somebody should see to.

Deliberately not here: whether the numbers in it are in order, which takes longer to tell.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from querygauge.storage.asking import asked, span_parameters
from querygauge.storage.database import Connection, bytes_of
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.manifest import overdue_since
from querygauge.storage.spool import waiting_files
from querygauge.values.answers.status import DatabaseSize, ExecutionCounts, RecentPerformance, StoreStatus

__all__ = ["LIMIT_MB", "WARN_MB", "store_status"]

WARN_MB: Final = 500.0
LIMIT_MB: Final = 1_000.0
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_COUNTS: Final = """
SELECT
    coalesce(sum(executions), 0)::BIGINT AS executions, coalesce(sum(ok), 0)::BIGINT AS ok,
    coalesce(sum(cancelled), 0)::BIGINT AS cancelled, coalesce(sum(total_ns), 0)::BIGINT AS total_ns
FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily)
"""


def store_status(
    connection: Connection, paths: StorePaths, now: datetime, warn_mb: float, limit_mb: float
) -> StoreStatus:
    """
    The state of a store whose spool was folded just now.

    Args:
        connection: To the store.
        paths: Where it is.
        now: The end of the last hour, day and week.
        warn_mb: From so many megabytes on its size is a warning.
        limit_mb: And from so many on an error.
    """
    total, hour, day, week = (_counts(connection, since) for since in (None, now - _HOUR, now - _DAY, now - 7 * _DAY))
    executions = ExecutionCounts(total["executions"], hour["executions"], day["executions"], week["executions"])
    ended = day["executions"] - day["cancelled"]
    performance = RecentPerformance(
        100.0 * day["ok"] / ended if ended else None,
        day["total_ns"] / 1e6 / day["executions"] if day["executions"] else None,
    )
    size_mb = bytes_of(connection, paths) / 1e6
    ((latest,),) = connection.execute("SELECT max(last_at) FROM processes").fetchall()
    overdue = overdue_since(connection, paths, latest)
    return StoreStatus(
        DatabaseSize(paths.database_name, size_mb),
        executions,
        performance,
        tuple(_warnings(paths, executions, size_mb, warn_mb, limit_mb, overdue)),
        tuple(_errors(executions, size_mb, limit_mb)),
    )


def _counts(connection: Connection, since: datetime | None) -> dict[str, Any]:
    """Those of everything since a moment, or of everything; also of what a clock that is ahead says is yet to come."""
    return asked(connection, _COUNTS, span_parameters(since, None))[0]


def _errors(executions: ExecutionCounts, size_mb: float, limit_mb: float) -> Iterator[str]:
    if not executions.total:
        yield "no executions recorded yet"
    if size_mb >= limit_mb:
        yield f"the database has {size_mb:,.0f} MB, and {limit_mb:,.0f} MB is the limit; keep fewer days, and prune it"


def _warnings(
    paths: StorePaths,
    executions: ExecutionCounts,
    size_mb: float,
    warn_mb: float,
    limit_mb: float,
    overdue: datetime | None,
) -> Iterator[str]:
    if warn_mb <= size_mb < limit_mb:
        yield f"the database has {size_mb:,.0f} MB, more than {warn_mb:,.0f} MB; keep fewer days or expect it to grow"
    if executions.total and not executions.daily:
        yield "no executions recorded in the last 24 hours"
    if waiting := len(waiting_files(paths)):
        yield f"snapshots that wait to be folded: {waiting:,}; somebody else folds, or the store cannot be written"
    if aside := _files(paths.rejected):
        yield f"snapshots that could not be used: {aside:,}, in {paths.rejected}; each has a line in the log"
    if overdue is not None:
        yield f"nothing was published since {overdue:%Y-%m-%d %H:%M} UTC; run querygauge store publish to see why"


def _files(folder: Path) -> int:
    with suppress(OSError):
        return sum(1 for _ in folder.iterdir())
    return 0
