"""
What happens at one pool, as it happens: in go requests, checkouts, checkins and failures, out come gauges and counts.

Every method may be called from any thread, inside the host's own call, and costs some 300 ns. A caller that knows its
connections and requests hands in tokens for them, and everything is exact; without tokens the oldest request and the
oldest checkout end first. Deliberately not here: history, and whatever needs a thread of its own.
"""

from collections.abc import Hashable, Mapping
from typing import Any, Final

from querygauge.checkout import KNOWN, SINCE, Checkout, new_checkout
from querygauge.logs import get_logger
from querygauge.monitors.measured import duration_ns
from querygauge.monitors.pool_alerts import CONNECTION_TIMEOUT, HIGH_WAIT_TIME, POOL_EXHAUSTION, PoolAlerts
from querygauge.monitors.pool_counters import FOLD_AT, PoolCounters
from querygauge.monitors.pool_state import PoolState, pop_oldest
from querygauge.monitors.pool_status import is_exhausted
from querygauge.patterns.failure import failure_of
from querygauge.protocols import Clock, PoolLedger
from querygauge.values import Failure, Holder, PoolSnapshot

__all__ = ["PoolRecorder"]

log = get_logger(__name__)

_NS_PER_MS: Final = 1e6
_MINUTE_NS: Final = 60_000_000_000
# So soon after a timeout the same lines hold connections still.
_HELD_ALIKE_NS: Final = 100_000_000
# At a steady 100 % the last waiter is served many times a second; without this, each next one would be news.
_CALM_NS: Final = 10_000_000_000


class PoolRecorder:
    """
    The recording half of `ConnectionPoolMonitor`.

    Attributes:
        held: What is checked out, by the token of its connection.
        last_error: Moment in microseconds since 1970 and the last error, a text as it was told; None while there was
            none.
    """

    def __init__(
        self, clock: Clock, state: PoolState, alerts: PoolAlerts, exhaustion_threshold: float, high_wait_time_ms: float
    ) -> None:
        self._clock = clock
        self._state = state
        self._alerts = alerts
        self._counters = PoolCounters(clock, state.limits)
        self._move = self._counters.demand.queue.append
        self._exhaustion_threshold = exhaustion_threshold
        self._high_wait_time_ms = high_wait_time_ms
        self._high_wait_ns = int(high_wait_time_ms * _NS_PER_MS)
        self._now = clock.monotonic_ns
        self.held: Mapping[Any, Checkout] = state.held
        self._held = state.held
        self._asked = state.asked
        self._last_timeout_ns: int | None = None
        self._timeout_holders: tuple[Holder, ...] = ()
        self._high_waits_end_ns = 0
        self._exhausted_ns = 0
        self._has_rejected = False
        self.last_error: tuple[int, str | Failure] | None = None

    def _forget(self) -> None:
        self._state.forget()
        self._counters.reset()
        self._alerts.reset()
        self._last_timeout_ns = self.last_error = None
        self._timeout_holders = ()
        self._high_waits_end_ns = 0

    def record_request(self, request: Hashable = None, *, started_ns: int | None = None) -> None:
        """
        A caller begins to wait for a connection.

        Args:
            request: Token by which the end of this wait is told; without one, the oldest wait ends first.
            started_ns: The moment on the clock, if the caller has told of it in `moves` already.
        """
        if started_ns is None:
            started_ns = self._now()
            self._move(started_ns)
        if request is None:
            unnamed = self._state.asked_unnamed
            unnamed.append(started_ns)
            waiting = len(unnamed)
        else:
            asked = self._asked
            asked[request] = started_ns
            waiting = len(asked) + len(self._held) - self._state.limits[0]
        counters = self._counters
        counters.requests.add()
        if waiting > 0:
            counters.see(0, waiting if request is None else min(waiting, len(self._asked)))
            self._check_exhaustion()

    def record_obtained(self, request: Hashable, wait_ns: int) -> None:
        """A request that had a token got its connection after `wait_ns`."""
        self._asked.pop(request, None)
        self._record_wait(wait_ns)

    def ledger(self) -> PoolLedger:
        """What capture writes at every checkout, without a call: between a host's own work each costs 0.3 µs."""
        counters, state = self._counters, self._state
        return PoolLedger(
            asked=self._asked,
            held=self._held,
            limits=state.limits,
            peaks=counters.peaks,
            handed=counters.handed.queue,
            used=counters.use.queue,
            moves=counters.demand.queue,
            fold_at=FOLD_AT,
            high_wait_ns=self._high_wait_ns,
            sees=self._see,
            folds=self._fold,
            judges=self._judge_wait,
        )

    def _see(self) -> None:
        asked, held = len(self._asked), len(self._held)
        waiting = asked + held - self._state.limits[0]
        self._counters.see(held, max(0, min(asked, waiting)))
        if waiting > 0:
            self._check_exhaustion()

    def _fold(self) -> None:
        self._counters.fold_if_free()

    def record_abandoned(self, request: Hashable) -> None:
        """A request that had a token was cancelled while it waited: nobody waits any more, and nothing failed."""
        self._end_request(request)

    def record_wait_time(self, wait_time_ms: float) -> None:
        """
        A caller waited for so long until it had a connection.

        What is no duration is logged, once, and not counted: the application goes on.
        """
        try:
            wait_ns = duration_ns("wait_time_ms", wait_time_ms)
        except (TypeError, ValueError) as error:
            if not self._has_rejected:
                self._has_rejected = True
                log.warning("pool_wait_time_rejected", error=str(error))
            return
        self._record_wait(wait_ns)

    def _record_wait(self, wait_ns: int) -> None:
        self._counters.wait.add(wait_ns)
        self._judge_wait(wait_ns)

    def _judge_wait(self, wait_ns: int) -> None:
        """Tells of a high wait, and notes that high waits ended."""
        if wait_ns >= self._high_wait_ns:
            self._high_waits_end_ns = self._now() + _MINUTE_NS
            if HIGH_WAIT_TIME in self._alerts.armed:
                waiting = self._state.waiting(self._state.active)
                self._alerts.high_wait_time(wait_ns / _NS_PER_MS, self._high_wait_time_ms, waiting)
        elif HIGH_WAIT_TIME not in self._alerts.armed:
            self._high_waits_end_ns = self._now()
            self._end_high_waits(self._high_waits_end_ns)

    def _end_high_waits(self, now_ns: int) -> None:
        """High waits end with a lower one, or after a minute without one; while somebody waits, nobody knows."""
        if now_ns >= self._high_waits_end_ns and not self._state.is_waited_for(self._state.active):
            self._alerts.rearm(HIGH_WAIT_TIME)

    def record_checkout(self, connection: Hashable = None, call_site: object = None) -> Checkout:
        """
        A connection is handed out.

        Without a token for the connection it ends the oldest wait, and if nobody waited it is a request of its own;
        with one, requests are told by `record_request` alone, since not every request leads to a checkout.

        Args:
            connection: Token that `record_checkin` will name.
            call_site: The line that asked, or an object whose `str()` is that line.

        Returns:
            The state of this checkout, also under `held[connection]`.
        """
        counters, state = self._counters, self._state
        checkout = new_checkout(self._now(), call_site)
        counters.checkouts.add()
        unnamed = state.asked_unnamed
        has_waited = bool(unnamed) and pop_oldest(unnamed) is not None
        if connection is not None:
            self._held[connection] = checkout
        else:
            state.held_unnamed.append(checkout)
            if not has_waited:
                counters.requests.add()
                self._move(checkout[SINCE])
        active = len(self._held) + len(state.held_unnamed)
        if active > counters.peaks[0]:
            counters.see(active, 0)
        return checkout

    def record_checkin(self, connection: Hashable = None) -> None:
        """A connection comes back; one whose checkout nobody told of is ignored."""
        checkout = pop_oldest(self._state.held_unnamed) if connection is None else self._held.pop(connection, None)
        if checkout is not None:
            now_ns = self._now()
            self._counters.use.add(now_ns - checkout[SINCE])
            self._move(-now_ns)
        if POOL_EXHAUSTION not in self._alerts.armed:
            self._check_exhaustion()

    def record_timeout(self, request: Hashable = None, *, waited_ms: float | None = None) -> None:
        """
        A caller gave up waiting.

        The first one is an alert; one within a minute after another belongs to the same trouble and is not.

        Args:
            request: Token of its request; without one, the oldest wait ends.
            waited_ms: How long it waited; by default the time since its request.
        """
        now_ns = self._now()
        started_ns = self._end_request(request)
        if waited_ms is None and started_ns is not None:
            waited_ms = (now_ns - started_ns) / _NS_PER_MS
        self._counters.timeouts.add()
        self._end_timeouts(now_ns)
        last_ns, self._last_timeout_ns = self._last_timeout_ns, now_ns
        if last_ns is not None and now_ns - last_ns < _HELD_ALIKE_NS:
            return  # of a thousand callers that give up together each would look who holds what
        self._timeout_holders = self._state.holders()
        if CONNECTION_TIMEOUT in self._alerts.armed:
            self._alerts.connection_timeout(waited_ms, self._timeout_holders)

    def _take_timeout_holders(self) -> tuple[Holder, ...]:
        """Who held connections at the last timeout since this was last called."""
        holders, self._timeout_holders = self._timeout_holders, ()
        return holders

    def _end_timeouts(self, now_ns: int) -> None:
        if CONNECTION_TIMEOUT not in self._alerts.armed and not self._has_timed_out(now_ns):
            self._alerts.rearm(CONNECTION_TIMEOUT)

    def _has_timed_out(self, now_ns: int) -> bool:
        """Whether a request timed out in the last minute."""
        last_ns = self._last_timeout_ns
        return last_ns is not None and now_ns - last_ns <= _MINUTE_NS

    def record_error(self, text: str | Failure | BaseException = "", *, request: Hashable = None) -> None:
        """
        A request failed for another reason than a timeout.

        Args:
            text: Why. Only the last one is kept, and it is shown without the values in it.
            request: Token of the request; without one, the oldest wait ends.
        """
        self._end_request(request)
        self._counters.errors.add()
        # An exception itself would keep its frames alive.
        error = failure_of(text, "unknown")[1] if isinstance(text, BaseException) else text
        if isinstance(error, Failure):
            self._counters.failed.append(error.error_type)
        self.last_error = (self._clock.now_us(), error)

    def _end_request(self, request: Hashable) -> int | None:
        """When the wait that ends here began; without tokens, a failure nobody waited for is a request of its own."""
        now_ns = self._now()
        started_ns: int | None = (
            pop_oldest(self._state.asked_unnamed) if request is None else self._asked.pop(request, None)
        )
        if started_ns is None and request is None:
            self._counters.requests.add()
            self._move(now_ns)
        if started_ns is not None or request is None:
            self._move(-now_ns)
        return started_ns

    def record_create_time(self, duration_ns: int) -> None:
        """A connection was opened within so many nanoseconds."""
        self._counters.create.add(duration_ns)

    def record_leak(self, connection: Hashable = None, *, checkout: Checkout | None = None) -> None:
        """
        A connection was garbage-collected instead of given back; it is held no more.

        Args:
            connection: Token of the connection.
            checkout: Its entry instead, if it was taken from `held` already.
        """
        self._counters.leaks.add()
        checkout = checkout or self._held.pop(connection, None)
        if checkout is not None:
            self._move(-self._now())
        self._alerts.connection_leak(Holder(0.0) if checkout is None else self._state.holder_of(checkout, self._now()))

    def record_lost(self, pattern_id: str | None = None) -> None:
        """
        A connection was thrown away because the statement on it was cancelled.

        Args:
            pattern_id: What was cancelled, if it is known.
        """
        self._counters.lost.append(pattern_id)

    def _check_exhaustion(self) -> None:
        """Compares own counts with the threshold; the pool itself is asked only if there is something to tell."""
        state = self._state
        active = state.active
        is_full = is_exhausted(active, state.max_connections, 1, self._exhaustion_threshold)
        is_waited_for = state.is_waited_for(active)
        if is_full and is_waited_for:
            self._exhausted_ns = self._now()
            if POOL_EXHAUSTION in self._alerts.armed:
                self._alerts.pool_exhaustion(state.snapshot())
        elif not is_full and not is_waited_for:
            self._alerts.rearm(POOL_EXHAUSTION)

    def _watch(self, snapshot: PoolSnapshot, long_checkout_ns: int) -> None:
        """Finds what no event tells: long checkouts, troubles that ended, exhaustion that only the pool knows of."""
        now_ns = self._now()
        self._watch_exhaustion(snapshot, now_ns)
        self._end_timeouts(now_ns)
        self._end_high_waits(now_ns)
        for checkout in self._state.held_now():
            if now_ns - checkout[SINCE] >= long_checkout_ns and not checkout[KNOWN]:
                checkout[KNOWN] = True
                self._alerts.long_checkout(self._state.holder_of(checkout, now_ns))

    def _watch_exhaustion(self, snapshot: PoolSnapshot, now_ns: int) -> None:
        active, maximum, waiting = snapshot.active_connections, snapshot.max_connections, snapshot.waiting_count
        if is_exhausted(active, maximum, waiting, self._exhaustion_threshold):
            self._exhausted_ns = now_ns
            self._alerts.pool_exhaustion(snapshot)
            return
        is_full = is_exhausted(active, maximum, 1, self._exhaustion_threshold)
        if not is_full or now_ns - self._exhausted_ns >= _CALM_NS:
            self._alerts.rearm(POOL_EXHAUSTION)
