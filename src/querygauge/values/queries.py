"""Values about statements: patterns, statistics, single executions."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from querygauge.histogram import Histogram
from querygauge.values.base import Value
from querygauge.values.phases import PHASES, PhaseTimes

__all__ = [
    "CANCELLED",
    "ERROR",
    "LINES_LIMIT",
    "OK",
    "OUTCOMES",
    "TIMEOUT",
    "Category",
    "Failure",
    "Outcome",
    "OutcomeCounts",
    "Pattern",
    "QueryStats",
    "Severity",
    "SlowQuery",
    "SlowQueryAlert",
    "by_pattern",
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
LINES_LIMIT: Final = 8
"""Lines that are told apart for one pattern."""
_NS_PER_MS: Final = 1e6
_QUERY: Final = r"(?:SELECT|WITH)(?!\w)"
# What the group holds is counted. Quoted names are read over, and the parentheses around a whole statement.
_COMPLICATES: Final = re.compile(
    r"(?i)\"[^\"]*\"|`[^`]*`|\[[^\[\]()]*\]|\A[( ]++|"
    r"(?<![\w.@#$])((?:(?<!FOR )JOIN|(?<!SELECT )STRAIGHT_JOIN|(?:CROSS|OUTER) APPLY)(?![\w.])|"
    # The parentheses of what a set operation adds make no subquery of it.
    rf"(?:UNION|INTERSECT|EXCEPT|MINUS)(?: ALL| DISTINCT)?+ ?[( ]*+(?:{_QUERY}|VALUES|TABLE))|"
    rf"(\( ?(?:{_QUERY}|(?:INSERT INTO|UPDATE|DELETE FROM|MERGE INTO) ))"
)


@dataclass(frozen=True, slots=True)
class Pattern(Value):
    """
    The identity of a query: its statement without literals.

    Attributes:
        id: 64-bit hash of text and dialect family, 16 hex digits, the same in every process and version.
        text: The statement with every literal and placeholder as `?`.
        summary: OpenTelemetry's `db.query.summary`, such as `SELECT orders`; at most 255 characters.
        operation: First keyword in upper case, such as `SELECT`; of a statement behind `WITH …` or `SET …`, its own;
            empty if there is none.
        tables: Tables named, in order of appearance, without repetition.
        dialect: Family: `postgresql`, `mysql`, `sqlite`, `mssql`, `oracle`, or `unknown`.
        category: `query`, or what counts and budgets may leave out: `transaction` control, `session` settings,
            `catalog` reads.
        is_eager_load: Whether SQLAlchemy sends it once for so many parents, as `selectinload` does, which repeats
            nothing.
    """

    id: str
    text: str
    summary: str
    operation: str
    tables: tuple[str, ...]
    dialect: str
    category: Category = "query"
    is_eager_load: bool = field(default=False, compare=False)
    _derived: ClassVar[tuple[str, ...]] = ("complexity",)

    @property
    def complexity(self) -> int:
        """
        What a database has to bring together: tables, joins, subqueries and set operations, one each.

        1 for a query of one table, 0 for `COMMIT`. Counted are

        - each of `tables`, once, however often it is named; a common table expression that is named is none;
        - every `JOIN` and `APPLY`; the comma between two tables is none;
        - every query in parentheses, be it a common table expression, a table's place or a value, but not the
          parentheses around a whole statement or around one side of a set operation;
        - every `UNION`, `INTERSECT`, `EXCEPT` and `MINUS`.
        """
        return len(self.tables) + sum(any(found) for found in _COMPLICATES.findall(self.text))


@dataclass(frozen=True, slots=True)
class Failure(Value):
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
class OutcomeCounts(Value):
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
class QueryStats(Value):
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
        phases: Where time went before, within and after the executions.
        lines: Executions by the line that sent them, as `path:line in function`, of those for which it was looked for:
            first, slow, failed and repeated ones; at most `LINES_LIMIT` lines.
        scope: Name of the scope that they belong to; None outside of every scope, or if it is about all of them.
        tags: Tags of that scope.
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
    phases: PhaseTimes = field(default_factory=PhaseTimes)
    lines: Mapping[str, int] = field(default_factory=dict)
    scope: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

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

    @property
    def execute_ms(self) -> float:
        """What the durations hold besides the phases that could be told apart: executing, and transferring rows."""
        return (self.durations.total_ns - self.phases.apart_ns) / _NS_PER_MS

    def phases_ms(self) -> dict[str, float]:
        """Milliseconds by phase, in the order they happen; `execute` is what no other phase within accounts for."""
        times = {phase: self.phases.ms(phase) for phase in PHASES}
        before = {phase: times.pop(phase) for phase in ("pool_wait", "connect", "begin", "prepare")}
        return {**before, "execute": self.execute_ms, **times}

    def merged(self, other: "QueryStats") -> "QueryStats":
        """Both together; that they have the pattern, target and scope in common is the caller's business."""
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
            self.phases.merged(other.phases),
            _lines_together(self.lines, other.lines),
            self.scope,
            self.tags,
        )

    @property
    def call_site(self) -> str | None:
        """The line that was found most often; None if none was looked for."""
        return max(self.lines, key=lambda line: self.lines[line], default=None)

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
            "scope": self.scope,
            "tags": dict(self.tags),
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
            **{f"{phase}_ms": spent_ms for phase, spent_ms in self.phases_ms().items()},
            "call_site": self.call_site,
            "first_seen": self.first_seen.isoformat(),
            "last_seen": self.last_seen.isoformat(),
        }


def _lines_together(some: Mapping[str, int], others: Mapping[str, int]) -> Mapping[str, int]:
    together = dict(some)
    for line, times in others.items():
        together[line] = together.get(line, 0) + times
    return together if len(together) <= LINES_LIMIT else dict(Counter(together).most_common(LINES_LIMIT))


def by_pattern(stats: Iterable[QueryStats]) -> list[QueryStats]:
    """One per pattern and target, whatever the scope."""
    found: dict[tuple[str, str], QueryStats] = {}
    for each in stats:
        key = (each.target, each.pattern.id)
        before = found.get(key)
        if before is not None:
            found[key] = before.merged(each)
        else:
            found[key] = each if each.scope is None else replace(each, scope=None, tags={})
    return list(found.values())


@dataclass(frozen=True, slots=True)
class SlowQuery(Value):
    """
    One execution that was kept because it took long, or as an example of how its pattern fails.

    Attributes:
        query: The pattern's text; the statement itself only with `keep_literals`.
        pattern_id: The pattern's id.
        summary: The pattern's summary.
        target: Name of the database.
        duration_ms: How long it took.
        timestamp: When it started.
        outcome: How it ended.
        rows: Rows returned or affected; None if the driver did not tell.
        parameters: What it was sent with as JSON types (`plain`), only with `keep_literals`; else None.
        call_site: First application frame as `path:line in function`; None if it was not looked for.
        error: Why it failed; None if it did not.
        trace_id: OpenTelemetry's trace that it belongs to, if there is one that is kept, or what the caller told.
        scope: The request, job or test it belongs to, if one was named.
        loop_lag_ms: How long of it the event loop was blocked, an estimate; without that it is still slow.
        operation: The pattern's operation.
        tags: Tags of its scope.
        is_slow: Whether it was kept for the time it took; else it failed, and is one of a few that failed alike.
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
    loop_lag_ms: float = 0.0
    operation: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_slow: bool = True


_SEVERITIES: tuple[tuple[float, Severity], ...] = ((10.0, "critical"), (5.0, "high"), (2.0, "medium"))


def severity_of(duration_ms: float, threshold_ms: float) -> Severity:
    """How far over the threshold: critical from 10 times, high from 5, medium from 2, else low."""
    for factor, severity in _SEVERITIES:
        if duration_ms >= factor * threshold_ms:
            return severity
    return "low"


@dataclass(frozen=True, slots=True)
class SlowQueryAlert(Value):
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
