"""
What a store holds, as values: every call opens the database, reads one thing and closes it.

An open reader keeps the collector out, so nothing stays open between two calls. Opening a store folds what waits in
the spool first, so that a reader sees what was flushed a moment ago even where no collector runs.

Deliberately not here: how values are shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage import queries
from querygauge.storage.answers.pattern import PatternHistory, pattern_history
from querygauge.storage.asking import asked, microseconds, span_parameters
from querygauge.storage.database import Connection, DatabaseError, first_line, open_database
from querygauge.storage.folding import FoldResult, fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.rows import (
    pattern_of,
    pools_of,
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
from querygauge.storage.spool import waiting_files
from querygauge.values import (
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

__all__ = ["ProcessState", "Reader", "query_stats"]

log = get_logger(__name__)

# Somebody else who folds is done within a second, and his result is as good as ours.
_LOCK_TIMEOUT_S: Final = 2.0


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


def _fold_first(paths: StorePaths, timeout_s: float) -> FoldResult:
    if paths.remote is not None and not waiting_files(paths):
        return FoldResult()
    # Without a database there is nothing to read as it is, so whoever makes it is waited for.
    lock_timeout_s = _LOCK_TIMEOUT_S if _may_exist(paths) else timeout_s
    try:
        return fold(paths, lock_timeout_s=lock_timeout_s, database_timeout_s=min(timeout_s, _LOCK_TIMEOUT_S))
    except StoreError as error:
        if not _may_exist(paths):
            raise
        log.warning("spool_not_folded", store=paths.name, error=str(error))
        return FoldResult()


def _may_exist(paths: StorePaths) -> bool:
    return paths.remote is not None or paths.database.exists()


def query_stats(
    connection: Connection,
    since: datetime | None,
    until: datetime | None,
    service: str | None,
    target: str | None = None,
    scope: str | None = None,
) -> list[QueryStats]:
    """Those of an open store, as `Reader.query_stats` gives them."""
    parameters = {
        **span_parameters(since, until),
        "service": service,
        "target": target,
        "pattern_id": None,
        "scope": scope,
        "hourly": False,
    }
    return [query_stats_of(row) for row in asked(connection, queries.QUERY_STATS, parameters)]


class Reader:
    """
    Reads one store; safe to keep, nothing of it is open.

    Moments are aware UTC datetimes. `since` and `until` bound whole minutes, because rows are; None leaves a side open.
    """

    def __init__(self, paths: StorePaths, timeout_s: float) -> None:
        self.paths = paths
        self._timeout_s = timeout_s
        self.folded = _fold_first(paths, timeout_s)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.paths.name!r})"

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
        with self._open() as connection:
            return query_stats(connection, since, until, service, target, scope)

    def scopes(
        self, since: datetime | None = None, service: str | None = None, scope: str | None = None
    ) -> list[ScopeStats]:
        """What the units of work did, one per name and tags; most database time first."""
        parameters = {"since": microseconds(since), "service": service, "scope": scope}
        with self._open() as connection:
            return [scope_stats_of(row) for row in asked(connection, queries.SCOPES, parameters)]

    def slow_queries(
        self,
        since: datetime | None = None,
        limit: int | None = None,
        service: str | None = None,
        scope: str | None = None,
    ) -> list[SlowQuery]:
        """Executions kept one by one, newest first."""
        parameters = {
            "since": microseconds(since),
            "service": service,
            "pattern_id": None,
            "scope": scope,
            "limit": limit,
        }
        with self._open() as connection:
            return [slow_query_of(row) for row in asked(connection, queries.SLOW_QUERIES, parameters)]

    def query_errors(
        self, since: datetime | None = None, until: datetime | None = None, service: str | None = None
    ) -> list[QueryErrors]:
        """How often each pattern failed in which way, processes and services together; most executions first."""
        span = span_parameters(since, until)
        parameters = {"since": span["since"], "until": span["until"], "service": service}
        with self._open() as connection:
            return [query_errors_of(row) for row in asked(connection, queries.QUERY_ERRORS, parameters)]

    def repetitions(
        self, since: datetime | None = None, service: str | None = None, scope: str | None = None
    ) -> list[Repetition]:
        """Findings by pattern, target, line and scope; most executions first."""
        parameters = {
            "since": microseconds(since),
            "until": None,
            "service": service,
            "pattern_id": None,
            "scope": scope,
        }
        with self._open() as connection:
            return [repetition_of(row) for row in asked(connection, queries.REPETITIONS, parameters)]

    def pools(self, since: datetime | None = None, service: str | None = None) -> list[PoolWindow]:
        """
        One window per service and pool, by their names: what it did in the span, its latest state and health checks.

        Processes of one service are added up; a process that no longer reports counts in what was done, not in the
        state.
        """
        parameters = {"since": microseconds(since), "service": service}
        with self._open() as connection:
            rows = asked(connection, queries.POOLS, parameters)
            checks = asked(connection, queries.HEALTH_CHECKS, parameters)
        return pools_of(rows, checks)

    def process_windows(self, since: datetime | None = None, service: str | None = None) -> list[ProcessWindow]:
        """What each process took in the span; most CPU time first."""
        parameters = {"since": microseconds(since), "service": service}
        with self._open() as connection:
            return [process_window_of(row) for row in asked(connection, queries.PROCESS_WINDOWS, parameters)]

    def running(self, now: datetime, service: str | None = None) -> list[ProcessRunning]:
        """What has not ended in each process that still reports, as far as its last snapshot tells, by their names."""
        parameters = {"now": microseconds_of(now), "service": service}
        with self._open() as connection:
            rows = asked(connection, queries.RUNNING, parameters)
            patterns = {row["pattern_id"]: pattern_of(row) for row in asked(connection, queries.RUNNING_PATTERNS, {})}
        groups = groupby(rows, key=lambda row: (row["service"], row["process"]))
        return [running_of(list(group), patterns) for _, group in groups]

    def pattern(self, prefix: str, since: datetime | None = None) -> PatternHistory:
        """
        The history of the one pattern whose id begins with `prefix`.

        Raises:
            StoreError: If no pattern's id begins so, or several do; the message names them.
        """
        with self._open() as connection:
            return pattern_history(connection, prefix, since)

    def services(self) -> list[str]:
        """Names of the applications that flushed into this store."""
        with self._open() as connection:
            return [row["service"] for row in asked(connection, queries.SERVICES, {})]

    def span(self) -> tuple[datetime, datetime] | None:
        """Start of the first snapshot and end of the last; None while there are none."""
        with self._open() as connection:
            row = asked(connection, queries.SPAN, {})[0]
        return None if row["first_at"] is None else (utc(row["first_at"]), utc(row["last_at"]))

    def processes(self) -> list[ProcessState]:
        """Every process seen, the latest of each service first."""
        with self._open() as connection:
            rows = asked(connection, queries.PROCESSES, {})
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
            raise StoreError(f"store {self.paths.database_name!r} could not be read: {first_line(error)}") from None
