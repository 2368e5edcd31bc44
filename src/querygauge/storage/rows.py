"""
Rows of the store as values: in goes what DuckDB gave, out come the values that cross rooms.

Deliberately not here: SQL.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final, TypeVar

from querygauge.histogram import Histogram
from querygauge.values import (
    Demand,
    Failure,
    HealthCheck,
    Holder,
    OutcomeCounts,
    Pattern,
    PhaseTimes,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    ProcessRunning,
    ProcessWindow,
    QueryErrors,
    QueryStats,
    Repetition,
    RunningQuery,
    RunningState,
    ScopeStats,
    SelfMetrics,
    SlowQuery,
)

__all__ = [
    "pattern_of",
    "pools_of",
    "process_window_of",
    "query_errors_of",
    "query_stats_of",
    "repetition_of",
    "running_of",
    "scope_stats_of",
    "self_metrics_of",
    "slow_query_of",
    "utc",
]

_Name = TypeVar("_Name", str, int)
Row = Mapping[str, Any]

# A process whose pool was last seen so long before the others', and twice as long as it takes between two flushes, has
# ended: its connections are gone with it.
_PRESENT: Final = timedelta(seconds=90)
_MOST_HOLDERS: Final = 20


def utc(moment: datetime) -> datetime:
    """The store's timestamps are UTC and carry no zone."""
    return moment.replace(tzinfo=UTC)


def pattern_of(row: Row) -> Pattern:
    """The pattern whose columns are in `row`."""
    return Pattern(
        row["pattern_id"],
        row["text"],
        row["summary"],
        row["operation"],
        tuple(row["tables"]),
        row["dialect"],
        row["category"],
    )


def query_stats_of(row: Row) -> QueryStats:
    """The statistics in `row`, which has the columns of the pattern too."""
    return QueryStats(
        pattern_of(row),
        row["target"],
        OutcomeCounts(row["ok"], row["error"], row["timeout"], row["cancelled"]),
        row["slow"],
        row["rows"],
        row["rows_known"],
        Histogram(
            row["executions"],
            row["total_ns"],
            row["min_ns"],
            row["max_ns"],
            _buckets(row["bucket_k"], row["bucket_n"]),
            row["coarsest"],
        ),
        utc(row["first_seen"]),
        utc(row["last_seen"]),
        PhaseTimes(**{field.name: row[field.name] for field in fields(PhaseTimes)}),
        dict(zip(row["lines"] or (), row["line_counts"] or (), strict=True)),
    )


def _buckets(indexes: Iterable[int] | None, counts: Iterable[int] | None) -> dict[int, int]:
    return dict(zip(indexes or (), counts or (), strict=True))


def slow_query_of(row: Row) -> SlowQuery:
    """One execution."""
    failed = row["error_type"] is not None
    return SlowQuery(
        query=row["query"],
        pattern_id=row["pattern_id"],
        summary=row["summary"],
        target=row["target"],
        duration_ms=row["duration_ms"],
        timestamp=utc(row["started_at"]),
        outcome=row["outcome"],
        rows=row["rows"],
        parameters=None if row["parameters"] is None else json.loads(row["parameters"]),
        call_site=row["call_site"],
        error=Failure(row["error_type"], row["error_code"], row["error_message"] or "") if failed else None,
        trace_id=row["trace_id"],
        scope=row["scope"],
        loop_lag_ms=row["loop_lag_ms"],
        operation=row["operation"] or "",
        tags=row["tags"] or {},
        is_slow=row["is_slow"] is not False,
    )


def query_errors_of(row: Row) -> QueryErrors:
    """One way in which a pattern failed; the row has the columns of the pattern too."""
    return QueryErrors(
        pattern_of(row),
        row["target"],
        row["error_type"],
        row["sqlstate"],
        row["executions"],
        utc(row["last_at"]),
        row["message"],
    )


def scope_stats_of(row: Row) -> ScopeStats:
    """What one scope did."""
    return ScopeStats(
        row["scope"],
        row["tags"],
        row["units"],
        row["unit_ms"],
        OutcomeCounts(row["ok"], row["error"], row["timeout"], row["cancelled"]),
        row["repeated"],
        row["total_ms"],
        row["max_executions"],
        row["max_ms"],
    )


def repetition_of(row: Row) -> Repetition:
    """One finding; the row has the columns of the pattern too."""
    return Repetition(
        pattern=pattern_of(row),
        target=row["target"],
        call_site=row["call_site"],
        scope=row["scope"],
        scopes_count=row["scopes"],
        execution_count=row["executions"],
        max_per_scope=row["max_per_scope"],
        total_duration_ms=row["total_ms"],
        compared_count=row["compared"],
        parameters_count=row["parameters"],
        parents_count=row["parents"],
        origins_count=row["origins"],
        tasks_count=row["tasks"],
        overlap_count=row["overlapping"],
        parallel_scopes_count=row["parallel_scopes"],
        cause=row["cause"],
        attribute=row["attribute"],
    )


def self_metrics_of(row: Row) -> SelfMetrics:
    """What querygauge noticed about itself."""
    return SelfMetrics(**{field.name: row[field.name] for field in fields(SelfMetrics)})


def process_window_of(row: Row) -> ProcessWindow:
    """What one process took in a span."""
    return ProcessWindow(
        service=row["service"],
        process=row["process"],
        started=utc(row["started"]),
        ended=utc(row["ended"]),
        memory_bytes=row["memory_bytes"],
        memory_limit_bytes=row["memory_limit_bytes"],
        cpu_s=row["cpu_s"],
    )


def running_of(rows: list[Row], patterns: Mapping[str, Pattern]) -> ProcessRunning:
    """What runs in one process, from a row for each of its targets."""
    states = tuple(_running_state_of(row, patterns) for row in rows)
    return ProcessRunning(rows[0]["service"], rows[0]["process"], utc(max(row["seen_at"] for row in rows)), states)


def _running_state_of(row: Row, patterns: Mapping[str, Pattern]) -> RunningState:
    queries = tuple(
        RunningQuery(
            pattern=patterns[query["pattern_id"]],
            target=row["target"],
            age_ms=query["age_ms"],
            started=utc(query["started_at"]),
            held_ms=query["held_ms"],
            call_site=query["call_site"],
            scope=query["scope"],
            reason=query["reason"],
        )
        for query in row["queries"]
    )
    return RunningState(row["target"], row["executions"], row["oldest_ms"], queries)


def pools_of(rows: Iterable[Row], checks: Sequence[Row]) -> list[PoolWindow]:
    """The pools whose rows these are, ordered by service and pool, and their health checks in order."""
    return [
        _pool_of(list(group), [row for row in checks if (row["service"], row["pool"]) == key])
        for key, group in groupby(rows, key=lambda row: (row["service"], row["pool"]))
    ]


def _pool_of(rows: list[Row], checks: list[Row]) -> PoolWindow:
    """
    One pool from its rows, of any number of processes and minutes, and its health checks.

    What it did is everything together. Its state is the sum over the processes that still report, each at its latest
    moment: four workers with a pool of five have twenty connections.
    """
    metrics = PoolMetrics()
    by_process: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["state_at"]):
        metrics = metrics.merged(_metrics_of(row))
        by_process.setdefault(row["process"], []).append(row)
    newest = max(row["state_at"] for row in rows)
    present = [told[-1] for told in by_process.values() if newest - told[-1]["state_at"] <= _patience(told)]
    return PoolWindow(
        rows[0]["pool"],
        _state_of(present, newest),
        metrics,
        tuple(HealthCheck(utc(row["checked_at"]), row["duration_ms"], row["error"]) for row in checks),
        _timeout_holders(rows),
    )


def _timeout_holders(rows: Iterable[Row]) -> tuple[Holder, ...]:
    """Of the latest minute in which a request timed out."""
    told = [row for row in rows if row["timeout_holders"]]
    latest = max(told, key=lambda row: row["state_at"], default=None)
    return () if latest is None else tuple(Holder(**holder) for holder in json.loads(latest["timeout_holders"]))


def _patience(told: list[Row]) -> timedelta:
    """For how long a process that told these, in their order, may be silent."""
    every: timedelta = (told[-1]["state_at"] - told[0]["state_at"]) / max(1, len(told) - 1)
    return max(_PRESENT, 2 * every)


def _metrics_of(row: Row) -> PoolMetrics:
    return PoolMetrics(
        total_requests=row["requests"],
        total_checkouts=row["checkouts"],
        total_checkins=row["checkins"],
        total_timeouts=row["timeouts"],
        total_errors=row["errors"],
        wait=_histogram_of(row, "wait"),
        use=_histogram_of(row, "use"),
        create=_histogram_of(row, "create"),
        peak_active=row["peak_active"],
        peak_waiting=row["peak_waiting"],
        health_checks=row["health_checks"],
        health_checks_failed=row["health_checks_failed"],
        leaks=row["leaks"],
        lost_to_cancellation=row["lost_to_cancellation"],
        lost_by_pattern=_added_up(row["lost_patterns"], row["lost_counts"]),
        demand=Demand(
            row["demand_limit"],
            row["demand_full_ns"],
            _added_up(row["demand_levels"], row["demand_ns"]),
            _added_up(row["demand_levels"], row["demand_requests"]),
        ),
    )


def _added_up(names: Iterable[_Name], counts: Iterable[int]) -> dict[_Name, int]:
    total: Counter[_Name] = Counter()
    for name, count in zip(names, counts, strict=True):
        if count:
            total[name] += count
    return dict(total)


def _histogram_of(row: Row, clock: str) -> Histogram:
    return Histogram(
        row[f"{clock}_count"],
        row[f"{clock}_total_ns"],
        row[f"{clock}_min_ns"],
        row[f"{clock}_max_ns"],
        _buckets(row[f"{clock}_k"], row[f"{clock}_n"]),
    )


def _state_of(present: list[Row], newest: datetime) -> PoolSnapshot:
    holders = [Holder(**holder) for row in present for holder in json.loads(row["holders"])]
    kept = [row["idle_max"] for row in present]
    return PoolSnapshot(
        timestamp=utc(newest),
        pool_size=sum(row["pool_size"] for row in present),
        active_connections=sum(row["active"] for row in present),
        idle_connections=sum(row["idle"] for row in present),
        waiting_count=sum(row["waiting"] for row in present),
        overflow=sum(row["overflow"] for row in present),
        max_connections=sum(row["max_connections"] for row in present),
        idle_max=None if None in kept else sum(kept),
        idle_min=sum(row["idle_min"] for row in present),
        pool_class=present[-1]["pool_class"],
        driver=present[-1]["driver"],
        oldest_checkout_s=max(row["oldest_checkout_s"] for row in present),
        holders=tuple(sorted(holders, key=lambda holder: -holder.age_s)[:_MOST_HOLDERS]),
    )
