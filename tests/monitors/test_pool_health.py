"""Health checks tell whether a pool answers, whatever the check does and whoever waits for it."""

import asyncio
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from querygauge.errors import SettingsError
from querygauge.monitors.pool_health import HealthCallback, HealthChecks
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.values import HealthCheck


class Checked:
    """Health checks every minute with a timeout of five seconds, and their results as they come."""

    def __init__(self, clock: Any, callback: HealthCallback) -> None:
        self._results: SimpleQueue[tuple[HealthCheck, int]] = SimpleQueue()
        self.checks = HealthChecks(clock, 60, 5, lambda check, failed: self._results.put((check, failed)))
        self.checks.set_callback(callback, None)

    def next(self) -> tuple[str | None, int]:
        """Error and failures in a row of the next result."""
        check, failed_in_row = self._results.get(timeout=10)
        return check.error, failed_in_row

    @property
    def is_silent(self) -> bool:
        """Whether no result waits."""
        return self._results.empty()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a hanging check waits for; opened when the test ends."""
    opened = threading.Event()
    yield opened
    opened.set()


def test_a_check_that_returns_true_is_good(clock: Any) -> None:
    """The result has its moment, its duration, and no error."""
    checked = Checked(clock, lambda: True)
    checked.checks.poll()
    assert checked.next() == (None, 0)
    [check] = checked.checks.recent()
    assert check.is_healthy
    assert check.timestamp.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_check_that_returns_nothing_is_good(clock: Any) -> None:
    """A function that only executes `SELECT 1` has not complained."""
    checked = Checked(clock, lambda: None)  # type: ignore[arg-type,return-value]  # what people write all the same
    checked.checks.poll()
    assert checked.next() == (None, 0)


def test_false_is_a_failure(clock: Any) -> None:
    """False is what a check says when the pool is not well."""
    checked = Checked(clock, lambda: False)
    checked.checks.poll()
    assert checked.next() == ("the check returned False", 1)


def test_an_exception_is_a_failure_without_its_values(clock: Any) -> None:
    """Class and message are kept; what the message says about somebody is not."""

    def check() -> bool:
        raise ConnectionError("could not connect to 'ann@example.org'")

    checked = Checked(clock, check)
    checked.checks.poll()
    error, failed_in_row = checked.next()
    assert failed_in_row == 1
    assert error is not None
    assert error.startswith("ConnectionError: could not connect")
    assert "ann" not in error


def test_a_check_that_exits_is_a_failure(clock: Any) -> None:
    """Not even `SystemExit` ends more than its own check."""

    def check() -> bool:
        raise SystemExit(1)

    checked = Checked(clock, check)
    checked.checks.poll()
    assert checked.next()[1] == 1


def test_failures_in_a_row_end_with_a_good_check(clock: Any) -> None:
    """The row is counted from the last good check."""
    answers = iter([False, False, True, False])
    checked = Checked(clock, lambda: next(answers))
    rows = []
    for _ in range(4):
        checked.checks.poll()
        rows.append(checked.next()[1])
        clock.advance(60)
    assert rows == [1, 2, 0, 1]


def test_checks_run_at_their_interval(clock: Any) -> None:
    """Polled every second, a check runs once a minute."""
    asked: list[int] = []

    def check() -> bool:
        asked.append(1)
        return True

    checked = Checked(clock, check)
    checked.checks.poll()
    checked.next()
    for _ in range(59):
        clock.advance(1)
        checked.checks.poll()
    assert len(asked) == 1
    clock.advance(1)
    checked.checks.poll()
    checked.next()
    assert len(asked) == 2


def test_a_check_that_hangs_is_a_failure_and_keeps_nobody_waiting(clock: Any, gate: threading.Event) -> None:
    """After the timeout a hanging check has failed once; no other one runs beside it."""
    begun: list[int] = []

    def check() -> bool:
        begun.append(1)
        return gate.wait()

    checked = Checked(clock, check)
    checked.checks.poll()
    clock.advance(5)
    checked.checks.poll()
    assert checked.is_silent
    clock.advance(0.1)
    checked.checks.poll()
    checked.checks.poll()
    assert checked.next() == ("no answer within 5 s", 1)
    clock.advance(60)
    checked.checks.poll()
    assert checked.next() == ("no answer for 65 s to an earlier check", 2)
    assert len(begun) == 1


def test_a_late_answer_is_no_second_result(clock: Any, gate: threading.Event) -> None:
    """When a check that was given up on ends after all, only the next one is a result again."""
    checked = Checked(clock, gate.wait)
    checked.checks.poll()
    clock.advance(6)
    checked.checks.poll()
    assert checked.next() == ("no answer within 5 s", 1)
    gate.set()
    _join_checks()
    clock.advance(60)
    checked.checks.poll()
    assert checked.next() == (None, 0)
    assert checked.is_silent


def test_an_answer_after_the_timeout_is_a_failure(clock: Any, gate: threading.Event) -> None:
    """A check that took too long failed, even if nobody polled meanwhile."""
    checked = Checked(clock, gate.wait)
    checked.checks.poll()
    clock.advance(5.1)
    gate.set()
    assert checked.next() == ("no answer within 5 s", 1)


def _join_checks() -> None:
    for thread in threading.enumerate():
        if thread.name == "querygauge-health":
            thread.join(10)


def test_a_coroutine_function_runs_on_a_loop_of_its_own(clock: Any) -> None:
    """Without any loop of the application's, a coroutine check runs all the same."""

    async def check() -> bool:
        await asyncio.sleep(0)
        return False

    checked = Checked(clock, check)
    checked.checks.poll()
    assert checked.next() == ("the check returned False", 1)


@pytest.mark.parametrize("how", ["started", "named"])
async def test_a_coroutine_function_runs_on_the_loop_it_belongs_to(clock: Any, how: str) -> None:
    """The loop its owner named, else the one that awaited `start()`: a pool's connections belong to one."""
    ran: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def check() -> bool:
        ran.set_result(asyncio.get_running_loop())
        return True

    checked = Checked(clock, check)
    if how == "named":
        checked.checks.set_callback(check, asyncio.get_running_loop())
    else:
        checked.checks.run_on(asyncio.get_running_loop())
    checked.checks.poll()
    assert await ran is asyncio.get_running_loop()
    assert await asyncio.to_thread(checked.next) == (None, 0)


@pytest.mark.parametrize("has_loop", [True, False])
async def test_a_coroutine_that_hangs_is_cancelled(clock: Any, has_loop: bool) -> None:
    """What was given up on does not stay on the loop."""
    begun = threading.Event()
    cancelled = threading.Event()

    async def check() -> bool:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return True

    checked = Checked(clock, check)
    checked.checks.run_on(asyncio.get_running_loop() if has_loop else None)
    checked.checks.poll()
    assert await asyncio.to_thread(begun.wait, 10)
    clock.advance(6)
    checked.checks.poll()
    assert await asyncio.to_thread(cancelled.wait, 10)
    assert checked.next() == ("no answer within 5 s", 1)
    await asyncio.to_thread(_join_checks)
    assert checked.is_silent


def test_a_hundred_results_are_kept(clock: Any) -> None:
    """The history is bounded; the oldest results go."""
    checked = Checked(clock, lambda: True)
    for _ in range(103):
        checked.checks.poll()
        checked.next()
        clock.advance(60)
    kept = checked.checks.recent()
    assert len(kept) == 100
    assert kept[0].timestamp.isoformat() == "2026-01-01T00:03:00+00:00"


def test_no_callback_runs_nothing(clock: Any) -> None:
    """Taking the callback away ends the checks."""
    checked = Checked(clock, lambda: True)
    checked.checks.set_callback(None, None)
    checked.checks.poll()
    assert checked.checks.recent() == []


def test_what_cannot_be_called_is_refused() -> None:
    """A wrong callback is an error where it is given, not in a thread later."""
    monitor = ConnectionPoolMonitor(5)
    with pytest.raises(SettingsError, match="the health check must be a function or coroutine function; got 7"):
        monitor.set_health_check_callback(7)  # type: ignore[arg-type]


def test_failed_checks_reach_alerts_status_and_metrics(clock: Any) -> None:
    """The first failure of a row and the third are alerts, and the status follows."""
    monitor = ConnectionPoolMonitor(5, clock=clock)
    told: SimpleQueue[dict[str, Any]] = SimpleQueue()
    answers = iter([False, False, False, False, True, False])
    monitor.add_alert_handler(lambda _, data: told.put(data))
    monitor.start_delivery()
    monitor.set_health_check_callback(lambda: next(answers))
    levels = []
    for _ in range(6):
        monitor.poll()
        _join_checks()
        levels.append(monitor.get_status().level)
        clock.advance(60)
    monitor.stop_delivery()
    assert levels == ["WARNING", "WARNING", "CRITICAL", "CRITICAL", "HEALTHY", "WARNING"]
    data = [told.get(timeout=10) for _ in range(3)]
    assert told.empty()
    assert [(alert["consecutive_failures"], alert["severity"]) for alert in data] == [
        (1, "high"),
        (3, "critical"),
        (1, "high"),
    ]
    assert set(data[0]) == {"pool", "timestamp", "severity", "error", "duration_ms", "consecutive_failures"}
    assert data[0]["error"] == "the check returned False"
    metrics = monitor.get_metrics()
    assert (metrics.health_checks, metrics.health_checks_failed) == (6, 5)
    assert len(monitor.get_health_checks()) == 6
    assert monitor.drain().health_checks == tuple(monitor.get_health_checks())
    assert monitor.drain().health_checks == ()
