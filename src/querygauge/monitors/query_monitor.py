"""
`QueryMonitor`: which queries run, how often, how slow, how they end.

In go executions, from capture or from a caller that measured them; out come statistics, slow queries, repetitions, a
report, log lines and alerts. Usable alone: `start()` then runs a thread of its own; under a gauge the flush thread
drives it. Deliberately not here: counting (the recorder), calling handlers (the delivery), connections.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from querygauge.clock import SystemClock, datetime_of
from querygauge.errors import SettingsError
from querygauge.forking import survive_forks
from querygauge.logs import get_logger
from querygauge.monitors.delivery import Handler, HandlerDelivery
from querygauge.monitors.measured import check_error, check_statement, duration_ns, known_rows
from querygauge.monitors.poller import Poller
from querygauge.monitors.recorder import Recorder, Window, nanoseconds
from querygauge.monitors.slow_log import SlowLog, alert_about
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.patterns.redaction import redact
from querygauge.protocols import Clock, QueryLedger, Record, Scope, Trace
from querygauge.rendering.ranking import ranked
from querygauge.rendering.report import render_report
from querygauge.rendering.report_data import ReportData
from querygauge.settings import Settings
from querygauge.values import (
    ERROR,
    OK,
    Failure,
    QueryStats,
    Repetition,
    ScopeStats,
    SelfMetrics,
    SlowQuery,
    by_name,
    by_pattern,
    by_tag,
)
from querygauge.values.plain import plain

__all__ = ["QueryMonitor", "initialize_query_monitor"]

log = get_logger(__name__)

_STOP_TIMEOUT_S: Final = 5.0
_RETENTION_CHECK_NS: Final = 60_000_000_000  # looking walks over all patterns; retention is counted in hours
_HOUR_US: Final = 3_600_000_000
_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1e6


class QueryMonitor:
    """
    Counts executions per pattern, keeps the slow ones, and tells handlers and the log about them.

    Every statistic includes every execution recorded before the call. All members are safe in any thread.

    Attributes:
        scope_ended: Takes a unit of work that has ended, with a statement or without, and how long it lasted in ns.

    Args:
        slow_query_threshold_ms: From here on an execution is slow.
        enable_alerting: Whether alert handlers are called.
        enable_logging: Whether slow queries are logged, ten a second at most.
        max_history_size: Executions kept one by one.
        stats_retention_hours: Patterns not seen for so long are forgotten; the overall numbers keep them.
        history_threshold_ms: From here on an execution is kept one by one.
        keep_literals: Keep statements and parameters as they were sent. They may be personal data.
        max_patterns: Distinct patterns counted apart; the rest is counted together.
        max_scopes: Distinct scopes, by name and tags, counted apart; the rest is counted together.
        fold_numbered_names: Whether names that differ by a number (`events_2024_01`) are one name in patterns.
        repetition_threshold: Executions of one pattern from one line within one unit that make a finding.
        service: Name of the application in alerts, log lines and the report.
        dialect: Family of the SQL given to `record`: `postgresql`, `mysql`, `sqlite` or `unknown`.
        clock: Where the time comes from; the system's by default.

    Raises:
        SettingsError: If a setting is impossible.
    """

    def __init__(
        self,
        slow_query_threshold_ms: float = 1000.0,
        enable_alerting: bool = True,
        enable_logging: bool = True,
        max_history_size: int = 10_000,
        stats_retention_hours: float = 24,
        *,
        history_threshold_ms: float = 0.0,
        keep_literals: bool = False,
        max_patterns: int = 2_000,
        max_scopes: int = 1_000,
        fold_numbered_names: bool = True,
        repetition_threshold: int = 5,
        service: str = "",
        dialect: str = "unknown",
        clock: Clock | None = None,
    ) -> None:
        settings = Settings(  # states the rules
            service=service or "unnamed",
            slow_query_threshold_ms=slow_query_threshold_ms,
            history_threshold_ms=history_threshold_ms,
            max_history_size=max_history_size,
            stats_retention_hours=stats_retention_hours,
            max_patterns=max_patterns,
            max_scopes=max_scopes,
            fold_numbered_names=fold_numbered_names,
            repetition_threshold=repetition_threshold,
            enable_alerting=enable_alerting,
            enable_logging=enable_logging,
            keep_literals=keep_literals,
        )
        self._clock = SystemClock() if clock is None else clock
        self._recorder = Recorder(self._clock, settings)
        self.scope_ended = self._recorder.scope_ended
        self._threshold_ms = settings.slow_query_threshold_ms
        self._history_threshold_ms = settings.effective_history_threshold_ms
        self._retention_us = round(settings.stats_retention_hours * _HOUR_US)
        self._alerts = enable_alerting
        self._logs = enable_logging
        self._keep_literals = keep_literals
        self._service = service
        self._dialect = dialect
        self._patterns = PatternCache(dialect, max_patterns, fold_numbered_names=fold_numbered_names)
        self._delivery = HandlerDelivery("queries")
        self._slow_log = SlowLog(self._clock)
        self._began_us = self._clock.now_us()
        self._checked_ns = self._clock.monotonic_ns()
        self._owner_wake: Callable[[], object] | None = None
        self._poller = Poller("queries", self.poll)
        self._is_running = False
        self._has_warned = False
        self._has_told_errors = False
        self._lock = threading.Lock()
        survive_forks(self)

    def __repr__(self) -> str:
        view = self._recorder.view()
        return (
            f"QueryMonitor(executions={view.outcomes.total}, patterns={len(view.queries)}, "
            f"slow={view.slow_count}, threshold_ms={self._threshold_ms})"
        )

    async def start(self) -> None:
        """Begins to call handlers and to write log lines; coroutine handlers run on the running loop. Idempotent."""
        self._begin(asyncio.get_running_loop(), own_thread=self._owner_wake is None)

    async def stop(self) -> None:
        """Delivers what waits, for five seconds at most, and ends the background work; counting goes on. Idempotent."""
        await asyncio.to_thread(self.stop_delivery)

    def start_delivery(self, wake: Callable[[], object], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """
        Begins the same without a thread, for an owner that calls `poll()` and `drain()` itself.

        Args:
            wake: Asks the owner for a `poll()` now; must neither block nor raise.
            loop: Where coroutine handlers run; None is a loop of ours.
        """
        self._owner_wake = wake
        self._begin(loop, own_thread=False)

    def stop_delivery(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """As `stop()`, for callers without a loop."""
        with self._lock:
            was_running, self._is_running = self._is_running, False
        if not was_running:
            return
        self._poller.stop(timeout_s)
        self.poll()
        self._slow_log.finish()
        self._delivery.stop(timeout_s)

    def wake(self) -> None:
        """Has what is slow reported now rather than at the next `poll()`; cheap, and safe on the way of a query."""
        if self._owner_wake is not None:
            self._owner_wake()
        else:
            self._poller.wake()

    def poll(self) -> None:
        """Writes the log lines that are due, hands alerts to the handlers, and forgets what is older than retention."""
        slow, missed = self._recorder.take_slow()
        alerts = [alert_about(query, self._threshold_ms, self._service) for query in slow]
        if self._logs:
            self._slow_log.write(alerts, missed)
        if self._alerts:
            for alert in alerts:
                self._delivery.publish(alert)
        self._retain()
        if self._recorder.fold_errors and not self._has_told_errors:
            self._has_told_errors = True
            log.warning("records_not_counted", count=self._recorder.fold_errors, hint="please report it: this is a bug")

    async def track_query(
        self,
        sql: str,
        duration_ms: float,
        success: bool = True,
        parameters: Any = None,
        error: str | BaseException | None = None,
        rows: int | None = None,
        *,
        trace_id: str | None = None,
        call_site: str | None = None,
        unit: Scope | None = None,
    ) -> None:
        """Records one execution that the caller measured; see `record`."""
        self.record(
            sql, duration_ms, success, parameters, error, rows, trace_id=trace_id, call_site=call_site, unit=unit
        )

    def record(
        self,
        sql: str,
        duration_ms: float,
        success: bool = True,
        parameters: Any = None,
        error: str | BaseException | None = None,
        rows: int | None = None,
        *,
        trace_id: str | None = None,
        call_site: str | None = None,
        unit: Scope | None = None,
    ) -> None:
        """
        Records one execution that the caller measured and that ends now.

        Args:
            sql: The statement as sent; only its pattern is kept.
            duration_ms: How long it took.
            success: False if it failed in a way that `error` does not tell.
            parameters: What it was sent with; kept only with `keep_literals`.
            error: Why it failed. An exception also tells whether it was a timeout or a cancellation.
            rows: Rows returned or affected; None if unknown, or the -1 with which cursors say so.
            trace_id: The trace it belongs to.
            call_site: The line that sent it.
            unit: What it may be a repetition within, such as the value of `with querygauge.scope(…)`.

        Raises:
            TypeError: If an argument is of a type that it cannot be.
            ValueError: If the duration is negative, not finite or more than a year, or `rows` no number of rows.
        """
        check_statement(sql)
        check_error(error)
        rows_count = known_rows(rows)
        lasted_ns = duration_ns("duration_ms", duration_ms)
        pattern = self._patterns.pattern_for(sql)
        outcome, failure = self._ending(success, error, pattern.text)
        self._recorder.record_traced(
            None if trace_id is None else str(trace_id),
            "",
            pattern,
            # A clock that nobody has set yet may stand at 1970, before which nothing began.
            self._clock.monotonic_ns() - min(lasted_ns, self._clock.now_us() * _NS_PER_US),
            lasted_ns,
            rows_count,
            outcome,
            failure,
            None if call_site is None else str(call_site),
            unit,
            (sql, plain(parameters)) if self._keep_literals else None,
            unit,
        )
        self._warn_if_not_running()
        if lasted_ns >= self._recorder.slow_threshold_ns:
            self.wake()

    def recorder(self, target: str, trace: Trace | None = None, traced_ns: int | None = None) -> Record:
        """The function through which capture records executions on one target; as `Recorder.recorder`."""
        return self._recorder.recorder(target, trace, traced_ns)

    def ledger(self) -> QueryLedger:
        """Where capture writes executions that are nothing but fast; as `recorder` without the call."""
        return self._recorder.ledger()

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal handler asks that interrupted the counting itself, for which `drain()` has nothing."""
        return self._recorder.is_interrupted

    def drain(self, *, is_last: bool = False) -> Window:
        """What happened since the last call, for the owner of this monitor; statistics keep it."""
        return self._recorder.drain(is_last=is_last)

    def get_slow_queries(self, threshold_ms: float | None = None, limit: int | None = None) -> list[SlowQuery]:
        """
        Executions kept one by one, slowest first.

        Args:
            threshold_ms: Only those that took at least so long; by default the slow ones.
            limit: How many at most; None is all.

        Raises:
            SettingsError: If the threshold lies below `history_threshold_ms`: the answer would not be complete.
        """
        if limit is not None and limit < 1:
            raise SettingsError(f"limit must be >= 1 or None; got {limit!r}")
        if threshold_ms is None:
            threshold_ms = max(self._threshold_ms, self._history_threshold_ms)
        threshold_ns = nanoseconds("threshold_ms", threshold_ms)
        if threshold_ms < self._history_threshold_ms:
            raise SettingsError(
                f"threshold_ms must be >= history_threshold_ms={self._history_threshold_ms:g}, since faster executions "
                f"are not kept; got {threshold_ms!r}; set history_threshold_ms lower"
            )
        kept = self._recorder.history(threshold_ns)
        kept.sort(key=lambda query: (query.duration_ms, query.timestamp), reverse=True)
        return kept[:limit]

    def get_query_stats(
        self, order_by: str = "avg_duration", limit: int | None = None, *, scope: str | None = None
    ) -> list[QueryStats]:
        """
        One per pattern and target, largest first.

        Args:
            order_by: avg_duration, total_duration, p95, p99, max, execution_count, error_rate or rows.
            limit: How many at most; None is all.
            scope: Only what was executed in scopes of this name; None is everything.

        Raises:
            SettingsError: If the order is unknown or the limit below 1.
        """
        stats = self._recorder.view().queries
        return ranked(by_pattern(each for each in stats if scope in {None, each.scope}), order_by, limit)

    def get_scope_stats(self, limit: int | None = None) -> list[ScopeStats]:
        """
        What the requests, jobs and tests of each name did, whatever their tags; most database time first.

        Args:
            limit: How many at most; None is all.
        """
        return by_name(self._recorder.view().scopes)[:limit]

    def get_tag_stats(self, key: str | None = None, limit: int | None = None) -> list[ScopeStats]:
        """
        The same by tag, whatever the name.

        Args:
            key: Only tags of this key, such as `tenant`; None is all of them.
            limit: How many at most; None is all.
        """
        return by_tag(self._recorder.view().scopes, key)[:limit]

    def get_most_frequent_queries(self, limit: int | None = 10) -> list[dict[str, Any]]:
        """The most executed patterns: query_pattern, pattern_id, target, execution_count and total_duration_ms."""
        return [
            {
                "query_pattern": stats.query_pattern,
                "pattern_id": stats.pattern_id,
                "target": stats.target,
                "execution_count": stats.execution_count,
                "total_duration_ms": stats.total_duration_ms,
            }
            for stats in self.get_query_stats("execution_count", limit)
        ]

    def get_repetitions(self) -> list[Repetition]:
        """The same query from the same line, several times within one unit; most total time first."""
        return sorted(self._recorder.view().repetitions, key=lambda found: -found.total_duration_ms)

    def report_data(self) -> ReportData:
        """What the report is made of, as far as queries go."""
        view = self._recorder.view()
        return ReportData(
            service=self._service,
            started=datetime_of(self._began_us),
            ended=datetime_of(self._clock.now_us()),
            threshold_ms=self._threshold_ms,
            outcomes=view.outcomes,
            slow_count=view.slow_count,
            stats=tuple(by_pattern(view.queries)),
            repetitions=view.repetitions,
            slow_queries=tuple(self.get_slow_queries()),
            forgotten_ms={target: total_ns / _NS_PER_MS for target, total_ns in view.forgotten_ns.items()},
            self_metrics=self.self_metrics(),
            scopes=view.scopes,
            stats_by_scope=view.queries,
        )

    def generate_report(self) -> str:
        """The report as text."""
        return render_report(self.report_data())

    def self_metrics(self) -> SelfMetrics:
        """What this monitor costs, and what it had to leave out."""
        patterns_folded, scopes_folded = self._recorder.folded_counts()
        return SelfMetrics(
            added_us=self._recorder.cost.added_us,
            fold_us=self._recorder.cost.fold_us,
            statements_dropped=self._recorder.dropped,
            patterns_folded=patterns_folded,
            scopes_folded=scopes_folded,
            slow_queries_dropped=self._recorder.kept.history_dropped,
            alerts_dropped=self._delivery.dropped + self._recorder.kept.pending_dropped,
        )

    def clear_history(self) -> None:
        """Forgets every number, finding and kept execution, those not yet drained too."""
        self._recorder.clear()
        self._began_us = self._clock.now_us()

    def add_alert_handler(self, handler: Handler) -> None:
        """Calls `handler` with every `SlowQueryAlert`; a function or a coroutine function."""
        self._delivery.add(handler)

    def remove_alert_handler(self, handler: Handler) -> None:
        """Calls `handler` no more."""
        self._delivery.remove(handler)

    def after_fork_in_child(self) -> None:
        """Begins at zero in the child, with a thread of its own if there was one."""
        self._lock = threading.Lock()
        self._recorder.after_fork_in_child()
        self._slow_log.after_fork_in_child()
        self._began_us = self._clock.now_us()
        self._poller.after_fork_in_child()

    def _begin(self, loop: asyncio.AbstractEventLoop | None, *, own_thread: bool) -> None:
        with self._lock:
            if not self._is_running:
                self._is_running = True
                self._has_warned = False
                self._recorder.take_slow()  # what was slow before nobody was promised
                if own_thread:
                    self._poller.start()
        self._delivery.start(loop)

    def _retain(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._checked_ns < _RETENTION_CHECK_NS:
            return
        self._checked_ns = now_ns
        if self._owner_wake is None:
            self._recorder.drain()  # alone, nobody waits for the window
        self._recorder.drop_unseen_since(self._clock.now_us() - self._retention_us)

    def _ending(
        self, success: bool, error: str | BaseException | None, pattern_text: str
    ) -> tuple[int, Failure | None]:
        if isinstance(error, BaseException):
            return failure_of(error, self._dialect, pattern_text=pattern_text)
        if error:
            return ERROR, Failure("Error", None, redact(error, self._dialect, pattern_text=pattern_text))
        return (OK if success else ERROR), None

    def _warn_if_not_running(self) -> None:
        if self._is_running or self._has_warned or not (self._alerts or self._logs):
            return
        self._has_warned = True
        log.warning(
            "query_monitor_not_started",
            hint="queries are counted, but until start() no alert is delivered and no slow query logged",
        )


async def initialize_query_monitor(**settings: Any) -> QueryMonitor:
    """A `QueryMonitor` with these settings, started."""
    monitor = QueryMonitor(**settings)
    await monitor.start()
    return monitor
