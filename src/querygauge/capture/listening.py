"""
Listening to the events of a SQLAlchemy pool or engine, begun and ended while it may be telling one.

`event.listen` and `event.remove` change the very collection that SQLAlchemy goes through as it tells an event, for as
long as the listeners take: the first connection of an engine asks the server several things within one of them. Another
task or thread that changes the collection meanwhile breaks the connection of the host. So a collection that stands that
takes its place; whoever goes through the old one goes through it to its end.

It takes its place once, and stays when we have left: whoever replaces a collection loses what another thread of the
host's is about to add to the one before, or to remove from it, having looked it up already.

Deliberately not here: what a listener does. It may still be called once after it was taken away.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.pool import Pool

__all__ = ["listen", "unlisten"]

_Listener = Callable[..., None]


class _Listeners(deque[_Listener]):
    """Listeners that may change while somebody goes through them, who goes through what they were at the beginning."""

    __slots__ = ()

    def __iter__(self) -> Iterator[_Listener]:
        while True:
            try:
                return tuple(super().__iter__()).__iter__()  # in steps of the interpreter that do not fail
            except RuntimeError:  # another thread changed them between the two steps
                continue


_NONE: Final = _Listeners()


def listen(target: Pool | Engine, name: str, listener: _Listener) -> None:
    """
    Calls `listener` at every event `name` that is told from now on; nothing happens if it was called already.

    The pools that are made from a pool call it, too. That an engine is listened to this way does not switch on
    SQLAlchemy's event path for its statements.
    """
    listeners = _listeners_of(target, name)
    if listener not in listeners:
        listeners.append(listener)


def unlisten(target: Pool | Engine, name: str, listener: _Listener) -> None:
    """Calls `listener` no longer; nothing happens if it was not called."""
    with suppress(ValueError):
        _listeners_of(target, name).remove(listener)


def _listeners_of(target: Pool | Engine, name: str) -> _Listeners:
    # As event.listen() comes to it, the kind of lock for the first call included.
    dispatch: Any = target.dispatch
    collection = getattr(dispatch, name).for_modify(dispatch)
    if isinstance(target, Pool) and target._is_asyncio:  # noqa: SLF001  # told nowhere else
        collection._set_asyncio()  # noqa: SLF001  # what event.listen(asyncio=True) does
    if not isinstance(collection.listeners, _Listeners):
        # In one expression, between whose parts no other thread runs that may add a listener of the host's.
        collection.listeners = _NONE + collection.listeners
    return collection.listeners
