"""The pool monitor as people use it: snapshots, status, windows, background work and a dashboard."""

import asyncio
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from querygauge.errors import SettingsError
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor, initialize_pool_monitor

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_snapshot_every_five_seconds(clock: Any) -> None:
    """Polled every second, the first snapshot is taken at once and then one every five seconds."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    for _ in range(12):
        monitor.poll()
        clock.advance(1)
    assert [snapshot.timestamp - START for snapshot in monitor.get_snapshots()] == [
        timedelta(seconds=0),
        timedelta(seconds=5),
        timedelta(seconds=10),
    ]


def test_a_late_poll_takes_one_snapshot(clock: Any) -> None:
    """What was missed is not made up for, and the rhythm goes on."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    taken = []
    for step in (0, 23, 1, 4, 5):
        clock.advance(step)
        monitor.poll()
        taken.append(len(monitor.get_snapshots()))
    assert taken == [1, 2, 2, 3, 4]


def test_the_snapshot_history_is_bounded(clock: Any) -> None:
    """The oldest snapshots go."""
    monitor = ConnectionPoolMonitor(5, snapshot_history_size=3, snapshot_interval_s=1, clock=clock)
    for _ in range(10):
        monitor.poll()
        clock.advance(1)
    assert [snapshot.timestamp.second for snapshot in monitor.get_snapshots()] == [7, 8, 9]


def test_snapshots_since_a_moment(clock: Any) -> None:
    """`since` is inclusive, and must say its time zone."""
    monitor = ConnectionPoolMonitor(5, snapshot_interval_s=1, clock=clock)
    for _ in range(5):
        monitor.poll()
        clock.advance(1)
    assert len(monitor.get_snapshots(START + timedelta(seconds=3))) == 2
    with pytest.raises(SettingsError, match="since must have a time zone"):
        monitor.get_snapshots(datetime(2026, 1, 1))  # noqa: DTZ001


def test_windows_add_up(clock: Any) -> None:
    """Each window holds what happened since the last one, and the state at its end."""
    monitor = ConnectionPoolMonitor(5, name="shop", clock=clock)
    monitor.record_checkout()
    monitor.record_checkout()
    first = monitor.drain()
    monitor.record_checkin()
    second = monitor.drain()
    assert first.pool == "shop"
    assert (first.metrics.total_checkouts, first.metrics.total_checkins, first.state.active_connections) == (2, 0, 2)
    assert (second.metrics.total_checkouts, second.metrics.total_checkins, second.metrics.peak_active) == (0, 1, 2)
    assert first.metrics.merged(second.metrics) == monitor.get_metrics()


def test_status_follows_what_was_recorded(clock: Any) -> None:
    """From HEALTHY over WARNING to CRITICAL and back, as waits and timeouts come and are a minute old."""
    monitor = ConnectionPoolMonitor(10, clock=clock)
    assert monitor.get_status().level == "HEALTHY"
    monitor.record_wait_time(1500.0)
    assert monitor.get_status().level == "WARNING"
    monitor.record_timeout()
    assert monitor.get_status().level == "CRITICAL"
    clock.advance(60)
    monitor.poll()
    assert monitor.get_status().level == "CRITICAL"
    clock.advance(6)
    monitor.poll()
    assert monitor.get_status().level == "HEALTHY"


def test_the_trend_follows_the_snapshots(clock: Any) -> None:
    """A pool that fills up over five minutes rises."""
    monitor = ConnectionPoolMonitor(10, clock=clock)
    for minute in range(6):
        monitor.record_checkout()
        for _ in range(60):
            monitor.poll()
            clock.advance(1)
        assert monitor.get_trend() == ("rising" if minute >= 3 else "stable")


def test_the_dashboard_shows_what_was_recorded(clock: Any) -> None:
    """Everything recorded is on the dashboard, and an error's values are not."""
    monitor = ConnectionPoolMonitor(5, name="shop", clock=clock)
    monitor.record_checkout("a", "app.py:1 in f")
    monitor.record_wait_time(12.0)
    monitor.record_error("password authentication failed for user 'ann'")
    clock.advance(3)
    monitor.poll()
    text = monitor.generate_dashboard()
    assert text.startswith("CONNECTION POOL shop")
    assert "HEALTHY" in text
    assert "app.py:1 in f" in text
    assert "12.0 ms" in text
    assert "password authentication failed" in text
    assert "ann" not in text


def test_the_last_error_keeps_its_class_and_no_values(clock: Any) -> None:
    """An exception is shown as class and redacted message, and is not kept alive."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.record_error(ConnectionError("connection refused for user 'ann'"))
    text = monitor.generate_dashboard()
    assert "ConnectionError: connection refused" in text
    assert "ann" not in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pool_size": 0}, "pool_size must be a whole number from 1 to 10,000,000 or None; got 0"),
        ({"pool_size": -5}, "pool_size must be a whole number from 1 to 10,000,000 or None; got -5"),
        ({"pool_size": 2.5}, "pool_size must be a whole number from 1 to 10,000,000 or None; got 2.5"),
        ({"pool_size": True}, "pool_size must be a whole number from 1 to 10,000,000 or None; got True"),
        (
            {"pool_size": 2**63},
            "pool_size must be a whole number from 1 to 10,000,000 or None; got 9223372036854775808",
        ),
        ({"max_overflow": -2}, "max_overflow must be a whole number from -1 to 10,000,000; got -2"),
        ({"snapshot_history_size": 0}, "snapshot_history_size must be > 0; got 0"),
        ({"snapshot_history_size": 2**70}, "snapshot_history_size must be <= 10,000,000; got 1.18"),
        ({"exhaustion_threshold": 0}, "exhaustion_threshold must be > 0; got 0"),
        ({"exhaustion_threshold": 90}, "exhaustion_threshold must be <= 1; got 90"),
        ({"exhaustion_threshold": "0.9"}, "exhaustion_threshold must be of type float; got '0.9'"),
        ({"high_wait_time_ms": 0}, "high_wait_time_ms must be > 0; got 0"),
        ({"health_check_interval": -1}, "health_check_interval must be > 0; got -1"),
        ({"health_check_timeout_s": float("nan")}, "health_check_timeout_s must be a finite number > 0; got nan"),
        ({"snapshot_interval_s": None}, "snapshot_interval_s must be of type float; got None"),
        ({"long_checkout_s": float("inf")}, "long_checkout_s must be a finite number > 0; got inf"),
        ({"enable_alerting": "x"}, "enable_alerting must be of type bool; got 'x'"),
        ({"name": 5}, "name must be of type str; got 5"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], message: str) -> None:
    """An impossible setting is an error that names it, its rule and its value."""
    with pytest.raises(SettingsError, match=message):
        ConnectionPoolMonitor(**{"pool_size": 5, **settings})


async def test_start_and_stop_are_idempotent() -> None:
    """Started twice there is one thread, stopped twice there is none, and it can be started again."""
    before = set(threading.enumerate())
    monitor = ConnectionPoolMonitor(5, name="twice")
    for _ in range(2):
        await monitor.start()
        await monitor.start()
        polling = [thread for thread in set(threading.enumerate()) - before if "twice" in thread.name]
        assert len(polling) == 1
        await monitor.stop()
        await monitor.stop()
        assert not any("twice" in thread.name for thread in threading.enumerate())


async def test_a_started_monitor_polls_by_itself() -> None:
    """Used alone, the monitor takes its snapshots and finds long checkouts without being asked."""
    monitor = await initialize_pool_monitor(pool_size=5, long_checkout_s=0.001)
    told = asyncio.Event()

    async def handler(alert_type: str, _: dict[str, Any]) -> None:
        if alert_type == "long_checkout":
            told.set()

    monitor.add_alert_handler(handler)
    monitor.record_checkout()
    await asyncio.wait_for(told.wait(), 10)
    await monitor.stop()
    assert monitor.get_snapshots()


async def test_a_monitor_that_is_polled_starts_no_thread() -> None:
    """Under an owner that polls, `start()` only says where coroutine handlers run."""
    monitor = ConnectionPoolMonitor(5, name="owned")
    monitor.start_delivery()
    await monitor.start()
    assert not any("owned" in thread.name for thread in threading.enumerate())
    await monitor.stop()


async def test_start_under_an_owner_only_gives_the_loop() -> None:
    """Coroutine handlers run on a loop of ours until a loop awaits `start()`, and from then on there."""
    monitor = ConnectionPoolMonitor(5)
    loops: list[asyncio.AbstractEventLoop] = []
    told = threading.Semaphore(0)

    async def handler(_alert_type: str, _data: dict[str, Any]) -> None:
        loops.append(asyncio.get_running_loop())
        told.release()

    monitor.add_alert_handler(handler)
    monitor.start_delivery()
    monitor.record_leak()
    await asyncio.to_thread(told.acquire, timeout=20)
    await monitor.start()
    monitor.record_leak()
    await asyncio.to_thread(told.acquire, timeout=20)
    await monitor.stop()
    assert [loop is asyncio.get_running_loop() for loop in loops] == [False, True]


async def test_initialize_refuses_what_the_monitor_refuses() -> None:
    """Settings are checked before anything is started."""
    with pytest.raises(SettingsError, match="pool_size"):
        await initialize_pool_monitor(pool_size=0)


def test_polls_do_not_wait_for_each_other(clock: Any) -> None:
    """Two threads that poll at once take one snapshot, and neither waits for a pool that answers slowly."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    asked, answer = threading.Event(), threading.Event()
    original = monitor.get_current_snapshot

    def slow() -> Any:
        asked.set()
        answer.wait(10)
        return original()

    monitor.get_current_snapshot = slow  # type: ignore[method-assign]
    thread = threading.Thread(target=monitor.poll)
    thread.start()
    assert asked.wait(10)
    monitor.poll()
    answer.set()
    thread.join()
    assert len(monitor.get_snapshots()) == 1


def test_repr_shows_the_state(clock: Any) -> None:
    """The `repr` of a monitor is a short look at its pool."""
    monitor = ConnectionPoolMonitor(5, name="shop", clock=clock)
    monitor.record_checkout()
    assert repr(monitor) == "<ConnectionPoolMonitor 'shop': in_use=1 of 5, idle=4, waiting=0>"


FORK = """
import os, sys, threading
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor

monitor = ConnectionPoolMonitor(5, enable_alerting=False)
monitor.poll()
for connection in range(3):
    monitor.record_request(connection)
    monitor.record_checkout(connection)
monitor.record_timeout()
held = monitor.held
monitor._counters._lock.acquire()
monitor._poll_lock.acquire()
child = os.fork()
if child == 0:
    state, metrics = monitor.get_current_snapshot(), monitor.get_metrics()
    monitor.record_checkout("own")
    monitor.record_checkin("own")
    monitor.poll()
    is_right = (
        (state.active_connections, state.waiting_count, metrics.total_requests, metrics.total_timeouts) == (0, 0, 0, 0)
        and monitor.get_metrics().total_checkins == 1
        and monitor.get_status().level == "HEALTHY"
        and len(monitor.get_snapshots()) == 1
        and monitor.held is held
    )
    os._exit(0 if is_right else 1)
monitor._counters._lock.release()
monitor._poll_lock.release()
_, status = os.waitpid(child, 0)
metrics = monitor.get_metrics()
assert (metrics.total_checkouts, metrics.total_timeouts, monitor.get_current_snapshot().active_connections) == (3, 1, 3)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_begins_anew() -> None:
    """A child has none of the parent's counts, holders and locks, and the parent keeps all of them."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


FORK_STARTED = """
import asyncio, os, sys, threading
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor

async def start():
    monitor = ConnectionPoolMonitor(5, name="forked", snapshot_interval_s=0.001)
    await monitor.start()
    return monitor

monitor = asyncio.run(start())
child = os.fork()
if child == 0:
    polled = threading.Event()
    read = monitor.get_current_snapshot
    def seen():
        polled.set()
        return read()
    monitor.get_current_snapshot = seen
    os._exit(0 if polled.wait(10) else 1)
_, status = os.waitpid(child, 0)
monitor.stop_delivery()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_goes_on_polling() -> None:
    """A monitor that was started polls in the child too, in a thread of the child's own."""
    done = subprocess.run([sys.executable, "-c", FORK_STARTED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
