"""
Alerts to handlers: what a monitor publishes reaches every handler, on a thread of ours or on the handler's own loop.

In go the arguments of one alert, out go calls of functions and coroutine functions, one alert at a time and in order.
Deliberately not here: what an alert is, when it fires, and any network; a slow handler delays other alerts, never a
query.
"""

import asyncio
import functools
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from inspect import CORO_CREATED, getcoroutinestate, iscoroutinefunction
from typing import Any, Final

from querygauge.clock import SystemClock
from querygauge.errors import SettingsError
from querygauge.forking import survive_forks
from querygauge.logs import get_logger
from querygauge.protocols import Clock

__all__ = ["Handler", "HandlerDelivery", "RateLimitedAlertHandler"]

log = get_logger(__name__)

Handler = Callable[..., object]

_QUEUE_SIZE: Final = 1_000  # alerts waiting for a handler; an alert is some hundred bytes
_STOP_TIMEOUT_S: Final = 5.0
_LOOP_CHECK_S: Final = 0.1  # a closed loop tells nobody that it will not run what it was given
_MINUTE_NS: Final = 60_000_000_000
_EXITS: Final = (KeyboardInterrupt, SystemExit)
_MANY: Final = 10_000_000  # alerts a minute; each is remembered for so long, and from 2**63 on a deque takes no bound


class HandlerDelivery:
    """
    Calls the alert handlers of one monitor.

    A coroutine handler runs on the loop given to `start()`, and without one on a loop of ours in a thread of ours.
    A handler that raises, be it an exit or a cancellation, is logged once and counted; the others still run. All
    threads are daemons, so a handler that hangs keeps no process alive.

    Attributes:
        dropped: Alerts no handler saw: the queue was full, or `stop()` did not wait longer.
        failed: Calls of handlers that raised.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._handlers: list[_Registered] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_started = False
        self._has_warned = False
        self._begin()
        survive_forks(self)

    def _begin(self) -> None:
        # Reentrant: a garbage collection inside `publish` may run a finalizer that publishes.
        self._wake = threading.Condition(threading.RLock())
        self._queue: deque[tuple[Any, ...]] = deque()
        self._worker: threading.Thread | None = None
        self._own: _OwnLoop | None = None
        self._loop_is_blocked = False
        self.dropped = 0
        self.failed = 0

    def after_fork_in_child(self) -> None:
        """Forgets the parent's threads, alerts and loop; the handlers stay."""
        self._loop = None
        self._begin()

    def add(self, handler: Handler) -> None:
        """
        Calls `handler` with every alert from now on; adding it twice is adding it once.

        Raises:
            SettingsError: If `handler` cannot be called.
        """
        if not callable(handler):
            raise SettingsError(f"an alert handler must be a function or coroutine function; got {handler!r}")
        with self._wake:
            if all(known.handler != handler for known in self._handlers):
                self._handlers = [*self._handlers, _Registered(handler)]

    def remove(self, handler: Handler) -> None:
        """Calls `handler` no more; one that was never added is left alone."""
        with self._wake:
            self._handlers = [known for known in self._handlers if known.handler != handler]

    def start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Delivers from now on, coroutine handlers on `loop`; started already, only a closed loop is replaced."""
        with self._wake:
            if not self._is_started or self._loop is None or self._loop.is_closed():
                self._loop = loop
            self._is_started = True
            self._has_warned = False
            self._loop_is_blocked = False

    def publish(self, *args: Any) -> None:
        """Puts one alert in the queue, the handlers' arguments; neither blocks nor raises."""
        with self._wake:
            warns = bool(self._handlers) and not self._is_started and not self._has_warned
            self._has_warned |= warns
            if self._handlers and self._is_started:
                self._enqueue(args)
        if warns:
            log.warning(
                "alerts_not_delivered", monitor=self._name, hint="no handler is called before start() or after stop()"
            )

    def _enqueue(self, args: tuple[Any, ...]) -> None:
        if len(self._queue) >= _QUEUE_SIZE:
            self.dropped += 1
            return
        self._queue.append(args)
        if self._worker is None:
            worker = threading.Thread(target=self._work, name=f"querygauge-{self._name}-alerts", daemon=True)
            self._worker = worker
            try:
                worker.start()
            except RuntimeError:  # no more threads, or the interpreter is ending
                self._worker = None
                self._drop_all()
        self._wake.notify_all()

    def _drop_all(self) -> int:
        count = len(self._queue)
        self.dropped += count
        self._queue.clear()
        return count

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """
        Delivers what waits, for `timeout_s` seconds at most, then delivers nothing more; idempotent.

        Called on the very loop that runs the coroutine handlers, it only hands them to that loop: they run as soon as
        the caller lets it. Coroutines call it through `asyncio.to_thread`.
        """
        with self._wake:
            worker = self._worker
            self._is_started = False
            self._loop_is_blocked = self._loop is not None and _running_loop() is self._loop
            self._wake.notify_all()
        if worker is threading.current_thread():
            return  # a handler stops its own monitor; the worker ends after the last alert
        if worker is not None:
            worker.join(timeout_s)
        with self._wake:
            gives_up = worker is not None and self._worker is worker
            if gives_up:
                self._worker = None
            undelivered = self._drop_all() if gives_up else 0
            own, self._own = self._own, None
        if own is not None:
            own.stop()
        if gives_up:
            log.warning("alert_delivery_gave_up", monitor=self._name, timeout_s=timeout_s, undelivered=undelivered)

    def _work(self) -> None:
        while (args := self._next()) is not None:
            for registered in self._handlers:
                self._call(registered, args)

    def _next(self) -> tuple[Any, ...] | None:
        with self._wake:
            while not self._is_given_up():
                if self._queue:
                    return self._queue.popleft()
                if not self._is_started:
                    self._worker = None
                else:
                    self._wake.wait()
        return None

    def _call(self, registered: "_Registered", args: tuple[Any, ...]) -> None:
        try:
            result = registered.handler(*args)
            if asyncio.iscoroutine(result):
                self._run(result)
        except BaseException as error:  # noqa: BLE001  # whatever one handler raises must not silence the others
            self.failed += 1
            if not registered.has_failed:
                registered.has_failed = True
                log.warning(
                    "alert_handler_failed",
                    monitor=self._name,
                    handler=_name_of(registered.handler),
                    error=type(error).__name__,  # its message may hold values of the application's
                )

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Runs a handler's coroutine where it belongs, and waits for it."""
        loop = self._loop_in_use()
        try:
            future = asyncio.run_coroutine_threadsafe(_Contained(coroutine), loop)
        except RuntimeError:  # closed since we looked
            self._run(coroutine)
            return
        finished = threading.Event()
        future.add_done_callback(lambda _: finished.set())
        while not self._loop_is_blocked and not finished.wait(_LOOP_CHECK_S):
            if self._is_given_up():
                future.cancel()
            elif loop.is_closed():
                self._run_elsewhere(coroutine)
                return
        if finished.is_set() and not self._is_given_up():
            ended = future.result()
            if isinstance(ended, _EXITS):
                raise ended

    def _is_given_up(self) -> bool:
        # A worker that `stop()` gave up on finds another in its place, or none.
        return self._worker is not threading.current_thread()

    def _run_elsewhere(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if getcoroutinestate(coroutine) != CORO_CREATED:
            coroutine.close()
            raise RuntimeError("the event loop was closed while the handler ran on it")
        self._run(coroutine)

    def _loop_in_use(self) -> asyncio.AbstractEventLoop:
        given = self._loop
        if given is not None and not given.is_closed():
            return given
        if given is not None:
            self._loop = None
            log.warning("alert_loop_closed", monitor=self._name, hint="coroutine handlers run on a loop of ours now")
        if self._own is None:
            self._own = _OwnLoop(f"querygauge-{self._name}-loop")
        return self._own.loop


@dataclass(slots=True)
class _Registered:
    """A handler, and whether it was logged for raising."""

    handler: Handler
    has_failed: bool = False


class _Contained(Coroutine[Any, Any, Any]):
    """
    A handler's coroutine that returns an exit instead of raising it: raised in a task, an exit ends the whole loop.

    Not an `async def` around it: cancelled before it began, that would leave the handler's coroutine unawaited.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except _EXITS as error:
            raise StopIteration(error) from None


class _OwnLoop:
    """An event loop in a daemon thread; it keeps running, so that what a handler leaves on it goes on."""

    def __init__(self, name: str) -> None:
        self._ready = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._ready.set()
        await self._stopped.wait()

    def stop(self) -> None:
        """Cancels what still runs there; not waited for, a handler may refuse."""
        self.loop.call_soon_threadsafe(self._stopped.set)


class RateLimitedAlertHandler:
    """
    Passes at most so many alerts a minute on to another handler, function or coroutine function.

    Itself a handler of either monitor. The minute is the last 60 seconds, whenever they began.

    Attributes:
        suppressed: Alerts that were not passed on.

    Raises:
        SettingsError: If `max_per_minute` lets nothing pass, or more than ten million.
    """

    def __init__(self, handler: Handler, max_per_minute: int = 10, *, clock: Clock | None = None) -> None:
        if not (isinstance(max_per_minute, int) and 1 <= max_per_minute <= _MANY):
            raise SettingsError(f"max_per_minute must be a whole number from 1 to {_MANY:,}; got {max_per_minute!r}")
        self._handler = handler
        self._is_coroutine = _is_coroutine_handler(handler)
        self._clock = SystemClock() if clock is None else clock
        self._lock = threading.Lock()
        self._passed_ns: deque[int] = deque(maxlen=max_per_minute)
        self.suppressed = 0
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> object:
        """What the handler returns, a coroutine if it is a coroutine function; None if the alert is suppressed."""
        if self._may_pass():
            return self._handler(*args)
        return _nothing() if self._is_coroutine else None

    def _may_pass(self) -> bool:
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            passed_ns = self._passed_ns
            if len(passed_ns) == passed_ns.maxlen and now_ns - passed_ns[0] < _MINUTE_NS:
                self.suppressed += 1
                return False
            passed_ns.append(now_ns)
            return True


async def _nothing() -> None:
    """What awaiting a suppressed alert does."""


def _is_coroutine_handler(handler: Handler) -> bool:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if isinstance(handler, RateLimitedAlertHandler):
        return handler._is_coroutine  # noqa: SLF001  # its own class
    return iscoroutinefunction(handler) or iscoroutinefunction(type(handler).__call__)


def _name_of(handler: Handler) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return str(getattr(handler, "__qualname__", type(handler).__qualname__))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
