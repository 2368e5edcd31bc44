"""
Statements of asyncpg connections: comes in, what a connection hands to its protocol; goes out, one `record` each.

Every statement of a connection, whichever method of the application's it came from, passes through some methods of the
connection's protocol *instance*, so these are replaced there: prepared statements, cursors and COPY included, and what
was prepared before. A connection itself stays as it is; who holds one holds asyncpg's own.

What asyncpg prepares for a statement that is executed at once belongs to its duration. A cursor is one execution, from
its opening until it is exhausted, closed or lost with its transaction, and takes the time that was spent in asyncpg,
not what the application does between two fetches.

What SQLAlchemy sends through such a connection is counted where SQLAlchemy sends it. Here only its phases are told
apart, which nobody above can see. Deliberately not here: totals, and the pool.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from weakref import finalize, ref

from querygauge.capture.guard import Guard
from querygauge.capture.loop_lag import NOTICED_NS, LoopLag, with_lag
from querygauge.capture.scope import CURRENT, current_scope, streak_of
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.checkout import CANCELLED_PATTERN, LAST_PATTERN, PHASES, RUNNING, Checkout
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.protocols import QueryLedger, Record
from querygauge.values import BEGIN, CANCELLED, FETCH, OK, PREPARE, STREAM, Pattern
from querygauge.values import PHASES as ALL_PHASES
from querygauge.values.plain import plain

__all__ = ["ConnectionStatements", "IsCounted"]

_DIALECT: Final = "postgresql"
_UNKNOWN_ROWS: Final = -1
_MET_LIMIT: Final = 10_000  # patterns; of those beyond it the line is looked for each time
_MOVES: Final = "MOVE FORWARD "
_BEGINS: Final = "BEGIN"

IsCounted = Callable[[str], bool]
"""Whether somebody above counts a statement that is about to be sent."""

_Original = Any  # the bound method that a replacement stands for


@dataclass(slots=True)
class _Execution:
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


class _Session:
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
        self.cursors: dict[str, _Execution] = {}


_Begin = Callable[..., _Execution | None]
_End = Callable[[_Session, _Execution, Any], None]


class ConnectionStatements:
    """The attachment to the connections of one target."""

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
        always_find: bool = False,
        keep_literals: bool = False,
    ) -> None:
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
        self._met: set[str] = set()  # ids of patterns whose line was looked for
        self._always_find = always_find
        self._keep_literals = keep_literals
        self._wraps: list[Wraps] = []

    def attach(self, connection: Any, key: int | None = None, is_counted: IsCounted | None = None) -> None:
        """
        Replaces the methods of a connection's protocol.

        Args:
            connection: An `asyncpg.Connection`.
            key: What it is held under while it is checked out; by default its id.
            is_counted: Tells what somebody above counts already.
        """
        protocol = connection._protocol  # noqa: SLF001  # no other way leads to all statements
        session = _Session(protocol, id(connection) if key is None else key, is_counted)
        self._wraps = [wraps for wraps in self._wraps if not wraps.is_orphaned]
        wraps = Wraps(protocol)
        try:
            for name, begin, end in (
                ("prepare", self._begin_prepare, self._end_prepare),
                ("bind_execute_many", self._begin_batch, self._end_batch),
                ("bind", self._begin_execution, self._end_bind),
                ("execute", self._begin_fetch, self._end_fetch),
                ("query", self._begin_query, self._end_query),
                ("copy_in", self._begin_query, self._end_copy),
                ("copy_out", self._begin_query, self._end_copy),
            ):
                wraps.replace(name, partial(self._timed, session=session, begin=begin, end=end))
            wraps.replace("bind_execute", partial(self._timed_execution, session=session))
            wraps.replace("close_portal", partial(self._noted_close, session=session))
            self._wraps.append(wraps)
        except BaseException:
            wraps.restore()
            raise
        # A replacement holds the protocol that holds it. Who drops a connection must not need the garbage collector
        # to be rid of both.
        finalize(connection, _let_go, wraps, ref(self._guard)).atexit = False

    def detach(self) -> None:
        """Restores what `attach` found."""
        while self._wraps:
            self._wraps.pop().restore()

    def pattern_of(self, statement: str, _context: object) -> Pattern:
        """The pattern of a statement as it is sent; as that of `sqlalchemy_engine`, of which nothing more is known."""
        return self._patterns.pattern_for(statement)

    def _timed(
        self, original: _Original, is_off: list[bool], session: _Session, begin: _Begin, end: _End
    ) -> Replacement:
        """Wraps one method: `begin` tells what it is about to execute, `end` what has become of it."""
        now, guard = time.perf_counter_ns, self._guard

        async def timed(*arguments: Any, **keywords: Any) -> Any:
            execution = None
            if not is_off:
                try:
                    execution = begin(session, *arguments, **keywords)
                except Exception as error:  # noqa: BLE001  # the host must not notice
                    guard.caught("statement", error)
            if execution is None:
                return await original(*arguments, **keywords)
            started = now()
            try:
                result = await original(*arguments, **keywords)
            except BaseException as error:
                execution.duration_ns += now() - started
                self._failed(session, execution, error)
                raise
            try:
                execution.duration_ns += now() - started
                end(session, execution, result)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught("statement", error)
            return result

        return timed

    def _timed_execution(  # noqa: C901  # see below
        self, original: _Original, is_off: list[bool], session: _Session
    ) -> Replacement:
        """Wraps what executes a prepared statement and fetches all of its rows."""
        # Most of what a connection does passes here, so what most executions have in common stands in one body; the
        # others, to which anything is special, go the way of all methods. Each call costs 0.2 µs.
        now, guard, find, key, target = time.perf_counter_ns, self._guard, self._find, session.key, self._target
        pattern_for, holder_at, met, scope_now = self._patterns.pattern_for, self._held.get, self._met, CURRENT.get
        queue, unusual_ns, fold_at, fold, _ = self._ledger
        append = queue.append
        unusual_ns = 0 if self._always_find else min(unusual_ns, NOTICED_NS)
        in_full = self._timed(original, is_off, session, self._begin_execution, self._end_execution)
        counted_above = self._is_counted_above

        async def bind_execute(state: Any, args: Any, portal_name: str, *rest: Any, **keywords: Any) -> Any:  # noqa: C901, PLR0912
            if is_off or portal_name or session.prepared is not None or session.is_counted is not None:
                if not portal_name and session.prepared is None and counted_above(session, state.query):
                    return await original(state, args, portal_name, *rest, **keywords)
                return await in_full(state, args, portal_name, *rest, **keywords)
            query, started = state.query, now()
            checkout = holder_at(key)
            if checkout is not None:
                checkout[RUNNING] = (started, query)
            try:
                result = await original(state, args, portal_name, *rest, **keywords)
            except BaseException as error:
                self._failed_at_once(session, query, args, started, state, error)
                raise
            try:
                elapsed = now() - started
                pattern = pattern_for(query)
                rows = result[0] if result.__class__ is tuple else result
                count = len(rows) if rows else _rows_of(result, state)
                if elapsed >= unusual_ns or pattern.id not in met:
                    execution = _Execution(query, args, started, state, duration_ns=elapsed, rows=count)
                    self._ended(session, execution)
                    return result
                phases = None
                if checkout is not None:
                    checkout[RUNNING] = checkout[CANCELLED_PATTERN] = None
                    checkout[LAST_PATTERN] = pattern
                    phases, checkout[PHASES] = checkout[PHASES], None
                scope = scope_now()
                if scope is not None and scope.is_over:
                    scope = None
                streak = streak_of(scope, checkout, target, pattern, started, elapsed)
                site = None
                if streak is not None:
                    if streak.count >= streak.due:  # as Streak.is_due
                        streak.look_at(find(), pattern, started, elapsed, count, query, args)
                    site = streak.call_site
                if streak is not None and phases is None:
                    append((streak, started, elapsed, count, site))
                else:
                    append(
                        (target, pattern, started, elapsed, count, OK, None, site, streak, None, scope, None, phases)
                    )
                if len(queue) >= fold_at:
                    fold(started + elapsed)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught("statement", error)
            return result

        return bind_execute

    def _noted_close(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def close_portal(portal_name: str, *rest: Any, **keywords: Any) -> Any:
            if not is_off:
                self._closed(session, portal_name)
            return await original(portal_name, *rest, **keywords)

        return close_portal

    def _is_counted_above(self, session: _Session, query: str) -> bool:
        try:
            return session.is_counted is not None and session.is_counted(query)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("statement", error)
            return True

    def _begun(self, session: _Session, query: str, arguments: Any) -> _Execution:
        execution = _Execution(query, arguments, time.perf_counter_ns())
        if self._is_counted_above(session, query):
            execution.is_counted = True
            return execution
        checkout = self._held.get(session.key)
        if checkout is not None:
            checkout[RUNNING] = (execution.started_ns, query)
        return execution

    def _begin_prepare(self, session: _Session, _: str, query: str, *__: Any, **___: Any) -> _Execution:
        return self._begun(session, query, None)

    def _end_prepare(self, session: _Session, execution: _Execution, state: Any) -> None:
        if execution.is_counted:
            self._add_phase(session, PREPARE, execution.duration_ns)
            return
        session.prepared = state, execution.duration_ns
        checkout = self._held.get(session.key)
        if checkout is not None:
            checkout[RUNNING] = None

    def _begin_batch(self, session: _Session, state: Any, *_: Any, **__: Any) -> _Execution:
        # The sets of parameters may be an iterator, which is the driver's to exhaust.
        return self._begin_execution(session, state, None, "")

    def _begin_execution(
        self, session: _Session, state: Any, args: Any, portal_name: str, *_: Any, **__: Any
    ) -> _Execution:
        execution = self._begun(session, state.query, args)
        execution.state, execution.portal = state, portal_name
        prepared, session.prepared = session.prepared, None
        if prepared is not None and prepared[0] is state:
            # It was prepared for this execution, and counts as part of it.
            execution.prepare_ns = execution.duration_ns = prepared[1]
            execution.started_ns -= prepared[1]
        return execution

    def _end_execution(self, session: _Session, execution: _Execution, result: Any) -> None:
        if execution.portal:
            self._opened(session, execution)
            self._fetched(session, execution, result)
        else:
            execution.rows = _rows_of(result, execution.state)
            self._ended(session, execution)

    def _end_batch(self, session: _Session, execution: _Execution, result: Any) -> None:
        execution.rows = len(result) if isinstance(result, list) else _UNKNOWN_ROWS
        self._ended(session, execution, is_batch=True)

    def _end_bind(self, session: _Session, execution: _Execution, _: Any) -> None:
        self._opened(session, execution)

    def _opened(self, session: _Session, execution: _Execution) -> None:
        """A cursor is open, and waits for somebody to fetch its rows."""
        session.cursors[execution.portal] = execution
        if not execution.is_counted:
            self._note(session, None)

    def _note(self, session: _Session, running: tuple[int, str] | None) -> None:
        """Tells the checkout what a cursor has under way."""
        checkout = self._held.get(session.key)
        if checkout is not None:
            checkout[RUNNING] = running

    def _begin_fetch(self, session: _Session, _: Any, portal_name: str, *__: Any, **___: Any) -> _Execution | None:
        execution = session.cursors.get(portal_name)
        if execution is not None:
            execution.fetch_ns -= execution.duration_ns  # until it is known what this fetch adds
            # Nobody above knows of fetches. It is as old as what all of them have taken.
            self._note(session, (time.perf_counter_ns() - execution.duration_ns, execution.query))
        return execution

    def _end_fetch(self, session: _Session, execution: _Execution, result: Any) -> None:
        execution.fetch_ns += execution.duration_ns
        self._note(session, None)
        self._fetched(session, execution, result)

    def _fetched(self, session: _Session, execution: _Execution, result: Any) -> None:
        rows, _, is_last = result
        execution.rows += len(rows)
        if is_last:
            self._closed(session, execution.portal)

    def _begin_query(self, session: _Session, query: str, *_: Any, **__: Any) -> _Execution | None:
        execution = self._begun(session, query, ())
        # Of what is counted above only a BEGIN is news here, and what ends cursors.
        is_news = not execution.is_counted or session.cursors or query.startswith(_BEGINS)
        return execution if is_news else None

    def _end_query(self, session: _Session, execution: _Execution, result: Any) -> None:
        query = execution.query
        moved = session.cursors.get(query.rpartition(" ")[2]) if session.cursors and query[:13] == _MOVES else None
        if moved is not None:
            moved.duration_ns += execution.duration_ns
            moved.fetch_ns += execution.duration_ns
            self._note(session, None)
            return
        if execution.is_counted:
            if query.startswith(_BEGINS):
                self._add_phase(session, BEGIN, execution.duration_ns)
        else:
            execution.rows = _rows_told_by(result)
            self._ended(session, execution)
        if session.cursors and not session.protocol.is_in_transaction():
            for portal_name in tuple(session.cursors):
                self._closed(session, portal_name)

    def _end_copy(self, session: _Session, execution: _Execution, result: Any) -> None:
        execution.rows = _rows_told_by(result)
        self._ended(session, execution, is_batch=True)

    def _add_phase(self, session: _Session, phase: int, nanoseconds: int) -> None:
        """Keeps what a phase took for whoever counts the statement, and takes it from the checkout."""
        checkout = self._held.get(session.key)
        if checkout is not None:
            phases = list(checkout[PHASES] or ())
            phases += [0] * (len(ALL_PHASES) - len(phases))
            phases[phase] += nanoseconds
            checkout[PHASES] = phases

    def _closed(self, session: _Session, portal_name: str) -> None:
        """A cursor is exhausted, closed, or gone with its transaction; one that is known to be ended is ignored."""
        try:
            execution = session.cursors.pop(portal_name, None)
            if execution is not None:
                self._ended(session, execution)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("cursor", error)

    def _ended(self, session: _Session, execution: _Execution, *, is_batch: bool = False) -> None:
        if execution.is_counted:
            self._ended_above(execution)
            return
        pattern = self._patterns.pattern_for(execution.query)
        started, elapsed = execution.started_ns, execution.duration_ns
        checkout = self._held.get(session.key)
        phases = self._lagged(self._taken_over(checkout, pattern, execution), execution)
        scope = current_scope()
        # A batch is one operation, so it repeats nothing.
        streak = None if is_batch else streak_of(scope, checkout, self._target, pattern, started, elapsed)
        is_slow = elapsed >= self._slow_ns
        is_new = pattern.id not in self._met
        if is_new and len(self._met) < _MET_LIMIT:
            self._met.add(pattern.id)
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

    def _ended_above(self, execution: _Execution) -> None:
        """Somebody above counted the execution, a cursor when it was opened; only what its rows took since is news."""
        if execution.fetch_ns > 0:
            pattern = self._patterns.pattern_for(execution.query)
            self._ledger.phases.append((self._target, pattern, STREAM, execution.fetch_ns, current_scope()))

    def _taken_over(self, checkout: Checkout | None, pattern: Pattern, execution: _Execution) -> Sequence[int] | None:
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

    def _lagged(self, phases: Sequence[int] | None, execution: _Execution) -> Sequence[int] | None:
        # A cursor's fetches lie apart in time, and what blocks the loop between them is none of theirs.
        lag = None if execution.portal else self._lag
        return with_lag(phases, lag, execution.started_ns, execution.duration_ns)

    def _failed_at_once(
        self, session: _Session, query: str, arguments: Any, started: int, state: Any, error: BaseException
    ) -> None:
        elapsed = time.perf_counter_ns() - started
        try:
            execution = _Execution(query, arguments, started, state, duration_ns=elapsed)
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self._guard.caught("failure", own)
            return
        self._failed(session, execution, error)

    def _failed(self, session: _Session, execution: _Execution, error: BaseException) -> None:
        try:
            was_open = session.cursors.pop(execution.portal, None) is not None
            if execution.is_counted:
                if was_open:
                    self._note(session, None)
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
                pattern, execution.started_ns, elapsed, _UNKNOWN_ROWS, outcome, failure, self._find(), None, literals,
                current_scope(), phases,
            )  # fmt: skip
            if elapsed >= self._slow_ns:
                self._wake()
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self._guard.caught("failure", own)

    def _literals_of(self, execution: _Execution) -> tuple[str, Any] | None:
        return (execution.query, plain(execution.arguments)) if self._keep_literals else None


def _let_go(wraps: Wraps, guard_of: ref[Guard]) -> None:
    """Restores what was replaced on a connection that is gone."""
    try:
        wraps.restore()
    except Exception as error:  # noqa: BLE001  # Python would tell the host of it
        guard = guard_of()
        if guard is not None:
            guard.caught("let go", error)


def _rows_of(result: Any, state: Any) -> int:
    """Rows returned; those affected where there is none to return, if the driver was asked for the status."""
    rows, status, _ = result if isinstance(result, tuple) else (result, None, True)
    return len(rows) if rows or _returns_rows(state) else _rows_told_by(status)


def _returns_rows(state: Any) -> bool:
    try:
        return bool(state._get_attributes())  # noqa: SLF001
    except Exception:  # noqa: BLE001  # asyncpg has forgotten the type of a column, so there is one
        return True


def _rows_told_by(status: Any) -> int:
    """The rows in a status such as `INSERT 0 5`; unknown where it names none."""
    text = status.decode() if isinstance(status, bytes) else status
    last = text.rpartition(" ")[2] if isinstance(text, str) else ""
    return int(last) if last.isdecimal() else _UNKNOWN_ROWS
