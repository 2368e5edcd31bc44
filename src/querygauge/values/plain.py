"""
Anything an application may hand over → JSON types, without running a line of the application's.

In go parameters of statements, out comes what can be written anywhere. Only types whose text is known to be harmless
are written out; of every other object stays the name of its class, since its own `__str__` may raise, or send a
statement. Deliberately not here: redaction; parameters are values, and kept only where somebody asked for them.
"""

import datetime as dt
import decimal
import pathlib
import uuid
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

__all__ = ["plain"]

_DEPTH: Final = 6  # of lists in lists; deeper is a structure, no parameter
_ITEMS: Final = 1_000
_CHARACTERS: Final = 64 * 1024
_LARGEST: Final = 2**63  # beyond it a number is written as text, and beyond any use as its size
_BITS: Final = 1_000


def plain(value: Any, *, depth: int = _DEPTH) -> Any:
    """
    `value` as None, booleans, numbers, texts, lists and objects with texts as keys; never raises.

    Lists and objects are cut after 1,000 items and six levels, texts after 64 K characters; bytes become their size.
    """
    kind = type(value)
    writes = _WRITERS.get(kind)
    if writes is not None:
        return writes(value)
    if depth and kind is dict:
        return {_key(key): plain(item, depth=depth - 1) for key, item in _first(value.items())}
    if depth and kind in _LISTS:
        return [plain(item, depth=depth - 1) for item in _first(value)]
    return f"<{kind.__module__}.{kind.__qualname__}>"


def _number(value: int) -> int | str:
    if -_LARGEST <= value < _LARGEST:
        return value
    return str(value) if value.bit_length() < _BITS else f"<int of {value.bit_length()} bits>"


def _float(value: float) -> float | str:
    return value if value - value == 0 else str(value)  # JSON knows no infinity and nothing that is no number


def _size(value: Any) -> str:
    return f"<{len(value)} bytes>"


def _itself(value: Any) -> Any:
    return value


def _text(value: str) -> str:
    return value[:_CHARACTERS]


def _key(key: Any) -> str:
    return key if type(key) is str else str(plain(key, depth=1))


def _first(items: Iterable[Any]) -> list[Any]:
    try:
        return list(islice(items, _ITEMS))
    except RuntimeError:  # its owner changes it at this moment
        return []


_LISTS: Final = frozenset({list, tuple, set, frozenset})
_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    **dict.fromkeys((type(None), bool), _itself),
    str: _text,
    int: _number,
    float: _float,
    **dict.fromkeys((bytes, bytearray, memoryview), _size),
    **dict.fromkeys(
        (dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, complex, uuid.UUID, pathlib.PosixPath), str
    ),
}
