"""
Executions from any thread to counters: one queue for all of them, folded some 256 at a time.

In goes one `record` call per execution, which appends a tuple and no more; out come windows (for the flush), views (for
whoever reads) and slow executions (for alerts and logs). One queue is the scheme that neither loses nor repeats
anything while others read: a table that all threads share loses counts, and tables per thread lose them at the swap
and grow with the threads. Whoever reads folds first, so everybody sees their own records.

Deliberately not here: threads, logging, handlers; nothing foreign is called while the lock is held.
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from querygauge.errors import SettingsError
from querygauge.monitors import query_table, repetition, scope_table
from querygauge.monitors.fold import Execution, Fold
from querygauge.monitors.fold_lock import FoldLock
from querygauge.monitors.kept_executions import KeptExecutions, slow_query_of
from querygauge.monitors.own_cost import OwnCost
from querygauge.protocols import Clock, QueryLedger, Record, Scope, Trace, Unit
from querygauge.settings import Settings
from querygauge.values import (
    Failure,
    OutcomeCounts,
    Pattern,
    QueryErrors,
    QueryStats,
    Repetition,
    ScopeStats,
    SlowQuery,
)

__all__ = ["Recorder", "View", "Window", "nanoseconds"]

# One call in so many pays the fold; smaller folds cost more each, larger ones stall longer. A prime number, so that in
# requests that are all alike it is not always the same statement, whose cost is taken as a sample.
_FOLD_SIZE: Final = 257
_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Window:
    """
    What happened since the last `drain()`.

    Attributes:
        queries: One per pattern, target and scope.
        slow_queries: Executions kept one by one, oldest first; then some of those that failed and were not slow.
        repetitions: Findings.
        scopes: One per scope.
        errors: One per pattern, target and way to fail.
    """

    queries: tuple[QueryStats, ...] = ()
    slow_queries: tuple[SlowQuery, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    scopes: tuple[ScopeStats, ...] = ()
    errors: tuple[QueryErrors, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """
    Everything counted, drained or not, at one moment; the overall counts include patterns dropped since.

    Attributes:
        queries: One per pattern, target and scope.
        repetitions: Findings.
        scopes: One per scope.
        outcomes: All executions by how they ended.
        slow_count: Slow ones among them.
        forgotten_ns: Time of those whose pattern was dropped since, by target.
    """

    queries: tuple[QueryStats, ...]
    repetitions: tuple[Repetition, ...]
    scopes: tuple[ScopeStats, ...]
    outcomes: OutcomeCounts
    slow_count: int
    forgotten_ns: Mapping[str, int]


class Recorder:
    """
    Takes executions in and keeps their counts, within bounds.

    Attributes:
        slow_threshold_ns: From here on an execution is slow.
        kept: Executions that are kept one by one.
        cost: What counting takes.
    """

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self.slow_threshold_ns = nanoseconds("slow_query_threshold_ms", settings.slow_query_threshold_ms)
        history_ns = nanoseconds("history_threshold_ms", settings.effective_history_threshold_ms)
        self.kept = KeptExecutions(self.slow_threshold_ns, history_ns, settings.max_history_size)
        self.cost = OwnCost()
        self._lock = FoldLock()
        self._queue: deque[Execution] = deque()
        self._phases: deque[tuple[str, Pattern, int, int, Scope | None]] = deque()
        self._ended: deque[tuple[Scope, int]] = deque()
        self._fold = Fold(settings, self.kept, self.slow_threshold_ns)
        self._begin()

    def _begin(self) -> None:
        self._queue.clear()
        self._phases.clear()
        self._ended.clear()
        self._fold.clear()
        self.cost.clear()

    def after_fork_in_child(self) -> None:
        """Replaces the lock and forgets the parent's numbers; every `record` stays bound to the same queue."""
        self._lock = FoldLock()
        self._begin()

    def clear(self) -> None:
        """Forgets everything, records that wait to be folded included."""
        with self._lock.held() as is_free:
            if is_free:
                self._begin()

    @property
    def fold_errors(self) -> int:
        """Records that could not be counted."""
        return self._fold.errors

    @property
    def dropped(self) -> int:
        """Those, and the records that a signal handler kept from being counted by an exception."""
        return self._fold.errors + self._fold.interrupted

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal handler asks that interrupted the counting itself; `drain()` has nothing for it."""
        return self._lock.is_interrupted

    def recorder(self, target: str, trace: Trace | None = None, traced_ns: int | None = None) -> Record:
        """
        The function that takes executions on one target; safe in any thread, and never waits.

        Args:
            target: Name of the database.
            trace: Is told of executions, and knows the trace of each; None if nobody does.
            traced_ns: What takes as long is told to `trace`; by default what is kept one by one. What failed is told in
                any case.
        """
        queue, from_ns = self._queue, self.kept.from_ns if traced_ns is None else traced_ns
        append = queue.append
        fold = self._fold_if_free

        def record(
            pattern: Pattern,
            started_ns: int,
            duration_ns: int,
            rows: int,
            outcome: int,
            failure: Failure | None,
            call_site: str | None,
            unit: Unit | None,
            literals: tuple[str, Any] | None,
            scope: Scope | None,
            phases: Sequence[int] | None = None,
            /,
        ) -> None:
            trace_id = None
            if trace is not None and (duration_ns >= from_ns or outcome):
                trace_id = trace(pattern, started_ns, duration_ns, outcome, failure, call_site, phases)
            append((
                target, pattern, started_ns, duration_ns, rows, outcome, failure, call_site, unit, literals, scope,
                trace_id, phases,
            ))  # fmt: skip
            if len(queue) >= _FOLD_SIZE:
                fold()

        return record

    def ledger(self) -> QueryLedger:
        """The queue itself, for capture on its hot path."""
        return QueryLedger(self._queue, self.kept.from_ns, _FOLD_SIZE, self._fold_if_free, self._phases)

    def record_traced(self, trace_id: str | None, target: str, *execution: Any) -> None:
        """As `recorder(target)`, for an execution whose trace is known; `execution` is what `Record` takes."""
        self._queue.append((target, *execution, trace_id, None))
        if len(self._queue) >= _FOLD_SIZE:
            self._fold_if_free()

    def scope_ended(self, scope: Scope, duration_ns: int) -> None:
        """Takes the end of a unit of work, with a statement or without; as `recorder`, for any thread."""
        self._ended.append((scope, duration_ns))
        if len(self._ended) >= _FOLD_SIZE:
            self._fold_if_free()

    def drain(self, *, is_last: bool = False) -> Window:
        """
        What happened since the last call; it stays in the views.

        Args:
            is_last: Whether nobody drains again, so that nothing may wait for the name of its scope.
        """
        with self._lock.held() as is_free:
            if not is_free:
                return Window()
            offset_us = self._fold_queued(is_last=is_last)
            # In this order: a new window of the scopes asks the table for counters, and may do so in the old window.
            scopes = self._fold.scopes.drain(self._clock.now_us())
            queries = self._fold.table.drain(offset_us)
            repetitions = self._fold.repetitions.drain()
            errors = self._fold.failures.drain(offset_us)
            kept, failed = self.kept.drain()
        slow_queries = (*map(slow_query_of, kept), *(slow_query_of(one, is_slow=False) for one in failed))
        return Window(queries, slow_queries, repetitions, scopes, errors)

    def view(self) -> View:
        """Everything counted so far; up to the last drain for a signal handler that interrupted the counting."""
        fold = self._fold
        with self._lock.held() as is_free:
            offset_us = self._fold_queued() if is_free else 0
            totals, found, scopes = fold.table.totals, fold.repetitions.totals, fold.scopes.totals
            window = fold.table.frozen_window(offset_us) if is_free else {}
            finding = fold.repetitions.frozen_window() if is_free else {}
            scope_window = fold.scopes.frozen_window() if is_free else {}
            outcomes, slow_count = fold.table.overall(window.values())
            forgotten_ns = fold.table.forgotten_ns
        return View(
            tuple(query_table.merged(totals, window).values()),
            tuple(repetition.merged(found, finding).values()),
            tuple(scope_table.merged(scopes, scope_window).values()),
            outcomes,
            slow_count,
            forgotten_ns,
        )

    def history(self, threshold_ns: int) -> list[SlowQuery]:
        """Executions kept one by one that took at least so long, oldest first."""
        with self._folded():
            kept = self.kept.history()
        return [slow_query_of(one) for one in kept if one.counted_ns >= threshold_ns]

    def take_slow(self) -> tuple[list[SlowQuery], int]:
        """Slow executions since the last call, oldest first, and how many more there were."""
        with self._folded():
            pending, unhanded = self.kept.take_slow()
        return [slow_query_of(one) for one in pending], unhanded

    def folded_counts(self) -> tuple[int, int]:
        """Executions counted together because there were too many distinct patterns, and too many scopes."""
        with self._folded():
            return self._fold.table.folded_counts()

    def drop_unseen_since(self, epoch_us: int) -> None:
        """Forgets drained patterns, and findings about them, that were last seen before that moment."""
        with self._lock.held() as is_free:
            if is_free:
                self._fold_queued()
                self._fold.repetitions.drop(self._fold.table.drop_unseen_since(epoch_us))
                self._fold.scopes.drop_unseen_since(epoch_us)

    @contextmanager
    def _folded(self) -> Iterator[None]:
        """Holds the lock, after a fold unless a signal handler asks that interrupted one."""
        with self._lock.held() as is_free:
            if is_free:
                self._fold_queued()
            yield

    def _fold_if_free(self, ended_ns: int | None = None) -> None:
        if ended_ns is not None:
            self.cost.sample(self._clock.monotonic_ns() - ended_ns)
        # Whoever holds the lock folds; nobody waits for it on the way of a query.
        lock = self._lock
        if lock.acquire(timeout_s=0):
            try:
                self._fold_queued()
            finally:
                lock.release()

    def _fold_queued(self, *, is_last: bool = False) -> int:
        """Counts what is queued; what a moment on the clock lacked then, in microseconds, to the epoch."""
        began_ns = time.thread_time_ns()
        offset_us = self._clock.now_us() - self._clock.monotonic_ns() // _NS_PER_US
        ended = len(self._ended)  # before the queue is looked at, so that what a unit executed is counted first
        executions = self._fold.count(self._queue, offset_us, is_last=is_last)
        self._fold.add_phases(self._phases)
        for _ in range(ended):
            self._fold.end(self._ended)
        self.cost.folded(executions, began_ns)
        return offset_us


def nanoseconds(name: str, milliseconds: float) -> int:
    """
    Milliseconds as whole nanoseconds, so that a duration that equals a threshold reaches it.

    Raises:
        SettingsError: If the value called `name` is negative or not finite.
    """
    if not (math.isfinite(milliseconds * _NS_PER_MS) and milliseconds >= 0):
        raise SettingsError(f"{name} must be a finite number >= 0; got {milliseconds!r}")
    return round(milliseconds * _NS_PER_MS)
