"""
What callers measured themselves, checked where they say it: durations, rows, statements and errors.

In go arguments, out come the primitives that are counted, or an error that names the argument, the rule and the value
(its type, where the value may be personal). Deliberately not here: settings, which state their own rules, and what
capture measured, which needs no check on the way of a statement.
"""

import operator
from numbers import Real
from typing import Any, Final

__all__ = ["check_error", "check_statement", "duration_ns", "known_rows"]

_MAX_DURATION_MS: Final = 31_536_000_000  # a year; more is another unit, and centuries are no nanoseconds of 64 bits
_MAX_ROWS: Final = 1_000_000_000_000  # of one statement; a store adds them up in 64 bits
_UNKNOWN: Final = -1  # as cursors of drivers say it
_NS_PER_MS: Final = 1e6


def duration_ns(name: str, milliseconds: float) -> int:
    """
    Milliseconds as whole nanoseconds.

    Raises:
        TypeError: If the value called `name` is no number.
        ValueError: If it is negative, not finite, or more than a year.
    """
    if not isinstance(milliseconds, (float, int, Real)):  # the abstract class is slow to ask
        raise TypeError(f"{name} must be a number; got {type(milliseconds).__name__}")
    if not 0 <= milliseconds <= _MAX_DURATION_MS:
        raise ValueError(
            f"{name} must be a finite number >= 0 and at most a year, {_MAX_DURATION_MS:,} ms; got {milliseconds!r}"
        )
    return round(float(milliseconds) * _NS_PER_MS)


def known_rows(rows: int | None) -> int:
    """
    Rows as they are counted; -1 if unknown.

    Raises:
        TypeError: If they are no whole number.
        ValueError: If they are no number of rows.
    """
    if rows is None:
        return _UNKNOWN
    try:
        count = operator.index(rows)
    except TypeError:
        raise TypeError(f"rows must be a whole number or None; got {type(rows).__name__}") from None
    if not _UNKNOWN <= count <= _MAX_ROWS:
        raise ValueError(f"rows must lie in [0, {_MAX_ROWS:,}], or be None or -1 if unknown; got {rows!r}")
    return count


def check_statement(sql: Any) -> None:
    """
    Lets a statement pass.

    Raises:
        TypeError: If it is no text.
    """
    if not isinstance(sql, str):
        raise TypeError(f"sql must be of type str; got {type(sql).__name__}")


def check_error(error: Any) -> None:
    """
    Lets pass why an execution failed.

    Raises:
        TypeError: If it is neither an exception nor a text nor None.
    """
    if error is not None and not isinstance(error, (str, BaseException)):
        raise TypeError(f"error must be an exception, a str or None; got {type(error).__name__}")
