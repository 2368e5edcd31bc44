"""
One asyncpg pool: comes in, what asyncpg does with it; goes out, calls of `PoolRecord`, and a true reading.

A pool's instance takes no attributes, so its class is exchanged for a subclass of it that times `_acquire` and
`release`; whoever holds the pool holds the same object. New connections are made by what stands in `pool._connect`.
What waiting costs is told apart from what opening a connection costs: asyncpg opens one while somebody waits for it.

A pool takes no weak reference either, but what stands in `pool._connect` does, and leads to it. Deliberately not here:
totals, alerts and statements.
"""
# ruff: noqa: SLF001  # a pool tells in no other way what happens in it

import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet, ref

from querygauge.capture.asyncpg_connection import ConnectionStatements
from querygauge.capture.asyncpg_target import is_connection
from querygauge.capture.connection_activity import activity_of
from querygauge.capture.guard import Guard
from querygauge.capture.long_hold import LONG_HOLD
from querygauge.capture.loop_lag import LoopLag
from querygauge.checkout import CANCELLED_PATTERN, OWNER, RUNNING, SINCE, Checkout
from querygauge.patterns.failure import failure_of
from querygauge.protocols import PoolRecord
from querygauge.values import CANCELLED, ConnectionActivity, PoolGauges

__all__ = ["AsyncpgPoolHooks"]

_DIALECT: Final = "postgresql"
_NS_PER_S: Final = 1e9
_EARLY_NS: Final = 1_000_000  # an event loop's clock may be ahead by its resolution
_NOTHING: Final = PoolGauges(size=None, max_overflow=None, in_use=0, idle=0)

# Nanoseconds that opening a connection took within the request under way: `wait_for` runs it in a task of its own.
_OPENING_NS: Final[ContextVar[list[int] | None]] = ContextVar("querygauge_opening_ns", default=None)


def _named_as(found: type, made: type) -> type:
    """What people see of it, in a message or a log, is what they made."""
    for name in ("__name__", "__qualname__", "__module__"):
        setattr(made, name, getattr(found, name))
    return made


def _nobody() -> None:
    """What a weak reference gives once nobody is there."""


class _Connect:
    """What stands in `pool._connect`, opened or not, and lives as long as the pool does."""

    __slots__ = ("__weakref__", "_open", "pool")

    def __init__(self, pool: Any, open_one: Callable[..., Any]) -> None:
        self.pool = pool
        self._open = open_one

    async def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return await self._open(*arguments, **keywords)


class AsyncpgPoolHooks:
    """The attachment to one pool, whether it was initialised before or will be."""

    def __init__(
        self,
        pool: Any,
        *,
        record: PoolRecord,
        statements: ConnectionStatements,
        find_call_site: Callable[[], str | None],
        guard: Guard,
        lag: LoopLag,
    ) -> None:
        self._record = record
        self._ledger = record.ledger()
        self._statements = statements
        self._find = find_call_site
        self._guard = guard
        self._lag = lag
        self._class: Any = type(pool)
        self._connect = pool._connect
        self._size: int = pool._maxsize
        self._kept: int = pool._minsize
        self._is_off: list[bool] = []
        self._standing: Callable[[], _Connect | None] = _nobody
        self._to_open: WeakSet[Any] = WeakSet()
        # By connection, what is told when it is closed or lost.
        self._listeners: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()

    @property
    def is_gone(self) -> bool:
        """Whether nobody can use the pool any more."""
        return self._pool() is None

    def is_of(self, pool: Any) -> bool:
        """Whether this is attached to that pool."""
        return getattr(type(pool), "_querygauge", None) is self

    def attach(self, pool: Any) -> None:
        """Exchanges the pool's class, and watches the connections it has."""
        connect = _Connect(pool, self._timed_connect)
        self._standing = ref(connect)
        pool._connect = connect
        watched = self._watched()
        arriving = self._arriving(watched)
        self._to_open = WeakSet(holder for holder in pool._holders if holder._con is None)
        pool.__class__ = arriving
        self._meet(pool, arriving, watched)

    def detach(self) -> None:
        """Restores what `attach` found."""
        self._is_off.append(True)
        self._statements.detach()
        for connection, listener in tuple(self._listeners.items()):
            connection.remove_termination_listener(listener)
        self._ledger.let_go(time.perf_counter_ns())
        pool = self._pool()
        if pool is None:
            return
        # Somebody else may have replaced these after us; ours hands on from now on.
        if pool._connect is self._standing():
            pool._connect = self._connect
        if type(pool).__dict__.get("_querygauge") is self:
            pool.__class__ = self._class

    def read(self) -> PoolGauges:
        """The pool's state now; fits `protocols.PoolReading`."""
        try:
            self._end_closed()
            pool = self._pool()
            holders = () if pool is None else tuple(pool._holders)
            in_use = sum(not holder.is_idle() for holder in holders)
            idle = sum(holder.is_idle() and holder.is_connected() for holder in holders)
            return PoolGauges(
                self._size,
                0,
                in_use,
                idle,
                idle_max=self._size,
                idle_min=self._kept,
                pool_class=None if pool is None else type(pool).__name__,
                driver="asyncpg",
            )
        except Exception as error:  # noqa: BLE001  # what a version of asyncpg names otherwise is no trouble of the host
            self._guard.caught("reading", error)
            return _NOTHING

    def _end_closed(self) -> None:
        """Ends the checkouts of connections that are closed and would not tell us, as listening to them has failed."""
        for key, checkout in tuple(self._ledger.held.items()):
            connection = checkout[OWNER]()
            if connection is None or (connection not in self._listeners and connection.is_closed()):
                self._lost_if_cancelled(self._given_back(key))

    def activity(self, checkout: Checkout) -> ConnectionActivity | None:
        """What a checked out connection is at; fits `protocols.Activity`."""
        if checkout[RUNNING] is not None:
            return "active"
        connection = checkout[OWNER]()
        return None if connection is None else activity_of(connection)

    def _pool(self) -> Any:
        connect = self._standing()
        return None if connect is None else connect.pool

    def _meet(self, pool: Any, arriving: type, watched: type) -> None:
        """Watches the connections that the pool has; once all begun before us are there, nobody asks again."""
        if self._is_off:
            return
        try:
            for holder in pool._holders:
                if holder._con is not None:
                    self._watch(holder._con)
            if type(pool) is arriving and self._has_come(pool):
                pool.__class__ = watched
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("pool", error)

    def _has_come(self, pool: Any) -> bool:
        """Whether nothing is opened any more that was begun before us."""
        if not pool._initialized:
            return False
        idle = pool._queue._queue  # an idle holder without a connection opens none
        self._to_open = WeakSet(holder for holder in self._to_open if holder._con is None and holder not in idle)
        return not self._to_open

    def _watch(self, connection: Any) -> None:
        if connection in self._listeners:
            return
        key, known = id(connection), ref(connection)

        def terminated(_: Any) -> None:
            # Closed or lost while it was in use, its use ends here. asyncpg tells it later, when the connection may be
            # no more and its id that of another one, which somebody has got meanwhile.
            checkout = self._ledger.held.get(key)
            owner = None if checkout is None else checkout[OWNER]()
            if owner is None or owner is known():
                self._lost_if_cancelled(self._given_back(key))

        self._listeners[connection] = terminated
        self._statements.attach(connection)
        connection.add_termination_listener(terminated)

    def _released(self, connection: Any) -> tuple[Any, Checkout | None]:
        """The connection behind what a pool handed out, and the checkout that ends here; None for what there is not."""
        try:
            own = getattr(connection, "_con", None)
        except Exception as error:  # noqa: BLE001  # an application may hand in anything; asyncpg refuses what is none
            self._guard.caught("return", error)
            return None, None
        return own, None if own is None else self._given_back(id(own))

    def _given_back(self, key: int) -> Checkout | None:
        checkout = None
        try:
            checkout = self._ledger.held.pop(key, None)
            if checkout is not None:
                ended = time.perf_counter_ns()
                self._ledger.used.append(ended - checkout[SINCE])
                self._ledger.moves.append(-ended)
                if len(self._ledger.used) >= self._ledger.fold_at:
                    self._ledger.folds()
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("return", error)
        return checkout

    def _lost_if_cancelled(self, checkout: Checkout | None) -> None:
        """Counts a connection that was closed when the last that happened to it was that a statement was cancelled."""
        pattern = None if checkout is None else checkout[CANCELLED_PATTERN]
        if pattern is None:
            return
        try:
            self._record.record_lost(pattern.id)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("lost", error)

    async def _timed_connect(self, *arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter_ns()
        connection = await self._connect(*arguments, **keywords)
        if self._is_off:
            return connection
        try:
            elapsed = time.perf_counter_ns() - started
            opening = _OPENING_NS.get()
            if opening is not None:
                opening.append(elapsed)
            self._record.record_create_time(elapsed)
            # An application's own way to connect may give anything; asyncpg refuses what is none.
            if is_connection(connection):
                self._watch(connection)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("connect", error)
        return connection

    def _watched(self) -> type:
        hooks, found = self, self._class

        class Watched(found):  # type: ignore[misc, valid-type]  # of whatever class the pool is
            __slots__ = ()
            _querygauge = hooks

            # Not through super(): a gauge that is closed before a task begins with one of these has restored the class.
            async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109  # asyncpg calls it so
                return await (found._acquire(self, timeout) if hooks._is_off else hooks._acquired(self, timeout))

            @wraps(found.release)
            async def release(self, *arguments: Any, **keywords: Any) -> Any:
                own, checkout = hooks._released(arguments[0] if arguments else keywords.get("connection"))
                try:
                    return await found.release(self, *arguments, **keywords)
                finally:
                    if own is not None and own.is_closed():
                        hooks._lost_if_cancelled(checkout)

        return _named_as(found, Watched)

    def _arriving(self, watched: Any) -> type:
        """The class for as long as a connection is opened that was begun before us, of which nobody tells us."""
        hooks = self

        class Arriving(watched):  # type: ignore[misc]  # made for this pool as well
            __slots__ = ()
            _querygauge = hooks

            async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109  # asyncpg calls it so
                hooks._meet(self, Arriving, watched)
                try:
                    return await watched._acquire(self, timeout)
                finally:
                    hooks._meet(self, Arriving, watched)

        return _named_as(self._class, Arriving)

    async def _acquired(self, pool: Any, timeout: float | None) -> Any:  # noqa: ASYNC109
        ledger, request, started = self._ledger, object(), time.perf_counter_ns()
        ledger.asked[request] = started
        ledger.moves.append(started)
        opening: list[int] = []
        token = _OPENING_NS.set(opening)
        try:
            try:
                if len(ledger.held) >= ledger.limits[0]:
                    ledger.sees()
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self._guard.caught("request", error)
            proxy = await self._class._acquire(pool, timeout)
        except BaseException as error:
            self._not_obtained(request, started, error, timeout)
            raise
        finally:
            _OPENING_NS.reset(token)
        ended = time.perf_counter_ns()
        ledger.asked.pop(request, None)
        if self._is_off:  # since it waited, so that nobody would tell us of its end
            ledger.moves.append(-ended)
            return proxy
        try:
            self._lag.touch()
            opening_ns = sum(opening)
            waited = ended - started - opening_ns
            connection = proxy._con
            key = id(connection)
            if key in ledger.held:  # of one that was lost, of which we are told later
                self._lost_if_cancelled(self._given_back(key))
            ledger.held[key] = [
                ended, self._find(), None, LONG_HOLD.get(), None, ref(connection), None, (waited, opening_ns), None
            ]  # fmt: skip
            ledger.handed.append(waited)
            if len(ledger.held) > ledger.peaks[0]:
                ledger.sees()
            if waited >= ledger.high_wait_ns:
                ledger.judges(waited)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("obtained", error)
        return proxy

    def _not_obtained(self, request: object, started: int, error: BaseException, timeout: float | None) -> None:
        waited_ns = time.perf_counter_ns() - started
        try:
            if self._is_off:
                self._record.record_abandoned(request)
                return
            self._record.record_request(request, started_ns=started)
            # One that comes before the caller's time is up is that of opening a connection.
            if isinstance(error, TimeoutError) and timeout is not None and waited_ns >= timeout * _NS_PER_S - _EARLY_NS:
                self._record.record_timeout(request=request, waited_ms=waited_ns / 1e6)
                return
            outcome, failure = failure_of(error, _DIALECT)
            if outcome == CANCELLED:
                self._record.record_abandoned(request)
            else:
                self._record.record_error(failure, request=request)
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self._guard.caught("not obtained", own)
        finally:
            self._ledger.asked.pop(request, None)
