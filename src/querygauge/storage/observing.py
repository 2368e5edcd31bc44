"""
What the rules of alerts look at: in goes a store as it was folded just now, out comes an `Observation`.

Everything is read in one go, so that it is of one moment. Deliberately not here: what of it is wrong.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from querygauge.storage import queries
from querygauge.storage.answers.comparison import MIN_CHANGE_PERCENT, compared
from querygauge.storage.answers.marks import marks_in_force
from querygauge.storage.asking import asked, microseconds, span_parameters
from querygauge.storage.database import Connection, bytes_of
from querygauge.storage.paths import StorePaths
from querygauge.storage.rows import (
    pools_of,
    process_window_of,
    query_stats_of,
    repetition_of,
    slow_query_of,
    utc,
)
from querygauge.storage.spool import waiting_files
from querygauge.values import QueryStats
from querygauge.values.observed import Observation, ObservedService, ObservedStore

__all__ = ["observed"]

_RECENT: Final = timedelta(minutes=5)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_SLOW_AT_MOST: Final = 1_000  # of one service in five minutes; the latest
_SERVICES: Final = """
SELECT service, min(first_at) AS first_at, max_by(slow_threshold_ms, last_at) AS slow_threshold_ms
FROM processes
GROUP BY service
HAVING max(last_at) >= make_timestamp($since)
ORDER BY service
"""
_NEW: Final = "SELECT pattern_id FROM patterns WHERE first_seen >= make_timestamp($since)"


def observed(connection: Connection, paths: StorePaths, now: datetime) -> Observation:
    """
    Every service that reported within eight days, and the store.

    Args:
        connection: To the store.
        paths: Where it is.
        now: UTC.
    """
    services = asked(connection, _SERVICES, {"since": microseconds(now - _WEEK - _DAY)})
    new = {row["pattern_id"] for row in asked(connection, _NEW, {"since": microseconds(now - _DAY)})}
    marks = marks_in_force(connection, now).patterns
    quiet = frozenset(marked.pattern.id for marked in marks if not marked.is_worse)
    return Observation(now, tuple(_services(connection, services, new, quiet, now)), _store(connection, paths))


def _services(
    connection: Connection, services: list[dict[str, Any]], new: set[str], quiet: frozenset[str], now: datetime
) -> Iterator[ObservedService]:
    for row in services:
        service = row["service"]
        hour = _executed(connection, service, now - _HOUR, now)
        week_before = _executed(connection, service, now - _WEEK - _HOUR, now - _WEEK)
        usual = week_before or _executed(connection, service, now - _DAY - _HOUR, now - _DAY)
        since = (now - _RECENT).replace(second=0, microsecond=0)
        chosen = {"since": microseconds(since), "service": service}
        narrowed = {**chosen, "pattern_id": None, "scope": None}
        yield ObservedService(
            service,
            recent_s=(now - since).total_seconds(),
            recent=_executed(connection, service, since, now),
            hour=hour,
            usual_count=sum(stats.execution_count for stats in usual) if usual else None,
            regressed=compared(
                week_before,
                hour,
                named=("a week before", "now"),
                service=service,
                min_change_percent=MIN_CHANGE_PERCENT,
            ).regressed,
            new_ids=frozenset(new) if utc(row["first_at"]) < now - _DAY else frozenset(),
            quiet_ids=quiet,
            slow_threshold_ms=row["slow_threshold_ms"],
            slow_queries=tuple(
                slow_query_of(slow)
                for slow in asked(connection, queries.SLOW_QUERIES, {**narrowed, "limit": _SLOW_AT_MOST})
            ),
            repetitions=tuple(repetition_of(found) for found in asked(connection, queries.REPETITIONS, narrowed)),
            pools=tuple(
                pools_of(asked(connection, queries.POOLS, chosen), asked(connection, queries.HEALTH_CHECKS, chosen))
            ),
            processes=tuple(process_window_of(window) for window in asked(connection, queries.PROCESS_WINDOWS, chosen)),
        )


def _executed(connection: Connection, service: str, since: datetime, until: datetime) -> tuple[QueryStats, ...]:
    parameters = {
        **span_parameters(since, until),
        "service": service,
        "target": None,
        "pattern_id": None,
        "scope": None,
        "hourly": False,
    }
    return tuple(query_stats_of(row) for row in asked(connection, queries.QUERY_STATS, parameters))


def _store(connection: Connection, paths: StorePaths) -> ObservedStore:
    waiting = waiting_files(paths)
    size = 0
    for path in waiting:
        with suppress(OSError):  # folded meanwhile
            size += path.stat().st_size
    free = None
    with suppress(OSError):
        disk = shutil.disk_usage(paths.root)
        free = 100.0 * disk.free / disk.total if disk.total else None
    return ObservedStore(bytes_of(connection, paths) / 1e6, len(waiting), size / 1e6, free)
