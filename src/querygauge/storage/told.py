"""
Values from their JSON: in goes what `Value.to_dict` gave, out comes the same value.

What a class derives is left out, and a member that is not there has its default, as in what an older version wrote.
Deliberately not here: values with members of their own making, such as histograms.
"""

import types
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from querygauge.values.base import Value

__all__ = ["value_of"]

_Value = TypeVar("_Value", bound=Value)


@cache
def _hints(kind: type) -> dict[str, Any]:
    """What each member is; worked out once for each class."""
    return get_type_hints(kind)


def value_of(kind: type[_Value], told: Mapping[str, Any]) -> _Value:
    """The value of a class whose JSON types these are."""
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable, which mypy asks of its values
    members = {each.name: _of(hints[each.name], told[each.name]) for each in fields(kind) if each.name in told}  # type: ignore[arg-type]  # only dataclasses inherit from it
    return kind(**members)


def _of(hint: Any, told: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if told is None:
        return None
    if origin in {Union, types.UnionType}:
        return _of(next(each for each in arguments if each is not types.NoneType), told)
    if origin is tuple:
        return tuple(_of(arguments[0], each) for each in told)
    if hint is datetime:
        return datetime.fromisoformat(told)
    return value_of(hint, told) if isinstance(hint, type) and issubclass(hint, Value) else told
