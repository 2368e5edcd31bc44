"""
What a spool file holds as the values that were written: in goes a file, out comes the `Snapshot`.

The way back of `spool_rows`. A fold has no use for it: it reads the lines with SQL. Whoever exports what waits has.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from querygauge.clock import datetime_of
from querygauge.errors import StoreError
from querygauge.histogram import EMPTY, Histogram
from querygauge.storage.spool import read_spool_file
from querygauge.storage.spool_rules import check_numbers, check_rows
from querygauge.values import (
    PHASES,
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
    ProcessUsage,
    QueryErrors,
    QueryStats,
    Repetition,
    RunningQuery,
    RunningState,
    ScopeStats,
    SelfMetrics,
    SlowQuery,
    Snapshot,
)

__all__ = ["read_snapshot"]

_Row = dict[str, Any]
_PHASES: Final = tuple(f"{phase}_ns" for phase in PHASES)
_NO_PHASES: Final = PhaseTimes()
# A later version may add members; a fold takes no notice of them either.
_SELF_METRICS: Final = frozenset(field.name for field in fields(SelfMetrics))
_USAGE: Final = frozenset(field.name for field in fields(ProcessUsage))
_HOLDER: Final = frozenset(field.name for field in fields(Holder))


def read_snapshot(path: Path) -> Snapshot:
    """
    The snapshot that a spool file holds; only `Pattern.is_eager_load` is not in it.

    Raises:
        FileNotFoundError: If there is no such file.
        StoreError: If it cannot be read, is not a whole spool file of a known format, or its numbers contradict each
            other.
    """
    header, content = read_spool_file(path)
    first, _, rest = content.partition(b"\n")
    try:
        return _snapshot(header.service, header.process, json.loads(first)["header"], _by_kind(rest))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise StoreError(f"every row must be one of a snapshot; got {type(error).__name__}: {error}") from error


def _by_kind(lines: bytes) -> dict[str, list[_Row]]:
    rows: dict[str, list[_Row]] = {}
    # No text in JSON holds a line break. All at once takes less time than line by line.
    found = json.loads(b"[" + lines.strip().replace(b"\n", b",") + b"]")
    check_rows(found)
    for each in found:
        for kind, row in each.items():
            rows.setdefault(kind, []).append(row)
    return rows


def _snapshot(service: str, process: str, header: _Row, rows: dict[str, list[_Row]]) -> Snapshot:
    patterns = {row["id"]: _pattern(row) for row in rows.get("pattern", ())}
    check_numbers(
        {name: header.get(name) for name in ("self_metrics", "usage", "slow_threshold_ms", "flush_interval_s")}
    )
    check_numbers({name: header[name] for name in ("started_us", "ended_us")})
    own = _known(header.get("self_metrics", {}), _SELF_METRICS)
    return Snapshot(
        service,
        process,
        datetime_of(header["started_us"]),
        datetime_of(header["ended_us"]),
        queries=tuple(_query(row, patterns) for row in rows.get("query", ())),
        slow_queries=tuple(_slow(row) for row in rows.get("slow", ())),
        repetitions=tuple(_repetition(row, patterns) for row in rows.get("repetition", ())),
        pools=tuple(_pool(row) for row in rows.get("pool", ())),
        self_metrics=SelfMetrics(**own),
        slow_threshold_ms=header.get("slow_threshold_ms"),
        running=tuple(_running(row, patterns) for row in rows.get("running", ())),
        usage=ProcessUsage(**_known(header.get("usage") or {}, _USAGE)),
        flush_interval_s=header.get("flush_interval_s"),
        scopes=tuple(_scope(row) for row in rows.get("scope", ())),
        errors=tuple(_failed(row, patterns) for row in rows.get("failed", ())),
        instance=header.get("instance", ""),
        hook_errors=header.get("hook_errors", {}),
        pattern_cache=header.get("pattern_cache", {}),
        compiled_cache=header.get("compiled_cache", {}),
    )


def _known(row: _Row, names: frozenset[str]) -> _Row:
    return {name: value for name, value in row.items() if name in names}


def _pattern(row: _Row) -> Pattern:
    return Pattern(
        row["id"],
        row["text"],
        row["summary"],
        row["operation"],
        tuple(row["tables"]),
        row["dialect"],
        row["category"],
    )


def _query(row: _Row, patterns: Mapping[str, Pattern]) -> QueryStats:
    outcomes, durations = _outcomes(row), _histogram(row["durations"])
    if outcomes.total != durations.count:
        raise ValueError(f"executions by outcome must be as many as durations; got {outcomes.total}, {durations.count}")
    return QueryStats(
        patterns[row["pattern_id"]],
        row["target"],
        outcomes,
        row["slow"],
        row["rows"],
        row["rows_known"],
        durations,
        datetime_of(row["first_us"]),
        datetime_of(row["last_us"]),
        _phases(row["phases"]),
        dict(zip(row["lines"], row["line_counts"], strict=True)),
        row["scope"],
        row["tags"],
    )


def _phases(row: _Row) -> PhaseTimes:
    return PhaseTimes(*[row.get(name, 0) for name in _PHASES]) if any(row.values()) else _NO_PHASES


def _outcomes(row: _Row) -> OutcomeCounts:
    counts = OutcomeCounts(row["ok"], row["error"], row["timeout"], row["cancelled"])
    if min(counts.ok, counts.error, counts.timeout, counts.cancelled) < 0:
        raise ValueError(f"executions must be >= 0; got {counts}")
    return counts


def _histogram(row: _Row) -> Histogram:
    if not row["count"]:
        return EMPTY
    buckets = dict(zip(row["k"], row["n"], strict=True))
    if sum(buckets.values()) != row["count"] or min(buckets.values()) < 0:
        raise ValueError(f"buckets must add up to the count {row['count']}; got {sum(buckets.values())}")
    return Histogram(row["count"], row["total_ns"], row["min_ns"], row["max_ns"], buckets)


def _scope(row: _Row) -> ScopeStats:
    return ScopeStats(
        row["scope"],
        row["tags"],
        row["units"],
        row["unit_ms"],
        _outcomes(row),
        row["repeated"],
        row["total_ms"],
        row["max_executions"],
        row["max_ms"],
    )


def _slow(row: _Row) -> SlowQuery:
    error_type = row["error_type"]
    return SlowQuery(
        row["query"],
        row["pattern_id"],
        row["summary"],
        row["target"],
        row["duration_ms"],
        datetime_of(row["at_us"]),
        row["outcome"],
        row["rows"],
        None if row["parameters"] is None else json.loads(row["parameters"]),
        row["call_site"],
        None if error_type is None else Failure(error_type, row["error_code"], row["error_message"]),
        row["trace_id"],
        row["scope"],
        row["loop_lag_ms"],
        row["operation"],
        row["tags"],
        row["is_slow"],
    )


def _pool(row: _Row) -> PoolWindow:
    state = PoolSnapshot(
        datetime_of(row["at_us"]),
        row["pool_size"],
        row["active"],
        row["idle"],
        row["waiting"],
        row["overflow"],
        row["max_connections"],
        row["oldest_checkout_s"],
        _holders(row["holders"]),
        row["idle_max"],
        row["idle_min"],
        row["pool_class"],
        row["driver"],
    )
    # A file of an older version has none.
    at_timeout = _holders(row.get("timeout_holders", "[]"))
    return PoolWindow(row["pool"], state, _metrics(row), tuple(_checks(row["checks"])), at_timeout)


def _holders(text: str) -> tuple[Holder, ...]:
    return tuple(Holder(**_known(holder, _HOLDER)) for holder in json.loads(text))


def _metrics(row: _Row) -> PoolMetrics:
    return PoolMetrics(
        total_requests=row["requests"],
        total_checkouts=row["checkouts"],
        total_checkins=row["checkins"],
        total_timeouts=row["timeouts"],
        total_errors=row["errors"],
        wait=_histogram(row["wait"]),
        use=_histogram(row["use"]),
        create=_histogram(row["create"]),
        peak_active=row["peak_active"],
        peak_waiting=row["peak_waiting"],
        health_checks=row["health_checks"],
        health_checks_failed=row["health_checks_failed"],
        leaks=row["leaks"],
        lost_to_cancellation=row["lost_to_cancellation"],
        lost_by_pattern=dict(zip(row["lost_patterns"], row["lost_counts"], strict=True)),
        errors_by_type=dict(zip(row.get("error_types", ()), row.get("error_counts", ()), strict=True)),
        demand=_demand(row["demand"]),
    )


def _demand(row: _Row) -> Demand:
    return Demand(row["limit"], row["full_ns"], _levels(row, "ns"), _levels(row, "requests"))


def _levels(row: _Row, member: str) -> dict[int, int]:
    """By level, without those at which there was nothing: they are there for the other member."""
    return {level: number for level, number in zip(row["levels"], row[member], strict=True) if number}


def _checks(rows: list[_Row]) -> Iterator[HealthCheck]:
    for row in rows:
        yield HealthCheck(datetime_of(row["at_us"]), row["duration_ms"], row["error"])


def _repetition(row: _Row, patterns: Mapping[str, Pattern]) -> Repetition:
    return Repetition(
        patterns[row["pattern_id"]],
        row["target"],
        row["call_site"],
        row["scope"],
        row["scopes"],
        row["executions"],
        row["max_per_scope"],
        row["total_ms"],
        row["compared"],
        row["parameters"],
        row["parents"],
        row["origins"],
        row["tasks"],
        row["overlapping"],
        row["parallel_scopes"],
        row["cause"],
        row["attribute"],
    )


def _failed(row: _Row, patterns: Mapping[str, Pattern]) -> QueryErrors:
    return QueryErrors(
        patterns[row["pattern_id"]],
        row["target"],
        row["error_type"],
        row["sqlstate"],
        row["executions"],
        datetime_of(row["last_us"]),
        row["message"],
    )


def _running(row: _Row, patterns: Mapping[str, Pattern]) -> RunningState:
    queries = tuple(_running_query(query, row["target"], patterns) for query in row["queries"])
    return RunningState(row["target"], row["executions"], row["oldest_ms"], queries)


def _running_query(row: _Row, target: str, patterns: Mapping[str, Pattern]) -> RunningQuery:
    return RunningQuery(
        patterns[row["pattern_id"]],
        target,
        row["age_ms"],
        datetime_of(row["started_us"]),
        row["held_ms"],
        row["call_site"],
        row["scope"],
        row["reason"],
    )
