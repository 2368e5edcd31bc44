"""What is recorded is what is counted, by token where there are tokens, else oldest first."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from querygauge.checkout import LAST_PATTERN
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.values import Holder, Pattern, PoolGauges

THREADS = 8
UNITS = 1_500


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """Threads take turns as often as the interpreter can make them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def by_token(monitor: ConnectionPoolMonitor, place: int) -> None:
    """What capture tells of so many units of work: every tenth connection is leaked, some requests fail."""
    for turn in range(UNITS):
        request = connection = f"{place}-{turn}"
        monitor.record_request(request)
        monitor.record_checkout(connection)
        monitor.record_obtained(request, 1_000)
        if turn % 10 == 0:
            monitor.record_leak(connection)
        monitor.record_checkin(connection)
        monitor.record_request(request)
        monitor.record_timeout(request)
        monitor.record_request(request)
        monitor.record_error("refused", request=request)


def without_tokens(monitor: ConnectionPoolMonitor, place: int) -> None:
    """The same told without tokens, where nobody can tell of a leak."""
    for turn in range(UNITS):
        monitor.record_request()
        monitor.record_checkout()
        monitor.record_wait_time(0.001)
        if turn % 10 != 0:
            monitor.record_checkin()
        monitor.record_request()
        monitor.record_timeout()
        monitor.record_request()
        monitor.record_error("refused")


@pytest.mark.usefixtures("hurried_threads")
@pytest.mark.parametrize("work", [by_token, without_tokens])
def test_everything_is_counted_once_under_eight_threads(work: Callable[[ConnectionPoolMonitor, int], None]) -> None:
    """Totals are exact and windows add up to them, while eight threads record and one takes snapshots."""
    monitor = ConnectionPoolMonitor(THREADS, enable_alerting=False)
    threads = [threading.Thread(target=work, args=(monitor, place)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    windows = []
    while any(thread.is_alive() for thread in threads):
        monitor.poll()
        windows.append(monitor.drain().metrics)
    for thread in threads:
        thread.join()
    windows.append(monitor.drain().metrics)

    metrics = monitor.get_metrics()
    done = THREADS * UNITS
    assert metrics.total_requests == 3 * done
    assert metrics.total_checkouts == metrics.total_timeouts == metrics.total_errors == done
    assert metrics.total_checkins == done - done // 10
    assert (metrics.wait.count, metrics.wait.total_ns) == (done, 1_000 * done)
    for name in ("total_requests", "total_checkouts", "total_checkins", "total_timeouts", "total_errors", "leaks"):
        assert sum(getattr(window, name) for window in windows) == getattr(metrics, name), name
    state = monitor.get_current_snapshot()
    assert state.active_connections == (0 if work is by_token else done // 10)
    assert metrics.leaks == (done // 10 if work is by_token else 0)
    assert state.waiting_count == 0


def test_the_peak_is_what_was_held_at_once() -> None:
    """Eight threads that hold a connection at the same moment are a peak of eight."""
    monitor = ConnectionPoolMonitor(10)
    everybody = threading.Barrier(THREADS)

    def hold(connection: int) -> None:
        monitor.record_checkout(connection)
        everybody.wait()
        monitor.record_checkin(connection)

    threads = [threading.Thread(target=hold, args=(connection,)) for connection in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.get_metrics().peak_active == THREADS
    assert monitor.get_current_snapshot().active_connections == 0


@pytest.mark.parametrize("end", ["record_checkout", "record_timeout", "record_error"])
def test_each_end_of_a_wait_ends_the_oldest(clock: Any, end: str) -> None:
    """Without tokens a checkout, a timeout or an error ends one wait, and the request was counted once."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.record_request()
    monitor.record_request()
    assert monitor.get_current_snapshot().waiting_count == 2
    getattr(monitor, end)()
    assert monitor.get_current_snapshot().waiting_count == 1
    assert monitor.get_metrics().total_requests == 2


@pytest.mark.parametrize("end", ["record_checkout", "record_timeout", "record_error"])
def test_what_nobody_asked_for_is_a_request_of_its_own(clock: Any, end: str) -> None:
    """Rates are per request, so an outcome without a request makes one."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    getattr(monitor, end)()
    assert monitor.get_metrics().total_requests == 1
    assert monitor.get_metrics().timeout_rate == (100.0 if end == "record_timeout" else 0.0)
    assert monitor.get_metrics().error_rate == (100.0 if end == "record_error" else 0.0)


def test_mean_use_time_is_exact_without_tokens(clock: Any) -> None:
    """Whichever connection comes back first, the sum of all use times is the same."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.record_checkout()
    clock.advance(1)
    monitor.record_checkout()
    clock.advance(1)
    monitor.record_checkin()
    clock.advance(2)
    monitor.record_checkin()
    # One was held for 4 s and one for 1 s, or one for 2 s and one for 3 s.
    assert monitor.get_metrics().avg_use_time_ms == 2_500.0


def test_use_time_is_exact_by_token(clock: Any) -> None:
    """A connection that is named comes back as itself."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.record_checkout("first")
    clock.advance(1)
    monitor.record_checkout("second")
    clock.advance(1)
    monitor.record_checkin("second")
    assert monitor.get_metrics().use.max_ms == 1_000.0
    assert list(monitor.held) == ["first"]


def test_a_checkin_of_something_unknown_is_ignored(clock: Any) -> None:
    """What was checked out before the monitor was attached may come back unnoticed."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.record_checkin("stranger")
    monitor.record_checkin()
    assert monitor.get_metrics().total_checkins == 0
    assert monitor.get_current_snapshot().active_connections == 0


def test_a_named_checkout_is_no_request(clock: Any) -> None:
    """With tokens only `record_request` counts requests: a nested connect is two of them and one checkout."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    monitor.record_request(1)
    monitor.record_request(2)
    monitor.record_checkout("shared")
    monitor.record_obtained(1, 10)
    monitor.record_obtained(2, 10)
    metrics = monitor.get_metrics()
    assert (metrics.total_requests, metrics.total_checkouts, metrics.wait.count) == (2, 1, 2)


def test_a_named_request_waits_once_the_pool_is_full(clock: Any) -> None:
    """While connections are free, a request is being served; when none is, it waits."""
    monitor = ConnectionPoolMonitor(2, clock=clock)
    monitor.record_checkout("a")
    monitor.record_request(1)
    assert monitor.get_current_snapshot().waiting_count == 0
    monitor.record_request(2)
    assert monitor.get_current_snapshot().waiting_count == 1
    assert monitor.get_metrics().peak_waiting == 1


def test_a_named_request_waits_when_opening_takes_long(clock: Any) -> None:
    """A caller for whom a connection has been opening for ten milliseconds waits too, even without a limit."""
    monitor = ConnectionPoolMonitor(None, clock=clock)
    monitor.record_request(1)
    clock.advance(0.011)
    assert monitor.get_current_snapshot().waiting_count == 1
    monitor.record_abandoned(1)
    assert monitor.get_current_snapshot().waiting_count == 0


def test_a_cancelled_request_is_neither_timeout_nor_error(clock: Any) -> None:
    """Who gives up on purpose was a request and nothing else."""
    monitor = ConnectionPoolMonitor(2, clock=clock)
    monitor.record_request(1)
    monitor.record_abandoned(1)
    metrics = monitor.get_metrics()
    assert (metrics.total_requests, metrics.total_timeouts, metrics.total_errors) == (1, 0, 0)


@pytest.mark.parametrize("nonsense", [-1.0, float("nan"), float("inf"), 1e20, "12", None])
def test_a_wait_that_is_no_duration_is_logged_once_and_not_counted(clock: Any, nonsense: Any) -> None:
    """A wrong argument of the hot path is told once and never raises."""
    monitor = ConnectionPoolMonitor(2, clock=clock)
    with structlog.testing.capture_logs() as logs:
        monitor.record_wait_time(nonsense)
        monitor.record_wait_time(nonsense)
    assert [entry["event"] for entry in logs] == ["pool_wait_time_rejected"]
    assert monitor.get_metrics().wait.count == 0


def test_holders_are_the_oldest_twenty(clock: Any) -> None:
    """Holders carry age, call site and last pattern, oldest first, and never more than twenty."""
    monitor = ConnectionPoolMonitor(30, clock=clock)
    for connection in range(25):
        monitor.record_checkout(connection, f"app.py:{connection} in f")
        clock.advance(1)
    monitor.held[0][LAST_PATTERN] = Pattern("00000000000000ab", "SELECT ?", "SELECT", "SELECT", (), "sqlite")
    holders = monitor.get_current_snapshot().holders
    assert len(holders) == 20
    assert holders[0] == Holder(25.0, "app.py:0 in f", "00000000000000ab")
    assert holders[1] == Holder(24.0, "app.py:1 in f", None)
    assert monitor.get_current_snapshot().oldest_checkout_s == 25.0


def test_a_reading_replaces_own_counts(clock: Any) -> None:
    """Where the pool itself can tell, in use, idle, size and overflow are what it tells."""
    monitor = ConnectionPoolMonitor(99, clock=clock)
    monitor.set_reading(lambda: PoolGauges(size=10, max_overflow=5, in_use=11, idle=1))
    state = monitor.get_current_snapshot()
    assert (state.pool_size, state.max_connections, state.overflow) == (10, 15, 2)
    assert (state.active_connections, state.idle_connections) == (11, 1)
    assert state.utilization_percent == pytest.approx(73.33, abs=0.01)


@pytest.mark.parametrize(("size", "overflow"), [(None, None), (5, -1), (0, 5)])
def test_without_a_limit_there_is_no_utilisation(clock: Any, size: int | None, overflow: int | None) -> None:
    """A share of nothing is not told: no size, unlimited overflow, or a size of zero, which means no limit."""
    monitor = ConnectionPoolMonitor(99, clock=clock)
    monitor.set_reading(lambda: PoolGauges(size, overflow, in_use=7, idle=0))
    state = monitor.get_current_snapshot()
    assert (state.max_connections, state.utilization_percent, state.active_connections) == (0, 0.0, 7)


def test_alone_overflow_is_what_exceeds_the_size(clock: Any) -> None:
    """Without a reading, what is held above the size is overflow, and the rest of the size is idle."""
    monitor = ConnectionPoolMonitor(2, max_overflow=2, clock=clock)
    monitor.record_checkout()
    assert monitor.get_current_snapshot().idle_connections == 1
    monitor.record_checkout()
    monitor.record_checkout()
    state = monitor.get_current_snapshot()
    assert (state.idle_connections, state.overflow, state.utilization_percent) == (0, 1, 75.0)


def test_errors_are_told_apart_by_their_class(clock: Any) -> None:
    """In the window in which they were; what is told as a text has none."""
    monitor = ConnectionPoolMonitor(2, clock=clock)
    for error in (OSError("a"), OSError("b"), ValueError("c"), "refused"):
        monitor.record_error(error)
    told = {"OSError": 2, "ValueError": 1}
    assert (monitor.get_metrics().total_errors, monitor.get_metrics().errors_by_type) == (4, told)
    assert [monitor.drain().metrics.errors_by_type for _ in range(2)] == [told, {}]
    monitor.record_error(OSError("d"))
    assert monitor.get_metrics().errors_by_type == {"OSError": 3, "ValueError": 1}
