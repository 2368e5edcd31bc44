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
_VALUES: Final = re.compile(r"(?i)(?<![\w\"`.])VALUES? ?(?:ROW ?)?(?=\()")
_NEXT_ROW: Final = re.compile(r", (?i:ROW ?)?(?=\()")
_PARENTHESIS: Final = re.compile(r"[()]")
# What SQLAlchemy sends instead of an empty list.
_EMPTY_LISTS: Final = (
    ("NOT IN (?) OR (? = ?)", "NOT IN (?)"),
    ("IN (?) AND (? != ?)", "IN (?)"),
    ("IN (SELECT ? FROM (SELECT ?) WHERE ?!=?)", "IN (?)"),
    # And what SQLite's lists of tuples are.
    ("IN (VALUES (?))", "IN (?)"),
    (" IN ()", " IN (?)"),
    (" in ()", " in (?)"),
)

# Two values with a comma and not too much else between them.
_MAY_BE_ALIKE: Final = re.compile(r"\?[^,?]{0,128}+(?:,[^,?]{0,128}+){1,8}+\?").search
_EDGE: Final = re.compile(r"[()\[\]{}]|, ")
_DEEPEST: Final = 32  # parentheses within each other; an element is written down once for each of them
_ROUNDS: Final = 3  # a row that goes may leave two more that are alike
_UNITED_ROWS: Final = re.compile(
    r"(?i)(SELECT \?(?: FROM DUAL)?)(?: UNION ALL \1(?=\)|;|$| (?:UNION|ON|RETURNING|ORDER)\b))++"
)
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
    named = rf"[{dialect.placeholders}]\w++(?:::\w++)?+"
    item = rf"(?:{'|'.join([*quoted, r'[-+]?+[0-9.]++', named])}|\?|%s|%\(\w++\)s(?:::\w++)?+|NULL|null)"
    # What an item may begin with is looked at first: a heap of parentheses is passed over quickly.
    begin = rf"\((?=[{dialect.string_quotes}{dialect.placeholders}0-9+\-?%Nn])"
    row = rf"{begin}{item}(?:,\s*+{item})*+\)"
    return re.compile(rf"{begin}(?:{item},\s*+){{{_LONG},}}+"), re.compile(rf"({row})(?:,\s*+{row}){{16,}}+")


def without_repetition(text: str, *, is_cut: bool) -> str:
    """
    `text` with lists of tuples, of rows and of equal calls as if they had one, and empty lists as if they had any.

    Args:
        text: With `?` for each value.
        is_cut: Whether its end is missing, and may be anywhere in a row.
    """
    for _ in range(_ROUNDS):
        once = _once_without_repetition(text)
        if once == text:
            break
        text = once
    if is_cut and (cut := _ROW_CUT.search(text, len(text) - _LONGEST_ROW_CUT)):
        text = text[: cut.start()]
    upper = text[:11].upper()
    if upper.startswith("INSERT"):
        text = _UNITED_ROWS.sub(r"\1", text)
        text = _INSERTS_ALL.sub(r"\1", text) if upper == "INSERT ALL " else text
    return text


def _once_without_repetition(text: str) -> str:
    if ", " in text and _MAY_BE_ALIKE(text):
        text = _without_equal_elements(text)
    if "), " in text:
        text = first_rows(text)
    if "((?)" in text or "(?))" in text:
        text = _NESTED.sub(_unnested, text)
    if "? = ?)" in text or "? != ?)" in text or "?!=?)" in text or "VALUES (?))" in text or "()" in text:
        for sent, meant in _EMPTY_LISTS:
            text = text.replace(sent, meant)
    return text


def _without_equal_elements(text: str) -> str:
    """`text` with one element for each run of equal ones within parentheses, if there is a value in them."""
    outer: list[tuple[list[str], str]] = []  # what was read before each open parenthesis
    elements: list[str] = []
    element = ""
    position = 0
    for edge in _EDGE.finditer(text):
        mark = edge.group()
        element += text[position : edge.start()]
        position = edge.end()
        if mark in "([{":
            if len(outer) == _DEEPEST:
                return text
            outer.append((elements, element + mark))
            elements, element = [], ""
            continue
        if not (outer and elements and elements[-1] == element and "?" in element):
            elements.append(element)
        element = ""
        if mark != ", ":
            if not outer:
                return text
            inside = ", ".join(elements)
            elements, before = outer.pop()
            element = f"{before}{inside}{mark}"
    element += text[position:]
    while outer:  # the end was cut
        inside = ", ".join([*elements, element])
        elements, before = outer.pop()
        element = before + inside
    return ", ".join([*elements, element])


def first_rows(text: str) -> str:
    """`text` with the first row only wherever rows are listed."""
    if "(?), (" in text:
        text = _ROWS.sub("(?)", text)
    if "), (" not in text and "), ROW" not in text and "), row" not in text:
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
        while following := _NEXT_ROW.match(text, end):
            end = _row_end(text, following.end())
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
