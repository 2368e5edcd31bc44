"""
Health checks of one pool: in goes a function of the owner's, out come its results, one check at a time.

A check runs in a thread of its own, so that one that hangs keeps nobody waiting; a coroutine runs on its owner's loop.
Deliberately not here: what a failed check means, and who is told.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final

from querygauge.clock import datetime_of
from querygauge.patterns.failure import failure_of
from querygauge.protocols import Clock
from querygauge.values import HealthCheck

__all__ = ["HealthCallback", "HealthChecks"]

HealthCallback = Callable[[], bool | Awaitable[bool]]

_KEPT: Final = 100  # results; at one a minute the last hour and a half
_NS_PER_MS: Final = 1e6
_NS_PER_S: Final = 1e9


class HealthChecks:
    """
    Runs the owner's check every so often, and keeps the last 100 results.

    Attributes:
        failed_in_row: Checks that failed since the last good one.
    """

    def __init__(
        self, clock: Clock, interval_s: float, timeout_s: float, on_result: Callable[[HealthCheck, int], None]
    ) -> None:
        self._clock = clock
        self._interval_ns = int(interval_s * _NS_PER_S)
        self._timeout_s = timeout_s
        self._too_late = f"no answer within {timeout_s:g} s"
        self._on_result = on_result
        self._callback: HealthCallback | None = None
        self._callback_loop: asyncio.AbstractEventLoop | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets results, loop and whatever runs: for a child process, which has none of the parent's threads."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._results: deque[HealthCheck] = deque(maxlen=_KEPT)
        self._undrained: deque[HealthCheck] = deque(maxlen=_KEPT)
        self._running: _Check | None = None
        self._due_ns = self._clock.monotonic_ns()
        self.failed_in_row = 0

    def set_callback(self, callback: HealthCallback | None, loop: asyncio.AbstractEventLoop | None) -> None:
        """What to run from now on, at once for the first time; None runs nothing."""
        with self._lock:
            self._callback = callback
            self._callback_loop = loop
            self._due_ns = self._clock.monotonic_ns()

    def run_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Where coroutines run if their owner named no loop; None is a loop of the check's own."""
        self._loop = loop

    def recent(self) -> list[HealthCheck]:
        """The results kept, oldest first."""
        with self._lock:
            return list(self._results)

    def drain(self) -> list[HealthCheck]:
        """The results since the last call, oldest first; at most the last 100."""
        drained = []
        # Without the lock: a signal handler that flushes may have interrupted a flush that is here.
        with suppress(IndexError):
            while True:
                drained.append(self._undrained.popleft())
        return drained

    def poll(self) -> None:
        """Begins a check that is due, and gives up on one that takes too long; returns at once."""
        with self._lock:
            check, error = self._next_step()
        if check is not None and error is None:
            check.start()
        elif check is not None:
            check.cancel()
            self._add(check, error)

    def _next_step(self) -> tuple["_Check | None", str | None]:
        """A check to begin, or one that failed and why; the caller holds the lock."""
        now_ns = self._clock.monotonic_ns()
        is_due = self._callback is not None and now_ns >= self._due_ns
        if is_due:
            self._due_ns = now_ns + self._interval_ns
        check = self._running
        if check is None:
            return self._begin(now_ns) if is_due else None, None
        if not check.is_late and check.age_s(now_ns) > self._timeout_s:
            check.is_late = True
            return check, self._too_late
        if check.is_late and is_due:
            # Only one check runs at a time, and a pool that has not answered for minutes is no better for it.
            return check, f"no answer for {check.age_s(now_ns):.0f} s to an earlier check"
        return None, None

    def _begin(self, now_ns: int) -> "_Check | None":
        if self._callback is not None:
            self._running = _Check(self._callback, self._callback_loop or self._loop, now_ns, self._finish)
        return self._running

    def _finish(self, check: "_Check", error: str | None) -> None:
        with self._lock:
            if self._running is not check:
                return  # begun before a fork or a stop
            self._running = None
            if check.is_late:
                return
        if error is None and check.age_s(self._clock.monotonic_ns()) > self._timeout_s:
            error = self._too_late
        self._add(check, error)

    def _add(self, check: "_Check", error: str | None) -> None:
        duration_ms = check.age_s(self._clock.monotonic_ns()) * 1e3
        result = HealthCheck(datetime_of(self._clock.now_us()), duration_ms, error)
        with self._lock:
            self._results.append(result)
            self._undrained.append(result)
            self.failed_in_row = self.failed_in_row + 1 if error else 0
            failed_in_row = self.failed_in_row
        self._on_result(result, failed_in_row)

    def stop(self) -> None:
        """Cancels what runs; a function that hangs is left to its daemon thread."""
        with self._lock:
            check, self._running = self._running, None
        if check is not None:
            check.cancel()


class _Check:
    """One call of the callback, in a thread of its own."""

    def __init__(
        self,
        callback: HealthCallback,
        loop: asyncio.AbstractEventLoop | None,
        started_ns: int,
        on_finish: Callable[["_Check", str | None], None],
    ) -> None:
        self._callback = callback
        self._loop = loop
        self._started_ns = started_ns
        self._on_finish = on_finish
        self._cancel: Callable[[], object] | None = None
        self._is_cancelled = False
        self.is_late = False

    def age_s(self, now_ns: int) -> float:
        return (now_ns - self._started_ns) / _NS_PER_S

    def start(self) -> None:
        try:
            threading.Thread(target=self._run, name="querygauge-health", daemon=True).start()
        except RuntimeError as error:  # no more threads, or the interpreter is ending
            self._on_finish(self, _error_text(error))

    def cancel(self) -> None:
        self._is_cancelled = True
        cancel = self._cancel
        if cancel is not None:
            cancel()

    def _cancel_with(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        if self._is_cancelled:  # before there was anything to cancel
            cancel()

    def _run(self) -> None:
        try:
            answer: object = self._callback()
            if isawaitable(answer):
                answer = self._await(answer)
            # A function that only executes something and returns nothing has not complained.
            error = None if answer is None or answer else "the check returned False"
        except BaseException as failure:  # noqa: BLE001  # it is the check's answer, and this thread ends here anyway
            error = _error_text(failure)
        self._on_finish(self, error)

    def _await(self, awaitable: Awaitable[bool]) -> bool:
        loop = self._loop
        if loop is not None and loop.is_running():
            future: Future[bool] = asyncio.run_coroutine_threadsafe(_result(awaitable), loop)
            self._cancel_with(future.cancel)
            return future.result()
        return asyncio.run(self._cancellable(awaitable))

    async def _cancellable(self, awaitable: Awaitable[bool]) -> bool:
        task = asyncio.ensure_future(_result(awaitable))
        loop = asyncio.get_running_loop()
        self._cancel_with(lambda: _call_soon(loop, task.cancel))
        return await task


async def _result(awaitable: Awaitable[bool]) -> bool:
    return await awaitable


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
    # The check may have ended, and its loop with it, since somebody decided to cancel it.
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        return


def _error_text(error: BaseException) -> str:
    return str(failure_of(error, "unknown")[1])
