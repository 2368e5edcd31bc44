"""
The request, job or test that queries belong to: a context variable that a `with` block sets.

It reaches tasks (`asyncio.gather`, `asyncio.to_thread`), and not the threads of an executor, which start with an empty
context. Deliberately not here: counting; the fold does that, in the `repeats` that every unit carries.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["CURRENT", "SEEN_LIMIT", "Scope", "scope"]

# Patterns a unit remembers as seen; beyond it, repetitions of further patterns go unnoticed, and memory stays bounded.
SEEN_LIMIT: Final = 1_000


class Scope:
    """
    A named unit of work; fits `protocols.Unit`.

    Attributes:
        name: As given to `scope`.
        tags: As given to `scope`.
        seen: Ids of the patterns executed so far; belongs to the hot path.
        repeats: Belongs to the fold.
    """

    __slots__ = ("name", "repeats", "seen", "tags")

    def __init__(self, name: str, tags: Mapping[str, str]) -> None:
        self.name: str | None = name
        self.tags = tags
        self.seen: set[str] = set()
        self.repeats: dict[tuple[str, str | None], list[int]] = {}

    def __repr__(self) -> str:
        return f"Scope({self.name!r}, patterns={len(self.seen)})"


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
