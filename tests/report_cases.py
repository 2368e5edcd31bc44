"""Performance reports for tests: a usual one, an empty one, and the longest that anybody could be sent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from querygauge.values import OutcomeCounts
from querygauge.values.answers.execution import Performance, PoolPerformance
from querygauge.values.answers.performance_report import (
    PerformanceReport,
    ReportedError,
    ReportedPart,
    ReportedPattern,
    ReportedPool,
    ReportedRepetition,
    ReportSpan,
)

__all__ = ["DAY", "EMPTY_REPORT", "REPORT", "long_report"]

MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC)
ONE_DAY = timedelta(days=1)
DAY = ReportSpan(
    period="daily",
    since=MIDNIGHT - ONE_DAY,
    until=MIDNIGHT,
    before_since=MIDNIGHT - 8 * ONE_DAY,
    before_until=MIDNIGHT - 7 * ONE_DAY,
)
DID = Performance(
    outcomes=OutcomeCounts(ok=90, error=8, timeout=2),
    slow_count=7,
    total_duration_ms=12_500.0,
    min_duration_ms=1.0,
    median_duration_ms=20.0,
    p95_duration_ms=300.0,
    p99_duration_ms=900.0,
    max_duration_ms=1_000.0,
)
BEFORE = Performance(
    outcomes=OutcomeCounts(ok=100), total_duration_ms=5_000.0, median_duration_ms=20.0, p95_duration_ms=150.0
)
PATTERN = ReportedPattern(
    pattern_id="00c0ffee00c0ffee",
    summary="SELECT orders",
    text="SELECT id, total FROM orders WHERE customer_id = ? AND note <> ? & 1",
    services=("blog", "shop"),
    performance=DID,
    before=BEFORE,
    share_percent=40.0,
    call_sites=("shop/orders.py:31 in latest",),
    p95_trend=(None, 150.0, 300.0),
    worse=("p95", "errors"),
)
NEW = replace(PATTERN, pattern_id="5ca1ab1e00000000", summary="SELECT coupons", before=None, is_new=True, worse=())
REPETITION = ReportedRepetition(
    pattern_id="de69f70500000004",
    summary="SELECT users",
    call_site="shop/users.py:28 in find",
    scope="GET /orders",
    scopes_count=12,
    execution_count=120,
    max_per_scope=11,
    total_duration_ms=150.0,
    confidence="certain",
    fix="load them with their parents: selectinload(Order.user)",
)
POOL_DID = PoolPerformance(
    service="shop",
    pool="primary",
    request_count=4_800,
    checkout_count=4_797,
    timeout_count=3,
    error_count=0,
    avg_wait_ms=5.0,
    p95_wait_ms=365.0,
    avg_use_ms=20.0,
    peak_active=15,
)
POOL = ReportedPool(
    performance=POOL_DID,
    before=replace(POOL_DID, p95_wait_ms=10.0),
    max_connections=15,
    peak_waiting=4,
    leaks=1,
    lost_to_cancellation=2,
    failed_checks=0,
)
ERROR = ReportedError(
    pattern_id="bc47d4e300000002",
    summary="UPDATE stock",
    error_type="DeadlockDetected",
    sqlstate="40P01",
    count=24,
    message="deadlock detected",
)
PARTS = tuple(
    ReportedPart(execution_count=hour * 10, error_count=hour % 3, p95_ms=100.0 + hour if hour else None)
    for hour in range(24)
)
REPORT = PerformanceReport(
    span=DAY,
    service=None,
    known_since=MIDNIGHT - 30 * ONE_DAY,
    slow_ms=100.0,
    part_s=3_600.0,
    parts=PARTS,
    performance=DID,
    before=BEFORE,
    most_time=(PATTERN, NEW),
    slow=(PATTERN,),
    slower=(PATTERN,),
    new=(NEW,),
    repeated=(REPETITION,),
    pools=(POOL,),
    errors=(ERROR,),
    alerts={"slow_pattern": 2, "pool_timeout": 1},
    counts={
        "most_time": 2,
        "slow": 1,
        "slower": 1,
        "new": 1,
        "repeated": 1,
        "pools": 1,
        "errors": 1,
        "patterns": 2,
        "faster": 0,
        "gone": 0,
    },
)
"""Of a usual day."""

EMPTY_REPORT = PerformanceReport(
    span=DAY,
    service="shop",
    known_since=None,
    slow_ms=100.0,
    part_s=3_600.0,
    parts=tuple(ReportedPart(execution_count=0, error_count=0, p95_ms=None) for _ in range(24)),
    performance=Performance(),
    before=None,
)
"""Of a day on which nothing was executed."""


def long_report(count: int, text: str, entries: int = 10) -> PerformanceReport:
    """Of so many patterns, pools and errors, all with that text for every name; as a store would tell it."""

    def patterns(begin: int) -> tuple[ReportedPattern, ...]:
        some = range(begin, begin + entries)
        return tuple(
            replace(
                PATTERN,
                pattern_id=f"{number:016x}",
                summary=text,
                text=text[:1_000],
                services=(text, text),
                call_sites=(text,) * 3,
                p95_trend=tuple(float(hour) for hour in range(31)),
            )
            for number in some
        )

    return replace(
        REPORT,
        service=text,
        most_time=patterns(0),
        slow=patterns(100),
        slower=patterns(200),
        new=patterns(300),
        repeated=(replace(REPETITION, summary=text, call_site=text, scope=text, fix=text),) * entries,
        pools=(replace(POOL, performance=replace(POOL_DID, service=text, pool=text)),) * entries,
        errors=(replace(ERROR, summary=text, error_type=text, sqlstate=text, message=text[:300]),) * entries,
        alerts={f"{text}{number}": number for number in range(1, 25)},
        counts=dict.fromkeys(REPORT.counts, count),
    )
