"""
The alerts of one pool: in go findings, out goes each alert once per crossing, as plain JSON types.

Every alert is `(alert_type, data)`, and every `data` carries `pool`, `timestamp` (ISO 8601) and `severity`.
Deliberately not here: when something is a finding, which the recorder and the monitor decide, and how an alert reaches
its handlers.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from querygauge.clock import datetime_of
from querygauge.protocols import Clock
from querygauge.values import HealthCheck, Holder, PoolSnapshot, Severity, severity_of

__all__ = [
    "CONNECTION_LEAK",
    "CONNECTION_TIMEOUT",
    "HEALTH_CHECK_FAILED",
    "HIGH_WAIT_TIME",
    "LONG_CHECKOUT",
    "POOL_EXHAUSTION",
    "PoolAlerts",
]

POOL_EXHAUSTION: Final = "pool_exhaustion"
HIGH_WAIT_TIME: Final = "high_wait_time"
CONNECTION_TIMEOUT: Final = "connection_timeout"
HEALTH_CHECK_FAILED: Final = "health_check_failed"
CONNECTION_LEAK: Final = "connection_leak"
LONG_CHECKOUT: Final = "long_checkout"

_REARMING: Final = (POOL_EXHAUSTION, HIGH_WAIT_TIME, CONNECTION_TIMEOUT)
_CRITICAL_FAILURES: Final = 3  # failed checks in a row; the status of the pool is critical then


class PoolAlerts:
    """
    Publishes findings, and stays silent about one that was published and has not ended.

    Attributes:
        armed: The types that would be published now; the recorder looks here before it does any work.
    """

    def __init__(self, pool: str, publish: Callable[[str, dict[str, Any]], None], clock: Clock) -> None:
        self._pool = pool
        self._publish = publish
        self._clock = clock
        self.armed: dict[str, bool] = {}
        self.reset()

    def reset(self) -> None:
        """Arms everything."""
        self.armed.update(dict.fromkeys(_REARMING, True))

    def rearm(self, alert_type: str) -> None:
        """The finding has ended; the next one is an alert again."""
        self.armed[alert_type] = True

    def pool_exhaustion(self, snapshot: PoolSnapshot) -> None:
        """Callers wait although the pool is in use up to the threshold."""
        if self._disarm(POOL_EXHAUSTION):
            self._send(
                POOL_EXHAUSTION,
                "critical",
                utilization_percent=snapshot.utilization_percent,
                active_connections=snapshot.active_connections,
                pool_size=snapshot.pool_size,
                waiting_count=snapshot.waiting_count,
                holders=_plain(snapshot.holders),
            )

    def high_wait_time(self, wait_time_ms: float, threshold_ms: float, waiting_count: int) -> None:
        """A caller waited for so long."""
        if self._disarm(HIGH_WAIT_TIME):
            self._send(
                HIGH_WAIT_TIME,
                severity_of(wait_time_ms, threshold_ms),
                wait_time_ms=wait_time_ms,
                threshold_ms=threshold_ms,
                waiting_count=waiting_count,
            )

    def connection_timeout(self, waited_ms: float | None, holders: Iterable[Holder]) -> None:
        """A caller gave up waiting; `waited_ms` is None if nobody knows since when it waited."""
        if self._disarm(CONNECTION_TIMEOUT):
            self._send(CONNECTION_TIMEOUT, "critical", waited_ms=waited_ms, holders=_plain(holders))

    def health_check_failed(self, check: HealthCheck, consecutive_failures: int) -> None:
        """A check failed; the first of a row is an alert, and the one that makes the pool critical."""
        if consecutive_failures in {1, _CRITICAL_FAILURES}:
            self._send(
                HEALTH_CHECK_FAILED,
                "critical" if consecutive_failures == _CRITICAL_FAILURES else "high",
                error=check.error,
                duration_ms=check.duration_ms,
                consecutive_failures=consecutive_failures,
            )

    def connection_leak(self, holder: Holder) -> None:
        """A connection was garbage-collected instead of given back."""
        self._send(CONNECTION_LEAK, "high", **holder.to_dict())

    def long_checkout(self, holder: Holder) -> None:
        """A connection has been checked out for long; said once a checkout, which the caller sees to."""
        self._send(LONG_CHECKOUT, "medium", **holder.to_dict())

    def _disarm(self, alert_type: str) -> bool:
        # One step for the interpreter: of two threads that find the same thing, one publishes it.
        return self.armed.pop(alert_type, False)

    def _send(self, alert_type: str, severity: Severity, **findings: Any) -> None:
        timestamp = datetime_of(self._clock.now_us()).isoformat()
        self._publish(alert_type, {"pool": self._pool, "timestamp": timestamp, "severity": severity, **findings})


def _plain(holders: Iterable[Holder]) -> list[dict[str, Any]]:
    return [holder.to_dict() for holder in holders]
