"""
What becomes of an execution on an asyncpg connection: in goes one that has ended or failed, out comes one `record`.

Deliberately not here: the connection's methods, and when an execution begins and ends; `asyncpg_connection` has both.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from querygauge.capture.guard import Guard
from querygauge.capture.loop_lag import LoopLag, with_lag
from querygauge.capture.scope import changed, current_scope, streak_of
from querygauge.checkout import CANCELLED_PATTERN, LAST_PATTERN, PHASES, RUNNING, Checkout
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.protocols import QueryLedger, Record
from querygauge.values import CANCELLED, FETCH, OK, PREPARE, STREAM, Pattern
from querygauge.values import PHASES as ALL_PHASES
from querygauge.values.plain import plain

__all__ = ["UNKNOWN_ROWS", "Execution", "Executions", "IsCounted", "Session", "rows_of", "rows_told_by"]

_DIALECT: Final = "postgresql"
UNKNOWN_ROWS: Final = -1
_MET_LIMIT: Final = 10_000  # patterns; of those beyond it the line is looked for each time

IsCounted = Callable[[str], bool]
"""Whether somebody above counts a statement that is about to be sent."""


@dataclass(slots=True)
class Execution:
    """
    One execution, or what a cursor's fetches have added up to.

    Attributes:
        portal: Name of its cursor's portal; empty if it is none.
        is_counted: Whether somebody above counts it.
    """

    query: str
    arguments: Any
    started_ns: int
    state: Any = None
    portal: str = ""
    is_counted: bool = False
    duration_ns: int = 0
    prepare_ns: int = 0
    fetch_ns: int = 0
    rows: int = 0


class Session:
    """
    What is under way on one connection.

    Attributes:
        protocol: Its protocol.
        key: What the connection is held under while it is checked out.
        is_counted: Whether somebody above counts a statement; None if nobody ever does.
        prepared: What was prepared last and not executed yet, and how long that took.
        cursors: The open ones, by the name of their portal.
    """

    __slots__ = ("cursors", "is_counted", "key", "prepared", "protocol")

    def __init__(self, protocol: Any, key: int, is_counted: IsCounted | None) -> None:
        self.protocol = protocol
        self.key = key
        self.is_counted = is_counted
        self.prepared: tuple[Any, int] | None = None
        self.cursors: dict[str, Execution] = {}


class Executions:
    """
    Those of the connections of one target.

    Attributes:
        met: Ids of patterns whose line was looked for.
    """

    def __init__(
        self,
        target: str,
        *,
        record: Record,
        ledger: QueryLedger,
        patterns: PatternCache,
        find_call_site: Callable[[], str | None],
        held: Mapping[Any, Checkout],
        wake: Callable[[], None],
        slow_ns: int,
        guard: Guard,
        lag: LoopLag | None,
        always_find: bool,
        keep_literals: bool,
    ) -> None:
        self.met: set[str] = set()
        self._target = target
        self._record = record
        self._ledger = ledger
        self._patterns = patterns
        self._find = find_call_site
        self._held = held
        self._wake = wake
        self._slow_ns = slow_ns
        self._guard = guard
        self._lag = lag
        self._always_find = always_find
        self._keep_literals = keep_literals

    def ended(self, session: Session, execution: Execution, *, is_batch: bool = False) -> None:
        """Records an execution that ended well, unless somebody above counts it."""
        if execution.is_counted:
            self._ended_above(execution)
            return
        pattern = self._patterns.pattern_for(execution.query)
        started, elapsed = execution.started_ns, execution.duration_ns
        checkout = self._held.get(session.key)
        phases = self._lagged(self._taken_over(checkout, pattern, execution), execution)
        scope = current_scope()
        streak = None
        if is_batch:  # one operation, so it repeats nothing
            changed(scope, checkout, self._target, pattern, started)
        else:
            streak = streak_of(scope, checkout, self._target, pattern, started, elapsed)
        is_slow = elapsed >= self._slow_ns
        is_new = pattern.id not in self.met
        if is_new and len(self.met) < _MET_LIMIT:
            self.met.add(pattern.id)
        # Of every pattern one line is known.
        site = None if streak is None else streak.call_site
        if is_slow or is_new or self._always_find or (streak is not None and streak.is_due):
            site = self._find()
            if streak is not None:
                streak.look_at(site, pattern, started, elapsed, execution.rows, execution.query, execution.arguments)
        literals = self._literals_of(execution) if is_slow else None
        self._record(pattern, started, elapsed, execution.rows, OK, None, site, streak, literals, scope, phases)
        if is_slow:
            self._wake()

    def note(self, session: Session, running: tuple[int, str] | None) -> None:
        """Tells the checkout of a connection what it has under way: start in nanoseconds and text."""
        checkout = self._held.get(session.key)
        if checkout is not None:
            checkout[RUNNING] = running

    def _ended_above(self, execution: Execution) -> None:
        """Somebody above counted the execution, a cursor when it was opened; only what its rows took since is news."""
        if execution.fetch_ns > 0:
            pattern = self._patterns.pattern_for(execution.query)
            self._ledger.phases.append((self._target, pattern, STREAM, execution.fetch_ns, current_scope()))

    def _taken_over(self, checkout: Checkout | None, pattern: Pattern, execution: Execution) -> Sequence[int] | None:
        """The phases of an execution that has ended, those included that its checkout kept for it."""
        before: Sequence[int] = ()
        if checkout is not None:
            checkout[RUNNING] = checkout[CANCELLED_PATTERN] = None
            checkout[LAST_PATTERN] = pattern
            before, checkout[PHASES] = checkout[PHASES] or (), None
        if not (execution.prepare_ns or execution.fetch_ns):
            return before or None
        phases = [*before, *[0] * (len(ALL_PHASES) - len(before))]
        phases[PREPARE] += execution.prepare_ns
        phases[FETCH] += execution.fetch_ns
        return phases

    def _lagged(self, phases: Sequence[int] | None, execution: Execution) -> Sequence[int] | None:
        # A cursor's fetches lie apart in time, and what blocks the loop between them is none of theirs.
        lag = None if execution.portal else self._lag
        return with_lag(phases, lag, execution.started_ns, execution.duration_ns)

    def failed_at_once(
        self, session: Session, query: str, arguments: Any, started: int, state: Any, error: BaseException
    ) -> None:
        """As `failed`, for one of which nothing was noted when it began."""
        elapsed = time.perf_counter_ns() - started
        try:
            execution = Execution(query, arguments, started, state, duration_ns=elapsed)
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self._guard.caught("failure", own)
            return
        self.failed(session, execution, error)

    def failed(self, session: Session, execution: Execution, error: BaseException) -> None:
        """Records an execution that failed, unless somebody above counts it; does not raise."""
        try:
            was_open = session.cursors.pop(execution.portal, None) is not None
            if execution.is_counted:
                if was_open:
                    self.note(session, None)
                return
            if was_open:
                execution.fetch_ns += execution.duration_ns
                execution.started_ns = time.perf_counter_ns() - execution.duration_ns
            elapsed = execution.duration_ns
            pattern = self._patterns.pattern_for(execution.query)
            outcome, failure = failure_of(error, _DIALECT, pattern_text=pattern.text)
            checkout = self._held.get(session.key)
            phases = self._lagged(self._taken_over(checkout, pattern, execution), execution)
            if checkout is not None and outcome == CANCELLED:
                checkout[CANCELLED_PATTERN] = pattern
            literals = self._literals_of(execution) if elapsed >= self._slow_ns else None
            # What failed goes on with no streak: its caller stops, or tries again on purpose.
            self._record(
                pattern, execution.started_ns, elapsed, UNKNOWN_ROWS, outcome, failure, self._find(), None, literals,
                current_scope(), phases,
            )  # fmt: skip
            if elapsed >= self._slow_ns:
                self._wake()
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self._guard.caught("failure", own)

    def _literals_of(self, execution: Execution) -> tuple[str, Any] | None:
        return (execution.query, plain(execution.arguments)) if self._keep_literals else None


def rows_of(result: Any, state: Any) -> int:
    """Rows returned; those affected where there is none to return, if the driver was asked for the status."""
    rows, status, _ = result if isinstance(result, tuple) else (result, None, True)
    return len(rows) if rows or _returns_rows(state) else rows_told_by(status)


def _returns_rows(state: Any) -> bool:
    try:
        return bool(state._get_attributes())  # noqa: SLF001
    except Exception:  # noqa: BLE001  # asyncpg has forgotten the type of a column, so there is one
        return True


def rows_told_by(status: Any) -> int:
    """The rows in a status such as `INSERT 0 5`; unknown where it names none."""
    text = status.decode() if isinstance(status, bytes) else status
    last = text.rpartition(" ")[2] if isinstance(text, str) else ""
    return int(last) if last.isdecimal() else UNKNOWN_ROWS
