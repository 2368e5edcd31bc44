"""
What the text of a pattern tells about being sent again: whether it writes, may walk, or is repeated on purpose.

In goes a pattern, out come its traits, which are remembered. Deliberately not here: values.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from querygauge.patterns.words import words
from querygauge.values import Pattern
from querygauge.values.repetitions import WRITES

__all__ = ["Traits", "traits_of"]

_PATTERNS_REMEMBERED: Final = 2_000
# A cursor's rows, or a file's, part by part.
_IN_PARTS: Final = words("COPY FETCH LOAD MOVE")
_READS: Final = words("SELECT WITH VALUES TABLE")
_WALKS: Final = re.compile(r"(?i)\b(?:LIMIT|OFFSET|FETCH)\b|[<>]|\bBETWEEN\b").search
# Who locks a row takes the next one each time, as from a queue, or waits for it.
_ANOTHER: Final = re.compile(r"(?i)\bFOR (?:NO KEY )?UPDATE\b|\bFOR (?:KEY )?SHARE\b").search
# What a statement asks that reads no table: whether anybody is there, or a clock or dice.
_HEALTH_OR_CHANCE: Final = re.compile(
    r"(?i)SELECT \?(?: AS \S+)?\Z|.*\b(?:CURRENT_TIMESTAMP\b|(?:now|clock_timestamp|random|gen_random_uuid|uuid) ?\()"
).match
# A queue, a sequence, a lock and a notification are used once for each, whatever they are given.
_EACH: Final = re.compile(
    r"(?i)\bSKIP LOCKED\b|\bnextval ?\(|\bNEXT VALUE FOR\b|"
    r"\b(?:pg_(?:try_)?advisory_\w+|get_lock|release_lock|pg_notify) ?\("
).search


class Traits(NamedTuple):
    """
    Of one pattern.

    Attributes:
        is_write: Whether it changes rows.
        written: Tables whose rows it changes; behind `WITH …` those that it reads as well, as nobody tells them apart.
        is_part: Whether each execution is one part of a whole, as of a cursor, or is meant, as a lock.
        may_walk: Whether it may be a page or a window of a walk through a table.
        is_answered_anew: Whether it has another answer each time although nothing about it changes.
        is_simple: Whether it neither writes nor may walk.
    """

    is_write: bool
    written: tuple[str, ...]
    is_part: bool
    may_walk: bool
    is_answered_anew: bool
    is_simple: bool


def traits_of(pattern: Pattern) -> Traits:
    """The traits of a pattern."""
    return _traits(pattern.text, pattern.operation, pattern.tables)


@lru_cache(_PATTERNS_REMEMBERED)
def _traits(text: str, operation: str, tables: tuple[str, ...]) -> Traits:
    is_write, may_walk = operation in WRITES, operation in _READS | WRITES and _WALKS(text) is not None
    written = tables[:1] if text[: len(operation)].upper() == operation else tables
    return Traits(
        is_write=is_write,
        written=written if is_write else (),
        is_part=operation in _IN_PARTS or _EACH(text) is not None,
        may_walk=may_walk,
        is_answered_anew=(_ANOTHER if tables else _HEALTH_OR_CHANCE)(text) is not None,
        is_simple=not (is_write or may_walk),
    )
