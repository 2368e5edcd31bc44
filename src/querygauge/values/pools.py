"""Values about connection pools: their state, what they did, who holds a connection."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Literal

from querygauge.histogram import EMPTY, Histogram
from querygauge.values.base import Value
from querygauge.values.demand import NO_DEMAND, Demand

__all__ = ["ConnectionActivity", "HealthCheck", "Holder", "PoolGauges", "PoolMetrics", "PoolSnapshot", "PoolWindow"]

ConnectionActivity = Literal["active", "idle in transaction", "idle"]
"""A statement under way; none, but a transaction open; neither. The words are PostgreSQL's own."""

_CHECKS_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class Holder(Value):
    """
    One connection that is checked out.

    Attributes:
        age_s: Seconds since its checkout.
        call_site: The line that checked it out, as `path:line in function`; None if it is unknown.
        pattern_id: The last pattern sent on it; None if there was none yet.
        activity: What its connection is at; None if the driver does not tell.
        reason: Why it may be held for long, as given to `long_hold`; None if nobody said so.
    """

    age_s: float
    call_site: str | None = None
    pattern_id: str | None = None
    activity: ConnectionActivity | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PoolGauges(Value):
    """
    What a pool holds at one moment.

    Attributes:
        size: Connections it may keep; None where it has no limit of its own.
        max_overflow: Connections it may open beyond `size`; negative or None where that has no limit.
        in_use: Checked out.
        idle: Open and not checked out.
        idle_max: Idle connections it keeps at most; None if there is no limit.
        idle_min: Idle connections it keeps at least.
        pool_class: Name of the pool's class, such as `QueuePool`; None if it is not known.
        driver: Name of the driver, such as `asyncpg`; likewise.
    """

    size: int | None
    max_overflow: int | None
    in_use: int
    idle: int
    idle_max: int | None = 0
    idle_min: int = 0
    pool_class: str | None = None
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class PoolSnapshot(Value):
    """
    A pool at one moment.

    Attributes:
        timestamp: The moment.
        pool_size: Connections the pool may keep; 0 where it has no limit.
        active_connections: Checked out.
        idle_connections: Open and not checked out.
        waiting_count: Callers waiting for a connection.
        overflow: Connections above `pool_size`; never negative.
        max_connections: `pool_size` and the allowed overflow; 0 where there is no limit.
        oldest_checkout_s: Age of the oldest checkout in seconds; 0 if nothing is checked out.
        holders: Those that hold a connection, oldest first; at most 20.
        idle_max: Idle connections the pool keeps at most; None if there is no limit.
        idle_min: Idle connections the pool keeps at least.
        pool_class: Name of the pool's class, such as `QueuePool`; None if it is not known.
        driver: Name of the driver, such as `asyncpg`; likewise.
    """

    timestamp: datetime
    pool_size: int
    active_connections: int
    idle_connections: int
    waiting_count: int
    overflow: int
    max_connections: int
    oldest_checkout_s: float
    holders: tuple[Holder, ...] = ()
    idle_max: int | None = 0
    idle_min: int = 0
    pool_class: str | None = None
    driver: str | None = None
    _derived: ClassVar[tuple[str, ...]] = ("utilization_percent",)

    @property
    def utilization_percent(self) -> float:
        """Share of `max_connections` in use; 0 where there is no limit."""
        return 100.0 * self.active_connections / self.max_connections if self.max_connections else 0.0


@dataclass(frozen=True, slots=True)
class HealthCheck(Value):
    """One health check: when, how long, and why it failed (None if it did not)."""

    timestamp: datetime
    duration_ms: float
    error: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the pool answered in time."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class PoolMetrics(Value):
    """
    What a pool did over a span of time.

    Attributes:
        total_requests: Connections asked for; the base of both rates.
        total_checkouts: Connections handed out.
        total_checkins: Connections given back.
        total_timeouts: Requests that ended in a timeout.
        total_errors: Requests that ended in any other error.
        wait: Time to obtain a connection, from asking to having it.
        use: Time a connection was checked out.
        create: Time to open a connection.
        peak_active: Most connections in use at once.
        peak_waiting: Most callers waiting at once.
        health_checks: Health checks made.
        health_checks_failed: Those that failed.
        leaks: Connections that were garbage-collected instead of given back.
        lost_to_cancellation: Connections thrown away because a statement on them was cancelled.
        lost_by_pattern: The same by the id of the pattern that was cancelled, as far as it is known.
        errors_by_type: Of `total_errors`, how many had an exception of which class; of those that are known.
        demand: How many connections were asked for at once.
    """

    total_requests: int = 0
    total_checkouts: int = 0
    total_checkins: int = 0
    total_timeouts: int = 0
    total_errors: int = 0
    wait: Histogram = EMPTY
    use: Histogram = EMPTY
    create: Histogram = EMPTY
    peak_active: int = 0
    peak_waiting: int = 0
    health_checks: int = 0
    health_checks_failed: int = 0
    leaks: int = 0
    lost_to_cancellation: int = 0
    lost_by_pattern: Mapping[str, int] = field(default_factory=dict)
    errors_by_type: Mapping[str, int] = field(default_factory=dict)
    demand: Demand = NO_DEMAND
    _derived: ClassVar[tuple[str, ...]] = (
        "timeout_rate",
        "error_rate",
        "avg_wait_time_ms",
        "p95_wait_time_ms",
        "p99_wait_time_ms",
        "avg_use_time_ms",
        "avg_create_time_ms",
        "health_check_success_rate",
    )

    @property
    def timeout_rate(self) -> float:
        """Percentage of requests that timed out."""
        return self._rate(self.total_timeouts)

    @property
    def error_rate(self) -> float:
        """Percentage of requests that ended in an error other than a timeout."""
        return self._rate(self.total_errors)

    def _rate(self, count: int) -> float:
        return 100.0 * count / self.total_requests if self.total_requests else 0.0

    @property
    def avg_wait_time_ms(self) -> float:
        """Mean time to obtain a connection; 0 while none was asked for."""
        return self.wait.mean_ms

    @property
    def p95_wait_time_ms(self) -> float:
        """95 % of the waits were no longer; 0 while there were none."""
        return self.wait.quantile_ms(0.95) if self.wait.count else 0.0

    @property
    def p99_wait_time_ms(self) -> float:
        """99 % of the waits were no longer; 0 while there were none."""
        return self.wait.quantile_ms(0.99) if self.wait.count else 0.0

    @property
    def avg_use_time_ms(self) -> float:
        """Mean time a connection was checked out; 0 while none came back."""
        return self.use.mean_ms

    @property
    def avg_create_time_ms(self) -> float:
        """Mean time to open a connection; 0 while none was opened."""
        return self.create.mean_ms

    @property
    def health_check_success_rate(self) -> float:
        """Percentage of health checks that succeeded; 100 while there were none."""
        if not self.health_checks:
            return 100.0
        return 100.0 * (self.health_checks - self.health_checks_failed) / self.health_checks

    def merged(self, other: "PoolMetrics") -> "PoolMetrics":
        """Both together; peaks are the higher of the two."""
        return PoolMetrics(
            total_requests=self.total_requests + other.total_requests,
            total_checkouts=self.total_checkouts + other.total_checkouts,
            total_checkins=self.total_checkins + other.total_checkins,
            total_timeouts=self.total_timeouts + other.total_timeouts,
            total_errors=self.total_errors + other.total_errors,
            wait=self.wait.merged(other.wait),
            use=self.use.merged(other.use),
            create=self.create.merged(other.create),
            peak_active=max(self.peak_active, other.peak_active),
            peak_waiting=max(self.peak_waiting, other.peak_waiting),
            health_checks=self.health_checks + other.health_checks,
            health_checks_failed=self.health_checks_failed + other.health_checks_failed,
            leaks=self.leaks + other.leaks,
            lost_to_cancellation=self.lost_to_cancellation + other.lost_to_cancellation,
            lost_by_pattern=dict(Counter(self.lost_by_pattern) + Counter(other.lost_by_pattern)),
            errors_by_type=dict(Counter(self.errors_by_type) + Counter(other.errors_by_type)),
            demand=self.demand.merged(other.demand),
        )


@dataclass(frozen=True, slots=True)
class PoolWindow(Value):
    """
    One pool in one snapshot.

    Attributes:
        pool: Its name.
        state: How it was at the end.
        metrics: What it did within.
        health_checks: The checks that ended within, oldest first; at most the last 100.
        timeout_holders: Those that held a connection when the last request timed out, oldest first; at most 20, and
            none if none did.
    """

    pool: str
    state: PoolSnapshot
    metrics: PoolMetrics
    health_checks: tuple[HealthCheck, ...] = ()
    timeout_holders: tuple[Holder, ...] = ()

    def merged(self, later: "PoolWindow") -> "PoolWindow":
        """The same pool over this and a later window: what it did is everything together, its state is the later."""
        checks = (self.health_checks + later.health_checks)[-_CHECKS_KEPT:]
        holders = later.timeout_holders or self.timeout_holders
        return PoolWindow(self.pool, later.state, self.metrics.merged(later.metrics), checks, holders)
