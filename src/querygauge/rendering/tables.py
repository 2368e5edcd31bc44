"""
Rows and columns as plain text.

In go cells that are already text, out come aligned lines without trailing blanks. Deliberately not here: colours, which
belong to whoever knows that a terminal watches, and the formatting of numbers, which is `rendering.formats`.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Column", "render_table", "text_width", "visible"]

_GAP: Final = "  "
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, and the side its cells lean to: numbers right, words left."""

    title: str
    align: Literal["left", "right"] = "right"


def render_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, indent: int = 2) -> list[str]:
    """The title line and one line per row; each column as wide as its widest cell."""
    cells = [[column.title for column in columns], *([visible(cell) for cell in row] for row in rows)]
    widths = [max(text_width(row[place]) for row in cells) for place in range(len(columns))]
    return [_line(row, columns, widths, " " * indent) for row in cells]


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], margin: str) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        blanks = " " * (width - text_width(cell))
        padded.append(blanks + cell if column.align == "right" else cell + blanks)
    return (margin + _GAP.join(padded)).rstrip()


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
