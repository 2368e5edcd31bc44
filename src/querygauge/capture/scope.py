"""
The request, job or test that queries belong to: a context variable that a `with` block sets.

It reaches tasks (`asyncio.gather`, `asyncio.to_thread`), and not the threads of an executor, which start with an empty
context. Deliberately not here: counting; the fold does that, in the `repeats` that every unit carries.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["CURRENT", "Scope", "Seen", "Streak", "continued", "scope"]

# Patterns a unit remembers as seen; beyond it, repetitions of further patterns go unnoticed, and memory stays bounded.
_SEEN_LIMIT: Final = 1_000


class Streak:
    """
    Executions of one pattern within one scope or transaction, from the second on; fits `protocols.Unit`.

    Attributes:
        name: Name of the scope; None for a transaction.
        repeats: Belongs to the fold; holds the first execution, which nobody knew to be the first of several.
        count: Executions so far, the first included.
        call_site: The line found last.
    """

    __slots__ = ("call_site", "count", "name", "repeats")

    def __init__(self, name: str | None, key: str, first_ns: int) -> None:
        self.name = name
        self.repeats: dict[tuple[str, str | None], list[int]] = {(key, None): [1, first_ns]}
        self.count = 1
        self.call_site: str | None = None


Seen = dict[str, int | Streak]
"""By "target pattern_id": how long the only execution so far took, or the streak from the second one on."""


class Scope:
    """
    A named unit of work; fits `protocols.Unit`.

    Attributes:
        name: As given to `scope`.
        tags: As given to `scope`.
        repeats: Belongs to the fold.
        seen: What was executed so far; belongs to the hot path.
    """

    __slots__ = ("name", "repeats", "seen", "tags")

    def __init__(self, name: str, tags: Mapping[str, str]) -> None:
        self.name: str | None = name
        self.tags = tags
        self.repeats: dict[tuple[str, str | None], list[int]] = {}
        self.seen: Seen = {}

    def __repr__(self) -> str:
        return f"Scope({self.name!r}, patterns={len(self.seen)})"


def continued(seen: Seen, scope: str | None, target: str, pattern_id: str, duration_ns: int) -> Streak | None:
    """Takes note of one execution in `seen`; the streak it belongs to, or None if it is the first of its pattern."""
    key = f"{target} {pattern_id}"
    known = seen.get(key)
    if known is None:
        if len(seen) < _SEEN_LIMIT:
            seen[key] = duration_ns
        return None
    if isinstance(known, int):
        known = seen[key] = Streak(scope, key, known)
    known.count += 1
    return known


CURRENT: Final[ContextVar[Scope | None]] = ContextVar("querygauge_scope", default=None)


@contextmanager
def scope(name: str, **tags: str) -> Iterator[Scope]:
    """
    Names the request, job or test that the queries inside belong to.

    Args:
        name: What people call it, such as `GET /orders/{id}`; few distinct ones, never an id.
        **tags: Anything else that tells executions apart, such as `tenant="acme"`.
    """
    entered = Scope(name, {key: str(value) for key, value in tags.items()})
    token = CURRENT.set(entered)
    try:
        yield entered
    finally:
        CURRENT.reset(token)
