"""
Other thresholds for some statements: in goes a table of the settings, out comes an `Override`.

Deliberately not here: what is compared with them, which the rules do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from querygauge.alerts.numbers import check_pattern, is_number
from querygauge.errors import SettingsError
from querygauge.values.choosing import is_chosen

__all__ = ["Override", "override_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """
    Thresholds of some statements; each of its choices narrows them down.

    Attributes:
        pattern: The id of a pattern, or how it begins.
        service: Name of an application, `*` standing for any part of it, here and below.
        target: Name of a database.
        scope: Name of the scope in which it was executed.
        slow_query_ms: From here on a single execution is told of; the application's own slow threshold if None.
        p95_ms: What the 95th percentile must not exceed; that of all patterns if None. It is one of all scopes.
    """

    pattern: str = ""
    service: str = "*"
    target: str = "*"
    scope: str | None = None
    slow_query_ms: float | None = None
    p95_ms: float | None = None

    def is_about(self, service: str, target: str, pattern_id: str) -> bool:
        """Whether a pattern is one of them, in some scope."""
        return (
            pattern_id.startswith(self.pattern) and is_chosen(service, self.service) and is_chosen(target, self.target)
        )

    def is_within(self, scope: str | None) -> bool:
        """Whether an execution in a scope is one of them, if its pattern is."""
        return self.scope is None or (scope is not None and is_chosen(scope, self.scope))


_NAMES: Final = tuple(field.name for field in fields(Override))
_NUMBERS: Final = ("slow_query_ms", "p95_ms")


def override_of(table: Any) -> Override:
    """
    What a table of the settings describes.

    Raises:
        SettingsError: If a setting is unknown or impossible; it begins with the setting's name.
    """
    if not isinstance(table, Mapping):
        raise SettingsError(f"overrides must be tables; got {table!r}")
    for name, value in table.items():
        if name not in _NAMES:
            raise SettingsError(f"{name} is no setting of an override; known are {', '.join(_NAMES)}")
        if name in _NUMBERS:
            _check_number(name, value)
        elif not isinstance(value, str) or not value:
            raise SettingsError(f"{name} must be a text that is not empty; got {value!r}")
        elif name == "pattern":
            check_pattern(value)
    values: dict[str, Any] = {name: float(value) if name in _NUMBERS else value for name, value in table.items()}
    found = Override(**values)
    if found.slow_query_ms is None and found.p95_ms is None:
        raise SettingsError("slow_query_ms or p95_ms must be given: an override without one overrides nothing")
    if found.scope is not None and found.p95_ms is not None:
        raise SettingsError(
            "p95_ms must stand without scope, as it is one of all scopes; set an objective of the scope"
        )
    return found


def _check_number(name: str, value: Any) -> None:
    if not is_number(value) or value <= 0:
        raise SettingsError(f"{name} must be a number > 0; got {value!r}")
