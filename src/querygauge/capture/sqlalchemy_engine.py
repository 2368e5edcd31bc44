"""
Statements of one SQLAlchemy dialect: comes in, what SQLAlchemy sends to a cursor; goes out, one `record` per execution.

The methods of the dialect *instance* that hand a statement to the cursor are replaced by ones that time it. Nothing
else at this level sees every statement for so little: an engine-level listener, even an empty one, switches on
SQLAlchemy's event path for every statement. The dialect is shared by an engine, its `execution_options` copies and the
`AsyncEngine` over it, and asynchronous drivers run the same methods inside a greenlet, so this is all there is.

Deliberately not here: totals, and the pool.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine.interfaces import Dialect, ExecuteStyle

from querygauge.capture.guard import Guard
from querygauge.capture.scope import CURRENT, SEEN_LIMIT
from querygauge.capture.wrapping import Wraps
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.protocols import Record
from querygauge.values import OK, Pattern

__all__ = ["Statements"]

_KEY: Final = "_querygauge"
_UNKNOWN_ROWS: Final = -1
# MySQL's drivers tell "unknown" as an unsigned -1.
_IMPOSSIBLE_ROWS: Final = 2**63
_INSERTMANYVALUES: Final = ExecuteStyle.INSERTMANYVALUES


class Transaction:
    """
    One transaction on one connection: the unit of repetition where no scope is named; fits `protocols.Unit`.

    Attributes:
        of: SQLAlchemy's transaction; another one means another unit.
        holder: The pool monitor's entry of this checkout, whose last place takes the id of the last pattern.
        seen: Ids of the patterns executed so far.
    """

    __slots__ = ("holder", "name", "of", "repeats", "seen")

    def __init__(self, of: object, holder: list[Any] | None) -> None:
        self.of = of
        self.holder = holder
        self.name: str | None = None
        self.seen: set[str] = set()
        self.repeats: dict[tuple[str, str | None], list[int]] = {}


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
        *,
        record: Record,
        patterns: PatternCache,
        find_call_site: Callable[[], str | None],
        holder_of: Callable[[Any], list[Any] | None],
        wake: Callable[[], None],
        slow_ns: int,
        guard: Guard,
        always_find: bool = False,
        keep_literals: bool = False,
    ) -> None:
        self.guard = guard
        self._dialect = ref(dialect)
        self._record = record
        self._patterns = patterns
        self._find = find_call_site
        self._holder_of = holder_of
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
        if hasattr(self._dialect(), "_deliver_insertmanyvalues_batches"):
            self._wraps.replace("_deliver_insertmanyvalues_batches", self._gathered)

    def detach(self) -> None:
        """Restores what `attach` found."""
        self._wraps.restore()

    def _succeeded(self) -> Callable[..., None]:
        # The hot path: everything constant is bound here, once.
        now, record, find, wake, guard = time.perf_counter_ns, self._record, self._find, self._wake, self.guard
        slow_ns, always, rows_of, pattern_of = self._slow_ns, self._always_find, self._rows_of, self._pattern_of
        literals_of, transaction_of, current_scope = self._literals_of, self._transaction_of, CURRENT.get

        def succeeded(cursor: Any, statement: str, parameters: Any, context: Any, started: int) -> None:
            elapsed = now() - started
            try:
                rows = rows_of(cursor)
                transaction = None
                if context is not None:
                    if context.execute_style is _INSERTMANYVALUES and _KEY in context.__dict__:
                        context.__dict__[_KEY].add(elapsed, rows)
                        return
                    transaction = transaction_of(context.root_connection)
                pattern = pattern_of(statement, context)
                pattern_id = pattern.id
                unit = current_scope() or transaction
                is_repeated = False
                if transaction is not None and transaction.holder is not None:
                    transaction.holder[2] = pattern_id
                if unit is not None:
                    is_repeated = pattern_id in unit.seen
                    if not is_repeated and len(unit.seen) < SEEN_LIMIT:
                        unit.seen.add(pattern_id)
                if elapsed < slow_ns:
                    site = find() if is_repeated or always else None
                    record(pattern, started, elapsed, rows, OK, None, site, unit, None)
                else:
                    literals = literals_of(statement, parameters)
                    record(pattern, started, elapsed, rows, OK, None, find(), unit, literals)
                    wake()
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
        # A batch is one operation, so it has no unit: it repeats nothing.
        is_slow = elapsed >= self._slow_ns
        site = self._find() if is_slow or self._always_find else None
        literals = self._literals_of(statement, parameters) if is_slow else None
        self._record(pattern, started, elapsed, rows, OK, None, site, None, literals)
        if is_slow:
            self._wake()

    def _failed(self, statement: str, parameters: Any, context: Any, started: int, error: BaseException) -> None:
        elapsed = time.perf_counter_ns() - started
        try:
            batches = None if context is None else context.__dict__.get(_KEY)
            if batches is not None:
                batches.has_failed = True
                started, elapsed = batches.started_ns, batches.duration_ns + elapsed
            pattern = self._pattern_of(context.statement if batches else statement, context)
            outcome, failure = failure_of(error, self._family)
            literals = self._literals_of(statement, parameters) if elapsed >= self._slow_ns else None
            # What failed is no repetition: its caller stops, or tries again on purpose.
            self._record(pattern, started, elapsed, _UNKNOWN_ROWS, outcome, failure, self._find(), None, literals)
            if elapsed >= self._slow_ns:
                self._wake()
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self.guard.caught("failure", own)

    def _gathered(
        self, original: Callable[..., Iterator[Any]]
    ) -> tuple[Callable[..., Iterator[Any]], Callable[[], None]]:
        """Wraps the generator of insertmanyvalues batches, so that they are recorded as the one operation they are."""
        is_attached = True

        def deliver(*arguments: Any, **keywords: Any) -> Iterator[Any]:
            if not is_attached:
                yield from original(*arguments, **keywords)
                return
            context = arguments[-1]
            batches = context.__dict__[_KEY] = _Batches(time.perf_counter_ns())
            try:
                yield from original(*arguments, **keywords)
            finally:
                context.__dict__.pop(_KEY, None)
                # A failed batch has recorded the whole already; its exception never passes through here.
                if not batches.has_failed:
                    self._finish_batches(context, batches)

        def pass_through() -> None:
            nonlocal is_attached
            is_attached = False

        return deliver, pass_through

    def _finish_batches(self, context: Any, batches: _Batches) -> None:
        try:
            pattern = self._pattern_of(context.statement, context)
            self._record_batch(
                pattern, batches.started_ns, batches.duration_ns, batches.rows, context.statement, context.parameters
            )
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("insertmanyvalues", error)

    def _pattern_of(self, statement: str, context: Any) -> Pattern:
        # `context.compiled` is the statement under way only if the texts are one object: defaults and sequences that
        # run before an INSERT carry the INSERT's context, and a listener may have appended a comment.
        if context is not None and statement is context.statement:
            compiled = context.compiled
            if compiled is not None:
                known: Pattern | None = compiled.__dict__.get(_KEY)
                if known is None:
                    known = compiled.__dict__[_KEY] = self._patterns.pattern_for(compiled.string)
                return known
        return self._patterns.pattern_for(statement)

    def _transaction_of(self, connection: Any) -> Transaction:
        of = connection.get_transaction()
        known: Transaction | None = connection.__dict__.get(_KEY)
        if known is None or known.of is not of:
            known = connection.__dict__[_KEY] = Transaction(of, self._holder_of(connection))
        return known

    def _literals_of(self, statement: str, parameters: Any) -> tuple[str, Any] | None:
        return (statement, parameters) if self._keep_literals else None


def _timed(
    original: Callable[..., Any], succeeded: Callable[..., None], failed: Callable[..., None]
) -> tuple[Callable[..., Any], Callable[[], None]]:
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
) -> tuple[Callable[..., Any], Callable[[], None]]:
    def execute(cursor: Any, statement: str, _parameters: Any, context: Any) -> Any:
        return original(cursor, statement, context)

    timed, pass_through = _timed(execute, succeeded, failed)

    def timed_no_params(cursor: Any, statement: str, context: Any = None) -> Any:
        return timed(cursor, statement, (), context)

    return timed_no_params, pass_through


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
