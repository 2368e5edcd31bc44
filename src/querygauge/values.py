"""
The frozen values that cross rooms.

Durations are milliseconds as floats (`_ms`), shares are 0 to 100 (`_percent`, and the members named a rate), moments
are aware UTC datetimes. Every value turns into plain JSON types with `to_dict()`.

Deliberately not here: anything that counts, locks, reads a clock or touches a disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from querygauge.histogram import EMPTY, Histogram

__all__ = [
    "CANCELLED",
    "ERROR",
    "OK",
    "OUTCOMES",
    "TIMEOUT",
    "Category",
    "Failure",
    "HealthCheck",
    "Holder",
    "Outcome",
    "OutcomeCounts",
    "Pattern",
    "PoolGauges",
    "PoolMetrics",
    "PoolSnapshot",
    "PoolWindow",
    "QueryStats",
    "Repetition",
    "SelfMetrics",
    "Severity",
    "SlowQuery",
    "SlowQueryAlert",
    "Snapshot",
    "severity_of",
]

Category = Literal["query", "transaction", "session", "catalog"]
Outcome = Literal["ok", "error", "timeout", "cancelled"]
Severity = Literal["low", "medium", "high", "critical"]

# On the hot path an outcome is its place in here.
OUTCOMES: Final[tuple[Outcome, ...]] = ("ok", "error", "timeout", "cancelled")
OK: Final = 0
ERROR: Final = 1
TIMEOUT: Final = 2
CANCELLED: Final = 3


class _Value:
    """Turns a frozen dataclass into JSON types: its fields, then the properties it names in `_derived`."""

    __slots__ = ()
    _derived: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """This value as JSON types: datetimes in ISO 8601, tuples as lists, values inside as objects."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # only dataclasses inherit from this
        return {name: _json(getattr(self, name)) for name in (*names, *self._derived)}


def _json(value: object) -> Any:
    if isinstance(value, _Value):
        return value.to_dict()
    if isinstance(value, Histogram):
        return {str(bucket): value.buckets[bucket] for bucket in sorted(value.buckets)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@dataclass(frozen=True, slots=True)
class Pattern(_Value):
    """
    The identity of a query: its statement without literals.

    Attributes:
        id: 64-bit hash of text and dialect family, 16 hex digits, the same in every process and version.
        text: The statement with every literal and placeholder as `?`.
        summary: OpenTelemetry's `db.query.summary`, such as `SELECT orders`; at most 255 characters.
        operation: First keyword in upper case, such as `SELECT`; empty if there is none.
        tables: Tables named, in order of appearance, without repetition.
        dialect: Family: `postgresql`, `mysql`, `sqlite`, or `unknown`.
        category: `query`, or what counts and budgets may leave out: `transaction` control, `session` settings,
            `catalog` reads.
    """

    id: str
    text: str
    summary: str
    operation: str
    tables: tuple[str, ...]
    dialect: str
    category: Category = "query"


@dataclass(frozen=True, slots=True)
class Failure(_Value):
    """
    Why an execution failed, with nothing personal in it.

    Attributes:
        error_type: Name of the driver's exception class, such as `UniqueViolation`.
        code: SQLSTATE, or the driver's own code (`1062`, `SQLITE_CONSTRAINT_UNIQUE`); None if it gave none.
        message: The driver's message with every value replaced by `?`.
    """

    error_type: str
    code: str | None
    message: str

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        return f"{self.error_type}{code}: {self.message}" if self.message else f"{self.error_type}{code}"


@dataclass(frozen=True, slots=True)
class OutcomeCounts(_Value):
    """How executions ended; the four add up to all of them."""

    ok: int = 0
    error: int = 0
    timeout: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All executions."""
        return self.ok + self.error + self.timeout + self.cancelled

    @property
    def failed(self) -> int:
        """Errors and timeouts; a cancelled execution did not fail, its caller left."""
        return self.error + self.timeout

    @property
    def error_rate(self) -> float:
        """Percentage of failed executions among those that ended by themselves; 0 while there are none."""
        ended = self.ok + self.failed
        return 100.0 * self.failed / ended if ended else 0.0

    @property
    def success_rate(self) -> float:
        """Percentage of `ok` among those that ended by themselves; 100 while there are none."""
        return 100.0 - self.error_rate

    def merged(self, other: "OutcomeCounts") -> "OutcomeCounts":
        """Both together."""
        return OutcomeCounts(
            self.ok + other.ok,
            self.error + other.error,
            self.timeout + other.timeout,
            self.cancelled + other.cancelled,
        )


@dataclass(frozen=True, slots=True)
class QueryStats(_Value):
    """
    One pattern on one target: how often, how slow, how it ended.

    Attributes:
        pattern: What was executed.
        target: Name of the database, as given to `instrument` or `host:port/database`; empty for a monitor alone.
        outcomes: Executions by how they ended.
        slow_count: Executions at or over the slow threshold in force for this pattern; exact.
        rows: Rows returned or affected, over the executions for which the driver told.
        rows_known_count: Executions for which the driver told.
        durations: Of all executions, failed ones too.
        first_seen: Start of the first execution.
        last_seen: Start of the last execution.
    """

    pattern: Pattern
    target: str
    outcomes: OutcomeCounts
    slow_count: int
    rows: int
    rows_known_count: int
    durations: Histogram
    first_seen: datetime
    last_seen: datetime

    @property
    def query_pattern(self) -> str:
        """The pattern's text."""
        return self.pattern.text

    @property
    def pattern_id(self) -> str:
        """The pattern's id."""
        return self.pattern.id

    @property
    def operation(self) -> str:
        """The pattern's operation."""
        return self.pattern.operation

    @property
    def tables(self) -> tuple[str, ...]:
        """The pattern's tables."""
        return self.pattern.tables

    @property
    def execution_count(self) -> int:
        """All executions, however they ended."""
        return self.outcomes.total

    @property
    def error_count(self) -> int:
        """Executions that failed: errors and timeouts."""
        return self.outcomes.failed

    @property
    def error_rate(self) -> float:
        """Percentage of failed executions, cancelled ones left out."""
        return self.outcomes.error_rate

    @property
    def total_duration_ms(self) -> float:
        """Sum of all durations."""
        return self.durations.total_ms

    @property
    def avg_duration_ms(self) -> float:
        """Mean duration, exact."""
        return self.durations.mean_ms

    @property
    def median_duration_ms(self) -> float:
        """Half of the executions took no longer; at most 1.09 % off."""
        return self.durations.quantile_ms(0.5)

    @property
    def p95_duration_ms(self) -> float:
        """95 % of the executions took no longer; at most 1.09 % off."""
        return self.durations.quantile_ms(0.95)

    @property
    def p99_duration_ms(self) -> float:
        """99 % of the executions took no longer; at most 1.09 % off."""
        return self.durations.quantile_ms(0.99)

    @property
    def min_duration_ms(self) -> float:
        """The shortest duration, exact."""
        return self.durations.min_ms

    @property
    def max_duration_ms(self) -> float:
        """The longest duration, exact."""
        return self.durations.max_ms

    def merged(self, other: "QueryStats") -> "QueryStats":
        """Both together; the same pattern and target are the caller's business."""
        return QueryStats(
            self.pattern,
            self.target,
            self.outcomes.merged(other.outcomes),
            self.slow_count + other.slow_count,
            self.rows + other.rows,
            self.rows_known_count + other.rows_known_count,
            self.durations.merged(other.durations),
            min(self.first_seen, other.first_seen),
            max(self.last_seen, other.last_seen),
        )

    def to_dict(self) -> dict[str, Any]:
        """This value as JSON types; the buckets are left out, `durations` has them."""
        return {
            "pattern_id": self.pattern_id,
            "query_pattern": self.query_pattern,
            "summary": self.pattern.summary,
            "operation": self.operation,
            "tables": list(self.tables),
            "dialect": self.pattern.dialect,
            "category": self.pattern.category,
            "target": self.target,
            "execution_count": self.execution_count,
            **self.outcomes.to_dict(),
            "error_count": self.error_count,
            "error_rate": self.error_rate,
            "slow_count": self.slow_count,
            "rows": self.rows,
            "rows_known_count": self.rows_known_count,
            "total_duration_ms": self.total_duration_ms,
            "avg_duration_ms": self.avg_duration_ms,
            "median_duration_ms": self.median_duration_ms,
            "p95_duration_ms": self.p95_duration_ms,
            "p99_duration_ms": self.p99_duration_ms,
            "min_duration_ms": self.min_duration_ms,
            "max_duration_ms": self.max_duration_ms,
            "first_seen": self.first_seen.isoformat(),
            "last_seen": self.last_seen.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class SlowQuery(_Value):
    """
    One execution that was kept because it took long.

    Attributes:
        query: The pattern's text; the statement itself only with `keep_literals`.
        pattern_id: The pattern's id.
        summary: The pattern's summary.
        target: Name of the database.
        duration_ms: How long it took.
        timestamp: When it started.
        outcome: How it ended.
        rows: Rows returned or affected; None if the driver did not tell.
        parameters: What it was sent with, only with `keep_literals`; else None.
        call_site: First application frame as `path:line in function`; None if it was not looked for.
        error: Why it failed; None if it did not.
        trace_id: The trace it belongs to, if the caller told.
        scope: The request, job or test it belongs to, if one was named.
    """

    query: str
    pattern_id: str
    summary: str
    target: str
    duration_ms: float
    timestamp: datetime
    outcome: Outcome = "ok"
    rows: int | None = None
    parameters: Any = None
    call_site: str | None = None
    error: Failure | None = None
    trace_id: str | None = None
    scope: str | None = None


_SEVERITIES: tuple[tuple[float, Severity], ...] = ((10.0, "critical"), (5.0, "high"), (2.0, "medium"))


def severity_of(duration_ms: float, threshold_ms: float) -> Severity:
    """How far over the threshold: critical from 10 times, high from 5, medium from 2, else low."""
    for factor, severity in _SEVERITIES:
        if duration_ms >= factor * threshold_ms:
            return severity
    return "low"


@dataclass(frozen=True, slots=True)
class SlowQueryAlert(_Value):
    """One execution at or over the slow threshold, as alert handlers receive it."""

    timestamp: datetime
    query: str
    pattern_id: str
    summary: str
    duration_ms: float
    threshold_ms: float
    severity: Severity
    call_site: str | None
    service: str = ""
    target: str = ""

    def _get_severity(self) -> Severity:
        # Handlers written for the older name of this class call it.
        return self.severity


@dataclass(frozen=True, slots=True)
class Repetition(_Value):
    """
    The same pattern from the same line, several times within one scope: often an N+1.

    Attributes:
        pattern: What was repeated.
        target: Name of the database.
        call_site: The line that sent it, as `path:line in function`; None if it is unknown.
        scope: Name of the scope it was last found in; None if it was one use of a connection, without a named scope.
        scopes_count: Scopes it was found in.
        execution_count: Executions in those scopes, together.
        max_per_scope: Most executions within a single scope.
        total_duration_ms: Their time, together.
        fix: What to change, in one sentence.
    """

    pattern: Pattern
    target: str
    call_site: str | None
    scope: str | None
    scopes_count: int
    execution_count: int
    max_per_scope: int
    total_duration_ms: float
    fix: str


@dataclass(frozen=True, slots=True)
class Holder(_Value):
    """
    One connection that is checked out.

    Attributes:
        age_s: Seconds since its checkout.
        call_site: The line that checked it out, as `path:line in function`; None if it is unknown.
        pattern_id: The last pattern sent on it; None if there was none yet.
    """

    age_s: float
    call_site: str | None = None
    pattern_id: str | None = None


@dataclass(frozen=True, slots=True)
class PoolGauges(_Value):
    """What a pool holds at one moment; `size` is None where the pool has no limit of its own."""

    size: int | None
    max_overflow: int | None
    in_use: int
    idle: int


@dataclass(frozen=True, slots=True)
class PoolSnapshot(_Value):
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
    _derived: ClassVar[tuple[str, ...]] = ("utilization_percent",)

    @property
    def utilization_percent(self) -> float:
        """Share of `max_connections` in use; 0 where there is no limit."""
        return 100.0 * self.active_connections / self.max_connections if self.max_connections else 0.0


@dataclass(frozen=True, slots=True)
class HealthCheck(_Value):
    """One health check: when, how long, and why it failed (None if it did not)."""

    timestamp: datetime
    duration_ms: float
    error: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the pool answered in time."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class PoolMetrics(_Value):
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
        )


@dataclass(frozen=True, slots=True)
class PoolWindow(_Value):
    """One pool in one snapshot: its state at the end, and what it did within."""

    pool: str
    state: PoolSnapshot
    metrics: PoolMetrics


@dataclass(frozen=True, slots=True)
class SelfMetrics(_Value):
    """
    What querygauge noticed about itself.

    Attributes:
        hook_errors: Exceptions caught inside hooks; each kind was logged once.
        patterns_folded: Executions counted under `other` because the limit on distinct patterns was reached.
        slow_queries_dropped: Slow executions the bounded history pushed out; the counters still hold them.
        alerts_dropped: Alerts the bounded queue pushed out before a handler saw them.
        snapshots_dropped: Flushed snapshots that could not be kept.
    """

    hook_errors: int = 0
    patterns_folded: int = 0
    slow_queries_dropped: int = 0
    alerts_dropped: int = 0
    snapshots_dropped: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot(_Value):
    """
    Everything one process knows about a span of time.

    Attributes:
        service: Name of the application.
        process: `host:pid`.
        started: Start of the span.
        ended: Its end.
        queries: One per pattern and target that was executed in the span.
        slow_queries: Executions kept, oldest first.
        repetitions: Findings of the span.
        pools: One per pool.
        self_metrics: What querygauge noticed about itself, since the process began.
    """

    service: str
    process: str
    started: datetime
    ended: datetime
    queries: tuple[QueryStats, ...] = ()
    slow_queries: tuple[SlowQuery, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    pools: tuple[PoolWindow, ...] = ()
    self_metrics: SelfMetrics = SelfMetrics()
