"""
Rows and columns as plain text.

In go cells that are already text, out come aligned lines without trailing blanks, no wider than asked for. Deliberately
not here: colours, which belong to whoever knows that a terminal watches, and the formatting of numbers, which is
`rendering.formats`.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Column", "render_table", "shortened", "text_width", "visible"]

_GAP: Final = "  "
_MARK: Final = "…"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Column:
    """
    What is above the cells, and how they are set.

    Attributes:
        title: The words above them.
        align: The side they lean to: numbers right, words left.
        legible: Width they may be shortened to before other columns are left out; None is the widest cell's.
    """

    title: str
    align: Literal["left", "right"] = "right"
    legible: int | None = None


def render_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    indent: int = 2,
    width: int | None = None,
    least_telling: Sequence[str] = (),
) -> list[str]:
    """
    The title line and one line per row; each column as wide as its widest cell, if there is room for it.

    Args:
        columns: The columns, from the left.
        rows: A cell for each column.
        indent: Blanks before each line.
        width: Characters of a line; None is as many as it takes. A table of columns that cannot be shortened may be
            wider, because half a number is a wrong one.
        least_telling: Titles of columns that are left out where the width is too small, the first of them first.
    """
    cells = [[column.title for column in columns], *([visible(cell) for cell in row] for row in rows)]
    widths = [max(text_width(row[place]) for row in cells) for place in range(len(columns))]
    if width is not None:
        room = width - indent
        kept = _places_kept(columns, widths, room, least_telling)
        columns = [columns[place] for place in kept]
        cells = [[row[place] for place in kept] for row in cells]
        widths = _narrowed(columns, [widths[place] for place in kept], room)
    return [_line(row, columns, widths, " " * indent) for row in cells]


def _places_kept(
    columns: Sequence[Column], widths: Sequence[int], room: int, least_telling: Sequence[str]
) -> list[int]:
    """Which columns stay, so that each of them is legible."""
    legible = [
        width if column.legible is None else min(width, column.legible)
        for column, width in zip(columns, widths, strict=True)
    ]
    kept = list(range(len(columns)))
    for title in least_telling:
        if _total([legible[place] for place in kept]) <= room:
            break
        kept = [place for place in kept if columns[place].title != title]
    return kept


def _narrowed(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The widths with which the columns fit; the one that is furthest beyond its legible width gives way first."""
    narrowed = list(widths)
    legible = {place: column.legible for place, column in enumerate(columns) if column.legible is not None}
    while _total(narrowed) > room:
        beyond = {place: narrowed[place] - width for place, width in legible.items() if narrowed[place] > 1}
        if not beyond:
            break
        narrowed[max(beyond, key=beyond.__getitem__)] -= 1
    return narrowed


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], margin: str) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        text = shortened(cell, width)
        blanks = " " * (width - text_width(text))
        padded.append(blanks + text if column.align == "right" else text + blanks)
    return (margin + _GAP.join(padded)).rstrip()


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` columns, one at least; its middle goes, because names differ at both ends."""
    if text_width(text) <= width:
        return text
    head = _beginning(text, (width - 1) * 2 // 3).rstrip()
    tail = _beginning(text[::-1], width - 1 - text_width(head))[::-1].lstrip()
    return head + _MARK + tail


def _beginning(text: str, width: int) -> str:
    beginning = text[:width]
    while text_width(beginning) > width:
        beginning = beginning[:-1]
    return beginning


def visible(text: str) -> str:
    r"""`text` with control characters spelled out (`\x1b`): a quoted identifier must not steer somebody's terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def text_width(text: str) -> int:
    """Columns a terminal needs for `text`: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
