"""
What the lines of a spool file hold: in goes a `Snapshot`, out come rows, and rows as lines.

`load.sql` reads them back and names the same members. Deliberately not here: files.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from querygauge.clock import microseconds_of
from querygauge.histogram import Histogram
from querygauge.values import (
    PHASES,
    Demand,
    HealthCheck,
    Pattern,
    PoolWindow,
    QueryErrors,
    QueryStats,
    Repetition,
    RunningQuery,
    RunningState,
    ScopeStats,
    SlowQuery,
    Snapshot,
)
from querygauge.values.plain import plain

__all__ = ["line", "rows"]

# DuckDB refuses a line over 16 MB, and with it the file; nobody reads the end of a longer statement.
_LONGEST_TEXT: Final = 100_000
# Every reader of JSON keeps it exactly, and a thousand of them fit a BIGINT. In nanoseconds it is 104 days.
_LARGEST_COUNT: Final = 2**53
_PHASES: Final = tuple(f"{phase}_ns" for phase in PHASES)

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def line(row: dict[str, Any]) -> bytes:
    """One line of a spool file."""
    # A statement may hold half a surrogate pair, which no JSON reader takes; `?` stands for it.
    return _encode(row).encode("utf-8", errors="replace") + b"\n"


def rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """What the lines after the header hold, each an object whose one member is named for its kind."""
    yield from ({"pattern": row} for row in _pattern_rows(snapshot))
    yield from ({"query": _query_row(stats)} for stats in snapshot.queries)
    yield from ({"scope": _scope_row(stats)} for stats in snapshot.scopes)
    yield from ({"slow": _slow_row(slow)} for slow in snapshot.slow_queries)
    yield from ({"pool": _pool_row(window)} for window in snapshot.pools)
    yield from ({"repetition": _repetition_row(found)} for found in snapshot.repetitions)
    yield from ({"failed": _failed_row(errors)} for errors in snapshot.errors)
    yield from ({"running": _running_row(state)} for state in snapshot.running)


def _pattern_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Each pattern once, whoever speaks of it."""
    patterns: dict[str, Pattern] = {found.pattern.id: found.pattern for found in snapshot.repetitions}
    patterns |= {stats.pattern.id: stats.pattern for stats in snapshot.queries}
    patterns |= {errors.pattern.id: errors.pattern for errors in snapshot.errors}
    patterns |= {query.pattern.id: query.pattern for state in snapshot.running for query in state.queries}
    for pattern in patterns.values():
        yield {
            "id": pattern.id,
            "text": pattern.text[:_LONGEST_TEXT],
            "summary": pattern.summary,
            "operation": pattern.operation,
            "tables": pattern.tables,
            "dialect": pattern.dialect,
            "category": pattern.category,
        }


def _query_row(stats: QueryStats) -> dict[str, Any]:
    return {
        "target": stats.target,
        "pattern_id": stats.pattern.id,
        "scope": stats.scope,
        "tags": dict(stats.tags),
        "ok": stats.outcomes.ok,
        "error": stats.outcomes.error,
        "timeout": stats.outcomes.timeout,
        "cancelled": stats.outcomes.cancelled,
        "slow": stats.slow_count,
        "rows": min(stats.rows, _LARGEST_COUNT),
        "rows_known": stats.rows_known_count,
        "first_us": microseconds_of(stats.first_seen),
        "last_us": microseconds_of(stats.last_seen),
        "durations": _histogram_row(stats.durations),
        "lines": list(stats.lines),
        "line_counts": list(stats.lines.values()),
        "phases": dict(zip(_PHASES, (min(ns, _LARGEST_COUNT) for ns in stats.phases.nanoseconds), strict=True)),
    }


def _scope_row(stats: ScopeStats) -> dict[str, Any]:
    return {
        "scope": stats.scope,
        "tags": dict(stats.tags),
        "units": stats.unit_count,
        "unit_ms": stats.unit_duration_ms,
        **asdict(stats.outcomes),
        "repeated": stats.repeated_count,
        "total_ms": stats.total_duration_ms,
        "max_executions": stats.max_executions,
        "max_ms": stats.max_duration_ms,
    }


def _histogram_row(histogram: Histogram) -> dict[str, Any]:
    buckets = sorted(histogram.buckets.items())
    return {
        "count": histogram.count,
        "total_ns": min(histogram.total_ns, _LARGEST_COUNT),
        "min_ns": min(histogram.min_ns, _LARGEST_COUNT),
        "max_ns": min(histogram.max_ns, _LARGEST_COUNT),
        "k": [bucket for bucket, _ in buckets],
        "n": [count for _, count in buckets],
    }


def _slow_row(slow: SlowQuery) -> dict[str, Any]:
    error = slow.error
    return {
        "at_us": microseconds_of(slow.timestamp),
        "target": slow.target,
        "pattern_id": slow.pattern_id,
        "summary": slow.summary,
        "query": slow.query[:_LONGEST_TEXT],
        "duration_ms": slow.duration_ms,
        "outcome": slow.outcome,
        "rows": None if slow.rows is None else min(slow.rows, _LARGEST_COUNT),
        "parameters": _parameters_text(slow.parameters),
        "call_site": slow.call_site,
        "error_type": error and error.error_type,
        "error_code": error and error.code,
        "error_message": error and error.message[:_LONGEST_TEXT],
        "trace_id": slow.trace_id,
        "scope": slow.scope,
        "loop_lag_ms": slow.loop_lag_ms,
        "operation": slow.operation,
        "tags": dict(slow.tags),
        "is_slow": slow.is_slow,
    }


def _parameters_text(parameters: Any) -> str | None:
    """The text of a JSON value: the shape of parameters differs from statement to statement, a column's does not."""
    if parameters is None:
        return None
    text = json.dumps(plain(parameters))
    return text if len(text) <= _LONGEST_TEXT else json.dumps(text[:_LONGEST_TEXT])


def _pool_row(window: PoolWindow) -> dict[str, Any]:
    state, metrics = window.state, window.metrics
    return {
        "pool": window.pool,
        "at_us": microseconds_of(state.timestamp),
        "pool_size": state.pool_size,
        "max_connections": state.max_connections,
        "active": state.active_connections,
        "idle": state.idle_connections,
        "waiting": state.waiting_count,
        "overflow": state.overflow,
        "idle_max": state.idle_max,
        "idle_min": state.idle_min,
        "pool_class": state.pool_class,
        "driver": state.driver,
        "oldest_checkout_s": state.oldest_checkout_s,
        "holders": json.dumps([asdict(holder) for holder in state.holders]),
        "requests": metrics.total_requests,
        "checkouts": metrics.total_checkouts,
        "checkins": metrics.total_checkins,
        "timeouts": metrics.total_timeouts,
        "errors": metrics.total_errors,
        "peak_active": metrics.peak_active,
        "peak_waiting": metrics.peak_waiting,
        "health_checks": metrics.health_checks,
        "health_checks_failed": metrics.health_checks_failed,
        "leaks": metrics.leaks,
        "lost_to_cancellation": metrics.lost_to_cancellation,
        "lost_patterns": list(metrics.lost_by_pattern),
        "lost_counts": list(metrics.lost_by_pattern.values()),
        "error_types": list(metrics.errors_by_type),
        "error_counts": list(metrics.errors_by_type.values()),
        "demand": _demand_row(metrics.demand),
        "wait": _histogram_row(metrics.wait),
        "use": _histogram_row(metrics.use),
        "create": _histogram_row(metrics.create),
        "checks": [_check_row(check) for check in window.health_checks],
        "timeout_holders": json.dumps([asdict(holder) for holder in window.timeout_holders]),
    }


def _check_row(check: HealthCheck) -> dict[str, Any]:
    return {
        "at_us": microseconds_of(check.timestamp),
        "duration_ms": check.duration_ms,
        "error": check.error and check.error[:_LONGEST_TEXT],
    }


def _demand_row(demand: Demand) -> dict[str, Any]:
    levels = sorted({*demand.times_ns, *demand.requests})
    return {
        "limit": demand.limit,
        "full_ns": min(demand.full_ns, _LARGEST_COUNT),
        "levels": levels,
        "ns": [min(demand.times_ns.get(level, 0), _LARGEST_COUNT) for level in levels],
        "requests": [demand.requests.get(level, 0) for level in levels],
    }


def _repetition_row(found: Repetition) -> dict[str, Any]:
    return {
        "target": found.target,
        "pattern_id": found.pattern.id,
        "call_site": found.call_site,
        "scope": found.scope,
        "scopes": found.scopes_count,
        "executions": found.execution_count,
        "max_per_scope": found.max_per_scope,
        "total_ms": found.total_duration_ms,
        "compared": found.compared_count,
        "parameters": found.parameters_count,
        "parents": found.parents_count,
        "origins": found.origins_count,
        "tasks": found.tasks_count,
        "overlapping": found.overlap_count,
        "parallel_scopes": found.parallel_scopes_count,
        "cause": found.cause,
        "attribute": found.attribute,
        "kind": found.kind,
        "confidence": found.confidence,
        "fix": found.fix,
    }


def _failed_row(errors: QueryErrors) -> dict[str, Any]:
    return {
        "target": errors.target,
        "pattern_id": errors.pattern.id,
        "error_type": errors.error_type,
        "sqlstate": errors.sqlstate,
        "executions": errors.count,
        "last_us": microseconds_of(errors.last_seen),
        "message": errors.message[:_LONGEST_TEXT],
    }


def _running_row(state: RunningState) -> dict[str, Any]:
    return {
        "target": state.target,
        "executions": state.count,
        "oldest_ms": state.oldest_ms,
        "queries": [_running_query_row(query) for query in state.queries],
    }


def _running_query_row(query: RunningQuery) -> dict[str, Any]:
    return {
        "pattern_id": query.pattern.id,
        "started_us": microseconds_of(query.started),
        "age_ms": query.age_ms,
        "held_ms": query.held_ms,
        "call_site": query.call_site,
        "scope": query.scope,
        "reason": query.reason,
    }
