"""From where on something is wrong: every number that a rule compares with, and what it is unless somebody sets it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from querygauge.alerts.overrides import Override
from querygauge.values.queries import QueryStats, SlowQuery

__all__ = ["NUMBERS", "Thresholds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """
    What the rules compare with.

    Attributes:
        errors_warning_percent: Share of failed statements in the last hour.
        errors_critical_percent: Likewise, critical.
        success_warning_percent: Less than this share of the last hour's statements succeeded; cancelled ones did not.
        success_critical_percent: Likewise, critical.
        errors_per_s: Failed statements a second in the last five minutes.
        p95_ms: 95th percentile of a pattern in the last five minutes.
        p99_ms: 99th percentile of all queries of a service in the last five minutes.
        slow_per_s: Slow statements a second in the last five minutes.
        loop_lag_ms: Mean time by which a blocked event loop made a statement longer, if it is most of its time.
        repeated_scopes: Units of work in five minutes that repeated the same query from the same line.
        pool_warning_percent: Share of a pool's connections that are in use.
        pool_critical_percent: Likewise, critical.
        pool_wait_ms: 95th percentile of the waits for a connection in the last five minutes.
        pending_critical: Callers that wait for a connection; a warning from as many on as the pool has connections.
        checkout_s: Seconds a connection is checked out without a reason given.
        memory_percent: Share of its limit that a process has.
        disk_free_percent: Less than this share of the store's disk is free.
        disk_critical_percent: Likewise, critical.
        store_warning_mb: Megabytes of the database.
        store_critical_mb: Likewise, critical.
        waiting_mb: Megabytes of snapshots that wait to be folded.
        waiting_s: Seconds that a snapshot has waited to be folded.
        min_executions: From so many executions on, a pattern has percentiles.
        min_statements: From so many statements on, a service has rates.
        overrides: Other thresholds for some statements; of those that fit the first counts.
    """

    errors_warning_percent: float = 10.0
    errors_critical_percent: float = 25.0
    success_warning_percent: float = 85.0
    success_critical_percent: float = 70.0
    errors_per_s: float = 1.0
    p95_ms: float = 100.0
    p99_ms: float = 1_000.0
    slow_per_s: float = 10.0
    loop_lag_ms: float = 20.0
    repeated_scopes: int = 5
    pool_warning_percent: float = 80.0
    pool_critical_percent: float = 90.0
    pool_wait_ms: float = 1_000.0
    pending_critical: int = 100
    checkout_s: float = 60.0
    memory_percent: float = 85.0
    disk_free_percent: float = 15.0
    disk_critical_percent: float = 5.0
    store_warning_mb: float = 500.0
    store_critical_mb: float = 1_000.0
    waiting_mb: float = 50.0
    waiting_s: float = 300.0
    min_executions: int = 20
    min_statements: int = 100
    overrides: tuple[Override, ...] = ()

    def p95_ms_of(self, service: str, stats: QueryStats) -> float:
        """What the 95th percentile of a pattern must not exceed."""
        fitting = self._overrides_of(service, stats.target, stats.pattern_id)
        return next((each.p95_ms for each in fitting if each.p95_ms is not None), self.p95_ms)

    def slow_query_ms_of(self, service: str, slow: SlowQuery, usual_ms: float) -> float:
        """From where on an execution is slow, `usual_ms` in its application."""
        fitting = self._overrides_of(service, slow.target, slow.pattern_id)
        within = (each for each in fitting if each.is_within(slow.scope))
        return next((each.slow_query_ms for each in within if each.slow_query_ms is not None), usual_ms)

    @property
    def lowest_p95_ms(self) -> float:
        """No pattern with a lower 95th percentile is slow."""
        return min([self.p95_ms, *(each.p95_ms for each in self.overrides if each.p95_ms is not None)])

    def _overrides_of(self, service: str, target: str, pattern_id: str) -> Iterator[Override]:
        return (each for each in self.overrides if each.is_about(service, target, pattern_id))


NUMBERS: Final = tuple(field.name for field in fields(Thresholds) if field.name != "overrides")
"""The thresholds that are one number each, by their name."""
