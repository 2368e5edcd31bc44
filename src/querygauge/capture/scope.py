"""
The request, job or test that queries belong to: a context variable that a `with` block sets.

It reaches tasks (`asyncio.gather`, `asyncio.to_thread`), and not the threads of an executor, which start with an empty
context. Deliberately not here: counting; the fold does that, in the `repeats` that every unit carries.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["CURRENT", "PAUSE_NS", "Scope", "Seen", "Streak", "continued", "named_scope", "scope", "streak_of"]

# Patterns a unit remembers as seen; beyond it, repetitions of further patterns go unnoticed, and memory stays bounded.
_SEEN_LIMIT: Final = 1_000
PAUSE_NS: Final = 1_000_000_000  # ends a streak outside a named scope
# Executions of a streak whose line is looked for: the first so many, then one in so many.
_LINES_FOUND: Final = 8
_LINES_SKIPPED: Final = 32
# The place in a holder, the pool monitor's entry of a checkout, for what was sent meanwhile.
_SEEN: Final = 4


class Streak:
    """
    Executions of one pattern within one scope or checkout, from the second on; fits `protocols.Unit`.

    Attributes:
        name: Name of the scope; None for a checkout.
        repeats: Belongs to the fold; holds the first execution, which nobody knew to be the first of several.
        count: Executions so far, the first included.
        last_ns: Start of the last one.
        call_site: The line found last.
        has_lines: Whether more than one line was found, so that each execution's own must be.
    """

    __slots__ = ("call_site", "count", "has_lines", "last_ns", "name", "repeats")

    def __init__(self, name: str | None, key: str, first_duration_ns: int, last_ns: int) -> None:
        self.name = name
        self.repeats: dict[tuple[str, str | None], list[Any]] = {(key, None): [1, first_duration_ns, None]}
        self.count = 2
        self.last_ns = last_ns
        self.call_site: str | None = None
        self.has_lines = False

    def line(self, find: Callable[[], str | None]) -> str | None:
        """
        The line that sent the execution under way, as far as it is known.

        Walking the frames costs more than all the rest, so in a long streak it is done now and then.
        """
        if self.has_lines or self.count <= _LINES_FOUND or not self.count % _LINES_SKIPPED:
            found = find()
            self.has_lines = self.has_lines or self.call_site not in {None, found}
            self.call_site = found
        return self.call_site


Seen = dict[str, tuple[int, int] | Streak]
"""By pattern id: start and duration of the only execution so far, or the streak from the second one on."""


class Scope:
    """
    A named unit of work; fits `protocols.Unit`.

    Attributes:
        name: As given to `scope`.
        tags: As given to `scope`.
        repeats: Belongs to the fold.
        seen: What was executed so far, by target; belongs to the hot path.
    """

    __slots__ = ("name", "repeats", "seen", "tags")

    def __init__(self, name: str, tags: Mapping[str, str]) -> None:
        self.name: str | None = name
        self.tags = tags
        self.repeats: dict[tuple[str, str | None], list[Any]] = {}
        self.seen: dict[str, Seen] = {}

    def __repr__(self) -> str:
        return f"Scope({self.name!r}, patterns={sum(map(len, self.seen.values()))})"


def continued(
    seen: Seen, scope: str | None, target: str, pattern_id: str, started_ns: int, duration_ns: int
) -> Streak | None:
    """
    Takes note of one execution in `seen`; the streak it belongs to, or None if it is the first of its pattern.

    Args:
        seen: What the scope or the checkout executed so far on this target.
        scope: The scope's name; None for a checkout, where a pause of a second ends a streak: what polls on a
            connection of its own repeats nothing.
        target: Name of the database.
        pattern_id: What was executed.
        started_ns: When.
        duration_ns: How long it took.
    """
    known = seen.get(pattern_id)
    if known is None:
        if len(seen) < _SEEN_LIMIT:
            seen[pattern_id] = (started_ns, duration_ns)
        return None
    if known.__class__ is Streak:  # faster than isinstance()
        if scope is None and started_ns - known.last_ns > PAUSE_NS:
            seen[pattern_id] = (started_ns, duration_ns)
            return None
        known.last_ns = started_ns
        known.count += 1
        return known
    first_ns, first_duration_ns = known  # type: ignore[misc]  # no Streak, whose class was compared above
    if scope is None and started_ns - first_ns > PAUSE_NS:
        seen[pattern_id] = (started_ns, duration_ns)
        return None
    streak = seen[pattern_id] = Streak(scope, f"{target} {pattern_id}", first_duration_ns, started_ns)
    return streak


def streak_of(
    holder: list[Any] | None, target: str, pattern_id: str, started_ns: int, duration_ns: int
) -> Streak | None:
    """
    Takes note of one execution in the current scope, else in the checkout; the streak it belongs to.

    Args:
        holder: The pool monitor's entry of the checkout; None outside of one.
        target: Name of the database.
        pattern_id: What was executed.
        started_ns: When.
        duration_ns: How long it took.
    """
    current = CURRENT.get()
    if current is not None:
        seen = current.seen.setdefault(target, {})
    elif holder is not None:
        seen = holder[_SEEN] = holder[_SEEN] or {}
    else:
        return None
    return continued(seen, None if current is None else current.name, target, pattern_id, started_ns, duration_ns)


class _Named:
    """Tells the fold which scope a slow execution was in, and makes no repetition of it."""

    __slots__ = ("name", "repeats")

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.repeats: dict[tuple[str, str | None], list[Any]] = {}


def named_scope() -> _Named | None:
    """The current scope for an execution that repeats nothing; None outside of one."""
    current = CURRENT.get()
    return None if current is None else _Named(current.name)


CURRENT: Final[ContextVar[Scope | None]] = ContextVar("querygauge_scope", default=None)


@contextmanager
def scope(name: str, **tags: str) -> Iterator[Scope]:
    """
    Names the request, job or test that the queries inside belong to.

    Args:
        name: What people call it, such as `GET /orders/{id}`; few distinct ones, never an id.
        **tags: Anything else that tells executions apart, such as `tenant="acme"`.
    """
    entered = Scope(str(name), {key: str(value) for key, value in tags.items()})
    token = CURRENT.set(entered)
    try:
        yield entered
    finally:
        # Left in another context than it was entered in, as by a generator that a framework runs in threads: there it
        # was never set.
        with suppress(ValueError):
            CURRENT.reset(token)
