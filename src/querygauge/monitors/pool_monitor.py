"""
`ConnectionPoolMonitor`: what a connection pool does, whether it suffices, and who is told when it does not.

In go the `record_*` calls of whoever watches a pool, out come snapshots, metrics, windows for the store, alerts and a
dashboard. Deliberately not here: any library's pool, which capture knows, and disks.
"""

import asyncio
import threading
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final

from querygauge.clock import SystemClock, datetime_of
from querygauge.errors import SettingsError
from querygauge.forking import survive_forks
from querygauge.monitors.delivery import Handler, HandlerDelivery
from querygauge.monitors.poller import Poller
from querygauge.monitors.pool_alerts import PoolAlerts
from querygauge.monitors.pool_health import HealthCallback, HealthChecks
from querygauge.monitors.pool_recorder import PoolRecorder
from querygauge.monitors.pool_state import PoolState
from querygauge.monitors.pool_status import PoolStatus, Trend, pool_status, utilization_trend
from querygauge.patterns.redaction import redact
from querygauge.protocols import Activity, Clock, PoolReading
from querygauge.rendering.pool_dashboard import PoolView, render_pool_dashboard
from querygauge.settings import Settings
from querygauge.values import HealthCheck, PoolMetrics, PoolSnapshot, PoolWindow

__all__ = ["ConnectionPoolMonitor", "initialize_pool_monitor"]

_NS_PER_S: Final = 1e9
_STOP_TIMEOUT_S: Final = 5.0
_MANY: Final = 10_000_000  # connections; no server has as many, and from 2**63 on they are no number for a store
_SHOWN_SPAN: Final = timedelta(minutes=5)


class ConnectionPoolMonitor(PoolRecorder):
    """
    Watches one connection pool; usable alone, and what `instrument` feeds.

    Used alone, the owner of a pool calls `record_request`, `record_checkout`, `record_checkin`, `record_wait_time`,
    `record_timeout` and `record_error`, and awaits `start()`. Every member may be called from any thread.

    Alerts come as `handler(alert_type, data)`, once when a trouble begins and again only after it ended:
    `pool_exhaustion` ends when the pool is below the threshold, or after ten seconds in which nobody waited;
    `high_wait_time` with a lower wait, or after a minute; `connection_timeout` after a minute without a timeout;
    `health_check_failed`, sent for the first failure of a row and for the third, with a good check. `connection_leak`
    and `long_checkout` come once a checkout.

    Args:
        pool_size: Connections the pool keeps; None if it has no limit.
        health_check_interval: Seconds between two health checks.
        snapshot_history_size: Snapshots kept.
        exhaustion_threshold: Fraction of the pool in use from which a waiting caller is critical.
        high_wait_time_ms: From here on a wait is high.
        enable_alerting: Whether alert handlers are called.
        max_overflow: Connections allowed above `pool_size`; -1 if there is no limit, and then no utilisation either.
        name: The pool's name in alerts, dashboards and the store.
        snapshot_interval_s: Seconds between two snapshots.
        health_check_timeout_s: A health check that takes longer failed.
        long_checkout_s: From here on a checkout is long.
        clock: Where the time comes from.

    Raises:
        SettingsError: If one of these is impossible.
    """

    def __init__(
        self,
        pool_size: int | None,
        health_check_interval: float = 60,
        snapshot_history_size: int = 1000,
        exhaustion_threshold: float = 0.9,
        high_wait_time_ms: float = 1000.0,
        enable_alerting: bool = True,
        *,
        max_overflow: int = 0,
        name: str = "",
        snapshot_interval_s: float = 5.0,
        health_check_timeout_s: float = 5.0,
        long_checkout_s: float = 60.0,
        clock: Clock | None = None,
    ) -> None:
        settings = Settings(  # states the rules
            health_check_interval=health_check_interval,
            snapshot_history_size=snapshot_history_size,
            exhaustion_threshold=exhaustion_threshold,
            high_wait_time_ms=high_wait_time_ms,
            enable_alerting=enable_alerting,
            snapshot_interval_s=snapshot_interval_s,
            health_check_timeout_s=health_check_timeout_s,
            long_checkout_s=long_checkout_s,
        )
        if pool_size is not None:
            _check_whole("pool_size", pool_size, 1, " or None")
        _check_whole("max_overflow", max_overflow, -1)
        if not isinstance(name, str):
            raise SettingsError(f"name must be of type str; got {name!r}")
        clock = SystemClock() if clock is None else clock
        self._delivery = HandlerDelivery(f"pool {name}" if name else "pool")
        publish = self._delivery.publish if enable_alerting else _tell_nobody
        super().__init__(
            clock,
            PoolState(clock, pool_size, max_overflow),
            PoolAlerts(name, publish, clock),
            settings.exhaustion_threshold,
            settings.high_wait_time_ms,
        )
        self.name = name
        self._health = HealthChecks(
            clock, settings.health_check_interval, settings.health_check_timeout_s, self._health_checked
        )
        self._snapshots: deque[PoolSnapshot] = deque(maxlen=snapshot_history_size)
        self._snapshot_interval_ns = int(settings.snapshot_interval_s * _NS_PER_S)
        self._long_checkout_ns = int(settings.long_checkout_s * _NS_PER_S)
        self._poller = Poller(f"pool-{name}" if name else "pool", self.poll)
        self._is_polling = self._is_polled = False
        self._begin()
        survive_forks(self)

    def _begin(self) -> None:
        self._snapshot_due_ns = self._now()
        self._poll_lock = threading.Lock()
        self._snapshots_lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """Forgets the parent's counts, holders and history, and goes on polling if it did."""
        self._forget()
        self._snapshots.clear()
        self._begin()
        self._health.reset()
        self._poller.after_fork_in_child()

    def __repr__(self) -> str:
        snapshot = self.get_current_snapshot()
        return (
            f"<ConnectionPoolMonitor {self.name!r}: in_use={snapshot.active_connections} of "
            f"{snapshot.max_connections or 'unlimited'}, idle={snapshot.idle_connections}, "
            f"waiting={snapshot.waiting_count}>"
        )

    def set_reading(self, reading: PoolReading, activity: Activity | None = None) -> None:
        """
        From now on the pool itself tells what is in use, idle and allowed, instead of `pool_size` and own counts.

        Args:
            reading: Reads the pool.
            activity: Reads what a connection is at that is checked out.
        """
        self._state.read_with(reading, activity)

    def set_health_check_callback(
        self, callback: HealthCallback | None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """
        What tells whether the pool is well: False, an exception, or no answer in time is a failure.

        Args:
            callback: Function or coroutine function; it runs in a thread of ours, and what it returns for awaiting on
                an event loop. None ends the checks.
            loop: The loop to await on; by default the one that awaited `start()`, else one of the check's own.

        Raises:
            SettingsError: If it cannot be called.
        """
        if callback is not None and not callable(callback):
            raise SettingsError(f"the health check must be a function or coroutine function; got {callback!r}")
        self._health.set_callback(callback, loop)

    def add_alert_handler(self, handler: Handler) -> None:
        """Calls `handler(alert_type, data)`, function or coroutine function, with every alert from now on."""
        self._delivery.add(handler)

    def remove_alert_handler(self, handler: Handler) -> None:
        """Calls `handler` no more."""
        self._delivery.remove(handler)

    @property
    def alerts_dropped(self) -> int:
        """Alerts that no handler saw."""
        return self._delivery.dropped

    async def start(self) -> None:
        """Begins to poll in a thread, and to deliver alerts, coroutine handlers on the running loop; idempotent."""
        self._deliver_on(asyncio.get_running_loop())
        if not (self._is_polled or self._is_polling):
            self._is_polling = True
            self._poller.start()

    async def stop(self) -> None:
        """Ends that after the alerts that wait were delivered, 5 s at most; recording goes on. Idempotent."""
        # Not on this loop: it runs the coroutine handlers that are waited for.
        await asyncio.to_thread(self.stop_delivery)

    def start_delivery(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """
        Delivers alerts from now on, for an owner that calls `poll()` itself, once a second or more often.

        Args:
            loop: Where coroutine handlers and coroutine health checks run; None is a loop of ours.
        """
        self._is_polled = True
        self._deliver_on(loop)

    def _deliver_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._health.run_on(loop)
        self._delivery.start(loop)

    def stop_delivery(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Delivers what waits, for `timeout_s` at most, then nothing more; a health check under way is cancelled."""
        if self._is_polling:
            self._is_polling = False
            self._poller.stop(timeout_s)
        self._health.stop()
        self._delivery.stop(timeout_s)

    def poll(self) -> None:
        """Takes a snapshot if one is due, finds what no event tells, and sees to the health checks; never waits."""
        if not self._poll_lock.acquire(blocking=False):
            return  # somebody else is at it
        try:
            self._counters.fold()  # so that each wait belongs to its minute
            snapshot = self.get_current_snapshot()
            now_ns = self._now()
            if now_ns >= self._snapshot_due_ns:
                self._snapshot_due_ns += self._snapshot_interval_ns
                if self._snapshot_due_ns <= now_ns:  # one was missed altogether; a new rhythm begins
                    self._snapshot_due_ns = now_ns + self._snapshot_interval_ns
                with self._snapshots_lock:
                    self._snapshots.append(snapshot)
            self._watch(snapshot, self._long_checkout_ns)
            self._health.poll()
        finally:
            self._poll_lock.release()

    def _health_checked(self, check: HealthCheck, failed_in_row: int) -> None:
        if check.is_healthy:
            self._counters.health_checks_passed.add()
        else:
            self._counters.health_checks_failed.add()
            self._alerts.health_check_failed(check, failed_in_row)

    def get_current_snapshot(self) -> PoolSnapshot:
        """The pool now."""
        snapshot = self._state.snapshot()
        self._counters.see(snapshot.active_connections, snapshot.waiting_count)
        return snapshot

    def get_snapshots(self, since: datetime | None = None) -> list[PoolSnapshot]:
        """
        The snapshots kept, oldest first.

        Args:
            since: Only those taken then or later; an aware datetime.

        Raises:
            SettingsError: If `since` has no time zone.
        """
        if since is not None and since.tzinfo is None:
            raise SettingsError(f"since must have a time zone; got {since!r}; use datetime.now(UTC)")
        with self._snapshots_lock:
            return [snapshot for snapshot in self._snapshots if since is None or snapshot.timestamp >= since]

    def get_metrics(self) -> PoolMetrics:
        """What the pool did since this monitor was made."""
        return self._counters.totals()

    def get_health_checks(self) -> list[HealthCheck]:
        """The last 100 health checks, oldest first."""
        return self._health.recent()

    def get_status(self) -> PoolStatus:
        """How the pool does, and why."""
        return self._status(self.get_current_snapshot(), self._p95_recent_wait_ms())

    def _status(self, snapshot: PoolSnapshot, p95_wait_time_ms: float | None) -> PoolStatus:
        return pool_status(
            snapshot,
            exhaustion_threshold=self._exhaustion_threshold,
            high_wait_time_ms=self._high_wait_time_ms,
            p95_wait_time_ms=p95_wait_time_ms or 0.0,
            has_timed_out=self._has_timed_out(self._now()),
            failed_checks=self._health.failed_in_row,
        )

    def _p95_recent_wait_ms(self) -> float | None:
        waits = self._counters.recent_waits()
        return waits.quantile_ms(0.95) if waits.count else None

    def get_trend(self) -> Trend:
        """Where utilisation goes: the last minute against the one that began five minutes ago."""
        now = datetime_of(self._clock.now_us())
        return utilization_trend(self.get_snapshots(now - _SHOWN_SPAN), now)

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal handler asks that interrupted the counting itself, for which `drain()` has nothing."""
        return self._counters.is_interrupted

    def drain(self, *, keeps_idle: bool = False) -> PoolWindow:
        """
        The state now and what happened since the last call; every event is in exactly one window.

        Args:
            keeps_idle: Whether time in which nothing happened is left to the next window; for who throws such windows
                away.
        """
        snapshot = self.get_current_snapshot()
        metrics = self._counters.drain(
            snapshot.active_connections,
            snapshot.waiting_count,
            is_empty=self._state.is_empty,
            keeps_idle=keeps_idle,
        )
        holders = self._take_timeout_holders()
        return PoolWindow(self.name, snapshot, metrics, tuple(self._health.drain()), holders)

    def generate_dashboard(self) -> str:
        """Everything about the pool as text, laid out for reading."""
        snapshot = self.get_current_snapshot()
        recent_waits_ms = self._p95_recent_wait_ms()
        status = self._status(snapshot, recent_waits_ms)
        last_error = None
        if self.last_error is not None:
            moment_us, error = self.last_error
            last_error = (datetime_of(moment_us), redact(error, "unknown") if isinstance(error, str) else str(error))
        return render_pool_dashboard(
            PoolView(
                pool=self.name,
                level=status.level,
                reasons=status.reasons,
                trend=self.get_trend(),
                snapshot=snapshot,
                metrics=self.get_metrics(),
                p95_recent_wait_ms=recent_waits_ms,
                history=tuple(self.get_snapshots(snapshot.timestamp - _SHOWN_SPAN)),
                health_checks=tuple(self.get_health_checks()),
                last_error=last_error,
            )
        )


async def initialize_pool_monitor(**settings: Any) -> ConnectionPoolMonitor:
    """
    A started `ConnectionPoolMonitor`.

    Args:
        **settings: As `ConnectionPoolMonitor` takes them.

    Raises:
        SettingsError: If a setting is impossible.
        TypeError: If one is unknown.
    """
    monitor = ConnectionPoolMonitor(**settings)
    await monitor.start()
    return monitor


def _tell_nobody(alert_type: str, data: dict[str, Any]) -> None:
    """What alerts go to when alerting is switched off."""


def _check_whole(name: str, value: int, least: int, otherwise: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MANY:
        raise SettingsError(f"{name} must be a whole number from {least} to {_MANY:,}{otherwise}; got {value!r}")
