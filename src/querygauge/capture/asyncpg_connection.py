"""
Statements of asyncpg connections: comes in, what a connection hands to its protocol; goes out, one `record` each.

Every statement of a connection, whichever method of the application's it came from, passes through some methods of the
connection's protocol *instance*, so these are replaced there: prepared statements, cursors and COPY included, and what
was prepared before. A connection itself stays as it is; who holds one holds asyncpg's own.

What asyncpg prepares for a statement that is executed at once belongs to its duration. A cursor is one execution, from
its opening until it is exhausted, closed or lost with its transaction, and takes the time that was spent in asyncpg,
not what the application does between two fetches.

Deliberately not here: totals, and the pool.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from querygauge.capture.guard import Guard
from querygauge.capture.scope import current_scope, streak_of
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.protocols import Record
from querygauge.values import OK
from querygauge.values.plain import plain

__all__ = ["ConnectionStatements"]

_DIALECT: Final = "postgresql"
_UNKNOWN_ROWS: Final = -1
# Places in a holder, the pool monitor's entry of a checkout: the last pattern's id.
_LAST_PATTERN: Final = 2
_MOVES: Final = "MOVE FORWARD "

_Original = Any  # the bound method that a replacement stands for


@dataclass(slots=True)
class _Execution:
    """One execution, or what a cursor's fetches have added up to."""

    query: str
    arguments: Any
    started_ns: int
    duration_ns: int = 0
    rows: int = 0


class _Session:
    """
    What is under way on one connection.

    Attributes:
        key: What the connection is held under while it is checked out.
        prepared: What was prepared last and not executed yet, and how long that took.
        cursors: The open ones, by the name of their portal.
    """

    __slots__ = ("cursors", "key", "prepared")

    def __init__(self, key: int) -> None:
        self.key = key
        self.prepared: tuple[Any, int] | None = None
        self.cursors: dict[str, _Execution] = {}

    def preparing_ns(self, state: Any) -> int:
        """How long this statement took to prepare, if that was for the execution which begins now."""
        prepared, self.prepared = self.prepared, None
        return prepared[1] if prepared is not None and prepared[0] is state else 0


class ConnectionStatements:
    """The attachment to the connections of one target."""

    def __init__(
        self,
        target: str,
        *,
        record: Record,
        patterns: PatternCache,
        find_call_site: Callable[[], str | None],
        held: Mapping[Any, list[Any]],
        wake: Callable[[], None],
        slow_ns: int,
        guard: Guard,
        always_find: bool = False,
        keep_literals: bool = False,
    ) -> None:
        self._target = target
        self._record = record
        self._patterns = patterns
        self._find = find_call_site
        self._held = held
        self._wake = wake
        self._slow_ns = slow_ns
        self._guard = guard
        self._always_find = always_find
        self._keep_literals = keep_literals
        self._wraps: list[Wraps] = []

    def attach(self, connection: Any, key: int | None = None) -> None:
        """
        Replaces the methods of a connection's protocol.

        Args:
            connection: An `asyncpg.Connection`.
            key: What it is held under while it is checked out; by default its id.
        """
        session = _Session(id(connection) if key is None else key)
        self._wraps = [wraps for wraps in self._wraps if not wraps.is_orphaned]
        wraps = Wraps(connection._protocol)  # noqa: SLF001  # no other way leads to all statements
        for name, wrap in (
            ("prepare", self._timed_prepare),
            ("bind_execute", self._timed_bind_execute),
            ("bind_execute_many", self._timed_bind_execute_many),
            ("bind", self._timed_bind),
            ("execute", self._timed_fetch),
            ("close_portal", self._timed_close),
            ("query", self._timed_query),
            ("copy_in", self._timed_copy),
            ("copy_out", self._timed_copy),
        ):
            wraps.replace(name, partial(wrap, session=session))
        self._wraps.append(wraps)

    def detach(self) -> None:
        """Restores what `attach` found."""
        while self._wraps:
            self._wraps.pop().restore()

    def _timed_prepare(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def prepare(name: str, query: str, *rest: Any, **keywords: Any) -> Any:
            if is_off:
                return await original(name, query, *rest, **keywords)
            execution = _Execution(query, None, time.perf_counter_ns())
            try:
                state = await original(name, query, *rest, **keywords)
            except BaseException as error:
                self._failed(session, execution, error)
                raise
            session.prepared = state, time.perf_counter_ns() - execution.started_ns
            return state

        return prepare

    def _timed_bind_execute(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def bind_execute(state: Any, args: Any, portal_name: str, *rest: Any, **keywords: Any) -> Any:
            if is_off:
                return await original(state, args, portal_name, *rest, **keywords)
            execution = _Execution(state.query, args, time.perf_counter_ns() - session.preparing_ns(state))
            try:
                result = await original(state, args, portal_name, *rest, **keywords)
            except BaseException as error:
                self._failed(session, execution, error)
                raise
            try:
                execution.duration_ns = time.perf_counter_ns() - execution.started_ns
                if portal_name:
                    session.cursors[portal_name] = execution
                    self._fetched(session, portal_name, result)
                else:
                    execution.rows = _rows_of(result, state)
                    self._ended(session, execution)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self._guard.caught("statement", error)
            return result

        return bind_execute

    def _timed_bind_execute_many(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def bind_execute_many(state: Any, args: Any, *rest: Any, **keywords: Any) -> Any:
            if is_off:
                return await original(state, args, *rest, **keywords)
            # The sets of parameters may be an iterator, which is the driver's to exhaust.
            execution = _Execution(state.query, None, time.perf_counter_ns() - session.preparing_ns(state))
            try:
                result = await original(state, args, *rest, **keywords)
            except BaseException as error:
                self._failed(session, execution, error)
                raise
            try:
                execution.duration_ns = time.perf_counter_ns() - execution.started_ns
                execution.rows = len(result) if isinstance(result, list) else _UNKNOWN_ROWS
                self._ended(session, execution, is_batch=True)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self._guard.caught("executemany", error)
            return result

        return bind_execute_many

    def _timed_bind(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def bind(state: Any, args: Any, portal_name: str, *rest: Any, **keywords: Any) -> Any:
            if is_off:
                return await original(state, args, portal_name, *rest, **keywords)
            execution = _Execution(state.query, args, time.perf_counter_ns() - session.preparing_ns(state))
            try:
                result = await original(state, args, portal_name, *rest, **keywords)
            except BaseException as error:
                self._failed(session, execution, error)
                raise
            execution.duration_ns = time.perf_counter_ns() - execution.started_ns
            session.cursors[portal_name] = execution
            return result

        return bind

    def _timed_fetch(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def execute(state: Any, portal_name: str, *rest: Any, **keywords: Any) -> Any:
            execution = session.cursors.get(portal_name)
            if is_off or execution is None:
                return await original(state, portal_name, *rest, **keywords)
            started = time.perf_counter_ns()
            try:
                result = await original(state, portal_name, *rest, **keywords)
            except BaseException as error:
                execution.duration_ns += time.perf_counter_ns() - started
                self._lost(session, portal_name, error)
                raise
            try:
                execution.duration_ns += time.perf_counter_ns() - started
                self._fetched(session, portal_name, result)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self._guard.caught("fetch", error)
            return result

        return execute

    def _timed_close(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def close_portal(portal_name: str, *rest: Any, **keywords: Any) -> Any:
            if not is_off:
                self._closed(session, portal_name)
            return await original(portal_name, *rest, **keywords)

        return close_portal

    def _timed_query(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def query(text: str, *rest: Any, **keywords: Any) -> Any:
            if is_off:
                return await original(text, *rest, **keywords)
            execution = _Execution(text, None, time.perf_counter_ns())
            moved = session.cursors.get(text.rpartition(" ")[2]) if session.cursors and text[:13] == _MOVES else None
            try:
                result = await original(text, *rest, **keywords)
            except BaseException as error:
                self._failed(session, execution, error)
                raise
            try:
                execution.duration_ns = time.perf_counter_ns() - execution.started_ns
                if moved is not None:
                    moved.duration_ns += execution.duration_ns
                    return result
                execution.rows = _rows_told_by(result)
                self._ended(session, execution)
                if session.cursors and not original.__self__.is_in_transaction():
                    for portal_name in tuple(session.cursors):
                        self._closed(session, portal_name)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self._guard.caught("statement", error)
            return result

        return query

    def _timed_copy(self, original: _Original, is_off: list[bool], session: _Session) -> Replacement:
        async def copy(text: str, *rest: Any, **keywords: Any) -> Any:
            if is_off:
                return await original(text, *rest, **keywords)
            execution = _Execution(text, None, time.perf_counter_ns())
            try:
                result = await original(text, *rest, **keywords)
            except BaseException as error:
                self._failed(session, execution, error)
                raise
            try:
                execution.duration_ns = time.perf_counter_ns() - execution.started_ns
                execution.rows = _rows_told_by(result)
                self._ended(session, execution, is_batch=True)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self._guard.caught("copy", error)
            return result

        return copy

    def _fetched(self, session: _Session, portal_name: str, result: Any) -> None:
        execution = session.cursors[portal_name]
        rows, _, is_last = result
        execution.rows += len(rows)
        if is_last:
            self._closed(session, portal_name)

    def _closed(self, session: _Session, portal_name: str) -> None:
        """A cursor is exhausted, closed, or gone with its transaction; one that is known to be ended is ignored."""
        try:
            execution = session.cursors.pop(portal_name, None)
            if execution is not None:
                self._ended(session, execution)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught("cursor", error)

    def _lost(self, session: _Session, portal_name: str, error: BaseException) -> None:
        execution = session.cursors.pop(portal_name)
        execution.started_ns = time.perf_counter_ns() - execution.duration_ns
        self._failed(session, execution, error)

    def _ended(self, session: _Session, execution: _Execution, *, is_batch: bool = False) -> None:
        pattern = self._patterns.pattern_for(execution.query)
        started, elapsed = execution.started_ns, execution.duration_ns
        holder = self._held.get(session.key)
        if holder is not None:
            holder[_LAST_PATTERN] = pattern.id
        scope = current_scope()
        # A batch is one operation, so it repeats nothing.
        streak = None if is_batch else streak_of(scope, holder, self._target, pattern.id, started, elapsed)
        is_slow = elapsed >= self._slow_ns
        site = self._find() if is_slow or self._always_find else None
        if site is None and streak is not None:
            site = streak.line(self._find)
        literals = self._literals_of(execution) if is_slow else None
        self._record(pattern, started, elapsed, execution.rows, OK, None, site, streak, literals, scope)
        if is_slow:
            self._wake()

    def _failed(self, session: _Session, execution: _Execution, error: BaseException) -> None:
        try:
            elapsed = time.perf_counter_ns() - execution.started_ns
            pattern = self._patterns.pattern_for(execution.query)
            outcome, failure = failure_of(error, _DIALECT, pattern_text=pattern.text)
            holder = self._held.get(session.key)
            if holder is not None:
                holder[_LAST_PATTERN] = pattern.id
            literals = self._literals_of(execution) if elapsed >= self._slow_ns else None
            # What failed goes on with no streak: its caller stops, or tries again on purpose.
            self._record(
                pattern, execution.started_ns, elapsed, _UNKNOWN_ROWS, outcome, failure, self._find(), None, literals,
                current_scope(),
            )  # fmt: skip
            if elapsed >= self._slow_ns:
                self._wake()
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self._guard.caught("failure", own)

    def _literals_of(self, execution: _Execution) -> tuple[str, Any] | None:
        return (execution.query, plain(execution.arguments)) if self._keep_literals else None


def _rows_of(result: Any, state: Any) -> int:
    """Rows returned; those affected where there is none to return, if the driver was asked for the status."""
    rows, status, _ = result if isinstance(result, tuple) else (result, None, True)
    return len(rows) if rows or state._get_attributes() else _rows_told_by(status)  # noqa: SLF001


def _rows_told_by(status: Any) -> int:
    """The rows in a status such as `INSERT 0 5`; unknown where it names none."""
    text = status.decode() if isinstance(status, bytes) else status
    last = text.rpartition(" ")[2] if isinstance(text, str) else ""
    return int(last) if last.isdecimal() else _UNKNOWN_ROWS
