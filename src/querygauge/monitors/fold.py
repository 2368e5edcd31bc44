"""
What capture queued to counters: by pattern, target and scope, by unit of work, and by repetition.

In go executions as the queue has them, phases that were told apart later, and the ends of units; out come the tables
that the recorder reads. All executions of the host pass through here, so it adds up whatever is alike before it counts.
Deliberately not here: the queues' bounds, the lock and the clock, all of which the recorder has.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from querygauge.interruptions import is_of_signal_handler
from querygauge.monitors import query_table, repetition, scope_table
from querygauge.monitors.kept_executions import KeptExecutions
from querygauge.monitors.query_table import UNSETTLED, Counters
from querygauge.monitors.scope_table import UnitCounts
from querygauge.protocols import Scope, Streak
from querygauge.settings import Settings
from querygauge.values import CONNECT, LOOP_LAG, OK, OTHER_SCOPES, POOL_WAIT, Pattern

__all__ = ["Execution", "Fold", "Moment"]

Execution = tuple[Any, ...]
"""As `protocols.QueryLedger` says: target and the rest; or streak, start, duration, rows and line."""
_Kept = tuple[int, str | None, int, Execution]
"""Start, name of the scope, nanoseconds of it that are the event loop's, and the execution."""

_ROW: Final = 4  # executions of a streak from which adding them up takes less than counting each
_DURATION: Final = 3  # its place in an execution
# So long an execution waits for the name of its scope: a web framework looks for the route after its first middlewares.
_NAMELESS_NS: Final = 100_000_000
_EARLY_LIMIT: Final = 256  # phases that wait for an execution of their pattern; beyond it the oldest are given up
_NS_PER_US: Final = 1_000


class _NotNamedYetError(Exception):
    """The name of an execution's scope is not known yet, so that the next fold has to count it."""


class Moment:
    """
    When a fold takes place.

    Attributes:
        monotonic_ns: On the clock that executions are timed by.
        offset_us: What that lacks, in microseconds, to the epoch.
        is_last: Whether nobody folds again, so that nothing may wait for the name of its scope.
    """

    __slots__ = ("is_last", "monotonic_ns", "offset_us")

    def __init__(self, monotonic_ns: int, now_us: int, *, is_last: bool) -> None:
        self.monotonic_ns = monotonic_ns
        self.offset_us = now_us - monotonic_ns // _NS_PER_US
        self.is_last = is_last


class Fold:
    """
    Adds up what is handed in; whoever holds it serialises the calls.

    Attributes:
        table: Counters by pattern, target and scope.
        scopes: Counters by scope.
        repetitions: What was found to repeat.
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
        self._left: list[Execution] = []  # to the next fold
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._left.clear()
        self.table.clear()
        self.scopes.clear()
        self.repetitions.clear()
        self.kept.clear()
        self.errors = self.interrupted = 0

    def count(self, queue: "deque[Execution]", moment: Moment) -> int:
        """
        Counts what is in the queue; what is appended meanwhile is left, or a busy host would keep this for ever.

        Returns:
            How many there were.
        """
        take, waiting = queue.popleft, len(queue)
        # By target, or by streak.
        together: defaultdict[str | Streak, list[Execution]] = defaultdict(list)
        kept: list[_Kept] = []
        left, self._left = self._left, []
        try:
            for execution in left:
                together[execution[0]].append(execution)
            for _ in range(waiting):
                execution = take()
                together[execution[0]].append(execution)
            for place, executions in together.items():
                if isinstance(place, str):
                    self._count_singly(executions, kept, moment)
                elif len(executions) < _ROW:
                    executions[:] = _in_full(place, executions)
                    self._count_singly(executions, kept, moment)
                else:
                    self._count_row(place, executions, moment)
        finally:
            # An exception of a signal handler of the host's leaves the rest to the next fold.
            self._left += [execution for executions in together.values() for execution in executions]
            for started_ns, name, lag_ns, execution in sorted(kept, key=_end_of):
                self.kept.keep(moment.offset_us + started_ns // _NS_PER_US, name, lag_ns, *execution)
        return waiting

    def _count_row(self, streak: Streak, executions: list[Execution], moment: Moment) -> None:
        """Counts executions of a streak together, and empties the list; leaves it if its scope has no name yet."""
        _, starts, durations, rows, sites = zip(*executions, strict=True)
        target, pattern, scope, times = streak.target, streak.pattern, streak.scope, len(executions)
        try:
            counts = None if scope is None else self._counts_of(scope, starts[-1] + durations[-1], moment)
            counters = self._counters_of(counts, target, pattern, starts[0], durations[0])
            executions.clear()
            counters.add_row(starts, durations, rows)
            name, unit_key = None, counters.unit_key
            if counts is not None:
                name = counts.scope.name
                counts.executions += times
                counts.duration_ns += sum(durations)
                counts.repeated += times if unit_key is not None else 0
            for site in dict.fromkeys(sites):
                took: Sequence[int] = durations
                if sites.count(site) != times:
                    took = [duration for duration, line in zip(durations, sites, strict=True) if line == site]
                if site is not None:
                    counters.add_line(site, len(took))
                if unit_key is not None:
                    self.repetitions.add(target, pattern, site, streak, unit_key, name, len(took), sum(took))
        except _NotNamedYetError:
            return
        except BaseException as error:  # as for executions that are counted one by one
            if not isinstance(error, Exception) or is_of_signal_handler(error):
                self.interrupted += times - len(executions)  # those still in the list are left to the next fold
                raise
            executions.clear()
            self.errors += times

    def _count_singly(  # noqa: C901, PLR0912, PLR0915  # see below
        self, executions: list[Execution], kept: list["_Kept"], moment: Moment
    ) -> None:
        """
        Counts executions one by one.

        Args:
            executions: All on one target; what waits for the name of its scope is left in the list.
            kept: Takes those that are to be kept.
            moment: When.
        """
        # In one body and over local names: of most applications, most executions pass here.
        slow_ns, kept_ns = self._slow_ns, self.kept.from_ns
        repeat, window_key, outside = self.repetitions.add, self.scopes.window_key, self.table.windows[None]
        running: Scope | None = None
        counts: UnitCounts | None = None
        name: str | None = None
        window = outside
        counted: Pattern | None = None
        unnamed: list[Execution] = []
        rest = iter(executions)
        try:
            for execution in rest:
                try:
                    target, pattern, started_ns, duration_ns, rows, outcome, _, site, unit, _, scope, _, phases = (
                        execution
                    )
                    if scope is not running:
                        if scope is None:
                            counts, name, window = None, None, outside
                        else:
                            counts = scope.tallies.get(window_key) or self._counts_of(
                                scope, started_ns + duration_ns, moment
                            )
                            name, window = counts.scope.name, counts.scope.patterns
                        running, counted = scope, None
                    if pattern is not counted:
                        counters = window.get((target, pattern.id)) or self._counters_of(
                            counts, target, pattern, started_ns, duration_ns
                        )
                        durations = counters.durations
                        if len(durations) >= UNSETTLED:
                            counters.settle()
                        counted = pattern
                    durations.append(duration_ns)
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
                        counts.executions += 1
                        counts.duration_ns += duration_ns
                    if duration_ns >= kept_ns:
                        # A query that waited for a blocked event loop is not slow for that.
                        lag_ns = phases[LOOP_LAG] if phases is not None and len(phases) > LOOP_LAG else 0
                        if duration_ns - lag_ns >= kept_ns:
                            counters.slow += duration_ns - lag_ns >= slow_ns
                            kept.append((started_ns, name, lag_ns, execution))
                    if phases is not None:
                        if len(phases) == 2:  # noqa: PLR2004  # of most checkouts, what came before
                            counters.phases[POOL_WAIT] += phases[POOL_WAIT]
                            counters.phases[CONNECT] += phases[CONNECT]
                        else:
                            counters.add_phases(phases)
                    if site is not None:
                        counters.add_line(site, 1)
                    if unit is not None and counters.unit_key is not None:
                        if counts is not None:
                            counts.repeated += 1
                        repeat(target, pattern, site, unit, counters.unit_key, name, 1, duration_ns)
                except _NotNamedYetError:
                    unnamed.append(execution)
                except Exception as error:  # one malformed record must neither stop the others nor reach the query
                    if is_of_signal_handler(error):
                        self.interrupted += 1
                        raise
                    self.errors += 1
        finally:
            executions[:] = [*unnamed, *rest]

    def _counts_of(self, scope: Scope, ended_ns: int, moment: Moment) -> UnitCounts:
        """
        Where the executions of a unit of work are counted in this window.

        Raises:
            _NotNamedYetError: If its name may be known soon.
        """
        counts: UnitCounts | None = scope.tallies.get(self.scopes.window_key)
        if counts is not None:
            return counts
        label = scope.label or scope.find_label()
        if label is None:
            if not moment.is_last and moment.monotonic_ns - ended_ns <= _NAMELESS_NS:
                raise _NotNamedYetError
            label = scope.find_label(is_last=True) or OTHER_SCOPES
        return self.scopes.enter(scope, label)

    def _counters_of(
        self, counts: UnitCounts | None, target: str, pattern: Pattern, started_ns: int, duration_ns: int
    ) -> Counters:
        label = None if counts is None else counts.scope.label
        window = self.table.windows[None] if counts is None else counts.scope.patterns
        return window.get((target, pattern.id)) or self.table.open(label, target, pattern, started_ns, duration_ns)

    def add_phases(self, queue: "deque[tuple[str, Pattern, int, int, Scope | None]]") -> None:
        """Adds what was told apart of executions that ended before; in a new window it waits for the next of them."""
        take, early = queue.popleft, []
        counted: Pattern | None = None
        at = within = counters = None
        for _ in range(len(queue)):
            target, pattern, phase, spent_ns, scope = spent = take()
            if pattern is not counted or target is not at or scope is not within:
                label = None if scope is None else scope.label
                counters = self.table.find(label and self.scopes.told_apart(label), target, pattern)
                counted, at, within = pattern, target, scope
            if counters is None:
                early.append(spent)
            else:
                counters.phases[phase] += spent_ns
        queue.extend(early[-_EARLY_LIMIT:])

    def end(self, scope: Scope, duration_ns: int) -> None:
        """Counts the end of a unit of work that lasted so long."""
        try:
            label = scope.label or scope.find_label(is_last=True)
            self.scopes.end(scope, label or OTHER_SCOPES, duration_ns)
        except Exception as error:  # as for executions
            if is_of_signal_handler(error):
                self.interrupted += 1
                raise
            self.errors += 1


def _in_full(streak: Streak, executions: Iterable[Execution]) -> list[Execution]:
    target, pattern, scope = streak.target, streak.pattern, streak.scope
    return [
        (target, pattern, started_ns, duration_ns, rows, OK, None, site, streak, None, scope, None, None)
        for _, started_ns, duration_ns, rows, site in executions
    ]


def _end_of(kept: _Kept) -> int:
    started_ns, _, _, execution = kept
    return started_ns + int(execution[_DURATION])
