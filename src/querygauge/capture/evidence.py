"""
Why a statement is sent again: what its executions within one scope or checkout, from one line, have in common.

In goes an execution of a streak from the second one on, the first few and later one in many, with its parameters and
SQLAlchemy's context; out comes evidence, by which the fold tells a loop from a walk through a table, and SQLAlchemy's
lazy loads from either. Of parameters nothing stays but hashes, salted and few; those without one are not compared.
Deliberately not here: which executions are looked at, and what the evidence means.
"""

import os
import re
from asyncio import _get_running_loop, current_task
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from threading import get_ident
from typing import Any, Final
from weakref import ref

from querygauge.capture.orm_loads import described, flush_under_way, is_of_flush, load_under_way, object_of
from querygauge.patterns.moving import moving_of
from querygauge.patterns.traits import Traits
from querygauge.values.repetitions import Cause

__all__ = ["LONG", "LOOKS", "NEIGHBOURS", "POLL_NS", "SALT", "Evidence"]

LOOKS: Final = 64  # executions that are looked at, and the hashes that are kept of each kind
LONG: Final = 50  # values of a list from which it is a part of a whole, and no row
_LARGE: Final = 100_000  # characters or bytes; hashing 1 MB takes 0.5 ms
_MEMBERS_TAKEN: Final = 16
_MEMBERS_KEPT: Final = 1_024
_MEMBERS_SHARED: Final = 4  # of those taken; what is not of the list may be among them
POLL_NS: Final = 50_000_000  # between two executions: who waits so long asks whether something has changed
NEIGHBOURS: Final = 7  # the first so many are looked at one after the other, and what is between them too
_TASKS: Final = 3  # that overlap: two may be a task and the one that waits for it
_SAME: Final = 3  # executions for each set of parameters, from which they are asked again and no values of a loop
_DEEPEST: Final = 4  # lists within lists that are read
# Hashes of small numbers would tell the numbers.
SALT: Final = os.urandom(16)
_LISTS: Final = re.compile(r"(?i)\bIN ?\(([^()]*)\)").finditer
# Equal values of these have one hash.
_COMPARABLE: Final = frozenset({bool, bytes, float, int, str, type(None)})
_NONE: Final[frozenset[int]] = frozenset()


class Evidence:
    """
    What is known about a streak's executions from one line; fits `protocols.Evidence`.

    Whatever most evidence has nothing of stands at the class, so that making one is cheap.

    Attributes:
        looked: Executions looked at.
        cause: What SQLAlchemy sends them for; None if the application asks for the rows.
        attribute: What it loads then.
        is_plain: Whether the parameters alone have something to tell: their hash is all that is to be added.
        parameters: Hashes of distinct sets of parameters.
        overlaps: Executions that began before the one ahead of them had ended.
        pauses: Executions that began long after.
        uncompared: Executions whose parameters have no hash.
        changes: Executions before which, since the one looked at before, a write to a table of theirs was looked at.
        last_ns: Start of the last execution looked at.
        written: Tables that each execution changes.
    """

    looked = 0
    cause: Cause | None = None
    attribute: str | None = None
    is_plain = False
    overlaps = 0
    pauses = 0
    uncompared = 0
    changes = 0
    last_ns = 0
    _is_load = True  # whether the ORM loads something by itself
    _batches = 0
    _flushes = 0  # executions that a flush sent, of which the one before is known
    _shared_flushes = 0  # those that the same flush sent as the one before
    _flush: "ref[Any] | None" = None
    _pages = 0
    _are_sorted = False
    _chunks = 0
    _rests: AbstractSet[int] = _NONE
    _parents: AbstractSet[int] = _NONE
    _origins: AbstractSet[int] = _NONE  # queries that brought the parents
    _workers: AbstractSet[int] = _NONE
    _members: AbstractSet[int] = _NONE

    def __init__(self, traits: Traits) -> None:
        self._traits = traits
        self.written = traits.written
        self.parameters: set[int] = set()

    def add_gap(self, gap_ns: int) -> None:
        """Takes note that an execution began before the one ahead of it had ended (`gap_ns` < 0), or long after."""
        if gap_ns < 0:
            self.overlaps += 1
            self._workers |= {_worker()}
        else:
            self.pauses += 1

    def add(self, statement: str, parameters: Any, context: Any, rows: int) -> None:
        """
        Takes note of more than the parameters; the first execution tells what to expect of the others.

        Args:
            statement: As it was sent.
            parameters: What it was sent with.
            context: SQLAlchemy's; None for another library.
            rows: Rows returned or affected; negative if unknown.
        """
        traits = self._traits
        try:
            if traits.is_write:
                self._add_write(parameters, context, rows)
            elif self._is_load:
                self._is_load = context is not None and self._add_load(context)
        except Exception:  # noqa: BLE001, S110  # members of SQLAlchemy's that have gone; nothing else depends on them
            pass
        try:
            values = tuple(parameters.values()) if isinstance(parameters, dict) else tuple(parameters or ())
            if traits.is_simple and 0 < len(values) < LONG and _are_comparable(values):
                self.is_plain = not self._is_load
                self.parameters.add(hash((SALT, statement, values)))
            else:
                self.is_plain = False
                self._compare(statement, parameters, tuple(_frozen(value, _DEEPEST) for value in values))
        except Exception:  # noqa: BLE001  # a value without a hash
            self.uncompared += 1
        self.looked += 1

    def _compare(self, statement: str, parameters: Any, values: tuple[Any, ...]) -> None:
        self.parameters.add(_digest(statement, values))
        if self._traits.may_walk:
            self._add_page(statement, tuple(parameters) if isinstance(parameters, dict) else range(len(values)), values)
        members = _members(values) or _members_within(statement)
        if members is not None:
            self._add_chunk(members)

    def _add_load(self, context: Any) -> bool:
        """Whether it was a load."""
        load = load_under_way(context)
        loaded = None if load is None else object_of(load)
        if loaded is None:
            return False
        if self.cause is None:
            self.cause, self.attribute = described(load, context)
        self._parents |= {_digest(loaded.key or id(loaded))}
        self._origins |= {_digest(loaded.runid, loaded.session_id)}
        return True

    def _add_write(self, parameters: Any, context: Any, rows: int) -> None:
        # Many rows by one statement are a batch; where nobody says how many, so are many values.
        self._batches += rows > 1 or (rows < 0 and len(parameters) >= LONG)
        if context is not None and is_of_flush(context):
            flush = flush_under_way()
            if self.looked <= NEIGHBOURS and flush is not None and self._flush is not None:
                self._flushes += 1
                self._shared_flushes += self._flush() is flush
            self._flush = None if flush is None else ref(flush)

    def _add_page(self, statement: str, keys: Sequence[Any], values: tuple[Any, ...]) -> None:
        moving = moving_of(statement)
        if moving is None or (moving.limit is not None and values[keys.index(moving.limit)] == 1):
            return
        kept = tuple(value for key, value in zip(keys, values, strict=True) if key not in moving.keys)
        self._rests |= {_digest(moving.rest, kept)}
        self._pages += 1
        self._are_sorted |= moving.is_sorted

    def _add_chunk(self, members: Sequence[Any]) -> None:
        step = max(1, len(members) // _MEMBERS_TAKEN)
        taken = {_digest(member) for member in members[::step]}
        self._chunks += len(taken & self._members) <= _MEMBERS_SHARED
        if len(self._members) < _MEMBERS_KEPT:
            self._members |= taken

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """Executions compared, distinct parameters, parents, origins, overlaps, and 1 if several tasks overlapped."""
        parameters = len(self.parameters)
        is_parallel = len(self._workers) >= _TASKS and 2 * self.overlaps >= self._neighbours
        # Of two threads that count at the same time one may be lost.
        compared = max(self.looked - self.uncompared, parameters)
        return compared, parameters, len(self._parents), len(self._origins), self.overlaps, int(is_parallel)

    @property
    def _neighbours(self) -> int:
        return min(self.looked, NEIGHBOURS)

    @property
    def tasks(self) -> int:
        """Tasks or threads seen to overlap."""
        return len(self._workers)

    def is_innocent(self, threshold: int) -> bool:
        """Whether repeating is in the nature of the thing; `threshold` is how many executions are too many."""
        traits = self._traits
        if traits.is_part:
            return True
        if traits.is_write:
            return self._is_most(self._batches) or 2 * self._shared_flushes > self._flushes or self._is_walk(threshold)
        if self.cause is not None:
            # One object or two that are asked for their state again and again.
            are_few = len(self._parents) == 1 or 2 * len(self._parents) <= self.looked
            return are_few and self.cause != "lazy"
        if self._is_most(self._chunks) or self._is_walk(threshold):
            return True
        # What has changed in between has another answer, which the first one cannot stand for.
        if self._is_most(self.changes) and len(self.parameters) <= max(1, self.looked // _SAME):
            return True
        is_same = len(self.parameters) == 1
        return is_same and (traits.is_answered_anew or 2 * self.pauses > self._neighbours)

    def _is_walk(self, threshold: int) -> bool:
        """Whether each is the next page, of one walk or a few."""
        if self._pages < self.looked or len(self._rests) >= max(2, threshold - 1):
            return False
        return not self._are_sorted or 2 * len(self.parameters) > self.looked

    def _is_most(self, count: int) -> bool:
        """Whether `count` is all of them, but for the last part of a whole."""
        return 0 < count >= self.looked - 1


def _digest(*values: Any) -> int:
    """
    What stays of values.

    Raises:
        TypeError: If one has no hash.
    """
    return hash((SALT, *values))


def _worker() -> int:
    """Who sends the statement; the task, or the thread outside of a loop. One that has ended may lend its number."""
    loop = _get_running_loop()
    return get_ident() if loop is None else id(current_task(loop))


def _are_comparable(values: tuple[Any, ...]) -> bool:
    """Whether equal values of these types have one hash, and it is made fast."""
    for value in values:  # noqa: SIM110  # all() takes three times as long for the one or two there mostly are
        if value.__class__ not in _COMPARABLE:
            return False
    return True


def _members(values: tuple[Any, ...]) -> Sequence[Any] | None:
    """The values that a list holds, if it is long."""
    if len(values) >= LONG:
        return values
    for value in values:
        if value.__class__ is tuple and len(value) >= LONG:
            return value
    return None


def _members_within(statement: str) -> Sequence[Any] | None:
    """The values of a long list that is written into the statement."""
    if len(statement) < 2 * LONG:
        return None
    for listed in _LISTS(statement):
        members: list[str] = listed[1].split(",")
        if len(members) >= LONG:
            return members
    return None


def _frozen(value: Any, depth: int) -> Any:
    """
    A value that is equal to others like it, and has a hash.

    Raises:
        TypeError: If there is none, or hashing it would take as long as many a statement.
    """
    kind = type(value)
    if kind in _COMPARABLE:
        if kind in {bytes, str} and len(value) > _LARGE:
            raise TypeError(f"parameters of {len(value)} characters are not compared")
        return value
    if isinstance(value, bytearray | memoryview):
        return _frozen(bytes(value), depth)
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, list | tuple | dict) and depth:
        return tuple(_frozen(item, depth - 1) for item in (value.items() if isinstance(value, dict) else value))
    if getattr(kind, "__hash__", None) is object.__hash__:
        raise TypeError(f"parameters of {kind.__name__} are equal to themselves alone")
    hash(value)
    return value
