"""What every value can do: turn into JSON types."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar

from querygauge.histogram import Histogram
from querygauge.values.plain import plain

__all__ = ["Value"]


class Value:
    """Turns a frozen dataclass into JSON types: its fields, then the properties it names in `_derived`."""

    __slots__ = ()
    _derived: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """This value as JSON types: datetimes in ISO 8601, tuples as lists, values inside as objects."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # only dataclasses inherit from this
        return {name: _json(getattr(self, name)) for name in (*names, *self._derived)}


def _json(value: object) -> Any:
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, Histogram):
        return {str(bucket): count for bucket, count in sorted(value.buckets.items())}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else plain(value)
