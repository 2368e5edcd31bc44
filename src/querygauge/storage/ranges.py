"""Spans of time as people type them: in goes `24h`, out comes a timedelta."""

import re
from datetime import timedelta
from typing import Final

from querygauge.errors import SettingsError

__all__ = ["parse_range"]

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXAMPLES: Final = "15m, 1h, 24h, 7d, 30d, 90d"
# Ten years: longer than anything is kept, and far from what a timedelta cannot hold.
_LONGEST: Final = timedelta(days=3660)


def parse_range(text: str) -> timedelta:
    """
    The span that `text` names: a whole number and one of s, m, h, d, w.

    Raises:
        SettingsError: If it names none, or one that is not between a second and ten years.
    """
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip().lower(), flags=re.ASCII)
    if match is None:
        raise SettingsError(f"a range must be a number and a unit, such as {_EXAMPLES}; got {text!r}")
    span = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not timedelta(0) < span <= _LONGEST:
        raise SettingsError(f"a range must be longer than 0 and at most 10 years, such as {_EXAMPLES}; got {text!r}")
    return span
