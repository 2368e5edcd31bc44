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
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from weakref import finalize, ref

from querygauge.capture.asyncpg_executions import (
    UNKNOWN_ROWS,
    Execution,
    Executions,
    IsCounted,
    Session,
    rows_of,
    rows_told_by,
)
from querygauge.capture.guard import Guard
from querygauge.capture.loop_lag import NOTICED_NS, LoopLag
from querygauge.capture.scope import CURRENT, IN_SHORT_FROM, streak_of
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.checkout import CANCELLED_PATTERN, LAST_PATTERN, PHASES, RUNNING, Checkout
from querygauge.patterns.cache import PatternCache
from querygauge.protocols import QueryLedger, Record
from querygauge.values import BEGIN, OK, PREPARE, Pattern
from querygauge.values import PHASES as ALL_PHASES

__all__ = ["ConnectionStatements"]

_MOVES: Final = "MOVE FORWARD "
_BEGINS: Final = "BEGIN"

_Original = Any  # the bound method that a replacement stands for


_Begin = Callable[..., Execution | None]
_End = Callable[[Session, Execution, Any], None]


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
        told_ns: int,
        guard: Guard,
        lag: LoopLag | None,
        always_find: bool = False,
        keep_literals: bool = False,
    ) -> None:
        self._target = target
        self._ledger = ledger
        self._patterns = patterns
        self._find = find_call_site
        self._held = held
        self._guard = guard
        self._unusual_ns = 0 if always_find else min(ledger.unusual_ns, NOTICED_NS, told_ns)
        self._executions = Executions(
            target,
            record=record,
            ledger=ledger,
            patterns=patterns,
            find_call_site=find_call_site,
            held=held,
            wake=wake,
            slow_ns=slow_ns,
            guard=guard,
            lag=lag,
            always_find=always_find,
            keep_literals=keep_literals,
        )
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
        session = Session(protocol, id(connection) if key is None else key, is_counted)
        self._wraps = [wraps for wraps in self._wraps if wraps.owner is not None]
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
        self, original: _Original, is_off: list[bool], session: Session, begin: _Begin, end: _End
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
                self._executions.failed(session, execution, error)
                raise
            try:
                execution.duration_ns += now() - started
                end(session, execution, result)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught("statement", error)
            return result

        return timed

    def _timed_execution(  # noqa: C901  # see below
        self, original: _Original, is_off: list[bool], session: Session
    ) -> Replacement:
        """Wraps what executes a prepared statement and fetches all of its rows."""
        # Most of what a connection does passes here, so what most executions have in common stands in one body; the
        # others, to which anything is special, go the way of all methods. Each call costs 0.2 µs.
        now, guard, find, key, target = time.perf_counter_ns, self._guard, self._find, session.key, self._target
        pattern_for, holder_at, scope_now = self._patterns.pattern_for, self._held.get, CURRENT.get
        executions, met = self._executions, self._executions.met
        queue, _, fold_at, fold, _ = self._ledger
        append, unusual_ns = queue.append, self._unusual_ns
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
                executions.failed_at_once(session, query, args, started, state, error)
                raise
            try:
                elapsed = now() - started
                pattern = pattern_for(query)
                rows = result[0] if result.__class__ is tuple else result
                count = len(rows) if rows else rows_of(result, state)
                if elapsed >= unusual_ns or pattern.id not in met:
                    execution = Execution(query, args, started, state, duration_ns=elapsed, rows=count)
                    executions.ended(session, execution)
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
                if streak is not None and streak.count >= IN_SHORT_FROM and phases is None:
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

    def _noted_close(self, original: _Original, is_off: list[bool], session: Session) -> Replacement:
        async def close_portal(portal_name: str, *rest: Any, **keywords: Any) -> Any:
            if not is_off:
                self._closed(session, portal_name)
            return await original(portal_name, *rest, **keywords)

        return close_portal

    def _is_counted_above(self, session: Session, query: str) -> bool:
        try:
            return session.is_counted is not None and session.is_counted(query)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("statement", error)
            return True

    def _begun(self, session: Session, query: str, arguments: Any) -> Execution:
        execution = Execution(query, arguments, time.perf_counter_ns())
        if self._is_counted_above(session, query):
            execution.is_counted = True
            return execution
        checkout = self._held.get(session.key)
        if checkout is not None:
            checkout[RUNNING] = (execution.started_ns, query)
        return execution

    def _begin_prepare(self, session: Session, _: str, query: str, *__: Any, **___: Any) -> Execution:
        return self._begun(session, query, None)

    def _end_prepare(self, session: Session, execution: Execution, state: Any) -> None:
        if execution.is_counted:
            self._add_phase(session, PREPARE, execution.duration_ns)
            return
        session.prepared = state, execution.duration_ns
        checkout = self._held.get(session.key)
        if checkout is not None:
            checkout[RUNNING] = None

    def _begin_batch(self, session: Session, state: Any, *_: Any, **__: Any) -> Execution:
        # The sets of parameters may be an iterator, which is the driver's to exhaust.
        return self._begin_execution(session, state, None, "")

    def _begin_execution(
        self, session: Session, state: Any, args: Any, portal_name: str, *_: Any, **__: Any
    ) -> Execution:
        execution = self._begun(session, state.query, args)
        execution.state, execution.portal = state, portal_name
        prepared, session.prepared = session.prepared, None
        if prepared is not None and prepared[0] is state:
            # It was prepared for this execution, and counts as part of it.
            execution.prepare_ns = execution.duration_ns = prepared[1]
            execution.started_ns -= prepared[1]
        return execution

    def _end_execution(self, session: Session, execution: Execution, result: Any) -> None:
        if execution.portal:
            self._opened(session, execution)
            self._fetched(session, execution, result)
        else:
            execution.rows = rows_of(result, execution.state)
            self._executions.ended(session, execution)

    def _end_batch(self, session: Session, execution: Execution, result: Any) -> None:
        execution.rows = len(result) if isinstance(result, list) else UNKNOWN_ROWS
        self._executions.ended(session, execution, is_batch=True)

    def _end_bind(self, session: Session, execution: Execution, _: Any) -> None:
        self._opened(session, execution)

    def _opened(self, session: Session, execution: Execution) -> None:
        """A cursor is open, and waits for somebody to fetch its rows."""
        session.cursors[execution.portal] = execution
        if not execution.is_counted:
            self._executions.note(session, None)

    def _begin_fetch(self, session: Session, _: Any, portal_name: str, *__: Any, **___: Any) -> Execution | None:
        execution = session.cursors.get(portal_name)
        if execution is not None:
            execution.fetch_ns -= execution.duration_ns  # until it is known what this fetch adds
            # Nobody above knows of fetches. It is as old as what all of them have taken.
            self._executions.note(session, (time.perf_counter_ns() - execution.duration_ns, execution.query))
        return execution

    def _end_fetch(self, session: Session, execution: Execution, result: Any) -> None:
        execution.fetch_ns += execution.duration_ns
        self._executions.note(session, None)
        self._fetched(session, execution, result)

    def _fetched(self, session: Session, execution: Execution, result: Any) -> None:
        rows, _, is_last = result
        execution.rows += len(rows)
        if is_last:
            self._closed(session, execution.portal)

    def _begin_query(self, session: Session, query: str, *_: Any, **__: Any) -> Execution | None:
        execution = self._begun(session, query, ())
        # Of what is counted above only a BEGIN is news here, and what ends cursors.
        is_news = not execution.is_counted or session.cursors or query.startswith(_BEGINS)
        return execution if is_news else None

    def _end_query(self, session: Session, execution: Execution, result: Any) -> None:
        query = execution.query
        moved = session.cursors.get(query.rpartition(" ")[2]) if session.cursors and query[:13] == _MOVES else None
        if moved is not None:
            moved.duration_ns += execution.duration_ns
            moved.fetch_ns += execution.duration_ns
            self._executions.note(session, None)
            return
        if execution.is_counted:
            if query.startswith(_BEGINS):
                self._add_phase(session, BEGIN, execution.duration_ns)
        else:
            execution.rows = rows_told_by(result)
            self._executions.ended(session, execution)
        if session.cursors and not session.protocol.is_in_transaction():
            for portal_name in tuple(session.cursors):
                self._closed(session, portal_name)

    def _end_copy(self, session: Session, execution: Execution, result: Any) -> None:
        execution.rows = rows_told_by(result)
        self._executions.ended(session, execution, is_batch=True)

    def _add_phase(self, session: Session, phase: int, nanoseconds: int) -> None:
        """Keeps what a phase took for whoever counts the statement, and takes it from the checkout."""
        checkout = self._held.get(session.key)
        if checkout is not None:
            phases = list(checkout[PHASES] or ())
            phases += [0] * (len(ALL_PHASES) - len(phases))
            phases[phase] += nanoseconds
            checkout[PHASES] = phases

    def _closed(self, session: Session, portal_name: str) -> None:
        """A cursor is exhausted, closed, or gone with its transaction; one that is known to be ended is ignored."""
        try:
            execution = session.cursors.pop(portal_name, None)
            if execution is not None:
                self._executions.ended(session, execution)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("cursor", error)


def _let_go(wraps: Wraps, guard_of: ref[Guard]) -> None:
    """Restores what was replaced on a connection that is gone."""
    try:
        wraps.restore()
    except Exception as error:  # noqa: BLE001  # Python would tell the host of it
        guard = guard_of()
        if guard is not None:
            guard.caught("let go", error)
