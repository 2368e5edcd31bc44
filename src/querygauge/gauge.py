"""
The gauge of some engines: it joins the rooms, and is what people hold.

Comes in: settings and engines; goes out: live numbers, snapshots, a report. It is driven by the flush thread and works
until it is closed or its engines are gone. Deliberately not here: which engine has which gauge (`instrument`), and how
anything is caught, counted, written or shown.
"""

import itertools
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from querygauge.capture import loop_lag
from querygauge.capture.endings import ENDINGS
from querygauge.capture.guard import Guard
from querygauge.capture.long_hold import long_hold
from querygauge.clock import datetime_of
from querygauge.errors import SettingsError
from querygauge.flush import FlushLag, FlushThread, flush_thread
from querygauge.forking import survive_forks
from querygauge.gauge_parts import absolute, pool_monitor, query_monitor, store_of
from querygauge.interruptions import is_of_host
from querygauge.logs import get_logger
from querygauge.middleware.request_scope import GUARD
from querygauge.monitors.fold_lock import FoldLock
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.monitors.recorder import nanoseconds
from querygauge.process_usage import ProcessWatch
from querygauge.protocols import Clock, SnapshotSink
from querygauge.rendering.report import render_report
from querygauge.rendering.report_data import ReportData
from querygauge.settings import Settings
from querygauge.values import (
    PoolMetrics,
    PoolWindow,
    ProcessRunning,
    RunningQuery,
    RunningState,
    SelfMetrics,
    Snapshot,
    oldest_first,
)
from querygauge.watched import Watched

__all__ = ["Instrumentation", "also_write"]

log = get_logger(__name__)

_HEARTBEAT_US: Final = 60_000_000  # a process without traffic says once a minute that it lives
_RUNNING_TOLD: Final = 20  # executions of one target in a snapshot that have not ended
_WRITE_S: Final = 5.0  # a disk that hangs must not keep a host from closing

_further_sinks: Final[list[SnapshotSink]] = []
_numbers: Final = itertools.count(1)  # of the gauges of this process
_words: Final[dict[int, str]] = {}  # for this process, by its number; a forked child has one of its own


def also_write(sink: SnapshotSink) -> None:
    """Hands every snapshot of every gauge of this process to `sink` as well, stored or not, for good."""
    _further_sinks.append(sink)


class Instrumentation:
    """
    What `instrument` gives: the live numbers of some engines, and the end of measuring them.

    A context manager that closes itself. It need not be kept: it works until it is closed, or its engines are gone.
    That of `instrument_all` works until it is closed, and forgets an engine that is gone once its numbers are stored.

    Attributes:
        queries: Statistics of all statements.
        settings: The settings in force.
        clock: Where the time comes from.
        flush_interval_s: Seconds between two flushes.
        is_closed: Whether it has ended.
        is_lasting: Whether its targets come and go.
    """

    def __init__(
        self,
        settings: Settings,
        on_close: Callable[["Instrumentation"], None],
        clock: Clock,
        *,
        is_lasting: bool = False,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.flush_interval_s = settings.flush_interval_s
        self.is_closed = False
        self.is_lasting = is_lasting
        self.queries = query_monitor(settings, clock)
        self._watched = Watched(
            self.queries, settings, lambda name: pool_monitor(settings, name, clock), is_lasting=is_lasting
        )
        for guard in (GUARD, ENDINGS.guard, loop_lag.GUARD):
            self._watched.count_failures_of(guard)
        self._on_close = on_close
        self._flushing = FoldLock()
        self._closing = FoldLock()
        self._has_told_running = False  # in the last snapshot
        self._urgent: frozenset[tuple[str, str]] = frozenset()  # of the last snapshot
        self._is_unfinished = False  # closed by a signal handler that interrupted the counting
        self._is_done = False
        self._started_us = self._window_us = clock.now_us()
        self._instance = _instance_name()
        self._process = ProcessWatch()
        self._lag = FlushLag(clock)
        self._sinks: list[SnapshotSink] = []
        self._outbox, self._ticks = store_of(settings, clock)
        self._thread: FlushThread | None = None
        survive_forks(self)

    @property
    def pools(self) -> dict[str, ConnectionPoolMonitor]:
        """Statistics of the pools, by name of the database."""
        return self._watched.pools

    @property
    def targets(self) -> list[str]:
        """Names of the databases, those of single connections included."""
        return self._watched.targets

    @property
    def pool(self) -> ConnectionPoolMonitor:
        """
        Statistics of the first pool.

        Raises:
            SettingsError: If no engine and no pool is watched.
        """
        if not self.pools:
            raise SettingsError("pool is known of engines and pools; got none, or connections that belong to none")
        return next(iter(self.pools.values()))

    def attach(self, target: Any, name: str, pool_name: str | None = None) -> None:
        """
        Begins to measure one target, unless measuring is switched off.

        Args:
            target: An engine that is no copy, an asyncpg pool or connection.
            name: Of its database.
            pool_name: Of its pool; by default the same.
        """
        joined = self._watched.join(target, name, pool_name or name)
        if joined is not None and joined.pool is not None and self._thread is not None:
            joined.pool.start_delivery()

    def detach(self, target: Any) -> None:
        """Measures one target no longer; what was counted of it stays."""
        self._watched.leave(target)

    def watches(self, target: Any) -> bool:
        """Whether this very target is measured."""
        return self._watched.has(target)

    def uses(self, name: str) -> bool:
        """Whether a target that is not gone goes by that name."""
        return self._watched.uses(name)

    def count_failures_of(self, guard: Guard) -> None:
        """Counts what a guard of more than one target catches from now on."""
        self._watched.count_failures_of(guard)

    def also_write(self, sink: SnapshotSink) -> None:
        """Hands every snapshot of this gauge to `sink` as well, stored or not."""
        self._sinks.append(sink)

    def start(self) -> None:
        """Has the flush thread drive this gauge, once there is something to measure."""
        if self._thread is not None or not self._watched.attached():
            return
        self._thread = flush_thread()
        self.queries.start_delivery(self._thread.wake)
        for pool in self._watched.attached_pools():
            pool.start_delivery()
        self._thread.add(self)
        # Two gauges of one service and store count each unit of work once.
        directory = self.settings.directory
        key = id(self) if directory is None else (self.settings.service, absolute(directory), self.settings.remote)
        ENDINGS.add(key, self.queries.scope_ended)

    def long_hold(self, reason: str) -> AbstractContextManager[None]:
        """
        A `with` block in which connections are checked out that may be held for long, and raise no alarm.

        Args:
            reason: Shown beside the holder, such as `listens for notifications`.

        Raises:
            SettingsError: If the reason is no text, or empty.
        """
        return long_hold(reason)

    def running(self, threshold_ms: float | None = None) -> tuple[RunningQuery, ...]:
        """
        The executions that have not ended and have run for so long, oldest first.

        Statements are not held up by it, but frames of all threads or tasks are gone through if there are any.

        Args:
            threshold_ms: Age from which on they are told about; by default the slow threshold, 0 is all of them.

        Raises:
            SettingsError: If the threshold is negative or not finite.
        """
        if threshold_ms is None:
            threshold_ms = self.settings.slow_query_threshold_ms
        states = self._watched.running(self.clock, nanoseconds("threshold_ms", threshold_ms))
        return oldest_first(*(state.queries for state in states))

    def report(self) -> str:
        """Everything worth knowing so far, laid out for reading."""
        return render_report(self.report_data())

    def report_data(self) -> ReportData:
        """What the report is made of."""
        pools = tuple(
            PoolWindow(name, pool.get_current_snapshot(), pool.get_metrics(), tuple(pool.get_health_checks()))
            for name, pool in tuple(self.pools.items())
        )
        states = self._running()
        data = self.queries.report_data()
        process = self._process.window(data.service, _process_name(), data.started, data.ended)
        running = ProcessRunning(data.service, process.process, data.ended, states)
        return replace(data, pools=pools, processes=(process,), running=(running,), self_metrics=self._self_metrics())

    def snapshot(self) -> Snapshot:
        """Everything counted since the gauge was made."""
        data = self.report_data()
        (running,) = data.running
        return Snapshot(
            service=self.settings.service,
            process=_process_name(),
            started=datetime_of(self._started_us),
            ended=datetime_of(self.clock.now_us()),
            queries=data.stats_by_scope,
            slow_queries=data.slow_queries,
            repetitions=data.repetitions,
            pools=data.pools,
            self_metrics=data.self_metrics,
            slow_threshold_ms=data.threshold_ms,
            running=running.states,
            usage=self._process.look(),
            flush_interval_s=self.flush_interval_s,
            scopes=data.scopes,
            instance=self._instance,
            hook_errors=self._watched.failures_by_hook,
            pattern_cache=self._watched.pattern_cache,
            compiled_cache=self._watched.compiled_cache,
        )

    def _running(self) -> tuple[RunningState, ...]:
        threshold_ns = nanoseconds("threshold_ms", self.settings.slow_query_threshold_ms)
        return self._watched.running(self.clock, threshold_ns, _RUNNING_TOLD)

    def poll(self) -> None:
        """Writes log lines and calls alert handlers that are due; the flush thread does it every second."""
        self.queries.poll()
        for attached in self._watched.attached():
            attached.poll()
        for pool in self._watched.attached_pools():
            pool.poll()
        if self._ticks is not None:
            self._ticks.reap()
        if self.is_lasting:
            self._watched.let_go()
        if self._is_unfinished or (self._watched.are_gone() and not self.is_lasting):
            self.close()

    def flush(self, due_us: int | None = None) -> None:
        """
        Takes what was counted since the last flush to the store, and starts a fold if one is due.

        Args:
            due_us: Since when it is due, in microseconds since 1970; by default now.
        """
        self._lag.due(due_us)
        if self._take():
            self._lag.written()
            if self._ticks is not None:
                self._ticks.after_flush(self._urgent)

    def finish(self) -> bool:
        """
        Takes what was counted since the last flush to the store, and no more: the process may be about to end.

        False if it could not be written, and waits in memory.
        """
        return self._take(is_last=True)

    def _take(self, *, is_last: bool = False) -> bool:
        if self._is_interrupted or not self._flushing.acquire(timeout_s=_WRITE_S):
            log.warning(
                "flush_skipped", store=str(self.settings.store), error="the counting, or another flush, has not ended"
            )
            return False
        try:
            snapshot = self._drain(is_last=is_last)
            is_kept = self._outbox is None or self._outbox.send(snapshot)
            self._urgent = frozenset() if snapshot is None else snapshot.urgent()
            if snapshot is not None:
                _write_further(snapshot, (*_further_sinks, *self._sinks))
            return is_kept
        finally:
            self._flushing.release()

    @property
    def _is_interrupted(self) -> bool:
        pools = tuple(self.pools.values())
        is_counting = self.queries.is_interrupted or any(pool.is_interrupted for pool in pools)
        return is_counting or self._flushing.is_interrupted

    def close(self) -> None:
        """
        Detaches, leaving every engine as it was found, and takes the rest to the store; idempotent.

        In a signal handler that happens to interrupt the counting itself, the rest is taken as soon as that is over. If
        an exception of a signal handler cuts it short, call it again: it goes on.
        """
        # Whoever is at it already will do it all, be it the very frame that a signal handler interrupts.
        if self._is_done or not self._closing.acquire(timeout_s=0):
            return
        try:
            if not self._is_unfinished:
                self._end()
            self._is_unfinished = self._is_interrupted and self._thread is not None
            if self._thread is not None and self._is_unfinished:
                self._thread.add(self)
                return
            if self._thread is not None:
                self._thread.remove(self)
            self._finish_apart()
            if self._ticks is not None:
                self._ticks.finish()
            self._is_done = True
        finally:
            self._closing.release()

    def _finish_apart(self) -> None:
        # No exception of a signal handler reaches another thread: none can come between the counting and the writing.
        thread = threading.Thread(target=self.finish, name="querygauge-close", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system's limit, or the interpreter is ending
            self.finish()
        else:
            thread.join(2 * _WRITE_S)  # for who is at it, and for the disk

    def _end(self) -> None:
        self.is_closed = True
        self._on_close(self)
        ENDINGS.remove(self.queries.scope_ended)
        # Backwards, since two of its engines may share a pool.
        for attached in reversed(self._watched.attached()):
            attached.detach()
        if self._thread is not None:
            self._thread.remove(self)
            self.queries.stop_delivery()
            for pool in self._watched.attached_pools():
                pool.stop_delivery()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "attached" if self.settings.enabled else "disabled"
        return f"<Instrumentation service={self.settings.service!r} targets={self.targets} {state}>"

    def after_fork_in_child(self) -> None:
        """Makes the lock anew, and leaves to the parent what the parent counted."""
        self._flushing, self._closing = FoldLock(), FoldLock()
        self._watched.after_fork_in_child()
        self._has_told_running = False
        self._instance = _instance_name()
        self._process.begin()
        self._lag.forget()
        self._started_us = self._window_us = self.clock.now_us()
        if self._outbox is not None:
            self._outbox.forget()
        if self._ticks is not None:
            self._ticks.forget()

    def _drain(self, *, is_last: bool) -> Snapshot | None:
        """What was counted since the last call; None if that is nothing and somebody said so lately."""
        running = self._running()
        now_us = self.clock.now_us()
        window = self.queries.drain(is_last=is_last)
        # That nothing runs any more is news, too.
        has_told, self._has_told_running = self._has_told_running, any(state.queries for state in running)
        has_news = bool(window.queries or window.scopes or has_told or self._has_told_running)
        may_be_quiet = not has_news and 0 <= now_us - self._window_us < _HEARTBEAT_US
        pools = self._watched.drain_pools(keeps_idle=may_be_quiet)
        if may_be_quiet and not any(map(_has_news, pools)):
            return None
        started_us, self._window_us = self._window_us, now_us
        return Snapshot(
            service=self.settings.service,
            process=_process_name(),
            started=datetime_of(min(started_us, now_us)),
            ended=datetime_of(now_us),
            queries=window.queries,
            slow_queries=window.slow_queries,
            repetitions=window.repetitions,
            pools=pools,
            self_metrics=self._self_metrics(),
            slow_threshold_ms=self.settings.slow_query_threshold_ms,
            running=running,
            usage=self._process.look(),
            flush_interval_s=self.flush_interval_s,
            scopes=window.scopes,
            errors=window.errors,
            instance=self._instance,
            hook_errors=self._watched.failures_by_hook,
            pattern_cache=self._watched.pattern_cache,
            compiled_cache=self._watched.compiled_cache,
        )

    def _self_metrics(self) -> SelfMetrics:
        metrics = self.queries.self_metrics()
        return replace(
            metrics,
            flush_lag_ms=self._lag.ms,
            hook_errors=self._watched.failures,
            alerts_dropped=metrics.alerts_dropped + self._watched.alerts_dropped,
            snapshots_dropped=0 if self._outbox is None else self._outbox.dropped,
        )


def _write_further(snapshot: Snapshot, sinks: Iterable[SnapshotSink]) -> None:
    for sink in sinks:
        try:
            sink.write(snapshot)
        except Exception as error:  # they stand beside the store
            if is_of_host(error):
                raise


_NO_POOL_METRICS: Final = PoolMetrics()


def _has_news(window: PoolWindow) -> bool:
    metrics = replace(window.metrics, peak_active=0, peak_waiting=0)
    return bool(window.health_checks) or metrics != _NO_POOL_METRICS


def _process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _instance_name() -> str:
    pid = os.getpid()
    if pid not in _words:
        _words.clear()
    return f"{_words.setdefault(pid, secrets.token_hex(4))}.{next(_numbers)}"
