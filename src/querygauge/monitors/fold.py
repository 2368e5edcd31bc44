"""
What capture queued to counters: by pattern, target and scope, by unit of work, and by repetition.

In go executions as the queue has them, phases that were told apart later, and the ends of units; out come the tables
that the recorder reads. All executions of the host pass through here, so it adds up whatever is alike before it counts.
Deliberately not here: the queues' bounds, the lock and the clock, all of which the recorder has.

A signal handler of the host may raise in the midst of it: where a function begins, where a call of C ends, and where a
loop goes round; nowhere else. So whatever is counted is worked out first, and then added in steps without a call, with
the last of which it is out of the list of what waits. What is taken out of an iterator by `+=`, `[:] =` or `[*…]` is
one such step, as long as all behind it is C. Then nothing is counted twice, and only what is under way is lost.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from itertools import repeat
from operator import add, call
from typing import Any, Final

from querygauge.interruptions import is_of_host
from querygauge.monitors import error_table, query_table, repetition, scope_table
from querygauge.monitors.error_table import SAMPLES
from querygauge.monitors.kept_executions import KeptExecutions
from querygauge.monitors.query_table import UNSETTLED, Counters
from querygauge.monitors.repetition import COUNT, NEXT, NS
from querygauge.monitors.scope_table import UnitCounts
from querygauge.protocols import Scope, Streak
from querygauge.settings import Settings
from querygauge.values import (
    CANCELLED,
    CONNECT,
    LINES_LIMIT,
    LOOP_LAG,
    OK,
    OTHER_SCOPES,
    POOL_WAIT,
    Pattern,
    ScopeLabel,
)

__all__ = ["Execution", "Fold"]

Execution = tuple[Any, ...]
"""As `protocols.QueryLedger` says: target and the rest; or streak, start, duration, rows and line."""
_Kept = tuple[int, ScopeLabel | None, int, Execution]
"""Start, scope, nanoseconds of it that are the event loop's, and the execution."""

_ROW: Final = 4  # executions of a streak from which adding them up takes less than counting each
_DURATION: Final = 3  # its place in an execution
_SITE: Final = 4  # and that of the line in one that is told of in short
# So many executions wait for the name of their scope, which a web framework knows after its first middlewares.
_NAMELESS_LIMIT: Final = 1_000
_NO_LAG: Final = (0,) * (LOOP_LAG + 1)
_EARLY_LIMIT: Final = 256  # phases that wait for an execution of their pattern; beyond it the oldest are given up
_NS_PER_US: Final = 1_000


class _NotNamedYetError(Exception):
    """The name of an execution's scope is not known yet, so that the next fold has to count it."""


class Fold:
    """
    Adds up what is handed in; whoever holds it serialises the calls.

    Attributes:
        table: Counters by pattern, target and scope.
        scopes: Counters by scope.
        repetitions: What was found to repeat.
        failures: Counters by how executions failed.
        kept: Executions that are kept one by one.
        errors: Records that could not be counted.
        interrupted: Records that an exception of a signal handler kept from being counted.
    """

    def __init__(self, settings: Settings, kept: KeptExecutions, slow_ns: int) -> None:
        self._slow_ns = slow_ns
        self.kept = kept
        self.table = query_table.QueryTable(settings.max_patterns)
        self.scopes = scope_table.ScopeTable(settings.max_scopes, self.table.window_of)
        self.repetitions = repetition.RepetitionTable(settings.repetition_threshold)
        self.failures = error_table.ErrorTable()
        self._left: list[Execution] = []  # to the next fold
        self._together: dict[str | Streak, list[Execution]] = {}  # what the fold under way has not counted yet
        self._kept: list[_Kept] = []  # counted, and to be kept
        self._is_last = False
        self._nameless: set[Scope] = set()  # that were asked by the fold under way
        self._early: list[tuple[str, Pattern, int, int, Scope | None]] = []  # phases whose execution is to come
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._left.clear()
        self._together = {}
        self._kept.clear()
        self._nameless.clear()
        self._early.clear()
        self.table.clear()
        self.scopes.clear()
        self.repetitions.clear()
        self.failures.clear()
        self.kept.clear()
        self.errors = self.interrupted = 0

    def count(self, queue: "deque[Execution]", offset_us: int, *, is_last: bool) -> int:
        """
        Counts what is in the queue; what is appended meanwhile is left, or a busy host would keep this for ever.

        Args:
            queue: Of executions.
            offset_us: What the clock that they are timed by lacks, in microseconds, to the epoch.
            is_last: Whether nobody folds again, so that nothing may wait for the name of its scope.

        Returns:
            How many there were.
        """
        if self._together:  # of a fold that was interrupted
            self._gather()
            self._nameless.clear()
        waiting = len(queue)
        self._left += map(call, repeat(queue.popleft, waiting))
        self._count_left(len(self._left), is_last=is_last)
        self._nameless.clear()
        too_many = len(self._left) - _NAMELESS_LIMIT
        if too_many > 0:
            self._left.sort(key=_start_of)
            self._count_left(too_many, is_last=True)
        if self._kept:
            self._kept.sort(key=_end_of)
            self.kept.keep(self._kept, offset_us)
        return waiting

    def _count_left(self, number: int, *, is_last: bool) -> None:
        """Counts the first ones of what is left; `is_last` is for them alone."""
        self._is_last = is_last
        together: defaultdict[str | Streak, list[Execution]] = defaultdict(list)
        for execution in self._left[:number]:
            together[execution[0]].append(execution)
        self._together, self._left = together, self._left[number:]
        for place, executions in together.items():
            if isinstance(place, str):
                self._count_singly(executions)
            elif len(executions) < _ROW:
                executions[:] = _in_full(place, executions)
                self._count_singly(executions)
            else:
                while executions and self._count_row(place, executions):
                    pass
        if any(together.values()):
            self._gather()
        self._together = {}

    def _gather(self) -> None:
        """Leaves what a fold did not count to the next one."""
        left = self._left + [execution for executions in self._together.values() for execution in executions]
        self._left, self._together = left, {}

    def _count_row(self, streak: Streak, executions: list[Execution]) -> bool:
        """
        Counts those executions of a streak together that the first one's line sent, and takes them out of the list.

        Returns:
            Whether it did; not if their scope has no name yet.
        """
        row, others = executions, list[Execution]()
        try:
            _, starts, durations, rows, sites = zip(*row, strict=True)
            site = sites[0]
            if sites.count(site) != len(sites):
                row = [execution for execution in executions if execution[_SITE] == site]
                others = [execution for execution in executions if execution[_SITE] != site]
                _, starts, durations, rows, sites = zip(*row, strict=True)
            target, pattern, scope = streak.target, streak.pattern, streak.scope
            times, spent_ns = len(row), sum(durations)
            counts = None if scope is None else self._counts_of(scope)
            name = None if counts is None else counts.scope.name
            counters = self._counters_of(counts, target, pattern, starts[0])
            unit_key = counters.unit_key
            tally = None
            if unit_key is not None:
                tally = streak.repeats.get((unit_key, site))
                tally = self.repetitions.tally(target, pattern, site, streak, unit_key, name, times, tally)
            counters.add_row(starts, durations, rows, site)
            if counts is not None:
                counts.executions += times
                counts.duration_ns += spent_ns
                if unit_key is not None:
                    counts.repeated += times
            if tally is not None:
                tally[COUNT] += times
                tally[NS] += spent_ns
            executions[:] = others
        except _NotNamedYetError:
            return False
        except BaseException as error:  # as for executions that are counted one by one
            times = len(executions) - len(others)
            executions[:] = others
            if self._is_of_host(error, times):
                raise
        return True

    def _count_singly(self, executions: list[Execution]) -> None:  # noqa: C901, PLR0912, PLR0915  # see below
        """
        Counts executions one by one, and takes them out of the list.

        Args:
            executions: All on one target; what waits for the name of its scope is left in the list.
        """
        # In one body and over local names: of most applications, most executions pass here.
        slow_ns, kept_ns, kept = self._slow_ns, self.kept.from_ns, self._kept
        tally_of, window_key, outside = self.repetitions.tally, self.scopes.window_key, self.table.windows[None]
        running: Scope | None = None
        counts: UnitCounts | None = None
        name: str | None = None
        label: ScopeLabel | None = None
        window = outside
        counted: Pattern | None = None
        unnamed: list[Any] = []
        rest = iter(executions)
        execution: Execution | None = None
        try:
            for execution in rest:
                try:
                    target, pattern, started_ns, duration_ns, rows, outcome, why, site, unit, _, scope, _, phases = (
                        execution
                    )
                    if scope is not running:
                        if scope is None:
                            counts, name, label, window = None, None, None, outside
                        else:
                            counts = scope.tallies.get(window_key) or self._counts_of(scope)
                            label, window = counts.scope.label, counts.scope.patterns
                            name = counts.scope.name
                        running, counted = scope, None
                    if pattern is not counted:
                        counters = window.get((target, pattern.id)) or self._counters_of(
                            counts, target, pattern, started_ns
                        )
                        durations = counters.durations
                        if len(durations) >= UNSETTLED:
                            counters.settle()
                        counted = pattern
                    if unit is not None and (unit_key := counters.unit_key) is not None:
                        tally = unit.repeats.get((unit_key, site))
                        if tally is None or tally[COUNT] + 1 >= tally[NEXT]:
                            tally = tally_of(target, pattern, site, unit, unit_key, name, 1, tally)
                    failed = None
                    if outcome and outcome != CANCELLED:
                        failed = self.failures.entry(target, pattern, why, started_ns)
                    if site is not None:
                        lines, has_room = counters.lines, len(counters.lines) < LINES_LIMIT
                    if phases is not None:
                        if len(phases) == 2:  # noqa: PLR2004  # of most checkouts, what came before
                            counters.phases[POOL_WAIT] += phases[POOL_WAIT]
                            counters.phases[CONNECT] += phases[CONNECT]
                        else:
                            counters.phases[: len(phases)] = map(add, counters.phases, phases)
                    # From the first of these changes to the last nothing is called, or a signal handler that raises
                    # would leave the execution counted by half. Executions arrive in the order they ended, so either
                    # end may be passed.
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
                        if failed is not None:
                            failed.count += 1
                            if started_ns > failed.last_ns:  # noqa: PLR1730  # nothing is called here
                                failed.last_ns = started_ns
                            if duration_ns < kept_ns and failed.count <= SAMPLES:
                                lag_ns = (*(phases or ()), *_NO_LAG)[LOOP_LAG]
                                kept += ((started_ns, label, lag_ns, execution),)
                    if counts is not None:
                        counts.executions += 1
                        counts.duration_ns += duration_ns
                    if duration_ns >= kept_ns:
                        # A query that waited for a blocked event loop is not slow for that.
                        lag_ns = (*(phases or ()), *_NO_LAG)[LOOP_LAG]
                        if duration_ns - lag_ns >= kept_ns:
                            counters.slow += duration_ns - lag_ns >= slow_ns
                            kept += ((started_ns, label, lag_ns, execution),)
                    if site is not None:
                        if site in lines:
                            lines[site] += 1
                        elif has_room:
                            lines[site] = 1
                    if unit is not None and unit_key is not None:
                        if counts is not None:
                            counts.repeated += 1
                        if tally is not None:
                            tally[COUNT] += 1
                            tally[NS] += duration_ns
                    execution = None  # noqa: PLW2901  # none under way: nothing comes before the call that is left
                    durations.append(duration_ns)
                except _NotNamedYetError:
                    unnamed += (execution,)
                    execution = None  # noqa: PLW2901  # likewise
                except Exception as error:  # one malformed record must neither stop the others nor reach the query
                    if is_of_host(error):
                        raise
                    self.errors += 1
                    execution = None  # noqa: PLW2901  # likewise
        finally:
            if execution is not None:
                self.interrupted += 1
            executions[:] = [*unnamed, *rest]

    def _is_of_host(self, error: BaseException, records: int) -> bool:
        """Whether to raise what kept so many records from being counted; tells of them."""
        if not isinstance(error, Exception) or is_of_host(error):
            self.interrupted += records
            return True
        self.errors += records
        return False

    def _counts_of(self, scope: Scope) -> UnitCounts:
        """
        Where the executions of a unit of work are counted in this window.

        Raises:
            _NotNamedYetError: If its name is to come.
        """
        counts: UnitCounts | None = scope.tallies.get(self.scopes.window_key)
        if counts is not None:
            return counts
        label = scope.label
        if label is None and scope not in self._nameless:
            label = scope.find_label()
        if label is None:
            if not self._is_last:
                self._nameless.add(scope)
                raise _NotNamedYetError
            label = scope.find_label(is_last=True) or OTHER_SCOPES
        return self.scopes.enter(scope, label)

    def _counters_of(self, counts: UnitCounts | None, target: str, pattern: Pattern, started_ns: int) -> Counters:
        label = None if counts is None else counts.scope.label
        window = self.table.windows[None] if counts is None else counts.scope.patterns
        return window.get((target, pattern.id)) or self.table.open(label, target, pattern, started_ns)

    def add_phases(self, queue: "deque[tuple[str, Pattern, int, int, Scope | None]]") -> None:
        """Adds what was told apart of executions that ended before; in a new window it waits for the next of them."""
        waiting = self._early
        waiting += map(call, repeat(queue.popleft, len(queue)))
        if not waiting:
            return
        early: list[tuple[str, Pattern, int, int, Scope | None]] = []
        counted: Pattern | None = None
        at = within = counters = None
        rest = iter(waiting)
        try:
            for spent in rest:
                target, pattern, phase, spent_ns, scope = spent
                if pattern is not counted or target is not at or scope is not within:
                    label = None if scope is None else scope.label
                    is_named = scope is None or label is not None
                    label = label and self.scopes.told_apart(label)
                    counters = self.table.find(label, target, pattern) if is_named else None
                    counted, at, within = pattern, target, scope
                if counters is None:
                    early += (spent,)
                else:
                    counters.phases[phase] += spent_ns
        finally:
            waiting[:] = [*early, *rest]
        del waiting[:-_EARLY_LIMIT]

    def end(self, ended: "deque[tuple[Scope, int]]") -> None:
        """Counts the end of a unit of work, the first in the queue, which lasted so many nanoseconds."""
        scope, duration_ns = ended[0]
        try:
            label = scope.label or scope.find_label(is_last=True)
            self.scopes.end(scope, label or OTHER_SCOPES, duration_ns)
        except BaseException as error:  # as for executions
            if self._is_of_host(error, 1):
                raise
        finally:
            del ended[0]


def _in_full(streak: Streak, executions: Iterable[Execution]) -> list[Execution]:
    target, pattern, scope = streak.target, streak.pattern, streak.scope
    return [
        (target, pattern, started_ns, duration_ns, rows, OK, None, site, streak, None, scope, None, None)
        for _, started_ns, duration_ns, rows, site in executions
    ]


def _start_of(execution: Execution) -> int:
    return int(execution[1 if isinstance(execution[1], int) else 2])  # told of in short, or in full


def _end_of(kept: _Kept) -> int:
    started_ns, _, _, execution = kept
    return started_ns + int(execution[_DURATION])
