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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from querygauge.errors import SettingsError
from querygauge.histogram import PER_OCTAVE, SECONDS_OFFSET
from querygauge.interruptions import is_of_signal_handler
from querygauge.monitors import query_table, repetition, scope_table
from querygauge.monitors.fold_lock import FoldLock
from querygauge.monitors.kept_executions import KeptExecutions, slow_query_of
from querygauge.monitors.own_cost import OwnCost
from querygauge.monitors.scope_table import UnitCounts
from querygauge.protocols import Clock, QueryLedger, Record, Scope, Unit
from querygauge.settings import Settings
from querygauge.values import (
    CONNECT,
    LOOP_LAG,
    OTHER_SCOPES,
    POOL_WAIT,
    Failure,
    OutcomeCounts,
    Pattern,
    QueryStats,
    Repetition,
    ScopeStats,
    SlowQuery,
)

__all__ = ["Recorder", "View", "Window", "nanoseconds"]

# One call in so many pays the fold; smaller folds cost more each, larger ones stall longer. A prime number, so that in
# requests that are all alike it is not always the same statement, whose cost is taken as a sample.
_FOLD_SIZE: Final = 257
# So long an execution waits for the name of its scope: a web framework looks for the route after its first middlewares.
_NAMELESS_NS: Final = 100_000_000
_EARLY_LIMIT: Final = 256  # phases that wait for an execution of their pattern; beyond it the oldest are given up
_NS_PER_MS: Final = 1e6
_NS_PER_US: Final = 1_000


class _NotNamedYetError(Exception):
    """The name of an execution's scope is not known yet, so that the next fold has to count it."""


@dataclass(frozen=True, slots=True)
class Window:
    """
    What happened since the last `drain()`.

    Attributes:
        queries: One per pattern, target and scope.
        slow_queries: Executions kept one by one, oldest first.
        repetitions: Findings.
        scopes: One per scope.
    """

    queries: tuple[QueryStats, ...]
    slow_queries: tuple[SlowQuery, ...]
    repetitions: tuple[Repetition, ...]
    scopes: tuple[ScopeStats, ...]


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
        fold_errors: Records that could not be counted.
        cost: What counting takes.
    """

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self.slow_threshold_ns = nanoseconds("slow_query_threshold_ms", settings.slow_query_threshold_ms)
        history_ns = nanoseconds("history_threshold_ms", settings.effective_history_threshold_ms)
        self.kept = KeptExecutions(self.slow_threshold_ns, history_ns, settings.max_history_size)
        self.cost = OwnCost()
        self._lock = FoldLock()
        self._queue: deque[tuple[Any, ...]] = deque()
        self._unnamed: list[tuple[Any, ...]] = []  # executions that wait for the name of their scope
        self._phases: deque[tuple[str, Pattern, int, int, Scope | None]] = deque()
        self._ended: deque[tuple[Scope, int]] = deque()
        self._table = query_table.QueryTable(settings.max_patterns)
        self._scopes = scope_table.ScopeTable(settings.max_scopes, self._table.window_of)
        self._repetitions = repetition.RepetitionTable(settings.repetition_threshold)
        self._begin()

    def _begin(self) -> None:
        self._queue.clear()
        self._unnamed.clear()
        self._phases.clear()
        self._ended.clear()
        self._table.clear()
        self._scopes.clear()
        self._repetitions.clear()
        self.kept.clear()
        self.cost.clear()
        self.fold_errors = 0

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
    def is_interrupted(self) -> bool:
        """Whether a signal handler asks that interrupted the counting itself; `drain()` has nothing for it."""
        return self._lock.is_interrupted

    def recorder(self, target: str) -> Record:
        """The function that takes executions on one target; safe in any thread, and never waits."""
        queue = self._queue
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
            append((
                target, pattern, started_ns, duration_ns, rows, outcome, failure, call_site, unit, literals, scope,
                None, phases,
            ))  # fmt: skip
            if len(queue) >= _FOLD_SIZE:
                fold()

        return record

    def ledger(self) -> QueryLedger:
        """The queue itself, for capture on its hot path."""
        return QueryLedger(self._queue, _FOLD_SIZE, self._fold_if_free, self._phases)

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
                return Window((), (), (), ())
            self._fold(is_last=is_last)
            queries = self._table.drain(self._offset_us())
            scopes = self._scopes.drain(self._clock.now_us())
            repetitions = self._repetitions.drain()
            kept = self.kept.drain()
        return Window(queries, tuple(map(slow_query_of, kept)), repetitions, scopes)

    def view(self) -> View:
        """Everything counted so far; up to the last drain for a signal handler that interrupted the counting."""
        with self._lock.held() as is_free:
            if is_free:
                self._fold()
            totals, found, scopes = self._table.totals, self._repetitions.totals, self._scopes.totals
            window = self._table.frozen_window(self._offset_us()) if is_free else {}
            finding = self._repetitions.frozen_window() if is_free else {}
            scope_window = self._scopes.frozen_window() if is_free else {}
            outcomes, slow_count = self._table.overall(window.values())
            forgotten_ns = self._table.forgotten_ns
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
            return self._table.folded_counts()

    def drop_unseen_since(self, epoch_us: int) -> None:
        """Forgets drained patterns, and findings about them, that were last seen before that moment."""
        with self._lock.held() as is_free:
            if is_free:
                self._fold()
                self._repetitions.drop(self._table.drop_unseen_since(epoch_us))
                self._scopes.drop_unseen_since(epoch_us)

    @contextmanager
    def _folded(self) -> Iterator[None]:
        """Holds the lock, after a fold unless a signal handler asks that interrupted one."""
        with self._lock.held() as is_free:
            if is_free:
                self._fold()
            yield

    def _fold_if_free(self, ended_ns: int | None = None) -> None:
        if ended_ns is not None:
            self.cost.sample(self._clock.monotonic_ns() - ended_ns)
        # Whoever holds the lock folds; nobody waits for it on the way of a query.
        lock = self._lock
        if lock.acquire(timeout_s=0):
            try:
                self._fold()
            finally:
                lock.release()

    def _fold(self, *, is_last: bool = False) -> None:
        began_ns = time.thread_time_ns()
        ended = len(self._ended)  # before the queue is looked at, so that what a unit executed is counted first
        executions = self._fold_queue(is_last=is_last)
        if self._phases:
            self._fold_phases()
        for _ in range(ended):
            self._guarded(self._fold_ended, *self._ended.popleft())
        self.cost.folded(executions, began_ns)

    def _fold_queue(self, *, is_last: bool) -> int:  # noqa: C901, PLR0912, PLR0915  # see below
        # In one body and over local names, as every execution of the host passes through here. What is appended
        # meanwhile is left to the next fold, or a busy host would keep this thread folding for ever.
        take, table, repeat, keep = self._queue.popleft, self._table, self._repetitions.add, self.kept.keep
        outside, slow_ns, ceil, log2 = table.window_of(None), self.slow_threshold_ns, math.ceil, math.log2
        kept_ns = self.kept.from_ns
        offset_us = self._offset_us()
        # What one unit of work executed in a row is added to its counts at the end of the row.
        in_window, enter = self._scopes.window_key, self._entered
        running: Scope | None = None
        counts: UnitCounts | None = None
        name: str | None = None
        executed = spent_ns = repeated = 0
        window = outside
        # So is a row of one pattern from one line: what repeats comes in rows, and costs a third less for it.
        counted: Pattern | None = None
        row: tuple[str, Pattern, str | None, Unit, str, str | None] | None = None
        at = line = streak = of = None
        again = again_ns = 0
        self._queue.extend(self._unnamed)
        self._unnamed.clear()
        waiting = len(self._queue)
        for _ in range(waiting):
            execution = take()
            try:
                target, pattern, started_ns, duration_ns, rows, outcome, _, call_site, unit, _, scope, _, phases = (
                    execution
                )
                if scope is not running:
                    if counts is not None:
                        counts.executions += executed
                        counts.duration_ns += spent_ns
                        counts.repeated += repeated
                        executed = spent_ns = repeated = 0
                    if scope is None:
                        counts, name, window = None, None, outside
                    else:
                        counts = scope.tallies.get(in_window) or enter(scope, started_ns + duration_ns, is_last=is_last)
                        name, window = counts.scope.name, counts.scope.patterns
                    running, counted = scope, None
                if pattern is not counted or target is not at:
                    counters = window.get((target, pattern.id)) or table.open(
                        None if counts is None else counts.scope.label, target, pattern, started_ns, duration_ns
                    )
                    counted, at = pattern, target
                counters.total_ns += duration_ns
                bucket = ceil(log2(duration_ns or 1) * PER_OCTAVE + SECONDS_OFFSET)  # bucket_of() without the call
                buckets = counters.buckets
                if bucket in buckets:
                    buckets[bucket] += 1
                else:
                    buckets[bucket] = 1
                if duration_ns < counters.min_ns:
                    counters.min_ns = duration_ns
                elif duration_ns > counters.max_ns:
                    counters.max_ns = duration_ns
                # Executions arrive in the order they ended, so either end may be passed.
                if started_ns > counters.last_ns:
                    counters.last_ns = started_ns
                elif started_ns < counters.first_ns:
                    counters.first_ns = started_ns
                if rows > 0:
                    counters.rows += rows
                elif rows < 0:
                    counters.rows_unknown += 1
                if outcome:
                    counters.outcomes[outcome] += 1
                    if counts is not None:
                        counts.scope.outcomes[outcome] += 1
                if counts is not None:
                    executed += 1
                    spent_ns += duration_ns
                    if unit is not None and counters.unit_key is not None:
                        repeated += 1
                if duration_ns >= kept_ns:
                    # A query that waited for a blocked event loop is not slow for that.
                    lag_ns = phases[LOOP_LAG] if phases is not None and len(phases) > LOOP_LAG else 0
                    if duration_ns - lag_ns >= kept_ns:
                        counters.slow += duration_ns - lag_ns >= slow_ns
                        keep(offset_us + started_ns // _NS_PER_US, name, lag_ns, *execution)
                if phases is not None:
                    if len(phases) == 2:  # noqa: PLR2004  # of most checkouts, what came before
                        counters.phases[POOL_WAIT] += phases[POOL_WAIT]
                        counters.phases[CONNECT] += phases[CONNECT]
                    else:
                        counters.add_phases(phases)
                if call_site is not None:
                    if call_site in counters.lines:
                        counters.lines[call_site] += 1
                    else:
                        counters.add_line(call_site)
                if unit is not None and counters.unit_key is not None:
                    if unit is streak and call_site is line and counters is of:
                        again += 1
                        again_ns += duration_ns
                    else:
                        ended, times, ended_ns = row, again, again_ns
                        row, again, again_ns = (
                            (target, pattern, call_site, unit, counters.unit_key, name),
                            1,
                            duration_ns,
                        )
                        streak, line, of = unit, call_site, counters
                        if ended is not None:
                            repeat(*ended, times, ended_ns)
            except _NotNamedYetError:
                self._unnamed.append(execution)
            except Exception as error:  # one malformed record must neither stop the others nor reach the query
                self.fold_errors += 1
                if is_of_signal_handler(error):
                    raise
        if counts is not None:
            counts.executions += executed
            counts.duration_ns += spent_ns
            counts.repeated += repeated
        if row is not None:
            self._guarded(repeat, *row, again, again_ns)
        return waiting

    def _fold_phases(self) -> None:
        """Adds what was told apart of executions that ended before; in a new window it waits for the next of them."""
        take, early = self._phases.popleft, []
        counted: Pattern | None = None
        at = within = counters = None
        for _ in range(len(self._phases)):
            target, pattern, phase, spent_ns, scope = execution = take()
            if pattern is not counted or target is not at or scope is not within:
                label = None if scope is None else scope.label
                counters = self._table.find(label and self._scopes.told_apart(label), target, pattern)
                counted, at, within = pattern, target, scope
            if counters is None:
                early.append(execution)
            else:
                counters.phases[phase] += spent_ns
        self._phases.extend(early[-_EARLY_LIMIT:])

    def _fold_ended(self, scope: Scope, duration_ns: int) -> None:
        label = scope.label or scope.find_label(is_last=True)
        self._scopes.end(scope, label or OTHER_SCOPES, duration_ns)

    def _guarded(self, count: Callable[..., None], *counted: Any) -> None:
        try:
            count(*counted)
        except Exception as error:  # as for executions
            self.fold_errors += 1
            if is_of_signal_handler(error):
                raise

    def _entered(self, scope: Scope, ended_ns: int, *, is_last: bool) -> UnitCounts:
        """Where the executions of a unit are counted in this window."""
        label = scope.label or scope.find_label()
        if label is None:
            if not is_last and self._clock.monotonic_ns() - ended_ns <= _NAMELESS_NS:
                raise _NotNamedYetError
            label = scope.find_label(is_last=True) or OTHER_SCOPES
        return self._scopes.enter(scope, label)

    def _offset_us(self) -> int:
        """What a monotonic moment lacks, in microseconds, to one of the epoch."""
        return self._clock.now_us() - self._clock.monotonic_ns() // _NS_PER_US


def nanoseconds(name: str, milliseconds: float) -> int:
    """
    Milliseconds as whole nanoseconds, so that a duration that equals a threshold reaches it.

    Raises:
        SettingsError: If the value called `name` is negative or not finite.
    """
    if not (math.isfinite(milliseconds * _NS_PER_MS) and milliseconds >= 0):
        raise SettingsError(f"{name} must be a finite number >= 0; got {milliseconds!r}")
    return round(milliseconds * _NS_PER_MS)
