"""
Lists of values and rows of lists, of any length → as if they had one element.

In goes a statement before its values are `?`, to be made shorter (`shortened`), and after (`without_repetition`); out
comes one in which the number of elements, of rows and of equal calls around values leaves no trace. Deliberately not
here: runs of values a comma apart, which are one match of `grammar`.
"""

import re
from functools import cache
from typing import Final

from querygauge.patterns.dialects import Dialect

__all__ = ["MAX_LIST_CHARACTERS", "first_rows", "shortened", "without_long_lists", "without_repetition"]

# A list is shortened before its statement is cut, if it is no longer than this.
MAX_LIST_CHARACTERS: Final = 192 * 1024

_LONG: Final = 64  # elements
# By placeholder without a name: several of them, one more, the end of a row of them, and the whole row.
_MARKS: Final = tuple(
    (f"{mark}, {mark}, {mark}", f", {mark}", f"{mark}), (", re.compile(rf", \({sent}(?:, {sent})++\)(?=, )"))
    for mark, sent in (("?", r"\?"), ("%s", "%s"))
)
_ROWS: Final = re.compile(r"\(\?\)(?:, \(\?\))++")
_ROW_CUT: Final = re.compile(r"(?<=\)),?(?: \((?:\?,?)?)?$")
_LONGEST_ROW_CUT: Final = 8  # characters
_NESTED: Final = re.compile(r"\((?<!\(.)(\(++)\?\)(\)++)")
_VALUES: Final = re.compile(r"(?i)(?<![\w\"`.])VALUES? ?(?=\()")
_PARENTHESIS: Final = re.compile(r"[()]")
# What SQLAlchemy sends instead of an empty list.
_EMPTY_LISTS: Final = (
    ("NOT IN (?) OR (? = ?)", "NOT IN (?)"),
    ("IN (?) AND (? != ?)", "IN (?)"),
    ("IN (SELECT ? FROM (SELECT ?) WHERE ?!=?)", "IN (?)"),
)


def _nested(inside: str) -> str:
    text = rf"(?:[^()\[\]{{}}]++|{inside})*+" if inside else r"[^()\[\]{}]*+"
    return rf"(?:\({text}\)|\[{text}\]|\{{{text}\}})"


# A value with what is around it: `lower(?)`, `DATE ?`, `CAST(? AS INTEGER)`, `INTERVAL ? DAY`, `[?]`, `{d ?}`.
_ELEMENT: Final = rf"(?:[\w.\"`]++ ?)?+(?:\?(?: [A-Za-z]++(?! [^F]))?+|{_nested(_nested(''))})"
_ALIKE: Final = re.compile(rf"(?<=[(\[ ])({_ELEMENT})(?:, \1)++")
# What may follow the last element of a list; before anything else it is a part of something larger.
_ENDS: Final = re.compile(r"[)\]},;]|$| (?i:FROM|ON|RETURNING|WHERE|ORDER|UNION|AS \w+ ON)\b").match
# Two values with a comma and little else between them.
_MAY_BE_ALIKE: Final = re.compile(r"\?[^,?]{0,64}+, [^,?]{0,64}+\?").search
_DEEPEST: Final = 3
_UNITED_ROWS: Final = re.compile(r"(?i)(SELECT \?(?: FROM DUAL)?)(?: UNION ALL \1)++(?!,)")
_INSERTS_ALL: Final = re.compile(r"(?i)( INTO [^()\s]++ ?(?:\([^()]*+\) ?)?VALUES? ?\([^()]*+\))\1++")


def shortened(text: str) -> str:
    """`text` with long runs of nameless placeholders, and of rows of them, shortened at the speed of `str.replace`."""
    for several, one, end_of_row, rows in _MARKS:
        if several in text:
            text = _cut_down(text, one)
            row = rows.search(text) if end_of_row in text else None
            if row is not None:
                text = _cut_down(text, row.group())
    return text


def _cut_down(text: str, piece: str) -> str:
    run = piece * 8
    while run in text:
        text = text.replace(run, piece)
    return text


def without_long_lists(text: str, dialect: Dialect) -> str:
    """
    A statement without most elements of its long lists, so that what follows them is read before it is cut.

    Args:
        text: With nothing odd in it, so that every quote is one of a literal.
        dialect: Says what quotes literals.
    """
    if text.count(",") < _LONG:
        return text
    lists, rows = _long(dialect)
    return rows.sub(r"\1", lists.sub("(", text))


@cache
def _long(dialect: Dialect) -> tuple[re.Pattern[str], re.Pattern[str]]:
    quoted = [rf"{quote}[^{quote}\\]*+{quote}" for quote in dialect.string_quotes]
    named = rf"[{dialect.named_placeholders}]\w++(?:::\w++)?+"
    item = rf"(?:{'|'.join([*quoted, r'[-+]?+[0-9.]++', named])}|\?|%s|%\(\w++\)s(?:::\w++)?+|NULL|null)"
    # What an item may begin with is looked at first: a heap of parentheses is passed over quickly.
    begin = rf"\((?=[{dialect.string_quotes}{dialect.named_placeholders}0-9+\-?%Nn])"
    row = rf"{begin}{item}(?:,\s*+{item})*+\)"
    return re.compile(rf"{begin}(?:{item},\s*+){{{_LONG},}}+"), re.compile(rf"({row})(?:,\s*+{row}){{16,}}+")


def without_repetition(text: str, *, is_cut: bool) -> str:
    """
    `text` with lists of tuples, of rows and of equal calls as if they had one, and empty lists as if they had any.

    Args:
        text: With `?` for each value.
        is_cut: Whether its end is missing, and may be anywhere in a row.
    """
    for _ in range(_DEEPEST):
        once = _once_without_repetition(text)
        if once == text:
            break
        text = once
    if "? = ?)" in text or "? != ?)" in text or "?!=?)" in text:
        for sent, meant in _EMPTY_LISTS:
            text = text.replace(sent, meant)
    if is_cut and (cut := _ROW_CUT.search(text, len(text) - _LONGEST_ROW_CUT)):
        text = text[: cut.start()]
    upper = text[:11].upper()
    if upper.startswith("INSERT"):
        text = _UNITED_ROWS.sub(_first_of_alike, text)
        text = _INSERTS_ALL.sub(r"\1", text) if upper == "INSERT ALL " else text
    return text


def _once_without_repetition(text: str) -> str:
    if ", " in text and _MAY_BE_ALIKE(text):
        text = _ALIKE.sub(_first_of_alike, text)
    if ")," in text:
        text = first_rows(text)
    return _NESTED.sub(_unnested, text) if "((?)" in text or "(?))" in text else text


def _first_of_alike(found: re.Match[str]) -> str:
    # Looked at here, since a pattern that fails at its end is tried anew at each element.
    return found[1] if "?" in found[1] and _ENDS(found.string, found.end()) else found[0]


def first_rows(text: str) -> str:
    """`text` with the first row only wherever rows are listed."""
    if "(?), (" in text:
        text = _ROWS.sub("(?)", text)
    if "), (" not in text:
        return text
    pieces: list[str] = []
    position = 0
    for values in _VALUES.finditer(text):
        if values.start() < position:
            continue
        end = _row_end(text, values.end())
        pieces.append(text[position:end])
        alike = ", " + text[values.end() : end]
        for times in (64, 1):
            block = alike * times
            while text.startswith(block, end):
                end += len(block)
        while text.startswith(", (", end):
            end = _row_end(text, end + 2)
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _unnested(found: re.Match[str]) -> str:
    opened, closed = len(found[1]), len(found[2])
    shared = min(opened, closed)
    return f"{'(' * (opened - shared + 1)}?{')' * (closed - shared + 1)}"


def _row_end(text: str, start: int) -> int:
    depth = 0
    for parenthesis in _PARENTHESIS.finditer(text, start):
        depth += 1 if parenthesis.group() == "(" else -1
        if not depth:
            return parenthesis.end()
    return len(text)
