"""Values to render, built from a few words each; what a test does not name is unremarkable."""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from querygauge.histogram import Histogram
from querygauge.rendering.report_data import ReportData
from querygauge.values import (
    NO_DEMAND,
    Category,
    Demand,
    OutcomeCounts,
    Pattern,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    QueryStats,
    Repetition,
)

__all__ = ["ENDED", "STARTED", "Make"]

STARTED = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ENDED = datetime(2026, 1, 1, 12, 1, 2, tzinfo=UTC)


class Make:
    """Builds values."""

    def pattern(self, text: str = "SELECT a FROM t WHERE id = ?", category: Category = "query") -> Pattern:
        """A pattern whose id follows from its text."""
        operation = text.split(maxsplit=1)[0].upper()
        table = text.partition(" FROM ")[2].partition(" ")[0]
        identity = blake2b(text.encode(), digest_size=8).hexdigest()
        tables = (table,) if table else ()
        return Pattern(identity, text, f"{operation} {table}".strip(), operation, tables, "sqlite", category)

    def stats(
        self,
        text: str = "SELECT a FROM t WHERE id = ?",
        count: int = 1,
        ms: float = 1.0,
        *,
        rows: float | None = None,
        errors: int = 0,
        target: str = "primary",
        category: Category = "query",
        slow: int = 0,
    ) -> QueryStats:
        """Statistics of `count` executions of `ms` milliseconds each; `rows` is per execution, None is unknown."""
        return QueryStats(
            pattern=self.pattern(text, category),
            target=target,
            outcomes=OutcomeCounts(ok=count - errors, error=errors),
            slow_count=slow,
            rows=0 if rows is None else round(rows * count),
            rows_known_count=0 if rows is None else count,
            durations=Histogram.of([int(ms * 1e6)] * count),
            first_seen=STARTED,
            last_seen=ENDED,
        )

    def repetition(self, text: str = "SELECT a FROM t WHERE id = ?", **members: Any) -> Repetition:
        """A finding of five executions in one scope."""
        given = {
            "target": "primary",
            "call_site": "shop/orders.py:12 in show",
            "scope": "GET /orders",
            "scopes_count": 1,
            "execution_count": 5,
            "max_per_scope": 5,
            "total_duration_ms": 5.0,
            "compared_count": 4,
            "parameters_count": 4,
        }
        return Repetition(pattern=self.pattern(text), **{**given, **members})

    def pool(
        self,
        name: str = "primary",
        *,
        wait_ms: float = 0.0,
        create_ms: float = 0.0,
        opened: int = 1,
        waiting: int = 1,
        demand: Demand = NO_DEMAND,
    ) -> PoolWindow:
        """A window in which one caller waited `wait_ms`, and connections were opened in `create_ms` together."""
        state = PoolSnapshot(ENDED, 5, 1, 0, 0, 0, 15, 0.5)
        metrics = PoolMetrics(
            total_requests=1,
            total_checkouts=1,
            wait=Histogram.of([int(wait_ms * 1e6)]),
            create=Histogram.of([int(create_ms * 1e6 / opened)] * opened if create_ms else []),
            peak_active=4,
            peak_waiting=waiting,
            demand=demand,
        )
        return PoolWindow(name, state, metrics)

    def report(self, *stats: QueryStats, **members: Any) -> ReportData:
        """A report of a minute with these statistics."""
        outcomes = OutcomeCounts()
        for entry in stats:
            outcomes = outcomes.merged(entry.outcomes)
        given: dict[str, Any] = {
            "service": "shop",
            "started": STARTED,
            "ended": ENDED,
            "threshold_ms": 1000.0,
            "outcomes": outcomes,
            "slow_count": sum(entry.slow_count for entry in stats),
            "stats": stats,
            "repetitions": (),
        }
        return ReportData(**{**given, **members})
