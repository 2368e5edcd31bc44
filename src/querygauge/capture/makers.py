"""
What an application makes from now on: every engine, asyncpg pool, and asyncpg connection that belongs to neither.

In goes a function, which gets each of them as soon as it is made and before it is used. They are caught where all ways
of making one end, so it does not matter who imported what before: in the constructors of engines and pools, and in the
function behind `asyncpg.connect`. Asyncpg is not imported for it; it is looked after once the application imports it.

Deliberately not here: what is done with them, and those that were made before (`living`).
"""

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import FrameType
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.util import decorator

from querygauge.capture.guard import Guard
from querygauge.capture.wrapping import Replacement, Wraps
from querygauge.imports import forget_import, when_imported

__all__ = ["Makers"]


class Makers:
    """
    The attachment to whatever makes engines, pools and connections.

    Args:
        made: Takes each of them.
        guard: Counts what failed on the way.
    """

    def __init__(self, made: Callable[[Any], object], guard: Guard) -> None:
        self._made = made
        self._guard = guard
        self._wraps: list[Wraps] = []

    def attach(self) -> None:
        """Begins to hand on what is made."""
        self._replace(Engine, "__init__", self._told_engine)
        when_imported("asyncpg", self._attach_to_asyncpg)

    def detach(self) -> None:
        """Restores what `attach` found."""
        forget_import("asyncpg", self._attach_to_asyncpg)
        while self._wraps:
            self._wraps.pop().restore()

    def _attach_to_asyncpg(self) -> None:
        try:
            self._replace(import_module("asyncpg.pool").Pool, "__init__", self._told_pool)
            self._replace(import_module("asyncpg.connect_utils"), "_connect", self._told_connection)
        except Exception as error:  # noqa: BLE001  # a version of asyncpg that names them otherwise
            self._guard.caught("asyncpg", error)

    def _replace(self, owner: Any, name: str, wrap: Callable[[Callable[..., Any], list[bool]], Replacement]) -> None:
        wraps_of_owner = Wraps(owner)
        wraps_of_owner.replace(name, wrap)
        self._wraps.append(wraps_of_owner)

    def _told_engine(self, original: Callable[..., None], is_off: list[bool]) -> Replacement:
        # create_engine() looks at the names of its parameters for those which it may hand on, so they are kept.
        @decorator
        def make(found: Callable[..., None], engine: Any, *arguments: Any, **keywords: Any) -> None:
            found(engine, *arguments, **keywords)
            if not is_off:
                self._tell("engine", engine)

        return make(original)

    def _told_pool(self, original: Callable[..., None], is_off: list[bool]) -> Replacement:
        @wraps(original)
        def make(pool: Any, *arguments: Any, **keywords: Any) -> None:
            original(pool, *arguments, **keywords)
            if not is_off:
                self._tell("pool", pool)

        return make

    def _told_connection(self, original: Callable[..., Any], is_off: list[bool]) -> Replacement:
        @wraps(original)
        async def connect(*arguments: Any, **keywords: Any) -> Any:
            connection = await original(*arguments, **keywords)
            if not is_off:
                self._tell("connection", connection)
            return connection

        return connect

    def _tell(self, kind: str, target: Any) -> None:
        try:
            if kind != "connection" or not _is_for_a_pool():
                self._made(target)
        except Exception as error:  # noqa: BLE001  # the host must not notice
            self._guard.caught(kind, error)


def _is_for_a_pool() -> bool:
    """Whether SQLAlchemy or a pool of asyncpg opens the connection that is opened now: theirs are seen through them."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # once for each connection, which takes a thousand times as long
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module == "asyncpg.pool" or module.startswith("sqlalchemy."):
            return True
        frame = frame.f_back
    return False
