"""
Numbers as people read them: durations, counts, shares and ages, each with its unit.

In go plain numbers, out come short strings in one fixed style. Deliberately not here: padding and columns, which are
`rendering.tables`, and anything that depends on a locale.
"""

import math
from typing import Final

__all__ = ["age", "counted", "duration", "money", "number", "percent", "size"]

# Milliseconds in each unit, shortest first; a duration takes the first unit in which it stays below 1,000.
_DURATION_UNITS: Final = ((1e-6, "ns"), (1e-3, "µs"), (1.0, "ms"), (1e3, "s"))
_MINUTE_MS: Final = 60_000.0
_SIZE_UNITS: Final = "kB", "MB", "GB", "TB"
_SIZE_STEP: Final = 1_000.0
_SIGNIFICANT: Final = 3
_SMALLEST_AMOUNT: Final = 1e-6  # a smaller one has an exponent
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


def duration(ms: float) -> str:
    """
    A duration with its unit and three significant digits: `450 µs`, `1.23 ms`, `2.10 s`, `3 min 05 s`.

    Args:
        ms: Milliseconds; zero is `0 ms`, negative ones keep their sign.
    """
    if ms == 0:
        return "0 ms"
    if ms < 0:
        return f"-{duration(-ms)}"
    for unit_ms, unit in _DURATION_UNITS:
        text = _significant(ms / unit_ms)
        limit = _MINUTE_MS / unit_ms if unit == "s" else 1_000.0
        if float(text) < limit:
            return f"{text} {unit}"
    return age(ms / 1e3)


def _significant(value: float) -> str:
    """Three significant digits without an exponent; whole numbers below the first unit stay whole."""
    digits_before = max(1, math.floor(math.log10(value)) + 1) if value > 0 else 1
    text = f"{value:.{max(0, _SIGNIFICANT - digits_before)}f}"
    # 9.996 rounds up to 10.00, which is a digit too many.
    if len(text.replace(".", "")) > _SIGNIFICANT and "." in text:
        text = text[:-1].rstrip(".")
    return text


def number(n: float) -> str:
    """A count with thousands separators: `12,345`; fractions keep one decimal."""
    return f"{n:,.0f}" if float(n).is_integer() else f"{n:,.1f}"


def counted(n: int, noun: str) -> str:
    """A count with its noun: `1 day`, `12,345 rows`."""
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"


def money(amount: float) -> str:
    """An amount in whatever currency: two decimals, `1,234.50`; three significant digits below one, `0.00123`."""
    if amount < 0:
        return f"-{money(-amount)}"
    if amount >= 1 or amount == 0:
        return f"{amount:,.2f}"
    if amount < _SMALLEST_AMOUNT:
        return f"{amount:.2e}"
    return f"{amount:.{_SIGNIFICANT - 1 - math.floor(math.log10(amount))}f}"


def size(count: float) -> str:
    """A number of bytes with its unit and three significant digits: `512 B`, `44.7 MB`, `25.3 GB`."""
    if count < _SIZE_STEP:
        return f"{count:.0f} B"
    place = 0
    while round(count := count / _SIZE_STEP) >= _SIZE_STEP and place < len(_SIZE_UNITS) - 1:
        place += 1
    return f"{_significant(count)} {_SIZE_UNITS[place]}"


def percent(x: float) -> str:
    """A share from 0 to 100 with one decimal: `12.3 %`; a share that is there but tiny is `<0.1 %`."""
    if 0 < x < 0.05:  # noqa: PLR2004  # what one decimal would show as nothing
        return "<0.1 %"
    return f"{x:.1f} %"


def age(seconds: float) -> str:
    """How long ago or for how long, in the two largest units: `4.2 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 0:
        return f"-{age(-seconds)}"
    if round(seconds, 1) < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02d} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"
