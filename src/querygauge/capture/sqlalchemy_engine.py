"""
Statements of one SQLAlchemy dialect: comes in, what SQLAlchemy sends to a cursor; goes out, one `record` per execution.

The methods of the dialect *instance* that hand a statement to the cursor are replaced by ones that time it. Nothing
else at this level sees every statement for so little: an engine-level listener, even an empty one, switches on
SQLAlchemy's event path for every statement. The dialect is shared by an engine, its `execution_options` copies and the
`AsyncEngine` over it, and asynchronous drivers run the same methods inside a greenlet, so this is all there is.

Deliberately not here: totals, and the pool.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine.interfaces import Dialect, ExecuteStyle

from querygauge.capture.guard import Guard
from querygauge.capture.scope import CURRENT, Streak, continued
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.protocols import Record
from querygauge.values import OK, Pattern

__all__ = ["Statements"]

_KEY: Final = "_querygauge"
_INSERTMANYVALUES: Final = ExecuteStyle.INSERTMANYVALUES
_UNKNOWN_ROWS: Final = -1
# MySQL's drivers tell "unknown" as an unsigned -1.
_IMPOSSIBLE_ROWS: Final = 2**63
# Places in a holder, the pool monitor's entry of a checkout: the last pattern's id, and what the transaction has sent.
_LAST_PATTERN: Final = 2
_SEEN: Final = 4
# Executions of a streak whose line is looked for: the first so many, then one in so many.
_SITES_FOUND: Final = 8
_SITES_SKIPPED: Final = 16


class _Batches:
    """What the batches of one insertmanyvalues operation add up to."""

    __slots__ = ("duration_ns", "has_failed", "rows", "started_ns")

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.duration_ns = 0
        self.rows = 0
        self.has_failed = False

    def add(self, duration_ns: int, rows: int) -> None:
        self.duration_ns += duration_ns
        # One batch whose rows are unknown makes the sum unknown.
        self.rows = _UNKNOWN_ROWS if rows < 0 or self.rows < 0 else self.rows + rows


class Statements:
    """
    The attachment to one dialect.

    Attributes:
        guard: Counts what failed inside the hooks.
    """

    def __init__(
        self,
        dialect: Dialect,
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
        self.guard = guard
        self._dialect = ref(dialect)
        self._target = target
        self._record = record
        self._patterns = patterns
        self._find = find_call_site
        self._held = held
        self._wake = wake
        self._slow_ns = slow_ns
        self._always_find = always_find
        self._keep_literals = keep_literals
        self._family = dialect.name
        self._rows_of = _rows_of_sqlite3 if dialect.driver == "pysqlite" else _rows_of
        self._wraps = Wraps(dialect)

    def attach(self) -> None:
        """Replaces the dialect's methods."""
        succeeded, failed = self._succeeded(), self._failed
        self._wraps.replace("do_execute", lambda original: _timed(original, succeeded, failed))
        self._wraps.replace("do_execute_no_params", lambda original: _timed_no_params(original, succeeded, failed))
        self._wraps.replace("do_executemany", lambda original: _timed(original, self._succeeded_many, failed))
        self._wraps.replace("do_commit", self._ending)
        self._wraps.replace("do_rollback", self._ending)
        if hasattr(self._dialect(), "_deliver_insertmanyvalues_batches"):
            self._wraps.replace("_deliver_insertmanyvalues_batches", self._gathered)

    def detach(self) -> None:
        """Restores what `attach` found."""
        self._wraps.restore()

    def _succeeded(self) -> Callable[..., None]:  # noqa: C901  # see below
        # The hot path. Everything constant is bound here, once, and what a statement passes through stands in one body:
        # a call costs 0.1 µs in a loop, and up to three times that between an application's own work.
        now, record, find, wake, guard = time.perf_counter_ns, self._record, self._find, self._wake, self.guard
        slow_ns, rows_of, pattern_of, literals_of = self._slow_ns, self._rows_of, self._pattern_of, self._literals_of
        holder_at, current_scope, target = self._held.get, CURRENT.get, self._target
        site_of, find_first = (lambda _streak: find(), find) if self._always_find else (self._site_of, _find_nothing)

        def succeeded(cursor: Any, statement: str, parameters: Any, context: Any, started: int) -> None:  # noqa: C901
            elapsed = now() - started
            try:
                rows = rows_of(cursor)
                if context is None:
                    record(pattern_of(statement, None), started, elapsed, rows, OK, None, find_first(), None, None)
                    return
                if context.execute_style is _INSERTMANYVALUES:
                    batches = getattr(context, _KEY, None)
                    if batches is not None:
                        batches.add(elapsed, rows)
                        return
                holder = None
                try:
                    # A compiled statement remembers its pattern; whether it is the one under way, see _pattern_of.
                    # Never by `__dict__`: looking at one makes Python build it.
                    holder = holder_at(id(context._dbapi_connection._connection_record))  # noqa: SLF001
                    pattern = context.compiled._querygauge if statement is context.statement else None  # noqa: SLF001
                except AttributeError:
                    pattern = None
                if pattern is None:
                    pattern = pattern_of(statement, context)
                scope, streak = current_scope(), None
                if holder is not None:
                    holder[_LAST_PATTERN] = pattern.id
                    if scope is None:
                        if holder[_SEEN] is None:
                            holder[_SEEN] = {}
                        streak = continued(holder[_SEEN], None, target, pattern.id, elapsed)
                if scope is not None:
                    streak = continued(scope.seen, scope.name, target, pattern.id, elapsed)
                if elapsed >= slow_ns:
                    literals = literals_of(statement, parameters)
                    record(pattern, started, elapsed, rows, OK, None, find(), streak or scope, literals)
                    wake()
                else:
                    site = find_first() if streak is None else site_of(streak)
                    record(pattern, started, elapsed, rows, OK, None, site, streak, None)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                guard.caught("statement", error)

        return succeeded

    def _succeeded_many(self, cursor: Any, statement: str, parameters: Any, context: Any, started: int) -> None:
        elapsed = time.perf_counter_ns() - started
        try:
            pattern = self._pattern_of(statement, context)
            self._record_batch(pattern, started, elapsed, self._rows_of(cursor), statement, parameters)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("executemany", error)

    def _record_batch(
        self, pattern: Pattern, started: int, elapsed: int, rows: int, statement: str, parameters: Any
    ) -> None:
        # A batch is one operation, so it repeats nothing; a slow one still says which scope it was in.
        is_slow = elapsed >= self._slow_ns
        site = self._find() if is_slow or self._always_find else None
        literals = self._literals_of(statement, parameters) if is_slow else None
        self._record(pattern, started, elapsed, rows, OK, None, site, CURRENT.get() if is_slow else None, literals)
        if is_slow:
            self._wake()

    def _failed(self, statement: str, parameters: Any, context: Any, started: int, error: BaseException) -> None:
        elapsed = time.perf_counter_ns() - started
        try:
            batches = getattr(context, _KEY, None)
            if batches is not None:
                batches.has_failed = True
                started, elapsed, statement = batches.started_ns, batches.duration_ns + elapsed, context.statement
            pattern = self._pattern_of(statement, context)
            outcome, failure = failure_of(error, self._family)
            is_slow = elapsed >= self._slow_ns
            # What failed goes on with no streak: its caller stops, or tries again on purpose.
            scope = CURRENT.get() if is_slow else None
            literals = self._literals_of(statement, parameters) if is_slow else None
            self._record(pattern, started, elapsed, _UNKNOWN_ROWS, outcome, failure, self._find(), scope, literals)
            if is_slow:
                self._wake()
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self.guard.caught("failure", own)

    def _ending(self, original: Callable[[Any], None]) -> Replacement:
        """Wraps commit and rollback: what is sent after them belongs to another transaction."""
        holder_at, is_attached = self._held.get, True

        def end(connection: Any) -> None:
            original(connection)
            if is_attached:
                holder = holder_at(id(getattr(connection, "_connection_record", None)))
                if holder is not None:
                    holder[_SEEN] = None

        def pass_through() -> None:
            nonlocal is_attached
            is_attached = False

        return end, pass_through

    def _gathered(self, original: Callable[..., Iterator[Any]]) -> Replacement:
        """Wraps the generator of insertmanyvalues batches, so that they are recorded as the one operation they are."""
        is_attached = True

        def deliver(*arguments: Any, **keywords: Any) -> Iterator[Any]:
            if not is_attached:
                yield from original(*arguments, **keywords)
                return
            context = arguments[-1]
            batches = _Batches(time.perf_counter_ns())
            setattr(context, _KEY, batches)
            try:
                yield from original(*arguments, **keywords)
            finally:
                delattr(context, _KEY)
                # A failed batch has recorded the whole already; its exception never passes through here.
                if not batches.has_failed:
                    self._finish_batches(context, batches)

        def pass_through() -> None:
            nonlocal is_attached
            is_attached = False

        return deliver, pass_through

    def _finish_batches(self, context: Any, batches: _Batches) -> None:
        try:
            statement = context.statement
            pattern = self._pattern_of(statement, context)
            self._record_batch(
                pattern, batches.started_ns, batches.duration_ns, batches.rows, statement, context.parameters
            )
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("insertmanyvalues", error)

    def _pattern_of(self, statement: str, context: Any) -> Pattern:
        # `context.compiled` is the statement under way only if the texts are one object: defaults and sequences that
        # run before an INSERT carry the INSERT's context, which has no text yet, and a listener may add a comment.
        compiled = getattr(context, "compiled", None)
        if compiled is None or statement is not getattr(context, "statement", None):
            return self._patterns.pattern_for(statement)
        pattern: Pattern | None = getattr(compiled, _KEY, None)
        if pattern is None:
            pattern = self._patterns.pattern_for(compiled.string)
            setattr(compiled, _KEY, pattern)
        return pattern

    def _site_of(self, streak: Streak) -> str | None:
        # Walking the frames costs more than all the rest, so a long streak is looked at now and then.
        if streak.count <= _SITES_FOUND or not streak.count % _SITES_SKIPPED:
            streak.call_site = self._find()
        return streak.call_site

    def _literals_of(self, statement: str, parameters: Any) -> tuple[str, Any] | None:
        return (statement, parameters) if self._keep_literals else None


def _timed(original: Callable[..., Any], succeeded: Callable[..., None], failed: Callable[..., None]) -> Replacement:
    now = time.perf_counter_ns

    def timed(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
        started = now()
        try:
            result = original(cursor, statement, parameters, context)
        except BaseException as error:
            failed(statement, parameters, context, started, error)
            raise
        succeeded(cursor, statement, parameters, context, started)
        return result

    def pass_through() -> None:
        nonlocal succeeded, failed
        succeeded = failed = _ignore

    return timed, pass_through


def _timed_no_params(
    original: Callable[..., Any], succeeded: Callable[..., None], failed: Callable[..., None]
) -> Replacement:
    def execute(cursor: Any, statement: str, _parameters: Any, context: Any) -> Any:
        return original(cursor, statement, context)

    timed, pass_through = _timed(execute, succeeded, failed)

    def timed_no_params(cursor: Any, statement: str, context: Any = None) -> Any:
        return timed(cursor, statement, (), context)

    return timed_no_params, pass_through


def _find_nothing() -> None:
    """Leaves the line of an execution unknown: it is neither slow nor repeated."""


def _ignore(*_arguments: Any) -> None:
    """Takes the place of the hooks in a replacement that could not be removed."""


def _rows_of(cursor: Any) -> int:
    try:
        rows: int = cursor.rowcount
        is_told = rows < _IMPOSSIBLE_ROWS
    except Exception:  # noqa: BLE001  # whatever a driver does here, the execution still counts
        return _UNKNOWN_ROWS
    return rows if is_told else _UNKNOWN_ROWS


def _rows_of_sqlite3(cursor: Any) -> int:
    # sqlite3 says 0 for a RETURNING whose rows were not fetched yet.
    return _rows_of(cursor) if cursor.description is None else _UNKNOWN_ROWS
