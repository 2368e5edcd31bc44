"""
One SQLAlchemy pool: comes in, what SQLAlchemy does with it; goes out, calls of `PoolRecord`, and a true reading.

SQLAlchemy fires no event when a caller begins to wait for a connection, nor when it gives up; the method `connect` of
the pool *instance* is the only place to see either, so it is replaced. `dispose()` makes a new pool through `recreate`:
listeners move over to it, replaced methods do not, so `recreate` is replaced as well and attaches the new pool. One
that another thread was making already, as we came, is attached when the engine says that it was disposed of.

Counting checkouts and checkins drifts as soon as a connection is detached, invalidated or dropped. So what is in use
and what is idle is read from the pool where it can tell, and else from the connections opened and not closed since.

Deliberately not here: totals and alerts.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AssertionPool, NullPool, Pool, SingletonThreadPool, StaticPool
from sqlalchemy.util.queue import AsyncAdaptedQueue

from querygauge.capture.connection_activity import activity_of
from querygauge.capture.guard import Guard
from querygauge.capture.listening import listen, unlisten
from querygauge.capture.long_hold import LONG_HOLD
from querygauge.capture.loop_lag import LoopLag
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.checkout import LAST_PATTERN, OWNER, RUNNING, SINCE, Checkout
from querygauge.patterns.failure import failure_of
from querygauge.protocols import PoolRecord
from querygauge.values import CANCELLED, ConnectionActivity, PoolGauges

__all__ = ["PINGING", "PoolHooks"]

_NOTHING: Final = PoolGauges(size=None, max_overflow=None, in_use=0, idle=0)

PINGING: Final[ContextVar[bool]] = ContextVar("querygauge_pinging", default=False)
"""True inside our own health check, whose checkout belongs in no statistics."""


def _nothing() -> None:
    """What a weak reference gives once nothing is there."""


class PoolHooks:
    """
    The attachment to the pool of one engine, whichever pool that is after a `dispose()`.

    Attributes:
        guard: Counts what failed inside the hooks.
        lag: Of the event loops that obtain connections; None for a synchronous engine.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        record: PoolRecord,
        find_call_site: Callable[[], str | None],
        dialect: str,
        guard: Guard,
        lag: LoopLag | None = None,
        watch_connection: Callable[[Any, Any], None] | None = None,
    ) -> None:
        self.guard = guard
        self.lag = lag
        self._engine = ref(engine)
        self._record = record
        self._ledger = record.ledger()
        self._find = find_call_site
        self._dialect = dialect
        self._watch_connection = watch_connection
        self._wraps: list[Wraps] = []
        # Pools that we are attached to; the value is who attached us, as several threads may be about to.
        self._followed: WeakKeyDictionary[Pool, object] = WeakKeyDictionary()
        self._last: Callable[[], Pool | None] = _nothing
        self._is_off: list[bool] = []
        # By the id of the pool's entry: a reference would keep the connections of a forgotten engine open.
        self._open: set[int] = set()
        # By the same, when opening its connection began and how long it took, until somebody gets it.
        self._opened: dict[int, list[tuple[int, int]]] = {}
        self._listeners: tuple[tuple[str, Callable[..., None]], ...] = (
            ("connect", self._guarded("connect", self._on_connect)),
            ("close", self._guarded("close", self._on_close)),
            ("detach", self._guarded("detach", self._on_detach)),
            ("invalidate", self._guarded("invalidate", self._on_invalidate)),
        )
        self._on_disposed = self._guarded("disposed", lambda disposed: self._follow(disposed.pool))

    def attach(self) -> None:
        """Replaces the pool's methods and listens to its events."""
        engine = self._engine()
        if engine is not None:
            # First, so that a pool which takes the place of this one is either found here or told of.
            listen(engine, "engine_disposed", self._on_disposed)
            self._follow(engine.pool)

    def detach(self) -> None:
        """Restores what `attach` found."""
        self._is_off.append(True)
        engine = self._engine()
        if engine is not None:
            unlisten(engine, "engine_disposed", self._on_disposed)
        for wraps in tuple(self._wraps):
            wraps.restore()
        for followed in self._followed.keyrefs():
            pool = followed()
            if pool is not None:
                for name, listener in self._listeners:
                    unlisten(pool, name, listener)
        self._ledger.let_go(time.perf_counter_ns())

    def read(self) -> PoolGauges:
        """The pool's state now; fits `protocols.PoolReading`."""
        try:
            return self._read(self._pool())
        except Exception as error:  # noqa: BLE001  # a pool of the application's own may do anything
            self.guard.caught("reading", error)
            return _NOTHING

    def _pool(self) -> Pool | None:
        engine = self._engine()
        return self._last() if engine is None else engine.pool  # a pool may be used that has no engine any more

    def _read(self, pool: Any) -> PoolGauges:
        if pool is None:
            return _NOTHING
        size = getattr(pool, "size", None)
        # A size that is no method is SingletonThreadPool's, which limits what it keeps and not what is in use.
        limit = (size() or None) if callable(size) else None
        # A pool without a size keeps none, unless it keeps one for all; some keep one for each of so many threads.
        kept = limit if callable(size) else size or int(not isinstance(pool, NullPool))
        waiting = _queue_of(pool)
        in_use = self._in_use(pool, waiting)
        if waiting is None:
            open_before = (id(entry) for entry in _kept_by(pool) if entry.dbapi_connection is not None)
            idle = max(0, len(self._open.union(open_before)) - in_use)
        else:  # with a connection or without
            idle = sum(getattr(entry, "dbapi_connection", None) is not None for entry in waiting)
        return PoolGauges(
            limit,
            getattr(pool, "_max_overflow", None),
            in_use,
            idle,
            idle_max=kept,
            pool_class=type(pool).__name__,
            driver=getattr(getattr(pool, "_dialect", None), "driver", None) or None,
        )

    def _in_use(self, pool: Any, waiting: tuple[Any, ...] | None) -> int:
        overflow = getattr(pool, "_overflow", None)
        if waiting is not None and overflow is not None:
            # As checkedout(), which waits for the lock of the pool's queue. It is the application's: whoever holds it
            # must not wait for us, nor we for a thread that was interrupted and never lets go.
            return int(pool.size()) - len(waiting) + int(overflow)
        checked_out = getattr(pool, "checkedout", None)
        if checked_out is not None:
            return int(checked_out())
        held = self._ledger.held
        out_before = (entry for entry in _kept_by(pool) if entry.in_use and id(entry) not in held)
        return len(held) + sum(1 for _ in out_before)

    def activity(self, checkout: Checkout) -> ConnectionActivity | None:
        """What a checked out connection is at; fits `protocols.Activity`."""
        if checkout[RUNNING] is not None:
            return "active"
        owner = None if checkout[OWNER] is None else checkout[OWNER]()
        connection = getattr(owner, "dbapi_connection", None)
        return None if connection is None else activity_of(getattr(connection, "driver_connection", connection))

    def _wrap(self, pool: Any) -> None:
        wraps = Wraps(pool)
        try:
            wraps.replace("connect", self._timed_connect)
            wraps.replace("recreate", self._followed_recreate)
            wraps.replace("_return_conn", self._noted_return)
            wraps.replace("_invoke_creator", self._timed_creator)
            self._wraps.append(wraps)
        except BaseException:
            wraps.restore()  # half of them would count checkouts that never end
            raise

    def _timed_connect(self, original: Callable[[], Any], is_off: list[bool]) -> Replacement:  # noqa: C901  # in one body on purpose
        # Bound is what every checkout needs, as each name costs.
        now, is_pinging, long_hold, ledger = time.perf_counter_ns, PINGING.get, LONG_HOLD.get, self._ledger
        find, opened = self._find, self._opened
        asked, held, limits, peaks, moved = ledger.asked, ledger.held, ledger.limits, ledger.peaks, ledger.moves.append
        high_wait_ns, handed = ledger.high_wait_ns, ledger.handed.append
        touch = None if self.lag is None else self.lag.touch

        def connect() -> Any:  # noqa: C901
            if is_off or is_pinging():
                return original()
            request, started = object(), now()
            asked[request] = started
            moved(started)
            try:
                try:
                    if len(held) >= limits[0]:
                        self._ledger.sees()
                except Exception as error:  # noqa: BLE001  # the host must not notice
                    self.guard.caught("request", error)
                fairy = original()
            except BaseException as error:
                self._not_obtained(request, started, error)
                raise
            ended = now()
            asked.pop(request, None)  # a fork meanwhile has emptied it
            if is_off:  # since it waited, so that nobody would tell us of its end
                moved(-ended)
                return fairy
            try:
                # A pool that hands the same connection out again while it is held counts on the fairy; that is no
                # checkout. The event that says the same costs a microsecond more.
                if fairy._counter != 1:  # noqa: SLF001
                    moved(-ended)
                    self._record.record_request(request, started_ns=started)
                    self._record.record_obtained(request, ended - started)
                    return fairy
                entry = fairy._connection_record  # noqa: SLF001
                opening_ns = self._opening(id(entry), started) if opened else 0
                waited = ended - started - opening_ns
                held[id(entry)] = [
                    ended, find(), None, long_hold(), None, entry.fairy_ref, None, (waited, opening_ns), None
                ]  # fmt: skip
                handed(waited)
                if len(held) > peaks[0]:
                    self._ledger.sees()
                if waited >= high_wait_ns:
                    self._ledger.judges(waited)
                if touch is not None:
                    touch()
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self.guard.caught("obtained", error)
            return fairy

        return connect

    def _opening(self, entry: int, since: int) -> int:
        """How long opening the connection of an entry took after `since`, which is told once."""
        return sum(took for began, took in self._opened.pop(entry, ()) if began >= since)

    def _not_obtained(self, request: object, started: int, error: BaseException) -> None:
        waited_ns = time.perf_counter_ns() - started
        try:
            if self._is_off:
                self._record.record_abandoned(request)
                return
            self._record.record_request(request, started_ns=started)
            if isinstance(error, PoolTimeoutError):
                self._record.record_timeout(request=request, waited_ms=waited_ns / 1e6)
                return
            # SQLAlchemy wraps a driver's error later; here it is still the driver's own.
            outcome, failure = failure_of(error, self._dialect)
            if outcome == CANCELLED:
                self._record.record_abandoned(request)
            else:
                self._record.record_error(failure, request=request)
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self.guard.caught("not obtained", own)
        finally:
            self._ledger.asked.pop(request, None)

    def _followed_recreate(self, original: Callable[[], Pool], _is_off: list[bool]) -> Replacement:
        def recreate() -> Pool:
            made = original()
            try:
                self._follow(made)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self.guard.caught("recreate", error)
            return made

        return recreate

    def _follow(self, pool: Pool) -> None:
        """Goes on with a pool, the first one or one that takes its place, unless another thread has done so."""
        mine = object()
        if self._followed.setdefault(pool, mine) is not mine:
            return
        self._last = ref(pool)
        self._open.clear()
        self._opened.clear()
        # In place and one by one: another thread may have attached another pool meanwhile, and do the same.
        for wraps in tuple(self._wraps):
            if wraps.owner is None:
                with suppress(ValueError):
                    self._wraps.remove(wraps)
        self._wrap(pool)
        for name, listener in self._listeners:
            listen(pool, name, listener)
        if self._watch_connection is not None:
            for entry in (*(_queue_of(pool) or ()), *_kept_by(pool)):
                if entry.dbapi_connection is not None:
                    self._watch_connection(entry.dbapi_connection, entry)
        if self._is_off:
            self.detach()  # our listeners came along, though the gauge was closed meanwhile

    def _timed_creator(self, original: Callable[..., Any], is_off: list[bool]) -> Replacement:
        record, guard, now, is_pinging = self._record, self.guard, time.perf_counter_ns, PINGING.get

        def create(*arguments: Any) -> Any:
            started = now()
            connection = original(*arguments)
            if not is_off and not is_pinging():
                try:
                    took = now() - started
                    record.record_create_time(took)
                    if arguments:
                        self._opened.setdefault(id(arguments[0]), []).append((started, took))
                except Exception as error:  # noqa: BLE001  # the host must not notice
                    guard.caught("create", error)
            return connection

        return create

    def _guarded(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        guard, is_off = self.guard, self._is_off

        def listener(*arguments: Any) -> None:
            if is_off:
                return
            try:
                hook(*arguments)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught(name, error)

        return listener

    def _noted_return(self, original: Callable[[Any], None], is_off: list[bool]) -> Replacement:
        # The event of the same moment costs a microsecond more.
        now, held, used, fold_at = time.perf_counter_ns, self._ledger.held, self._ledger.used, self._ledger.fold_at
        moved = self._ledger.moves.append

        def return_connection(entry: Any) -> None:
            try:
                checkout = None if is_off else held.pop(id(entry), None)
                if checkout is None:
                    return  # of a ping, or out before we came
                if checkout[OWNER]() is None:
                    self._record.record_leak(checkout=checkout)
                else:
                    ended = now()
                    used.append(ended - checkout[SINCE])
                    moved(-ended)
                    if len(used) >= fold_at:
                        self._ledger.folds()
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self.guard.caught("return", error)
            finally:
                # Whatever passes through here, a Ctrl-C too: a connection not given back is lost to the application.
                original(entry)

        return return_connection

    def _on_connect(self, connection: Any, entry: Any) -> None:
        self._open.add(id(entry))
        if self._watch_connection is not None:
            self._watch_connection(connection, entry)

    def _on_close(self, _dbapi_connection: Any, entry: Any) -> None:
        self._open.discard(id(entry))
        self._opened.pop(id(entry), None)

    def _on_detach(self, _dbapi_connection: Any, entry: Any) -> None:
        # An asynchronous connection that was garbage-collected is detached as well, having nobody to await its close.
        self._open.discard(id(entry))
        checkout = self._ledger.held.pop(id(entry), None)
        if checkout is not None and checkout[OWNER]() is None:
            self._record.record_leak(checkout=checkout)
        elif checkout is not None:
            ended = time.perf_counter_ns()
            self._ledger.used.append(ended - checkout[SINCE])
            self._ledger.moves.append(-ended)

    def _on_invalidate(self, _dbapi_connection: Any, entry: Any, error: BaseException | None) -> None:
        if isinstance(error, asyncio.CancelledError):
            checkout = self._ledger.held.get(id(entry))
            pattern = None if checkout is None else checkout[LAST_PATTERN]
            self._record.record_lost(None if pattern is None else pattern.id)


def _queue_of(pool: Any) -> tuple[Any, ...] | None:
    """The entries that wait in the pool's queue, with or without a connection; None for a pool without such a queue."""
    queue = getattr(pool, "_pool", None)
    entries = getattr(queue, "queue", None)  # threads wait on the one, tasks on the other
    if entries is None and isinstance(queue, AsyncAdaptedQueue):
        # Made when it is used first, and by nobody who only looks: made by two threads at once, one would be lost.
        made = vars(queue).get("_queue")
        return () if made is None else tuple(made._queue)  # noqa: SLF001
    return None if entries is None else tuple(entries)


def _kept_by(pool: Any) -> tuple[Any, ...]:
    """The entries of a pool that keeps them without a queue, in use or idle, with a connection or without."""
    if isinstance(pool, SingletonThreadPool):
        return tuple(pool._all_conns.copy())  # noqa: SLF001
    entry = None
    if isinstance(pool, StaticPool):
        entry = vars(pool).get("connection")  # made when it is asked for first, and by nobody who only looks
    elif isinstance(pool, AssertionPool):
        entry = pool._conn  # noqa: SLF001
    return () if entry is None else (entry,)
