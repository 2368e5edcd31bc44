"""
What one snapshot adds to the totals: in goes a `Snapshot`, out come increments by family and labels, and gauges.

Whole numbers throughout, times in nanoseconds, so that they add up to the same in any order. Deliberately not here: the
totals, and who is among the patterns that have series of their own.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Final, NamedTuple, TypeVar

from querygauge.clock import microseconds_of
from querygauge.export.prometheus_families import BOUNDS, places_of
from querygauge.export.prometheus_reached import reached
from querygauge.histogram import Histogram
from querygauge.values import OUTCOMES, PhaseTimes, PoolWindow, QueryStats, Snapshot

__all__ = [
    "COMPILED",
    "DURATIONS",
    "EXECUTIONS",
    "HOOK",
    "ROWS",
    "ROWS_KNOWN",
    "SLOW",
    "Digest",
    "Labels",
    "PatternPart",
    "PoolGauges",
    "counted",
    "digest_of",
]

Labels = tuple[str, ...]
_Key = tuple[str, Labels]

_NS_PER_S: Final = 1e9
_NS_PER_MS: Final = 1e6
_NS_PER_US: Final = 1e3
# Which of the common buckets holds one of a `Histogram`: those from a nanosecond to a day.
_ENDS: Final = places_of(BOUNDS)
_PLACES: Final = {bucket: bisect_left(_ENDS, bucket) for bucket in range(-960, 530)}
_OUTSIDE: Final = len(BOUNDS)
HOOK: Final = "hook "
"""Errors of a hook are counted under its name behind this."""
COMPILED: Final = "compiled "
"""What was compiled for a target is counted under the result and its name behind this."""
_Any = TypeVar("_Any", bound=Hashable)

# Where what is in the row of numbers of a pattern.
EXECUTIONS: Final = slice(0, len(OUTCOMES))
SLOW, ROWS, ROWS_KNOWN = range(len(OUTCOMES), len(OUTCOMES) + 3)
DURATIONS: Final = slice(len(OUTCOMES) + 3, None)


class PatternPart(NamedTuple):
    """
    What one pattern did in one snapshot.

    Attributes:
        numbers: Executions by outcome, slow ones, rows, executions of which they are known, executions by the common
            bounds, nanoseconds together.
        names: Its summary, operation and tables.
        durations: Of its executions.
    """

    numbers: list[int]
    names: tuple[str, str, str]
    durations: Histogram


class PoolGauges(NamedTuple):
    """A pool of one process, as it was last told; what has no limit is None."""

    used: int
    idle: int
    limit: int | None
    idle_limit: int | None
    pending: int
    overflow: int
    oldest_s: float
    idle_in_transaction: int


@dataclass(slots=True)
class Digest:
    """
    What one snapshot adds.

    Attributes:
        service: Name of the application.
        process: `host:pid`.
        instance: What tells its gauge from others of that process, and of earlier ones of that name.
        ended_us: End of the span, in microseconds since 1970.
        interval_s: Seconds between two flushes there.
        counters: Increments by family and labels; nanoseconds where the unit is seconds.
        histograms: Likewise executions by bucket, and nanoseconds together.
        since: Counts of this gauge since it began, by name.
        patterns: By their id.
        running: Statements under way and the age of the oldest in milliseconds, by target.
        pools: By name.
        reached: By target, when it was last known whether a server was reached, and whether it was.
        memory_bytes: Resident; None if the system does not tell.
        memory_limit_bytes: Likewise.
    """

    service: str
    process: str
    instance: str
    ended_us: int
    interval_s: float
    counters: dict[_Key, int] = field(default_factory=dict)
    histograms: dict[_Key, list[int]] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    patterns: dict[str, PatternPart] = field(default_factory=dict)
    running: dict[str, tuple[int, float]] = field(default_factory=dict)
    pools: dict[str, PoolGauges] = field(default_factory=dict)
    reached: dict[str, tuple[int, bool]] = field(default_factory=dict)
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None

    def count(self, family: str, labels: Labels, number: int) -> None:
        """Adds to a counter."""
        key = (family, labels)
        self.counters[key] = self.counters.get(key, 0) + number

    def observe(self, family: str, labels: Labels, durations: Histogram) -> None:
        """Adds to a histogram with the common bounds."""
        _add(self.histograms, (family, labels), counted(durations))


def _add(totals: dict[_Any, list[int]], key: _Any, numbers: Sequence[int]) -> None:
    before = totals.get(key)
    totals[key] = [*numbers] if before is None else [*map(add, before, numbers)]


def counted(durations: Histogram) -> list[int]:
    """Executions by the common bounds, and nanoseconds together."""
    numbers = [0] * (len(BOUNDS) + 2)
    place_at = _PLACES.get
    for bucket, count in durations.buckets.items():
        numbers[place_at(bucket, _OUTSIDE)] += count
    numbers[-1] = durations.total_ns
    return numbers


def digest_of(snapshot: Snapshot) -> Digest:
    """What a snapshot adds to the totals."""
    digest = Digest(
        snapshot.service,
        snapshot.process,
        snapshot.instance,
        microseconds_of(snapshot.ended),
        snapshot.flush_interval_s or 0.0,
        memory_bytes=snapshot.usage.memory_bytes,
        memory_limit_bytes=snapshot.usage.memory_limit_bytes,
    )
    _add_queries(digest, snapshot.queries)
    for errors in snapshot.errors:
        labels = (snapshot.service, errors.target, errors.error_type, errors.sqlstate or "")
        digest.count("query_errors_total", labels, errors.count)
    for found in snapshot.repetitions:
        digest.count("repetitions_total", (snapshot.service, found.kind, found.confidence), found.scopes_count)
        avoidable = max(0, found.execution_count - found.scopes_count)
        digest.count("repeated_queries_total", (snapshot.service, found.kind), avoidable)
    for window in snapshot.pools:
        _add_pool(digest, window)
    digest.running.update((state.target, (state.count, state.oldest_ms)) for state in snapshot.running)
    digest.reached.update(reached(snapshot))
    _add_process(digest, snapshot)
    return digest


def _add_queries(digest: Digest, queries: Iterable[QueryStats]) -> None:
    by_operation: dict[tuple[str, str], list[int]] = {}
    by_target: dict[str, list[int]] = {}
    for stats in queries:
        pattern, counts = stats.pattern, stats.outcomes
        numbers = [
            counts.ok,
            counts.error,
            counts.timeout,
            counts.cancelled,
            stats.slow_count,
            stats.rows,
            stats.rows_known_count,
            *counted(stats.durations),
        ]
        _add(by_operation, (stats.target, pattern.operation), numbers)
        _add(by_target, stats.target, (*stats.phases.nanoseconds, numbers[-1]))
        _add_pattern(digest.patterns, stats, numbers)
    for (target, operation), numbers in by_operation.items():
        _count_operation(digest, (digest.service, target, operation), numbers)
    for target, times in by_target.items():
        _count_phases(digest, target, times)


def _add_pattern(patterns: dict[str, PatternPart], stats: QueryStats, numbers: list[int]) -> None:
    pattern = stats.pattern
    before = patterns.get(pattern.id)
    if before is None:
        names = (pattern.summary, pattern.operation, ",".join(pattern.tables))
        patterns[pattern.id] = PatternPart(numbers, names, stats.durations)
        return
    together = [*map(add, before.numbers, numbers)]
    patterns[pattern.id] = PatternPart(together, before.names, before.durations.merged(stats.durations))


def _count_operation(digest: Digest, labels: Labels, numbers: list[int]) -> None:
    for status, number in zip(OUTCOMES, numbers[EXECUTIONS], strict=True):
        if number:
            digest.count("queries_total", (*labels, status), number)
    digest.count("slow_queries_total", labels, numbers[SLOW])
    if numbers[ROWS_KNOWN]:
        digest.count("rows_total", labels, numbers[ROWS])
    _add(digest.histograms, ("query_duration_seconds", labels), numbers[DURATIONS])


def _count_phases(digest: Digest, target: str, times: list[int]) -> None:
    *phases, total_ns = times
    spent = PhaseTimes(*phases)
    by_name = {
        "pool_wait": spent.pool_wait_ns,
        "connect": spent.connect_ns,
        "begin": spent.begin_ns,
        "prepare": spent.prepare_ns,
        "execute": max(0, total_ns - spent.apart_ns),
        "fetch": spent.fetch_ns + spent.stream_ns,
        "commit": spent.commit_ns,
    }
    for phase, spent_ns in by_name.items():
        if spent_ns:
            digest.count("query_phase_seconds_total", (digest.service, target, phase), spent_ns)
    if spent.loop_lag_ns:
        digest.count("event_loop_lag_seconds_total", (digest.service, digest.process), spent.loop_lag_ns)


def _add_pool(digest: Digest, window: PoolWindow) -> None:
    metrics, state = window.metrics, window.state
    pool = (digest.service, window.pool)
    own = (*pool, digest.process)
    digest.count("pool_connections_created_total", own, metrics.create.count)
    for error_type, number in metrics.errors_by_type.items():
        digest.count("pool_connection_errors_total", (*own, error_type), number)
    digest.count("pool_checkouts_total", own, metrics.total_checkouts)
    digest.count("pool_timeouts_total", own, metrics.total_timeouts)
    digest.count("pool_connections_lost_total", (*own, "cancellation"), metrics.lost_to_cancellation)
    digest.count("pool_connections_lost_total", (*own, "leaked"), metrics.leaks)
    passed = metrics.health_checks - metrics.health_checks_failed
    digest.count("pool_health_checks_total", (*own, "ok"), passed)
    digest.count("pool_health_checks_total", (*own, "failed"), metrics.health_checks_failed)
    digest.observe("pool_wait_seconds", pool, metrics.wait)
    digest.observe("pool_create_seconds", pool, metrics.create)
    digest.observe("pool_use_seconds", pool, metrics.use)
    digest.pools[window.pool] = PoolGauges(
        state.active_connections,
        state.idle_connections,
        state.max_connections or None,
        state.idle_max,
        state.waiting_count,
        state.overflow,
        state.oldest_checkout_s,
        sum(holder.activity == "idle in transaction" for holder in state.holders),
    )


def _add_process(digest: Digest, snapshot: Snapshot) -> None:
    own, usage = snapshot.self_metrics, snapshot.usage
    executions = sum(stats.execution_count for stats in snapshot.queries)
    added_ns = round(executions * (own.added_us + own.fold_us) * _NS_PER_US)
    digest.count("hook_seconds_total", (digest.service, digest.process), added_ns)
    digest.since = {
        "not_counted": own.statements_dropped,
        "pattern_limit": own.patterns_folded,
        "scope_limit": own.scopes_folded,
        "history_full": own.slow_queries_dropped,
        "spool_full": own.snapshots_dropped,
        "miss": snapshot.pattern_cache.get("miss", 0),
        "evicted": snapshot.pattern_cache.get("evicted", 0),
        **{f"{HOOK}{hook}": number for hook, number in snapshot.hook_errors.items()},
        **{
            f"{COMPILED}{result} {target}": number
            for target, counts in snapshot.compiled_cache.items()
            for result, number in counts.items()
        },
    }
    if usage.cpu_s is not None:
        digest.since["cpu"] = round(usage.cpu_s * _NS_PER_S)
