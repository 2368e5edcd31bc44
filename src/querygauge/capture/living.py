"""
What an application has made before: its engines, asyncpg pools, and asyncpg connections that belong to neither.

They are found as the garbage collector sees them, which keeps no list of what refers to what and walks over everything:
20 ms for a million objects, once. It does not see what an application has frozen (`gc.freeze`) before a fork.

Deliberately not here: what is done with them, and those that are made later (`makers`).
"""

import gc
import sys
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy.engine import Engine
from sqlalchemy.engine.base import OptionEngine

__all__ = ["living_targets"]

_ADAPTED: Final = "sqlalchemy.dialects.postgresql.asyncpg", "AsyncAdapt_asyncpg_connection"


def living_targets() -> list[Any]:
    """Every engine, pool, and connection of its own that is alive, in no order."""
    pools, connections = _kinds("asyncpg.pool", "Pool"), _kinds("asyncpg.connection", "Connection")
    adapters = _kinds(*_ADAPTED)
    kinds = {*_below(Engine), *pools, *connections, *adapters}
    # By the very class: asking an object itself, by isinstance(), may run code of its own.
    found = [candidate for candidate in gc.get_referrers(*kinds) if type(candidate) in kinds]
    # One that is being made in another thread has no attributes yet.
    taken = {id(getattr(adapter, "_connection", None)) for adapter in found if type(adapter) in adapters}
    holders = (getattr(pool, "_holders", ()) for pool in found if type(pool) in pools)
    taken |= {id(holder._con) for several in holders for holder in several}  # noqa: SLF001  # asyncpg's way to it
    targets = [target for target in found if type(target) not in adapters and id(target) not in taken]
    return [target for target in targets if type(target) not in connections or not target.is_closed()]


def _kinds(module: str, name: str) -> set[type]:
    """A class of a library and those below it; none if the library is not loaded."""
    kind = getattr(sys.modules.get(module), name, None)
    return set() if kind is None else set(_below(kind))


def _below(kind: type) -> Iterator[type]:
    # The copies that execution_options() makes have neither pool nor dialect of their own.
    if not issubclass(kind, OptionEngine):
        yield kind
        for below in kind.__subclasses__():
            yield from _below(below)
