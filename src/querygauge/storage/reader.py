"""
What a store holds, as values: every call opens the database, reads one thing and closes it.

An open reader keeps the collector out, so nothing stays open between two calls. Opening a store folds what waits in
the spool first, so that a reader sees what was flushed a moment ago even where no collector runs.

Deliberately not here: how values are shown.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage import queries
from querygauge.storage.database import Connection, DatabaseError, first_line, open_database
from querygauge.storage.folding import FoldResult, fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.rows import (
    pattern_of,
    pool_of,
    process_window_of,
    query_errors_of,
    query_stats_of,
    repetition_of,
    running_of,
    scope_stats_of,
    self_metrics_of,
    slow_query_of,
    utc,
)
from querygauge.values import (
    Pattern,
    PoolWindow,
    ProcessRunning,
    ProcessWindow,
    QueryErrors,
    QueryStats,
    Repetition,
    ScopeStats,
    SelfMetrics,
    SlowQuery,
)

__all__ = ["PatternHistory", "PatternHour", "ProcessState", "Store", "open_store"]

log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0
# Somebody else who folds is done within a second, and his result is as good as ours.
_LOCK_TIMEOUT_S: Final = 2.0
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
# A longer span is read by days, which are a quarter of the work and 2.2 % exact.
_LONGEST_BY_HOUR: Final = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class PatternHour:
    """One pattern in one hour, all targets and services together; `stats.target` is empty."""

    hour: datetime
    stats: QueryStats


@dataclass(frozen=True, slots=True)
class PatternHistory:
    """
    Everything a store knows about one pattern.

    Attributes:
        pattern: The pattern.
        first_seen: Start of its first execution.
        last_seen: Start of its last execution.
        services: Names of the applications that sent it.
        targets: One per target, over the whole span asked for.
        hours: One per hour in which it was executed, oldest first.
        slow_queries: Executions kept one by one, newest first.
        repetitions: Lines that repeated it.
    """

    pattern: Pattern
    first_seen: datetime
    last_seen: datetime
    services: tuple[str, ...]
    targets: tuple[QueryStats, ...]
    hours: tuple[PatternHour, ...]
    slow_queries: tuple[SlowQuery, ...]
    repetitions: tuple[Repetition, ...]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """
    One process that flushed into the store, its slow threshold, and what querygauge noticed about itself there.

    `ahead_s` is by how many seconds its clock was ahead of the collector's, at most; its times are kept as it told.
    """

    service: str
    process: str
    first_at: datetime
    last_at: datetime
    self_metrics: SelfMetrics
    slow_threshold_ms: float | None
    ahead_s: float = 0.0


def open_store(root: Path, *, timeout_s: float = _TIMEOUT_S) -> "Store":
    """
    The store in a directory, with what waited in its spool folded in.

    If somebody else folds, or the directory cannot be written, it is read as it is.

    Args:
        root: Directory of the store.
        timeout_s: How long every call waits for a writer to finish.

    Raises:
        StoreError: If there is no store, or its database is no store of ours.
    """
    paths = StorePaths(root)
    if paths.root.exists() and not paths.root.is_dir():
        raise StoreError(f"store must be a directory; got the file {str(paths.root)!r}")
    if not paths.spool.is_dir() and not paths.database.exists():
        raise StoreError(
            f"store {str(paths.root)!r} does not exist; instrument an application and let it run, or name another "
            "store with --store"
        )
    return Store(paths, timeout_s, _fold_first(paths, timeout_s))


def _fold_first(paths: StorePaths, timeout_s: float) -> FoldResult:
    # Without a database there is nothing to read as it is, so whoever makes it is waited for.
    lock_timeout_s = _LOCK_TIMEOUT_S if paths.database.exists() else timeout_s
    try:
        return fold(paths, lock_timeout_s=lock_timeout_s, database_timeout_s=min(timeout_s, _LOCK_TIMEOUT_S))
    except StoreError as error:
        if not paths.database.exists():
            raise
        log.warning("spool_not_folded", store=str(paths.root), error=str(error))
        return FoldResult()


class Store:
    """
    Reads one store; safe to keep, nothing of it is open.

    Moments are aware UTC datetimes. `since` and `until` bound whole minutes, because rows are; None leaves a side open.
    """

    def __init__(self, paths: StorePaths, timeout_s: float, folded: FoldResult) -> None:
        self.paths = paths
        self.folded = folded
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"Store({str(self.paths.root)!r})"

    def fold(self) -> FoldResult:
        """Folds what waits in the spool now; for readers that stay, such as a live table."""
        self.folded = _fold_first(self.paths, self._timeout_s)
        return self.folded

    def query_stats(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        service: str | None = None,
        target: str | None = None,
        scope: str | None = None,
    ) -> list[QueryStats]:
        """Statistics by pattern and target, processes and services together; most total time first."""
        parameters = {
            **_span(since, until),
            "service": service,
            "target": target,
            "pattern_id": None,
            "scope": scope,
            "hourly": False,
        }
        with self._open() as connection:
            return [query_stats_of(row) for row in _rows(connection, queries.QUERY_STATS, parameters)]

    def scopes(
        self, since: datetime | None = None, service: str | None = None, scope: str | None = None
    ) -> list[ScopeStats]:
        """What the units of work did, one per name and tags; most database time first."""
        parameters = {"since": _microseconds(since), "service": service, "scope": scope}
        with self._open() as connection:
            return [scope_stats_of(row) for row in _rows(connection, queries.SCOPES, parameters)]

    def slow_queries(
        self,
        since: datetime | None = None,
        limit: int | None = None,
        service: str | None = None,
        scope: str | None = None,
    ) -> list[SlowQuery]:
        """Executions kept one by one, newest first."""
        parameters = {
            "since": _microseconds(since),
            "service": service,
            "pattern_id": None,
            "scope": scope,
            "limit": limit,
        }
        with self._open() as connection:
            return [slow_query_of(row) for row in _rows(connection, queries.SLOW_QUERIES, parameters)]

    def query_errors(
        self, since: datetime | None = None, until: datetime | None = None, service: str | None = None
    ) -> list[QueryErrors]:
        """How often each pattern failed in which way, processes and services together; most executions first."""
        span = _span(since, until)
        parameters = {"since": span["since"], "until": span["until"], "service": service}
        with self._open() as connection:
            return [query_errors_of(row) for row in _rows(connection, queries.QUERY_ERRORS, parameters)]

    def repetitions(
        self, since: datetime | None = None, service: str | None = None, scope: str | None = None
    ) -> list[Repetition]:
        """Findings by pattern, target, line and scope; most executions first."""
        parameters = {"since": _microseconds(since), "service": service, "pattern_id": None, "scope": scope}
        with self._open() as connection:
            return [repetition_of(row) for row in _rows(connection, queries.REPETITIONS, parameters)]

    def pools(self, since: datetime | None = None, service: str | None = None) -> list[PoolWindow]:
        """
        One window per service and pool, by their names: what it did in the span, and its latest state.

        Processes of one service are added up; a process that no longer reports counts in what was done, not in the
        state.
        """
        parameters = {"since": _microseconds(since), "service": service}
        with self._open() as connection:
            rows = _rows(connection, queries.POOLS, parameters)
        return [pool_of(list(group)) for _, group in groupby(rows, key=lambda row: (row["service"], row["pool"]))]

    def process_windows(self, since: datetime | None = None, service: str | None = None) -> list[ProcessWindow]:
        """What each process took in the span; most CPU time first."""
        parameters = {"since": _microseconds(since), "service": service}
        with self._open() as connection:
            return [process_window_of(row) for row in _rows(connection, queries.PROCESS_WINDOWS, parameters)]

    def running(self, now: datetime, service: str | None = None) -> list[ProcessRunning]:
        """What has not ended in each process that still reports, as far as its last snapshot tells, by their names."""
        parameters = {"now": microseconds_of(now), "service": service}
        with self._open() as connection:
            rows = _rows(connection, queries.RUNNING, parameters)
            patterns = {row["pattern_id"]: pattern_of(row) for row in _rows(connection, queries.RUNNING_PATTERNS, {})}
        groups = groupby(rows, key=lambda row: (row["service"], row["process"]))
        return [running_of(list(group), patterns) for _, group in groups]

    def pattern(self, prefix: str, since: datetime | None = None) -> PatternHistory:
        """
        The history of the one pattern whose id begins with `prefix`.

        Raises:
            StoreError: If no pattern's id begins so, or several do; the message names them.
        """
        with self._open() as connection:
            row = _one_pattern(connection, prefix)
            pattern_id = row["pattern_id"]
            chosen = {"since": _microseconds(since), "service": None, "pattern_id": pattern_id, "scope": None}
            merged = {**chosen, **_span(since, None), "target": None}
            services = _rows(connection, queries.PATTERN_SERVICES, {"pattern_id": pattern_id})
            return PatternHistory(
                pattern_of(row),
                utc(row["first_seen"]),
                utc(row["last_seen"]),
                tuple(service["service"] for service in services),
                tuple(query_stats_of(r) for r in _rows(connection, queries.QUERY_STATS, {**merged, "hourly": False})),
                _hours(_rows(connection, queries.QUERY_STATS, {**merged, "hourly": True})),
                tuple(slow_query_of(r) for r in _rows(connection, queries.SLOW_QUERIES, {**chosen, "limit": None})),
                tuple(repetition_of(r) for r in _rows(connection, queries.REPETITIONS, chosen)),
            )

    def services(self) -> list[str]:
        """Names of the applications that flushed into this store."""
        with self._open() as connection:
            return [row["service"] for row in _rows(connection, queries.SERVICES, {})]

    def span(self) -> tuple[datetime, datetime] | None:
        """Start of the first snapshot and end of the last; None while there are none."""
        with self._open() as connection:
            row = _rows(connection, queries.SPAN, {})[0]
        return None if row["first_at"] is None else (utc(row["first_at"]), utc(row["last_at"]))

    def processes(self) -> list[ProcessState]:
        """Every process seen, the latest of each service first."""
        with self._open() as connection:
            rows = _rows(connection, queries.PROCESSES, {})
        return [
            ProcessState(
                row["service"],
                row["process"],
                utc(row["first_at"]),
                utc(row["last_at"]),
                self_metrics_of(row),
                row["slow_threshold_ms"],
                row["ahead_s"] or 0.0,
            )
            for row in rows
        ]

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        try:
            with open_database(self.paths, read_only=True, timeout_s=self._timeout_s) as connection:
                yield connection
        except DatabaseError as error:
            raise StoreError(f"store {str(self.paths.database)!r} could not be read: {first_line(error)}") from error


def _rows(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, dict(parameters))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds_of(moment)


def _span(since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """Both bounds, and whether whole days within are precise enough."""
    first, end = since or _BEGINNING, until or _END
    return {
        "since": microseconds_of(first),
        "until": microseconds_of(end),
        "daily": min(end, datetime.now(UTC)) - first > _LONGEST_BY_HOUR,
    }


def _one_pattern(connection: Connection, prefix: str) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9a-fA-F]{1,16}", prefix):
        raise StoreError(f"a pattern id must be 1 to 16 hex digits; got {prefix!r}; a report shows them")
    found = _rows(connection, queries.PATTERNS, {"prefix": prefix.lower()})
    if not found:
        raise StoreError(f"no pattern's id begins with {prefix!r} in this store; a report shows the ids")
    if len(found) > 1:
        ids = ", ".join(row["pattern_id"] for row in found)
        raise StoreError(f"a pattern id must name one pattern; {prefix!r} begins {ids}; give more digits")
    return found[0]


def _hours(rows: list[dict[str, Any]]) -> tuple[PatternHour, ...]:
    hours = []
    for hour, group in groupby(rows, key=lambda row: row["hour"]):
        first, *others = [query_stats_of({**row, "target": ""}) for row in group]
        for other in others:
            first = first.merged(other)
        hours.append(PatternHour(utc(hour), first))
    return tuple(hours)
