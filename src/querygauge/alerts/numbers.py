"""
What is taken for a number in settings, and for the id of a pattern: a leaf, for every file that reads some.

Deliberately not here: from where on a number is too small.
"""

import re
from typing import Any, Final

from querygauge.errors import SettingsError

__all__ = ["check_pattern", "is_number"]

_ID: Final = re.compile(r"[0-9a-f]{1,16}")

_LARGEST: Final = 1e15  # milliseconds would be thirty thousand years, and nanoseconds no number of a database


def is_number(value: Any) -> bool:
    """Whether a value is a number that anything can be compared with: no truth, none without end, nor one too large."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def check_pattern(value: str) -> None:
    """
    Checks that it is the id of a pattern, or how one may begin.

    Raises:
        SettingsError: If there cannot be such a pattern; it begins with the setting's name.
    """
    if not _ID.fullmatch(value):
        raise SettingsError(f"pattern must be an id of a pattern, 16 hex digits, or how it begins; got {value!r}")
