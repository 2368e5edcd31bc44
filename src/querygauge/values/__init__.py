"""
The frozen values that cross rooms.

Durations are milliseconds as floats (`_ms`), shares are 0 to 100 (`_percent`, and the members named a rate), moments
are aware UTC datetimes. Every value turns into plain JSON types with `to_dict()`.

Deliberately not here: anything that counts, locks, reads a clock or touches a disk.
"""

from querygauge.values.pools import HealthCheck, Holder, PoolGauges, PoolMetrics, PoolSnapshot, PoolWindow
from querygauge.values.queries import (
    CANCELLED,
    ERROR,
    OK,
    OUTCOMES,
    TIMEOUT,
    Category,
    Failure,
    Outcome,
    OutcomeCounts,
    Pattern,
    QueryStats,
    Repetition,
    Severity,
    SlowQuery,
    SlowQueryAlert,
    severity_of,
)
from querygauge.values.scopes import ScopeLabel
from querygauge.values.snapshots import SelfMetrics, Snapshot

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
    "ScopeLabel",
    "SelfMetrics",
    "Severity",
    "SlowQuery",
    "SlowQueryAlert",
    "Snapshot",
    "severity_of",
]
