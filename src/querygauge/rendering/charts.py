"""
Bars and curves of block characters: in go numbers, out come lines of as many characters as asked for.

Deliberately not here: axes and labels, which are those of whoever knows the unit.
"""

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["chart_row", "share_bar"]

_LEVELS: Final = " ▁▂▃▄▅▆▇█"
_PER_ROW: Final = len(_LEVELS) - 1


def chart_row(values: Sequence[float | None], top: float, row: int = 1, rows: int = 1) -> str:
    """
    One row of a chart with a column for each value, whatever is above nothing being seen.

    Args:
        values: From the left; None is not known, and blank.
        top: What fills a column.
        row: Which row, counted from below.
        rows: How many there are.
    """
    return "".join(_cell(value, top, row, rows) for value in values)


def _cell(value: float | None, top: float, row: int, rows: int) -> str:
    if value is None or top <= 0:
        return " "
    eighths = math.ceil(value / top * rows * _PER_ROW)
    return _LEVELS[min(_PER_ROW, max(0, eighths - (row - 1) * _PER_ROW))]


def share_bar(share: float, width: int) -> str:
    """A bar of which a share from 0 to 1 is filled."""
    filled = min(width, round(width * share))
    return "█" * filled + "░" * (width - filled)
