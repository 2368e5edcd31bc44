"""
A measure over time as one line of blocks: in go points with a width, out come lines that fit a page.

Points may be missing; where there is no room for each, several share a column.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from querygauge.rendering.charts import chart_row

__all__ = ["Curve", "render_series"]

_NAME_WIDTH: Final = 12
_NOTE_WIDTH: Final = 20  # `up to 123,456,789`
_LONGEST: Final = 400  # more columns than any page has
_DAY: Final = timedelta(days=1)


class Curve(NamedTuple):
    """
    One measure.

    Attributes:
        name: What is before the line.
        values: By the begin of their part of the span.
        joined: What several that share a column make: `sum`, or `max` of what cannot be added.
        told: Writes the highest of the columns.
    """

    name: str
    values: Mapping[datetime, float]
    joined: Callable[[Sequence[float]], float]
    told: Callable[[float], str]


def render_series(since: datetime, until: datetime, width: timedelta, curves: Sequence[Curve], page: int) -> list[str]:
    """
    A line for each curve, and one with the moments at both ends.

    Args:
        since: Begin of the span.
        until: Its end.
        width: Between two points.
        curves: What is drawn.
        page: Characters of a line.
    """
    first = min((at for curve in curves for at in curve.values), default=since)
    begin = first + (since - first) // width * width  # where the part that has `since` begins
    count = max(1, -((begin - until) // width))
    each = max(1, -(-count // min(_LONGEST, page - _NAME_WIDTH - _NOTE_WIDTH - 4)))
    lines = [_line(curve, begin, width, count, each) for curve in curves]
    columns = -(-count // each)
    shown = "%m-%d" if width >= _DAY else "%m-%d %H:%M"
    ends = (begin.strftime(shown), (begin + (count - 1) * width).strftime(shown))
    blanks = max(2, columns - sum(map(len, ends)))
    return [*lines, f"  {'':{_NAME_WIDTH}}{ends[0]}{' ' * blanks}{ends[1]} UTC"]


def _line(curve: Curve, begin: datetime, width: timedelta, count: int, each: int) -> str:
    points = [curve.values.get(begin + place * width) for place in range(count)]
    groups = ([v for v in points[place : place + each] if v is not None] for place in range(0, count, each))
    values = [curve.joined(group) if group else None for group in groups]
    top = max((value for value in values if value is not None), default=0.0)
    return f"  {curve.name:<{_NAME_WIDTH}}{chart_row(values, top)}  up to {curve.told(top)}"
