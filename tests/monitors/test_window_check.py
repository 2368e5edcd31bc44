"""A pool's window that cannot be true is found, whatever in it cannot be."""

from dataclasses import replace
from typing import Any

import pytest

from querygauge.histogram import Histogram
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.monitors.window_check import fault_of
from querygauge.values import Demand, PoolWindow


@pytest.fixture
def window(clock: Any) -> PoolWindow:
    """One with something of everything in it, and a connection that is held."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    for _ in range(2):
        monitor.record_checkout()
        clock.advance(1)
    monitor.record_checkin()
    monitor.record_wait_time(0.3)
    monitor.record_create_time(5_000)
    monitor.record_error("refused")
    monitor.record_lost("00000000deadbeef")
    return monitor.drain()


def test_what_the_counters_made_can_be(window: PoolWindow) -> None:
    """Nothing is said of it."""
    assert fault_of(window) is None


@pytest.mark.parametrize(("changes", "fault"), [
    ({"total_requests": -1}, "total_requests must be >= 0; got -1"),
    ({"lost_by_pattern": {"00000000deadbeef": -2}}, "lost_by_pattern must be >= 0; got -2"),
    ({"demand": Demand(5, -3)}, "full_ns must be >= 0; got -3"),
    ({"demand": Demand(5, 0, {0: 5, 1: -5})}, "times_ns must be >= 0; got -5"),
    ({"wait": Histogram(2, 10, 4, 6, {-900: 1})}, "the buckets of wait must add up to its count; got "),
    ({"use": Histogram(2, 10, 4, 6, {-900: 3, -899: -1})}, "buckets must be >= 0; got -1"),
    ({"create": Histogram(1, 5, 6, 5, {-900: 1})}, "min_ns of create must be <= max_ns; got "),
])  # fmt: skip
def test_what_cannot_be_is_named(window: PoolWindow, changes: dict[str, Any], fault: str) -> None:
    """A number below zero, buckets that are not as many as the count says, a shortest one longer than the longest."""
    assert str(fault_of(replace(window, metrics=replace(window.metrics, **changes)))).startswith(fault)


def test_gauges_are_looked_at_too(window: PoolWindow) -> None:
    """As the store does."""
    assert fault_of(replace(window, state=replace(window.state, overflow=-1))) == "overflow must be >= 0; got -1"
