"""
Listening to the events of a SQLAlchemy pool or engine, begun and ended while it may be telling one.

`event.listen` and `event.remove` change the very collection that SQLAlchemy goes through as it tells an event, for as
long as the listeners take: the first connection of an engine asks the server several things within one of them. Another
task or thread that changes the collection meanwhile breaks the connection of the host. So a changed copy takes its
place; whoever goes through the old one goes through it to its end.

Deliberately not here: what a listener does. It may still be called once after it was taken away.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import Pool

__all__ = ["listen", "unlisten"]

_Listener = Callable[..., None]


def listen(target: Pool | Engine, name: str, listener: _Listener) -> None:
    """
    Calls `listener` at every event `name` that is told from now on; nothing happens if it was called already.

    The pools that are made from a pool call it, too. That an engine is listened to this way does not switch on
    SQLAlchemy's event path for its statements.
    """
    collection = _collection_of(target, name)
    if listener not in collection.listeners:
        # In one expression, between whose parts no other thread runs that may add a listener of the host's.
        collection.listeners = collection.listeners + deque((listener,))


def unlisten(target: Pool | Engine, name: str, listener: _Listener) -> None:
    """Calls `listener` no longer; nothing happens if it was not called."""
    collection = _collection_of(target, name)
    if listener in collection.listeners:
        kept = collection.listeners.copy()
        kept.remove(listener)
        collection.listeners = kept


def _collection_of(target: Pool | Engine, name: str) -> Any:
    # As event.listen() comes to it, the kind of lock for the first call included.
    dispatch: Any = target.dispatch
    collection = getattr(dispatch, name).for_modify(dispatch)
    if isinstance(target, Pool) and target._is_asyncio:  # noqa: SLF001  # told nowhere else
        collection._set_asyncio()  # noqa: SLF001  # what event.listen(asyncio=True) does
    return collection
