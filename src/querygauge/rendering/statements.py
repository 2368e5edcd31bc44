"""
A statement's text cut to a few lines that still tell which statement it is.

In goes a pattern's text, out come lines of a given width. A text that is too long first loses the labels and most of
its column list, then the middle of the rest, because both ends of a statement say most; `…` marks what was left out.
"""

import re
import textwrap
from typing import Final

from querygauge.rendering.tables import visible

__all__ = ["fold_statement", "one_line"]

_BLANKS: Final = re.compile(r"\s+")
_SELECT: Final = re.compile(r"SELECT\s+(?:DISTINCT\s+|ALL\s+)?", re.IGNORECASE)
_FROM: Final = re.compile(r"\bFROM\b", re.IGNORECASE)
_ALIAS: Final = re.compile(r"\s+AS\s+\S+$", re.IGNORECASE)
_KEPT_COLUMNS: Final = (3, 2, 1)  # tried in turn
_MARK: Final = "…"
_CUT: Final = f" {_MARK} "


def one_line(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    return _shortened(_BLANKS.sub(" ", visible(text.replace("\n", " "))).strip(), width)


def fold_statement(text: str, width: int, *, lines: int = 2) -> list[str]:
    """`text` on at most `lines` lines of at most `width` characters, broken between words where there are any."""
    # Lines end between words, so a text that would just fill them may need one more; then it is cut shorter.
    for room in range(lines * width, 0, -max(1, width // 20)):
        folded = textwrap.wrap(one_line(text, room), width, break_on_hyphens=False)
        if len(folded) <= lines:
            return folded
    return []


def _shortened(text: str, room: int) -> str:
    for kept in _KEPT_COLUMNS:
        if len(text) <= room:
            return text
        text = _with_short_column_list(text, kept)
    return text if len(text) <= room else _without_middle(text, room)


def _without_middle(text: str, room: int) -> str:
    head = _cut_after_word(text, room * 3 // 5).removesuffix(_MARK).rstrip()
    tail = text[len(text) - max(0, room - len(head) - len(_CUT)) :]
    # The tail starts at a word of its own, unless it is a single long one.
    return (head + _CUT + (tail.split(" ", 1)[1] if " " in tail else tail))[:room]


def _with_short_column_list(text: str, kept: int) -> str:
    """`SELECT a AS x, b, c, d, e FROM t` as `SELECT a, b, c, … FROM t`, for the SELECT it starts with."""
    start = _SELECT.match(text)
    if start is None:
        return text
    columns: list[str] = []
    depth, column_at = 0, start.end()
    for place in range(start.end(), len(text)):
        char = text[place]
        depth += (char == "(") - (char == ")")
        is_end = char in "Ff" and text[place - 1] == " " and _FROM.match(text, place)
        if depth == 0 and (char == "," or is_end):
            columns.append(_ALIAS.sub("", text[column_at:place].strip()))
            column_at = place + 1
        if depth == 0 and is_end:
            more = f", {_MARK}" if len(columns) > kept else ""
            return f"{start[0]}{', '.join(columns[:kept])}{more} {text[place:]}"
    return text


def _cut_after_word(text: str, room: int) -> str:
    cut = text[:room]
    return cut.rsplit(" ", 1)[0] if " " in cut else cut
