"""
One checkout of a connection, as capture writes it and the pool's monitor reads it: a list, and the places in it.

A list, because making one is a step of the interpreter, and capture writes to it with every statement. Deliberately not
here: who keeps it, which is the monitor's `held`.
"""

from typing import Any, Final

__all__ = [
    "CALL_SITE",
    "CANCELLED_PATTERN",
    "KNOWN",
    "LAST_PATTERN",
    "OWNER",
    "PHASES",
    "RUNNING",
    "SEEN",
    "SINCE",
    "Checkout",
    "new_checkout",
]

Checkout = list[Any]

SINCE: Final = 0
"""When it began, in nanoseconds of the monotonic clock."""
CALL_SITE: Final = 1
"""The line that asked: a text, or any object whose `str()` is that line, so that it is worked out if somebody looks."""
LAST_PATTERN: Final = 2
"""The `Pattern` that ended last; None before the first."""
KNOWN: Final = 3
"""Why it may last: the reason somebody gave; True once it was reported as long; None otherwise."""
SEEN: Final = 4
"""What was sent meanwhile, for repetitions; belongs to capture."""
OWNER: Final = 5
"""A weak reference to what was handed out, dead if nobody gave it back; None if capture does not know."""
RUNNING: Final = 6
"""Start in nanoseconds and text of the statement under way; None between statements."""
PHASES: Final = 7
"""Nanoseconds by phase, in the order of `values.PHASES`, that the next statement takes over; None if there are none."""
CANCELLED_PATTERN: Final = 8
"""The `Pattern` of the last statement if it was cancelled, where a connection may be lost by that; None otherwise."""


def new_checkout(since_ns: int, call_site: object) -> Checkout:
    """A checkout of which no more is known; capture writes the same list on its hot path."""
    return [since_ns, call_site, None, None, None, None, None, None, None]
