"""Values about scopes: what requests, jobs and tests are counted under."""

from typing import NamedTuple

__all__ = ["ScopeLabel"]


class ScopeLabel(NamedTuple):
    """
    What all units of work of one kind are counted under; a plain tuple, because the fold looks counters up by it.

    Attributes:
        name: What people call it, such as `GET /orders/{id}`.
        tags: Whatever else tells them apart, sorted by key.
    """

    name: str
    tags: tuple[tuple[str, str], ...] = ()
