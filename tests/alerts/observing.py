"""Observations for the tests of rules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from querygauge.histogram import Histogram
from querygauge.values import (
    Category,
    Holder,
    OutcomeCounts,
    Pattern,
    PhaseTimes,
    PoolMetrics,
    PoolSnapshot,
    PoolWindow,
    QueryStats,
    SlowQuery,
)
from querygauge.values.observed import ObservedService

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ORDERS = "SELECT a FROM orders WHERE id = ?"
QUIET = ObservedService("shop")


def pattern(text: str = ORDERS, category: Category = "query") -> Pattern:
    """The pattern of a text, whose id is its length."""
    return Pattern(
        f"{len(text):016x}", text, " ".join(text.split()[:2]), text.split(maxsplit=1)[0], (), "postgresql", category
    )


def executed(
    durations_ms: Sequence[float] = (1.0,),
    text: str = ORDERS,
    *,
    category: Category = "query",
    error: int = 0,
    timeout: int = 0,
    cancelled: int = 0,
    slow: int = 0,
    loop_lag_ms: float = 0.0,
) -> QueryStats:
    """What was executed in such times; of them so many failed or were cancelled."""
    durations = Histogram.of(int(ms * 1e6) for ms in durations_ms)
    ok = durations.count - error - timeout - cancelled
    return QueryStats(
        pattern(text, category),
        "main",
        OutcomeCounts(ok, error, timeout, cancelled),
        slow,
        0,
        0,
        durations,
        NOON - timedelta(minutes=30),
        NOON,
        PhaseTimes(loop_lag_ns=int(loop_lag_ms * 1e6)),
        {"shop/orders.py:12 in show": 3},
    )


def slow(duration_ms: float, text: str = ORDERS) -> SlowQuery:
    """One execution that took so long."""
    return SlowQuery(
        "SELECT a FROM orders WHERE id = 'secret'",
        pattern(text).id,
        pattern(text).summary,
        "main",
        duration_ms,
        NOON,
        call_site="shop/orders.py:12 in show",
    )


def pool(
    active: int = 1,
    *,
    waiting: int = 0,
    waits_ms: Sequence[float] = (),
    holders: tuple[Holder, ...] = (),
    limit: int = 10,
    **metrics: Any,
) -> PoolWindow:
    """A pool of five with an overflow of five, in which so many connections are in use."""
    state = PoolSnapshot(NOON, 5, active, 0, waiting, 0, limit, 0.0, holders)
    waited = Histogram.of(int(ms * 1e6) for ms in waits_ms)
    return PoolWindow("main", state, replace(PoolMetrics(wait=waited), **metrics))
