"""
What is taken for a number in settings: a leaf, for every file that reads some.

Deliberately not here: from where on a number is too small.
"""

from typing import Any, Final

__all__ = ["is_number"]

_LARGEST: Final = 1e15  # milliseconds would be thirty thousand years, and nanoseconds no number of a database


def is_number(value: Any) -> bool:
    """Whether a value is a number that anything can be compared with: no truth, none without end, nor one too large."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
