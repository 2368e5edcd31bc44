"""Pool alerts fire when a trouble begins, stay silent while it lasts, and carry what they promise."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from querygauge.checkout import LAST_PATTERN
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.values import Pattern, PoolGauges

PATTERN = Pattern("00000000000000ab", "SELECT ?", "SELECT", "SELECT", (), "sqlite")
COMMON = {"pool", "timestamp", "severity"}


class Told:
    """A handler that remembers, and a way to look at what it was told once all of it has arrived."""

    def __init__(self, monitor: ConnectionPoolMonitor) -> None:
        self._monitor = monitor
        self._alerts: list[tuple[str, dict[str, Any]]] = []
        monitor.add_alert_handler(self._remember)
        monitor.start_delivery()

    def _remember(self, alert_type: str, data: dict[str, Any]) -> None:
        self._alerts.append((alert_type, data))

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything told so far."""
        self._monitor.stop_delivery()  # delivers what waits
        self._monitor.start_delivery()
        return list(self._alerts)

    def types(self) -> list[str]:
        """The types of everything told so far."""
        return [alert_type for alert_type, _ in self.all()]

    def only(self) -> dict[str, Any]:
        """The data of the single alert so far."""
        [(_, data)] = self.all()
        return data


def watched(clock: Any, pool_size: int = 10, **settings: Any) -> tuple[ConnectionPoolMonitor, Told]:
    """A monitor and what its handler is told."""
    monitor = ConnectionPoolMonitor(pool_size, name="shop", clock=clock, **settings)
    return monitor, Told(monitor)


def fill(monitor: ConnectionPoolMonitor, count: int) -> None:
    """Checks out so many connections that nobody waited for."""
    for _ in range(count):
        monitor.record_checkout()


def test_exhaustion_needs_the_threshold_and_a_caller(clock: Any) -> None:
    """At 80 % a waiting caller is no exhaustion, at 90 % one is, and a full pool without one is not."""
    monitor, told = watched(clock)
    fill(monitor, 8)
    monitor.record_request()
    assert told.types() == []
    monitor.record_checkout()
    monitor.poll()
    assert told.types() == []
    monitor.record_request()
    assert told.types() == ["pool_exhaustion"]


def test_exhaustion_is_told_once_until_it_ended(clock: Any) -> None:
    """More callers are no news; the next crossing after the pool was below the threshold is."""
    monitor, told = watched(clock)
    fill(monitor, 10)
    monitor.record_request()
    monitor.record_request()
    monitor.poll()
    monitor.poll()
    assert told.types() == ["pool_exhaustion"]
    monitor.record_timeout()
    monitor.record_timeout()
    for _ in range(5):
        monitor.record_checkin()
    fill(monitor, 5)
    monitor.record_request()
    assert told.types().count("pool_exhaustion") == 2


def test_exhaustion_at_a_steady_hundred_percent_is_one_trouble(clock: Any) -> None:
    """Connections that go from hand to hand are no new exhaustion, however often the last waiter is served."""
    monitor, told = watched(clock, 5)
    fill(monitor, 5)
    for _ in range(20):
        monitor.record_request()
        monitor.record_checkin()
        monitor.record_checkout()
    assert told.types() == ["pool_exhaustion"]


def test_exhaustion_rearms_when_nobody_waits(clock: Any) -> None:
    """Ten seconds in which nobody waits end the trouble, although the pool is still full; one look does not."""
    monitor, told = watched(clock)
    fill(monitor, 10)
    monitor.record_request()
    for seconds in (9, 9):
        monitor.record_error("gave up")
        clock.advance(seconds)
        monitor.poll()
        monitor.record_request()
    assert told.types() == ["pool_exhaustion"]
    monitor.record_error("gave up")
    clock.advance(10)
    monitor.poll()
    monitor.record_request()
    assert told.types() == ["pool_exhaustion", "pool_exhaustion"]


def test_exhaustion_rearms_below_the_threshold(clock: Any) -> None:
    """A poll that finds the pool below the threshold ends the trouble at once, whoever told of it."""
    monitor, told = watched(clock)
    in_use = [10]
    monitor.set_reading(lambda: PoolGauges(10, 0, in_use=in_use[0], idle=0))
    monitor.record_request("caller")
    for count in (10, 8, 10):
        in_use[0] = count
        clock.advance(1)
        monitor.poll()
    assert told.types() == ["pool_exhaustion", "pool_exhaustion"]


def test_exhaustion_that_only_the_pool_knows_of_is_found_by_polling(clock: Any) -> None:
    """Connections checked out before the monitor was attached count as soon as the pool is asked."""
    monitor, told = watched(clock)
    monitor.set_reading(lambda: PoolGauges(10, 0, in_use=10, idle=0))
    monitor.record_request("caller")
    assert told.types() == []
    clock.advance(1)
    monitor.poll()
    assert told.types() == ["pool_exhaustion"]


def test_exhaustion_data(clock: Any) -> None:
    """The data names the pool's state and who holds its connections, in plain JSON types."""
    monitor, told = watched(clock, 2)
    monitor.record_checkout("a", "app.py:1 in f")
    clock.advance(2)
    monitor.record_checkout("b")
    monitor.record_request("waiting")
    data = told.only()
    assert set(data) == COMMON | {
        "utilization_percent",
        "active_connections",
        "pool_size",
        "waiting_count",
        "holders",
    }
    assert (data["pool"], data["severity"], data["timestamp"]) == ("shop", "critical", "2026-01-01T00:00:02+00:00")
    assert (data["utilization_percent"], data["active_connections"], data["pool_size"]) == (100.0, 2, 2)
    assert data["waiting_count"] == 1
    assert data["holders"] == [
        {"age_s": 2.0, "call_site": "app.py:1 in f", "pattern_id": None, "activity": None, "reason": None},
        {"age_s": 0.0, "call_site": None, "pattern_id": None, "activity": None, "reason": None},
    ]
    assert json.loads(json.dumps(data)) == data


def test_high_wait_fires_at_the_threshold_and_rearms_below(clock: Any) -> None:
    """1,000 ms reach a threshold of 1,000; further high waits are silent until a lower one."""
    monitor, told = watched(clock)
    monitor.record_wait_time(999.9)
    assert told.types() == []
    monitor.record_wait_time(1000.0)
    monitor.record_wait_time(5000.0)
    assert told.types() == ["high_wait_time"]
    monitor.record_wait_time(1.0)
    monitor.record_wait_time(2000.0)
    assert told.types() == ["high_wait_time", "high_wait_time"]


def test_high_wait_does_not_rearm_while_somebody_waits(clock: Any) -> None:
    """One caller that was quick does not end the trouble of another that still waits."""
    monitor, told = watched(clock)
    monitor.record_wait_time(2000.0)
    monitor.record_request()
    monitor.record_wait_time(1.0)
    monitor.record_wait_time(2000.0)
    assert told.types() == ["high_wait_time"]
    monitor.record_wait_time(1.0)
    monitor.record_checkout()
    monitor.poll()
    monitor.record_wait_time(2000.0)
    assert told.types() == ["high_wait_time", "high_wait_time"]


def test_high_wait_rearms_after_a_quiet_minute(clock: Any) -> None:
    """A pool that nobody asks for a minute has no trouble."""
    monitor, told = watched(clock)
    monitor.record_wait_time(2000.0)
    clock.advance(59)
    monitor.poll()
    monitor.record_wait_time(2000.0)
    assert told.types() == ["high_wait_time"]
    clock.advance(60)
    monitor.poll()
    monitor.record_wait_time(2000.0)
    assert told.types() == ["high_wait_time", "high_wait_time"]


@pytest.mark.parametrize(
    ("wait", "severity"), [(1000.0, "low"), (2000.0, "medium"), (5000.0, "high"), (1e4, "critical")]
)
def test_high_wait_data(clock: Any, wait: float, severity: str) -> None:
    """The severity says how far over the threshold; the data has the wait, the threshold and who waits still."""
    monitor, told = watched(clock)
    monitor.record_request()
    monitor.record_wait_time(wait)
    data = told.only()
    assert set(data) == COMMON | {"wait_time_ms", "threshold_ms", "waiting_count"}
    assert (data["wait_time_ms"], data["threshold_ms"], data["waiting_count"]) == (wait, 1000.0, 1)
    assert data["severity"] == severity


def test_timeouts_are_one_trouble_until_a_minute_without(clock: Any) -> None:
    """The first timeout is told; the next one is only after a minute in which there was none."""
    monitor, told = watched(clock)
    monitor.record_timeout()
    clock.advance(59)
    monitor.record_timeout()
    clock.advance(59)
    monitor.record_timeout()
    monitor.poll()
    assert told.types() == ["connection_timeout"]
    clock.advance(61)
    monitor.record_timeout()
    assert told.types() == ["connection_timeout", "connection_timeout"]


def test_who_held_connections_at_a_timeout_is_in_its_window(clock: Any) -> None:
    """Not in the next one; of callers that give up together the first finds out."""
    monitor, _ = watched(clock)
    monitor.record_checkout("c", call_site="a.py:1 in f")
    clock.advance(30)
    monitor.record_timeout()
    clock.advance(0.05)
    monitor.record_timeout()
    monitor.record_checkin("c")
    window = monitor.drain()
    assert [(holder.age_s, str(holder.call_site)) for holder in window.timeout_holders] == [(30.0, "a.py:1 in f")]
    assert window.state.holders == ()
    assert monitor.drain().timeout_holders == ()
    clock.advance(1)
    monitor.record_timeout()
    assert window.merged(monitor.drain()).timeout_holders == window.timeout_holders


def test_timeout_data(clock: Any) -> None:
    """How long the caller waited, as told or as counted, and who held the connections meanwhile."""
    monitor, told = watched(clock)
    monitor.record_checkout("a")
    monitor.record_request("late")
    clock.advance(30)
    monitor.record_timeout("late")
    data = told.only()
    assert set(data) == COMMON | {"waited_ms", "holders"}
    assert data["waited_ms"] == 30_000.0
    assert data["severity"] == "critical"
    assert [holder["age_s"] for holder in data["holders"]] == [30.0]


@pytest.mark.parametrize(("tell", "expected"), [({"waited_ms": 12.5}, 12.5), ({}, None)])
def test_timeout_without_a_request(clock: Any, tell: dict[str, float], expected: float | None) -> None:
    """What nobody knows is None; what the caller tells is believed."""
    monitor, told = watched(clock)
    monitor.record_timeout(**tell)
    assert told.only()["waited_ms"] == expected


def test_every_leak_is_told(clock: Any) -> None:
    """A leaked connection is an alert of its own, with its age, its line and its last pattern."""
    monitor, told = watched(clock)
    monitor.record_checkout("a", "app.py:1 in f")[LAST_PATTERN] = PATTERN
    clock.advance(3)
    monitor.record_leak("a")
    monitor.record_leak("unknown")
    assert told.types() == ["connection_leak", "connection_leak"]
    data = told.all()[0][1]
    assert set(data) == COMMON | {"age_s", "call_site", "pattern_id", "activity", "reason"}
    assert (data["age_s"], data["call_site"], data["pattern_id"]) == (3.0, "app.py:1 in f", PATTERN.id)
    assert monitor.get_current_snapshot().active_connections == 0


def test_a_long_checkout_is_told_once(clock: Any) -> None:
    """Each checkout is told once it has lasted as long as the setting says, and not again."""
    monitor, told = watched(clock, long_checkout_s=60.0)
    monitor.record_checkout("a", "app.py:1 in f")
    clock.advance(59.9)
    monitor.poll()
    assert told.types() == []
    clock.advance(0.1)
    monitor.poll()
    monitor.poll()
    data = told.only()
    assert set(data) == COMMON | {"age_s", "call_site", "pattern_id", "activity", "reason"}
    assert (data["age_s"], data["call_site"]) == (pytest.approx(60.0), "app.py:1 in f")
    monitor.record_checkin("a")
    monitor.record_checkout("a")
    clock.advance(61)
    monitor.poll()
    assert told.types() == ["long_checkout", "long_checkout"]


def test_a_call_site_is_worked_out_only_if_somebody_looks(clock: Any) -> None:
    """Any object may stand for the line; its text is asked for when the holder is shown."""
    asked: list[str] = []

    class Site:
        def __str__(self) -> str:
            asked.append("asked")
            return "app.py:1 in f"

    monitor, told = watched(clock, long_checkout_s=60.0)
    monitor.record_checkout("a", Site())
    assert asked == []
    clock.advance(60)
    monitor.poll()
    assert told.only()["call_site"] == "app.py:1 in f"


def trouble(monitor: ConnectionPoolMonitor) -> None:
    """Some of every kind."""
    fill(monitor, 10)
    monitor.record_request()
    monitor.record_wait_time(9e9)
    monitor.record_timeout()
    monitor.record_leak("x")


def test_without_alerting_nobody_is_told(clock: Any) -> None:
    """`enable_alerting=False` counts everything and calls nobody."""
    monitor, told = watched(clock, enable_alerting=False)
    trouble(monitor)
    assert told.types() == []
    assert monitor.get_metrics().total_timeouts == 1


def test_a_removed_handler_is_not_called(clock: Any) -> None:
    """After `remove_alert_handler` a handler hears no more, and the others do."""
    monitor, told = watched(clock)
    heard: list[str] = []

    def handler(alert_type: str, _: dict[str, Any]) -> None:
        heard.append(alert_type)

    monitor.add_alert_handler(handler)
    monitor.remove_alert_handler(handler)
    trouble(monitor)
    assert len(told.types()) == 4
    assert heard == []


def test_a_handler_that_raises_harms_nobody(clock: Any) -> None:
    """Neither the caller that found the trouble nor the other handlers notice."""
    monitor, told = watched(clock)

    def broken(_: str, __: dict[str, Any]) -> None:
        raise RuntimeError("broken")

    monitor.add_alert_handler(broken)
    trouble(monitor)
    assert sorted(told.types()) == ["connection_leak", "connection_timeout", "high_wait_time", "pool_exhaustion"]


async def test_coroutine_handlers_run_on_the_loop_that_started_the_monitor(clock: Any) -> None:
    """A coroutine function is a handler too, and `stop()` waits until it was called."""
    monitor = ConnectionPoolMonitor(10, clock=clock)
    loops: list[object] = []

    async def handler(_: str, __: dict[str, Any]) -> None:
        loops.append(asyncio.get_running_loop())

    monitor.add_alert_handler(handler)
    await monitor.start()
    monitor.record_timeout()
    await monitor.stop()
    assert loops == [asyncio.get_running_loop()]


def test_timestamps_are_aware_utc(clock: Any) -> None:
    """The timestamp of every alert reads back as an aware moment."""
    monitor, told = watched(clock)
    trouble(monitor)
    moments = {datetime.fromisoformat(data["timestamp"]) for _, data in told.all()}
    assert moments == {datetime(2026, 1, 1, tzinfo=UTC)}
