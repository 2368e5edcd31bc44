"""
What is to be attained: in go the tables of the settings, out come objectives.

Deliberately not here: whether they are attained.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from querygauge.alerts.numbers import check_pattern, is_number
from querygauge.errors import SettingsError
from querygauge.values.objectives import Objective

__all__ = ["objective_of"]

_NAMES: Final = tuple(field.name for field in fields(Objective))
_NUMBERS: Final = ("p95_ms", "success_percent")
# With more than a fifteenth that may fail, no rate is fourteen times as much.
_LEAST_PERCENT: Final = 95.0


def objective_of(table: Any) -> Objective:
    """
    What a table of the settings describes.

    Raises:
        SettingsError: If a setting is unknown, missing or impossible; it begins with the setting's name.
    """
    if not isinstance(table, Mapping):
        raise SettingsError(f"objectives must be tables; got {table!r}")
    for name, value in table.items():
        if name not in _NAMES:
            raise SettingsError(f"{name} is no setting of an objective; known are {', '.join(_NAMES)}")
        if name in _NUMBERS:
            _check_number(name, value)
        elif not isinstance(value, str) or not value:
            raise SettingsError(f"{name} must be a text that is not empty; got {value!r}")
        elif name == "pattern":
            check_pattern(value)
    for name in ("name", "service"):
        if name not in table:
            raise SettingsError(f"{name} must be given for an objective")
    if len(given := [name for name in _NUMBERS if name in table]) != 1:
        raise SettingsError(f"one of p95_ms and success_percent must be given for an objective; got {len(given)}")
    values: dict[str, Any] = {name: float(value) if name in _NUMBERS else value for name, value in table.items()}
    return Objective(**values)


def _check_number(name: str, value: Any) -> None:
    if not is_number(value):
        raise SettingsError(f"{name} must be a number; got {value!r}")
    if name == "p95_ms" and value <= 0:
        raise SettingsError(f"p95_ms must be > 0; got {value!r}")
    if name == "success_percent" and not _LEAST_PERCENT <= value < 100:  # noqa: PLR2004  # all of them
        raise SettingsError(f"success_percent must be at least {_LEAST_PERCENT:g} and less than 100; got {value!r}")
