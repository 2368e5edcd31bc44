"""
Slow executions to alerts, and alerts to log lines: one WARNING each, ten a second at most, the rest in one line.

In go slow queries in the order they ended; out come alerts, and structlog events whose keys hold nothing personal.
Deliberately not here: what is slow, and when to write; the monitor says both.
"""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Final

from querygauge.logs import get_logger
from querygauge.protocols import Clock
from querygauge.values import SlowQuery, SlowQueryAlert, severity_of

__all__ = ["SlowLog", "alert_about"]

log = get_logger(__name__)

_LINES_PER_SECOND: Final = 10  # enough to see what is slow; a database that stalls makes thousands
_SECOND_NS: Final = 1_000_000_000


def alert_about(query: SlowQuery, threshold_ms: float, service: str) -> SlowQueryAlert:
    """What handlers and the log are told about a slow execution."""
    return SlowQueryAlert(
        timestamp=query.timestamp,
        query=query.query,
        pattern_id=query.pattern_id,
        summary=query.summary,
        duration_ms=query.duration_ms,
        threshold_ms=threshold_ms,
        severity=severity_of(query.duration_ms, threshold_ms),
        call_site=query.call_site,
        service=service,
        target=query.target,
    )


class SlowLog:
    """The rate-limited log of slow queries; `write` is called again and again, also with nothing new."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._written_ns: deque[int] = deque(maxlen=_LINES_PER_SECOND)
        self._not_logged = 0
        self._not_logged_since_ns = 0

    def after_fork_in_child(self) -> None:
        """Replaces the lock and forgets what the parent has yet to say."""
        self._begin()

    def write(self, alerts: Iterable[SlowQueryAlert], missed: int = 0) -> None:
        """Logs what the rate allows, and how many it did not allow once a second has passed since the first of them."""
        for alert in alerts:
            if self._may_write():
                log.warning(
                    "slow_query",
                    pattern_id=alert.pattern_id,
                    summary=alert.summary,
                    duration_ms=round(alert.duration_ms, 3),
                    threshold_ms=alert.threshold_ms,
                    severity=alert.severity,
                    call_site=alert.call_site,
                    service=alert.service,
                    target=alert.target,
                )
        self._say_not_logged(self._due(missed, at_once=False))

    def finish(self) -> None:
        """Logs how many lines were left out, if any, without waiting for the second to pass."""
        self._say_not_logged(self._due(0, at_once=True))

    def _may_write(self) -> bool:
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            written_ns = self._written_ns
            if len(written_ns) == written_ns.maxlen and now_ns - written_ns[0] < _SECOND_NS:
                self._leave_out(1, now_ns)
                return False
            written_ns.append(now_ns)
            return True

    def _leave_out(self, count: int, now_ns: int) -> None:
        if not self._not_logged:
            self._not_logged_since_ns = now_ns
        self._not_logged += count

    def _due(self, missed: int, *, at_once: bool) -> int:
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if missed:
                self._leave_out(missed, now_ns)
            if not at_once and now_ns - self._not_logged_since_ns < _SECOND_NS:
                return 0
            count, self._not_logged = self._not_logged, 0
            return count

    def _say_not_logged(self, count: int) -> None:
        if count:
            log.warning("slow_queries_not_logged", count=count, limit_per_second=_LINES_PER_SECOND)
