"""
The request, job or test that queries belong to: a context variable that a `with` block or a middleware sets.

It reaches tasks (`asyncio.gather`, `asyncio.to_thread`), and not the threads of an executor, which start with an empty
context. A task that outlives its scope belongs to none from then on. Deliberately not here: counting; the fold does
that, in the `repeats` that every unit carries.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import Any, Final

from querygauge.capture.endings import ENDINGS
from querygauge.capture.evidence import LONG, LOOKS, NEIGHBOURS, POLL_NS, SALT, Evidence
from querygauge.checkout import SEEN, Checkout
from querygauge.patterns.traits import traits_of
from querygauge.values import OTHER_SCOPES, Pattern, ScopeLabel

__all__ = [
    "CURRENT",
    "IN_SHORT_FROM",
    "PAUSE_NS",
    "Scope",
    "Seen",
    "Streak",
    "changed",
    "continued",
    "current_scope",
    "label_of",
    "left",
    "scope",
    "streak_of",
]

# Patterns a unit remembers as seen; beyond it, repetitions of further patterns go unnoticed, and memory stays bounded.
_SEEN_LIMIT: Final = 1_000
PAUSE_NS: Final = 1_000_000_000  # ends a streak where a unit of work has no end of its own
# Characters kept of a name and of a tag: they may be from a request's header, and a thousand of them are kept.
_LONGEST: Final = 200
# Executions of a streak that are looked at, and whose line is looked for: up to this one each, then ever fewer, down to
# one in so many.
_FIRST_LOOKED_AT: Final = 5
_ONE_IN: Final = 32
IN_SHORT_FROM: Final = 8  # executions of a streak from which they are told of in short; adding up a few gains nothing
_LINES_LIMIT: Final = 100  # lines of one streak that evidence is kept of
_CHANGES: Final = ""  # no pattern's id


class Streak:
    """
    Executions of one pattern within one scope or checkout, from the second on; fits `protocols.Streak`.

    Attributes:
        target: Name of the database.
        pattern: What is executed.
        scope: What it belongs to; None outside of every scope.
        repeats: Belongs to the fold; holds the first execution, which nobody knew to be the first of several.
        evidence: What is known of its executions, by the line that sent them.
        count: Executions so far, the first included.
        last_ns: Start of the last one.
        due: The execution that is to be looked at next, as finding its line costs more than all the rest; 0 once
            several lines are known, since each execution's own must be found then.
        call_site: The line found last.
    """

    __slots__ = (
        "_changes", "_ended_ns", "_evidence", "call_site", "count", "due", "evidence", "last_ns", "pattern", "repeats",
        "scope", "target",
    )  # fmt: skip

    def __init__(
        self,
        target: str,
        pattern: Pattern,
        scope: "Scope | None",
        first_ns: int,
        first_duration_ns: int,
        last_ns: int,
        changes: "Changes",
    ) -> None:
        self.target = target
        self.pattern = pattern
        self.scope = scope
        self.repeats: dict[tuple[str, str | None], list[Any]] = {
            (f"{target} {pattern.id}", None): [1, first_duration_ns, 0, None, (0,) * 8]
        }
        self.evidence: dict[str | None, Evidence] = {}
        self.count = self.due = 2
        self.last_ns = last_ns
        self.call_site: str | None = None
        self._evidence: Evidence | None = None  # of the line found last
        self._ended_ns = first_ns + first_duration_ns
        self._changes = changes

    @property
    def is_due(self) -> bool:
        """Whether the execution under way is to be looked at."""
        return self.count >= self.due

    def look_at(
        self,
        call_site: str | None,
        pattern: Pattern,
        started_ns: int,
        duration_ns: int,
        rows: int,
        statement: str,
        parameters: Any,
        context: Any = None,
    ) -> None:
        """
        Adds the execution under way to the evidence.

        Args:
            call_site: The line that sent it, if it was found.
            pattern: What was executed.
            started_ns: When.
            duration_ns: How long it took.
            rows: Rows returned or affected; negative if unknown.
            statement: As it was sent.
            parameters: What it was sent with.
            context: SQLAlchemy's; None for another library.
        """
        evidence = self._evidence
        if evidence is None or call_site is not self.call_site:
            evidence = self._turn_to(call_site, pattern)
        looked, count, changes = evidence.looked, self.count, self._changes
        pause = 1 if count < _FIRST_LOOKED_AT else min(count, _ONE_IN)
        self.due = 0 if len(self.evidence) > 1 else count + pause
        if evidence.written and rows:
            for table in evidence.written:
                changes[table] = started_ns
        if looked >= LOOKS:
            return
        if changes:
            evidence.changes += self._is_changed(pattern, evidence.last_ns or self._ended_ns)
        evidence.last_ns = started_ns
        if looked < NEIGHBOURS:
            if not 0 <= started_ns - self._ended_ns <= POLL_NS:
                evidence.add_gap(started_ns - self._ended_ns)
            self._ended_ns = started_ns + duration_ns
        if not evidence.is_plain or len(parameters) >= LONG:
            evidence.add(statement, parameters, context, rows)
            return
        evidence.looked = looked + 1
        try:
            values = parameters if parameters.__class__ is tuple else tuple(parameters.values())
            evidence.parameters.add(hash((SALT, statement, values)))
        except Exception:  # noqa: BLE001  # a value without a hash
            evidence.uncompared += 1

    def _is_changed(self, pattern: Pattern, since_ns: int) -> bool:
        """Whether a write to one of the tables of a pattern was looked at since then."""
        changes = self._changes
        return any(changes.get(table, 0) > since_ns for table in pattern.tables)

    def _turn_to(self, call_site: str | None, pattern: Pattern) -> Evidence:
        """The evidence of another line than before."""
        self.call_site = call_site
        evidence = self.evidence.get(call_site)
        if evidence is None:
            evidence = Evidence(traits_of(pattern))
            if len(self.evidence) < _LINES_LIMIT:
                self.evidence[call_site] = evidence
        self._evidence = evidence
        return evidence


Changes = dict[str, int]
"""By table: the start of the last write that was looked at."""
Seen = dict[str, tuple[int, int] | Streak | Changes]
"""
By pattern id: start and duration of the only execution so far, or the streak from the second one on; and, under a key
of their own, the changes that all streaks have in common.
"""


class Scope:
    """
    A named unit of work; fits `protocols.Scope`.

    Attributes:
        has_pauses: Whether it goes on for as long as somebody is connected, so that a pause ends a streak.
        is_over: Whether it has ended; what is executed afterwards, by a task that it began, belongs to no scope.
        label: What it is counted under; None while that is not known yet.
        repeats: Belongs to the fold.
        evidence: Of what is counted within the scope itself, by whoever measured it.
        seen: What was executed so far, by target, until it is over; belongs to the hot path.
        tallies: Belongs to the fold.
    """

    __slots__ = ("_began_ns", "evidence", "has_pauses", "is_over", "label", "repeats", "seen", "tallies")

    def __init__(self, label: ScopeLabel | None, *, has_pauses: bool = False) -> None:
        self.label = label
        self.has_pauses = has_pauses
        self.is_over = False
        self.repeats: dict[tuple[str, str | None], list[Any]] = {}
        self.evidence: dict[str | None, Evidence] = {}
        self.seen: dict[str, Seen] = {}
        self.tallies: dict[object, Any] = {}
        self._began_ns = time.perf_counter_ns()

    @property
    def name(self) -> str | None:
        """What people call it; None while that is not known yet."""
        return None if self.label is None else self.label.name

    @property
    def tags(self) -> Mapping[str, str]:
        """Whatever else tells it apart."""
        return {} if self.label is None else dict(self.label.tags)

    def find_label(self, *, is_last: bool = False) -> ScopeLabel | None:  # noqa: ARG002  # for scopes named later
        """As `protocols.Scope.find_label`."""
        return self.label

    def finish(self) -> None:
        """Ends it, has it counted, and lets go of what it executed."""
        self.is_over = True
        # The context it was set in may live on: a timer has one, and asyncpg makes one for each statement it prepares.
        self.seen = {}
        ENDINGS.tell(self, time.perf_counter_ns() - self._began_ns)

    def __repr__(self) -> str:
        patterns = sum(len(seen) - (_CHANGES in seen) for seen in self.seen.values())
        return f"{type(self).__name__}({self.name!r}, patterns={patterns})"


def continued(
    seen: Seen, scope: Scope | None, target: str, pattern: Pattern, started_ns: int, duration_ns: int
) -> Streak | None:
    """
    Takes note of one execution in `seen`; the streak it belongs to, or None if it is the first of its pattern.

    Args:
        seen: What the scope or the checkout executed so far on this target.
        scope: None for a checkout. There a pause of a second ends a streak, as in a scope that has pauses: what polls
            on a connection of its own repeats nothing.
        target: Name of the database.
        pattern: What was executed.
        started_ns: When.
        duration_ns: How long it took.
    """
    pattern_id = pattern.id
    known = seen.get(pattern_id)
    if known is None:
        if len(seen) < _SEEN_LIMIT:
            seen[pattern_id] = (started_ns, duration_ns)
        return None
    has_pauses = scope is None or scope.has_pauses
    if known.__class__ is Streak:  # faster than isinstance()
        if has_pauses and started_ns - known.last_ns > PAUSE_NS:
            seen[pattern_id] = (started_ns, duration_ns)
            return None
        known.last_ns = started_ns
        known.count += 1
        return known
    first: Any = known  # no Streak, whose class was compared above
    first_ns, first_duration_ns = first
    if has_pauses and started_ns - first_ns > PAUSE_NS:
        seen[pattern_id] = (started_ns, duration_ns)
        return None
    changes: Any = seen.setdefault(_CHANGES, {})
    streak = seen[pattern_id] = Streak(target, pattern, scope, first_ns, first_duration_ns, started_ns, changes)
    return streak


def streak_of(
    current: Scope | None, holder: Checkout | None, target: str, pattern: Pattern, started_ns: int, duration_ns: int
) -> Streak | None:
    """
    Takes note of one execution in its scope, else in the checkout; the streak it belongs to.

    Args:
        current: The scope; None outside of one.
        holder: The pool monitor's entry of the checkout; None outside of one.
        target: Name of the database.
        pattern: What was executed.
        started_ns: When.
        duration_ns: How long it took.
    """
    seen = _seen_in(current, holder, target)
    return None if seen is None else continued(seen, current, target, pattern, started_ns, duration_ns)


def changed(current: Scope | None, holder: Checkout | None, target: str, pattern: Pattern, started_ns: int) -> None:
    """Takes note of a batch, which belongs to no streak: the same question behind it may have another answer."""
    written = traits_of(pattern).written
    seen = _seen_in(current, holder, target) if written else None
    if seen is not None:
        changes: Any = seen.setdefault(_CHANGES, {})
        changes.update(dict.fromkeys(written, started_ns))


def _seen_in(current: Scope | None, holder: Checkout | None, target: str) -> Seen | None:
    """What the scope, else the checkout, executed so far; None if there is neither."""
    if current is not None:
        return current.seen.setdefault(target, {})
    if holder is None:
        return None
    seen = holder[SEEN] or {}
    if seen.__class__ is tuple:  # SQLAlchemy's hook keeps a single statement so
        seen = {seen[0]: seen[1:]}
    holder[SEEN] = seen
    return seen


CURRENT: Final[ContextVar[Scope | None]] = ContextVar("querygauge_scope", default=None)


def current_scope() -> Scope | None:
    """The scope that an execution which ends now belongs to; None outside of one."""
    current = CURRENT.get()
    return None if current is None or current.is_over else current


def label_of(name: str, tags: Mapping[str, Any]) -> ScopeLabel:
    """A name and tags as they are counted under."""
    pairs = sorted((str(key)[:_LONGEST], str(tags[key])[:_LONGEST]) for key in tags) if tags else ()
    return ScopeLabel(str(name)[:_LONGEST], tuple(pairs))


def _label_or_other(name: str, tags: Mapping[str, Any]) -> ScopeLabel:
    try:
        return label_of(name, tags)
    except Exception as error:  # noqa: BLE001  # a value that has no text must not end what it was to name
        ENDINGS.guard.caught("label", error)
        return OTHER_SCOPES


def left(entered: Scope, token: Token[Scope | None]) -> None:
    """Ends a scope; `token` is what `CURRENT.set` gave."""
    try:
        entered.finish()
    except Exception as error:  # noqa: BLE001  # the host must not notice
        ENDINGS.guard.caught("scope", error)
    # Left in another context than it was entered in, as by a generator that a framework runs in threads: here it was
    # never set, and there it is over.
    with suppress(ValueError):
        CURRENT.reset(token)


@contextmanager
def scope(name: str, **tags: str) -> Iterator[Scope]:
    """
    Names the request, job or test that the queries inside belong to.

    Args:
        name: What people call it, such as `GET /orders/{id}`; few distinct ones, never an id.
        **tags: Anything else that tells executions apart, such as `tenant="acme"`.
    """
    entered = Scope(_label_or_other(name, tags))
    token = CURRENT.set(entered)
    try:
        yield entered
    finally:
        left(entered, token)
