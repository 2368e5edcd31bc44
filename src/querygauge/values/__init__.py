"""
The frozen values that cross rooms.

Durations are milliseconds as floats (`_ms`), shares are 0 to 100 (`_percent`, and the members named a rate), moments
are aware UTC datetimes. Every value turns into plain JSON types with `to_dict()`.

Deliberately not here: anything that counts, locks, reads a clock or touches a disk.
"""

from querygauge.values.demand import NO_DEMAND, Demand
from querygauge.values.phases import (
    BEGIN,
    COMMIT,
    CONNECT,
    FETCH,
    LOOP_LAG,
    PHASES,
    POOL_WAIT,
    PREPARE,
    STREAM,
    PhaseTimes,
)
from querygauge.values.pools import (
    ConnectionActivity,
    HealthCheck,
    Holder,
    PoolGauges,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
)
from querygauge.values.processes import ProcessUsage, ProcessWindow
from querygauge.values.queries import (
    CANCELLED,
    ERROR,
    LINES_LIMIT,
    OK,
    OUTCOMES,
    TIMEOUT,
    Category,
    Failure,
    Outcome,
    OutcomeCounts,
    Pattern,
    QueryStats,
    Severity,
    SlowQuery,
    SlowQueryAlert,
    by_pattern,
    severity_of,
)
from querygauge.values.query_errors import QueryErrors
from querygauge.values.repetitions import Repetition
from querygauge.values.running import ProcessRunning, RunningQuery, RunningState, oldest_first
from querygauge.values.scopes import OTHER_SCOPES, OTHER_VALUE, ScopeLabel, ScopeStats, by_name, by_tag
from querygauge.values.snapshots import SelfMetrics, Snapshot

__all__ = [
    "BEGIN",
    "CANCELLED",
    "COMMIT",
    "CONNECT",
    "ERROR",
    "FETCH",
    "LINES_LIMIT",
    "LOOP_LAG",
    "NO_DEMAND",
    "OK",
    "OTHER_SCOPES",
    "OTHER_VALUE",
    "OUTCOMES",
    "PHASES",
    "POOL_WAIT",
    "PREPARE",
    "STREAM",
    "TIMEOUT",
    "Category",
    "ConnectionActivity",
    "Demand",
    "Failure",
    "HealthCheck",
    "Holder",
    "Outcome",
    "OutcomeCounts",
    "Pattern",
    "PhaseTimes",
    "PoolGauges",
    "PoolMetrics",
    "PoolSnapshot",
    "PoolWindow",
    "ProcessRunning",
    "ProcessUsage",
    "ProcessWindow",
    "QueryErrors",
    "QueryStats",
    "Repetition",
    "RunningQuery",
    "RunningState",
    "ScopeLabel",
    "ScopeStats",
    "SelfMetrics",
    "Severity",
    "SlowQuery",
    "SlowQueryAlert",
    "Snapshot",
    "by_name",
    "by_pattern",
    "by_tag",
    "oldest_first",
    "severity_of",
]
