"""
What the rules of alerts look at: in goes a store as it was folded just now, out comes an `Observation`.

Everything is read in one go, so that it is of one moment. Deliberately not here: what of it is wrong.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final

from querygauge.storage import queries
from querygauge.storage.answers.comparison import MIN_CHANGE_PERCENT, compared
from querygauge.storage.answers.marks import marks_in_force
from querygauge.storage.asking import asked, microseconds, span_parameters
from querygauge.storage.database import Connection, bytes_of
from querygauge.storage.objectives import objective_states
from querygauge.storage.paths import StorePaths
from querygauge.storage.rows import (
    pools_of,
    process_window_of,
    query_stats_of,
    repetition_of,
    slow_query_of,
    utc,
)
from querygauge.storage.stalled import spool_state
from querygauge.values import QueryStats
from querygauge.values.answers.comparison import PatternChange
from querygauge.values.objectives import Objective
from querygauge.values.observed import FailedChecks, Observation, ObservedService, ObservedStore

__all__ = ["observed"]

_RECENT: Final = timedelta(minutes=5)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_SLOW_AT_MOST: Final = 1_000  # places of one service in five minutes; the slowest
_SERVICES: Final = """
SELECT service, min(first_at) AS first_at, max_by(slow_threshold_ms, last_at) AS slow_threshold_ms
FROM processes
GROUP BY service
HAVING max(last_at) >= make_timestamp($since)
ORDER BY service
"""
_NEW: Final = "SELECT pattern_id FROM patterns WHERE first_seen >= make_timestamp($since)"


def observed(
    connection: Connection,
    paths: StorePaths,
    now: datetime,
    *,
    slow_ms: float,
    objectives: Sequence[Objective] = (),
) -> Observation:
    """
    Every service that reported within eight days, and the store.

    Args:
        connection: To the store.
        paths: Where it is.
        now: UTC.
        slow_ms: Patterns with a lower 95th percentile are compared with nothing.
        objectives: What is to be attained.
    """
    marks = marks_in_force(connection, now).patterns
    quiet = frozenset(marked.pattern.id for marked in marks if not marked.is_worse)
    found = _Lately(connection, now, slow_ms, objectives)
    services = asked(connection, _SERVICES, {"since": microseconds(now - _WEEK - _DAY)})
    return Observation(now, tuple(found.service(row, quiet) for row in services), _store(connection, paths, now))


class _Lately:
    """What happened of late, of every service."""

    def __init__(self, connection: Connection, now: datetime, slow_ms: float, objectives: Sequence[Objective]) -> None:
        self._connection = connection
        self._now = now
        self._slow_ms = slow_ms
        self._objectives = objectives
        self._since = (now - _RECENT).replace(second=0, microsecond=0)
        bounds = {"since": now - _HOUR, "recent": self._since, "until": now}
        rows = asked(connection, queries.STATS_LATELY, {name: microseconds(moment) for name, moment in bounds.items()})
        self._stats = {name: list(group) for name, group in groupby(rows, key=itemgetter("service"))}
        new = asked(connection, _NEW, {"since": microseconds(now - _DAY)})
        self._new = frozenset(row["pattern_id"] for row in new)

    def service(self, row: dict[str, Any], quiet: frozenset[str]) -> ObservedService:
        name, connection = row["service"], self._connection
        rows = self._stats.get(name, [])
        recent = tuple(query_stats_of(each) for each in rows if each["is_recent"])
        hour = _together((*recent, *(query_stats_of(each) for each in rows if not each["is_recent"])))
        chosen = {"since": microseconds(self._since), "service": name}
        narrowed = {**chosen, "pattern_id": None, "scope": None}
        slow = asked(connection, queries.SLOW_LATELY, {**chosen, "limit": _SLOW_AT_MOST})
        pools = asked(connection, queries.POOLS, chosen)
        checks = asked(connection, queries.HEALTH_CHECKS, chosen) if pools else []
        return ObservedService(
            name,
            recent_s=(self._now - self._since).total_seconds(),
            recent=recent,
            hour=hour,
            usual_count=None if hour else self._usual_count(name),
            regressed=self._regressed(name, hour),
            new_ids=self._new if utc(row["first_at"]) < self._now - _DAY else frozenset(),
            quiet_ids=quiet,
            slow_threshold_ms=row["slow_threshold_ms"],
            slow_queries=tuple(map(slow_query_of, slow)),
            repetitions=tuple(map(repetition_of, asked(connection, queries.REPETITIONS, {**narrowed, "until": None}))),
            pools=tuple(pools_of(pools, [])),
            failed_checks=tuple(_failed(checks)),
            processes=tuple(map(process_window_of, asked(connection, queries.PROCESS_WINDOWS, chosen))),
            objectives=objective_states(
                connection, (each for each in self._objectives if each.service == name), self._now, with_period=False
            ),
        )

    def _usual_count(self, service: str) -> int | None:
        usual = self._same_hour(service, _WEEK) or self._same_hour(service, _DAY)
        return sum(stats.execution_count for stats in usual) if usual else None

    def _regressed(self, service: str, hour: tuple[QueryStats, ...]) -> tuple[PatternChange, ...]:
        slow = [stats for stats in hour if stats.p95_duration_ms > self._slow_ms]
        if not slow:
            return ()
        before = self._same_hour(service, _WEEK)
        names = ("a week before", "now")
        return compared(before, slow, named=names, service=service, min_change_percent=MIN_CHANGE_PERCENT).regressed

    def _same_hour(self, service: str, before: timedelta) -> list[QueryStats]:
        parameters = {
            **span_parameters(self._now - before - _HOUR, self._now - before),
            "service": service,
            "target": None,
            "pattern_id": None,
            "scope": None,
            "hourly": False,
        }
        return [query_stats_of(row) for row in asked(self._connection, queries.QUERY_STATS, parameters)]


def _failed(checks: Iterable[Mapping[str, Any]]) -> Iterator[FailedChecks]:
    """Of checks in their order: a process that is cut off must not be hidden by others that are not."""
    failed: dict[tuple[str, str], FailedChecks] = {}
    for check in checks:
        place = check["pool"], check["process"]
        before = failed.pop(place, None)
        if check["error"] is not None:
            failed[place] = FailedChecks(*place, 1 + (before.in_row if before else 0), check["error"])
    for _, group in groupby(sorted(failed.values(), key=attrgetter("pool", "in_row")), key=attrgetter("pool")):
        yield [*group][-1]


def _together(stats: Iterable[QueryStats]) -> tuple[QueryStats, ...]:
    """One for each pattern and target."""
    merged: dict[tuple[str, str], QueryStats] = {}
    for each in stats:
        key = each.target, each.pattern_id
        merged[key] = merged[key].merged(each) if key in merged else each
    return tuple(merged.values())


def _store(connection: Connection, paths: StorePaths, now: datetime) -> ObservedStore:
    return replace(spool_state(paths, now), size_mb=bytes_of(connection, paths) / 1e6)
