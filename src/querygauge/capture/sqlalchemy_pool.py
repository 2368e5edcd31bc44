"""
One SQLAlchemy pool: comes in, what SQLAlchemy does with it; goes out, calls of `PoolRecord`, and a true reading.

SQLAlchemy fires no event when a caller begins to wait for a connection, nor when it gives up; the method `connect` of
the pool *instance* is the only place to see either, so it is replaced. `dispose()` makes a new pool through `recreate`:
listeners move over to it, replaced methods do not, so `recreate` is replaced as well and attaches the new pool.

Counting checkouts and checkins drifts as soon as a connection is detached, invalidated or dropped. So what is in use is
read from the pool where it can tell, and idle connections are those seen to come back and not to leave since.

Deliberately not here: totals and alerts.
"""

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final
from weakref import ref

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import Pool

from querygauge.capture.guard import Guard
from querygauge.capture.wrapping import Wraps
from querygauge.patterns.failure import failure_of
from querygauge.protocols import PoolRecord
from querygauge.values import CANCELLED, PoolGauges

__all__ = ["PINGING", "PoolHooks"]

PINGING: Final[ContextVar[bool]] = ContextVar("querygauge_pinging", default=False)
"""True inside our own health check, whose checkout belongs in no statistics."""


class PoolHooks:
    """
    The attachment to the pool of one engine, whichever pool that is after a `dispose()`.

    Attributes:
        guard: Counts what failed inside the hooks.
        loop: The event loop that last obtained a connection, for an asynchronous engine whose pool is to be pinged.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        record: PoolRecord,
        find_call_site: Callable[[], str | None],
        dialect: str,
        guard: Guard,
        remember_loop: bool = False,
    ) -> None:
        self.guard = guard
        self.loop: asyncio.AbstractEventLoop | None = None
        self._pool = ref(pool)
        self._record = record
        self._find = find_call_site
        self._dialect = dialect
        self._remember_loop = remember_loop
        self._wraps: list[Wraps] = []
        # By the id of the pool's entry: a reference would keep the connections of a forgotten engine open.
        self._fairies: dict[int, ref[Any]] = {}
        self._idle: set[int] = set()
        self._listeners: tuple[tuple[str, Callable[..., None]], ...] = (
            ("checkin", self._on_checkin),
            ("close", self._guarded("close", self._on_close)),
            ("detach", self._guarded("detach", self._on_detach)),
            ("invalidate", self._guarded("invalidate", self._on_invalidate)),
        )

    def attach(self) -> None:
        """Replaces the pool's methods and listens to its events."""
        pool = self._pool()
        if pool is None:
            return
        self._idle.update(_idle_entries(pool))
        for name, listener in self._listeners:
            event.listen(pool, name, listener)
        self._wrap(pool)

    def detach(self) -> None:
        """Restores what `attach` found."""
        pool = self._pool()
        for wraps in self._wraps:
            wraps.restore()
        self._wraps.clear()
        if pool is None:
            return
        for name, listener in self._listeners:
            if event.contains(pool, name, listener):
                event.remove(pool, name, listener)

    def read(self) -> PoolGauges:
        """The pool's state now; fits `protocols.PoolReading`."""
        pool: Any = self._pool()
        if pool is None:
            return PoolGauges(size=None, max_overflow=None, in_use=0, idle=0)
        size = getattr(pool, "size", None)
        limit = (size() if callable(size) else size) or None
        checked_out = getattr(pool, "checkedout", None)
        in_use = len(self._record.held) if checked_out is None else checked_out()
        return PoolGauges(limit, getattr(pool, "_max_overflow", None), in_use, len(self._idle))

    def _wrap(self, pool: Any) -> None:
        wraps = Wraps(pool)
        wraps.replace("connect", self._timed_connect)
        wraps.replace("recreate", self._followed_recreate)
        if "_invoke_creator" in pool.__dict__:
            wraps.replace("_invoke_creator", self._timed_creator)
        self._wraps.append(wraps)

    def _timed_connect(self, original: Callable[[], Any]) -> tuple[Callable[[], Any], Callable[[], None]]:
        record, guard, now = self._record, self.guard, time.perf_counter_ns
        is_attached = True

        def connect() -> Any:
            if not is_attached:
                return original()
            if PINGING.get():
                return self._ping_checked_out(original())
            request = object()
            started = now()
            try:
                record.record_request(request=request, started_ns=started)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught("request", error)
            try:
                obtained = original()
            except BaseException as error:
                self._not_obtained(request, started, error)
                raise
            try:
                record.record_obtained(request=request, wait_ns=now() - started)
                self._checked_out(obtained)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught("obtained", error)
            return obtained

        def pass_through() -> None:
            nonlocal is_attached
            is_attached = False

        return connect, pass_through

    def _not_obtained(self, request: object, started: int, error: BaseException) -> None:
        waited_ns = time.perf_counter_ns() - started
        try:
            if isinstance(error, PoolTimeoutError):
                self._record.record_timeout(request=request, waited_ms=waited_ns / 1e6)
                return
            # SQLAlchemy wraps a driver's error later; here it is still the driver's own.
            outcome, failure = failure_of(error, self._dialect)
            if outcome == CANCELLED:
                self._record.record_abandoned(request=request)
            else:
                self._record.record_error(str(failure), request=request)
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self.guard.caught("not obtained", own)

    def _followed_recreate(self, original: Callable[[], Pool]) -> tuple[Callable[[], Pool], Callable[[], None]]:
        is_attached = True

        def recreate() -> Pool:
            made = original()
            if is_attached:
                try:
                    self._follow(made)
                except Exception as error:  # noqa: BLE001  # the host must not notice
                    self.guard.caught("recreate", error)
            return made

        def pass_through() -> None:
            nonlocal is_attached
            is_attached = False

        return recreate, pass_through

    def _follow(self, made: Pool) -> None:
        """Goes on with the pool that takes the place of the present one; its listeners came along."""
        self._pool = ref(made)
        self._idle.clear()
        self._wrap(made)

    def _timed_creator(self, original: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[[], None]]:
        record, guard, now = self._record, self.guard, time.perf_counter_ns
        is_attached = True

        def create(*arguments: Any) -> Any:
            started = now()
            connection = original(*arguments)
            if is_attached:
                try:
                    record.record_create_time(now() - started)
                except Exception as error:  # noqa: BLE001  # the host must not notice
                    guard.caught("create", error)
            return connection

        def pass_through() -> None:
            nonlocal is_attached
            is_attached = False

        return create, pass_through

    def _guarded(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        guard = self.guard

        def listener(*arguments: Any) -> None:
            try:
                hook(*arguments)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught(name, error)

        return listener

    def _checked_out(self, fairy: Any) -> None:
        # A pool that hands the same connection out again while it is held counts on the fairy; that is no checkout.
        if fairy._counter == 1:  # noqa: SLF001  # the checkout event, which says the same, costs a microsecond more
            key = id(fairy._connection_record)  # noqa: SLF001
            self._idle.discard(key)
            self._fairies[key] = ref(fairy)
            self._record.record_checkout(connection=key, call_site=self._find())
        if self._remember_loop:
            self.loop = asyncio.get_running_loop()

    def _ping_checked_out(self, fairy: Any) -> Any:
        self._idle.discard(id(fairy._connection_record))  # noqa: SLF001
        return fairy

    def _on_checkin(self, dbapi_connection: Any, entry: Any) -> None:
        # The one event that comes with every use of a connection, so it is guarded here and not by one more call.
        try:
            key = id(entry)
            self._given_back(key)
            if dbapi_connection is not None and self._is_ours(entry):
                self._idle.add(key)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("checkin", error)

    def _on_close(self, _dbapi_connection: Any, entry: Any) -> None:
        self._idle.discard(id(entry))

    def _on_detach(self, _dbapi_connection: Any, entry: Any) -> None:
        # An asynchronous connection that was garbage-collected is detached as well, having nobody to await its close.
        self._given_back(id(entry))

    def _on_invalidate(self, _dbapi_connection: Any, _entry: Any, error: BaseException | None) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._record.record_lost()

    def _given_back(self, key: int) -> None:
        fairy = self._fairies.pop(key, None)
        if fairy is not None and fairy() is None:
            self._record.record_leak(connection=key)
        self._record.record_checkin(connection=key)

    def _is_ours(self, entry: Any) -> bool:
        # A connection of a pool that was disposed of goes back there, out of everybody's reach.
        owner = getattr(entry, "_ConnectionRecord__pool", None)
        return owner is None or owner is self._pool()


def _idle_entries(pool: Any) -> list[int]:
    """Ids of the queue pool's entries that hold an open connection; none where a pool has no such queue."""
    waiting = getattr(pool, "_pool", None)
    entries = getattr(waiting, "queue", None) or getattr(getattr(waiting, "_queue", None), "_queue", None) or ()
    return [id(entry) for entry in tuple(entries) if getattr(entry, "dbapi_connection", None) is not None]
