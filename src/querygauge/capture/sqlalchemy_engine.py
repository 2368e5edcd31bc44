"""
Statements of one SQLAlchemy dialect: comes in, what SQLAlchemy sends to a cursor; goes out, one `record` per execution.

The methods of the dialect *instance* that hand a statement to the cursor are replaced by ones that time it. Nothing
else at this level sees every statement for so little: an engine-level listener, even an empty one, switches on
SQLAlchemy's event path for every statement. The dialect is shared by an engine, its `execution_options` copies and the
`AsyncEngine` over it, and asynchronous drivers run the same methods inside a greenlet, so this is all there is.

Deliberately not here: totals, and the pool.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from weakref import ref

from sqlalchemy.engine.interfaces import Dialect, ExecuteStyle

from querygauge.capture.compiled_lookups import CompiledLookups
from querygauge.capture.guard import Guard
from querygauge.capture.loop_lag import NOTICED_NS, LoopLag, with_lag
from querygauge.capture.scope import CURRENT, IN_SHORT_FROM, PAUSE_NS, Streak, changed, continued, current_scope
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.checkout import LAST_PATTERN, PHASES, RUNNING, SEEN, Checkout
from querygauge.patterns.cache import PatternCache
from querygauge.patterns.failure import failure_of
from querygauge.protocols import QueryLedger, Record
from querygauge.values import COMMIT, OK, Pattern
from querygauge.values.plain import plain

__all__ = ["Statements"]

_KEY: Final = "_querygauge"
_INSERTMANYVALUES: Final = ExecuteStyle.INSERTMANYVALUES
_UNKNOWN_ROWS: Final = -1
# MySQL's drivers tell "unknown" as an unsigned -1.
_IMPOSSIBLE_ROWS: Final = 2**63
_MET_LIMIT: Final = 10_000  # patterns; of those beyond it the line is looked for whenever their text is not remembered


class _Batches:
    """What the batches of one insertmanyvalues operation add up to."""

    __slots__ = ("duration_ns", "has_failed", "phases", "rows", "started_ns")

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.duration_ns = 0
        self.rows = 0
        self.phases: Sequence[int] | None = None
        self.has_failed = False

    def add(self, duration_ns: int, rows: int, phases: Sequence[int] | None) -> None:
        self.duration_ns += duration_ns
        self.phases = phases or self.phases  # only the first one has any
        # One batch whose rows are unknown makes the sum unknown.
        self.rows = _UNKNOWN_ROWS if rows < 0 or self.rows < 0 else self.rows + rows


class Statements:
    """
    The attachment to one dialect.

    Attributes:
        guard: Counts what failed inside the hooks.
        compiled: Counts what was compiled.
    """

    def __init__(
        self,
        dialect: Dialect,
        target: str,
        *,
        record: Record,
        ledger: QueryLedger,
        patterns: PatternCache,
        find_call_site: Callable[[], str | None],
        held: Mapping[Any, list[Any]],
        wake: Callable[[], None],
        slow_ns: int,
        told_ns: int,
        guard: Guard,
        lag: LoopLag | None = None,
        always_find: bool = False,
        keep_literals: bool = False,
    ) -> None:
        # From `told_ns` on, at most `slow_ns`, an execution goes through `record`; the rest goes into the ledger.
        self.guard = guard
        self.compiled = CompiledLookups()
        self._dialect = ref(dialect)
        self._target = target
        self._record = record
        self._ledger = ledger
        self._patterns = patterns
        self._find = find_call_site
        self._held = held
        self._wake = wake
        self._slow_ns = slow_ns
        self._told_ns = told_ns
        self._lag = lag
        self._met: set[str] = set()  # ids of patterns whose line was looked for
        self._always_find = always_find
        self._keep_literals = keep_literals
        self._family = dialect.name
        # sqlite3 says 0 for a RETURNING whose rows were not fetched yet.
        self._zero_is_unknown = getattr(dialect, "driver", None) == "pysqlite"
        self._wraps = Wraps(dialect)

    def attach(self) -> None:
        """Replaces the dialect's methods."""
        replace = self._wraps.replace
        replace("do_execute", self._timed)
        replace("do_execute_no_params", self._timed_without_parameters)
        replace("do_executemany", self._timed_many)
        replace("do_commit", self._timed_commit)
        if hasattr(self._dialect(), "_deliver_insertmanyvalues_batches"):
            replace("_deliver_insertmanyvalues_batches", self._gathered)

    def detach(self) -> None:
        """Restores what `attach` found."""
        self._wraps.restore()

    def _timed(self, original: Callable[..., Any], is_off: list[bool]) -> Replacement:  # noqa: C901, PLR0915  # see below
        """Wraps the method that sends one statement."""
        # The hot path. What every statement needs is bound here, once, and what it passes through stands in one body:
        # between an application's own work every call costs 0.3 µs, and this has a budget of 3. Each name that is bound
        # costs as well, so that what is rarely needed is not.
        now, holder_at, innermost_scope, target = time.perf_counter_ns, self._held.get, CURRENT.get, self._target
        queue, unusual_ns, fold_at, _, _ = self._ledger
        append, zero_is_unknown = queue.append, self._zero_is_unknown
        find_ns = 0 if self._always_find else self._slow_ns
        unusual_ns = min(unusual_ns, find_ns, self._told_ns, self._slow_ns if self._lag is None else NOTICED_NS)

        def timed(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:  # noqa: C901, PLR0912, PLR0915
            started = now()
            holder = phases = None
            try:
                holder = holder_at(id(context._dbapi_connection._connection_record))  # noqa: SLF001
                if holder is not None:
                    holder[RUNNING] = (started, statement)
            except AttributeError:
                pass  # no context, or no pooled connection
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self.guard.caught("statement", error)
            try:
                result = original(cursor, statement, parameters, context)
            except BaseException as error:
                if not is_off:
                    self._failed(statement, parameters, context, started, error, holder)
                elif holder is not None:
                    holder[RUNNING] = None
                raise
            elapsed = now() - started
            if is_off:
                if holder is not None:
                    holder[RUNNING] = None
                return result
            try:
                if holder is not None:
                    holder[RUNNING] = None
                    phases = holder[PHASES]
                    if phases is not None:
                        holder[PHASES] = None
                pattern = site = None
                streak: Any = None
                try:
                    rows = cursor.rowcount
                    if rows >= _IMPOSSIBLE_ROWS or (not rows and zero_is_unknown and cursor.description is not None):
                        rows = _UNKNOWN_ROWS
                except Exception:  # noqa: BLE001  # whatever a driver does here, the execution still counts
                    rows = _UNKNOWN_ROWS
                try:
                    if context.execute_style is _INSERTMANYVALUES:
                        batches = getattr(context, _KEY, None)
                        if batches is not None:
                            batches.add(elapsed, rows, phases)
                            return result
                    # A compiled statement remembers its pattern; whether it is the one under way, see pattern_of.
                    # Never by `__dict__`: looking at one makes Python build it.
                    pattern = context.compiled._querygauge if statement is context.statement else None  # noqa: SLF001
                except AttributeError:
                    pass  # no context, or a statement not met before
                if pattern is None:
                    pattern = self.pattern_of(statement, context)
                    if pattern.id not in self._met:
                        site = self._find()  # so that of every pattern one line is known
                        if len(self._met) < _MET_LIMIT:
                            self._met.add(pattern.id)
                scope = innermost_scope()
                if scope is not None and scope.is_over:
                    scope = None  # a task goes on that was begun inside
                # An eager load begins no streak, nor goes on with that of another statement with its text.
                if scope is not None and not pattern.is_eager_load:
                    seen = scope.seen.get(target) or scope.seen.setdefault(target, {})
                    streak = continued(seen, scope, target, pattern, started, elapsed)
                if holder is not None:
                    holder[LAST_PATTERN] = pattern
                    if scope is None and not pattern.is_eager_load:
                        seen = holder[SEEN]
                        if seen is None:
                            # Most checkouts send one statement, for which a dictionary is not worth making.
                            holder[SEEN] = (pattern.id, started, elapsed)
                        else:
                            if seen.__class__ is tuple:
                                seen = holder[SEEN] = {seen[0]: seen[1:]}
                            streak = seen.get(pattern.id)
                            if streak.__class__ is Streak and started - streak.last_ns <= PAUSE_NS:
                                streak.last_ns = started
                                streak.count += 1
                            else:
                                streak = continued(seen, None, target, pattern, started, elapsed)
                if streak is not None:
                    if streak.count >= streak.due or elapsed >= find_ns:
                        site = self._find()
                        streak.look_at(site, pattern, started, elapsed, rows, statement, parameters, context)
                    else:
                        site = streak.call_site
                    if streak.count >= IN_SHORT_FROM and phases is None and elapsed < unusual_ns:
                        append((streak, started, elapsed, rows, site))
                        if len(queue) >= fold_at:
                            self._ledger.folds(started + elapsed)
                        return result
                elif elapsed >= find_ns:
                    site = self._find()
                if elapsed >= unusual_ns:
                    phases = with_lag(phases, self._lag, started, elapsed)
                    if elapsed >= self._told_ns:
                        is_slow = elapsed >= self._slow_ns
                        literals = self._literals_of(statement, parameters) if is_slow else None
                        self._record(pattern, started, elapsed, rows, OK, None, site, streak, literals, scope, phases)
                        if is_slow:
                            self._wake()
                        return result
                append((target, pattern, started, elapsed, rows, OK, None, site, streak, None, scope, None, phases))
                if len(queue) >= fold_at:
                    self._ledger.folds(started + elapsed)
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self.guard.caught("statement", error)
            return result

        return timed

    def _timed_without_parameters(self, original: Callable[..., Any], is_off: list[bool]) -> Replacement:
        """Wraps the method that sends one statement and takes no parameters."""
        timed = self._timed(lambda cursor, statement, _, context: original(cursor, statement, context), is_off)

        def timed_without_parameters(cursor: Any, statement: str, context: Any = None) -> Any:
            return timed(cursor, statement, (), context)

        return timed_without_parameters

    def _timed_many(self, original: Callable[..., Any], is_off: list[bool]) -> Replacement:
        """Wraps the method that sends one statement with many sets of parameters."""

        def timed_many(cursor: Any, statement: str, parameters: Any, context: Any = None) -> Any:
            started = time.perf_counter_ns()
            holder = self._begun(statement, context, started)
            try:
                result = original(cursor, statement, parameters, context)
            except BaseException as error:
                if not is_off:
                    self._failed(statement, parameters, context, started, error, holder)
                elif holder is not None:
                    holder[RUNNING] = None
                raise
            elapsed = time.perf_counter_ns() - started
            if is_off:
                if holder is not None:
                    holder[RUNNING] = None
            else:
                try:
                    pattern = self.pattern_of(statement, context)
                    rows = getattr(cursor, "rowcount", _UNKNOWN_ROWS)
                    phases = _ended(holder, pattern)
                    self._record_batch(pattern, started, elapsed, rows, statement, parameters, phases, holder)
                except Exception as error:  # noqa: BLE001  # the host must not notice
                    self.guard.caught("executemany", error)
            return result

        return timed_many

    def _begun(self, statement: str, context: Any, started: int) -> Checkout | None:
        """The checkout on which a statement begins, which takes note of it; None if there is none."""
        try:
            holder = self._holder_of(context)
            if holder is not None:
                holder[RUNNING] = (started, statement)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("statement", error)
            return None
        return holder

    def _holder_of(self, context: Any) -> Checkout | None:
        record = getattr(getattr(context, "_dbapi_connection", None), "_connection_record", None)
        return self._held.get(id(record))

    def _record_batch(
        self,
        pattern: Pattern,
        started: int,
        elapsed: int,
        rows: int,
        statement: str,
        parameters: Any,
        phases: Sequence[int] | None,
        holder: Checkout | None,
    ) -> None:
        # A batch is one operation, so it repeats nothing.
        is_slow, scope = elapsed >= self._slow_ns, current_scope()
        changed(scope, holder, self._target, pattern, started)
        phases = with_lag(phases, self._lag, started, elapsed)
        site = self._find() if is_slow or self._always_find else None
        literals = self._literals_of(statement, parameters) if is_slow else None
        self._record(pattern, started, elapsed, rows, OK, None, site, None, literals, scope, phases)
        if is_slow:
            self._wake()

    def _failed(
        self,
        statement: str,
        parameters: Any,
        context: Any,
        started: int,
        error: BaseException,
        holder: Checkout | None,
    ) -> None:
        elapsed = time.perf_counter_ns() - started
        try:
            batches = getattr(context, _KEY, None)
            if batches is not None:
                batches.has_failed = True
                started, elapsed, statement = batches.started_ns, batches.duration_ns + elapsed, context.statement
            pattern = self.pattern_of(statement, context)
            phases = with_lag(_ended(holder, pattern), self._lag, started, elapsed)
            outcome, failure = failure_of(error, self._family, pattern_text=pattern.text)
            is_slow = elapsed >= self._slow_ns
            # What failed goes on with no streak: its caller stops, or tries again on purpose.
            literals = self._literals_of(statement, parameters) if is_slow else None
            site, scope = self._find(), current_scope()
            self._record(
                pattern, started, elapsed, _UNKNOWN_ROWS, outcome, failure, site, None, literals, scope, phases
            )
            if is_slow:
                self._wake()
        except Exception as own:  # noqa: BLE001  # the host's exception must arrive as it is
            self.guard.caught("failure", own)
        finally:
            if holder is not None:
                holder[RUNNING] = None

    def _timed_commit(self, original: Callable[[Any], None], is_off: list[bool]) -> Replacement:
        """Wraps the end of a transaction, whose time belongs to the statement that was its last."""
        now, holder_at, innermost_scope, target = time.perf_counter_ns, self._held.get, CURRENT.get, self._target
        fold_at, phases = self._ledger.fold_at, self._ledger.phases

        def commit(connection: Any) -> None:
            started = now()
            original(connection)
            ended = now()
            try:
                holder = None if is_off else holder_at(id(connection._connection_record))  # noqa: SLF001
                if holder is not None and holder[LAST_PATTERN] is not None:
                    scope = innermost_scope()
                    if scope is not None and scope.is_over:
                        scope = None
                    phases.append((target, holder[LAST_PATTERN], COMMIT, ended - started, scope))
                    if len(phases) >= fold_at:
                        self._ledger.folds(None)
            except AttributeError:
                pass  # no pooled connection
            except Exception as error:  # noqa: BLE001  # the host must not notice
                self.guard.caught("commit", error)

        return commit

    def _gathered(self, original: Callable[..., Iterator[Any]], is_off: list[bool]) -> Replacement:
        """Wraps the generator of insertmanyvalues batches, so that they are recorded as the one operation they are."""

        def deliver(*arguments: Any, **keywords: Any) -> Iterator[Any]:
            if is_off:
                yield from original(*arguments, **keywords)
                return
            context, batches = self._begin_batches(arguments)
            try:
                yield from original(*arguments, **keywords)
            finally:
                # A failed batch has recorded the whole already; its exception never passes through here.
                if batches is not None and not batches.has_failed:
                    self._finish_batches(context, batches)

        return deliver

    def _begin_batches(self, arguments: tuple[Any, ...]) -> tuple[Any, _Batches | None]:
        try:
            context, batches = arguments[-1], _Batches(time.perf_counter_ns())
            setattr(context, _KEY, batches)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("insertmanyvalues", error)
            return None, None
        return context, batches

    def _finish_batches(self, context: Any, batches: _Batches) -> None:
        try:
            delattr(context, _KEY)
            statement = context.statement
            pattern = self.pattern_of(statement, context)
            holder = self._holder_of(context)
            _ended(holder, pattern)
            started, elapsed, rows = batches.started_ns, batches.duration_ns, batches.rows
            self._record_batch(pattern, started, elapsed, rows, statement, context.parameters, batches.phases, holder)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self.guard.caught("insertmanyvalues", error)

    def pattern_of(self, statement: str, context: Any) -> Pattern:
        """
        The pattern of a statement as it is sent.

        Args:
            statement: Its text.
            context: SQLAlchemy's, of its execution; None if it is not at hand.
        """
        # `context.compiled` is the statement under way only if the texts are one object: defaults and sequences that
        # run before an INSERT carry the INSERT's context, which has no text yet, and a listener may add a comment.
        compiled = getattr(context, "compiled", None)
        if compiled is None or statement is not getattr(context, "statement", None):
            return self._patterns.pattern_for(statement)
        pattern: Pattern | None = getattr(compiled, _KEY, None)
        if pattern is None:
            pattern = self._patterns.pattern_for(compiled.string)
            setattr(compiled, _KEY, pattern)
            self.compiled.add(context)
        return pattern

    def _literals_of(self, statement: str, parameters: Any) -> tuple[str, Any] | None:
        return (statement, plain(parameters)) if self._keep_literals else None


def _ended(holder: Checkout | None, pattern: Pattern) -> Sequence[int] | None:
    """Takes note that a statement is no more under way, and takes over the phases that were kept for it."""
    if holder is None:
        return None
    holder[RUNNING] = None
    holder[LAST_PATTERN] = pattern
    phases: Sequence[int] | None = holder[PHASES]
    holder[PHASES] = None
    return phases
