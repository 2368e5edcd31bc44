"""
The statements that an ORM sends most → operation, summary and tables, in a tenth of the time of reading tokens.

What it gives is what `summary_reader` gives; whatever is not of the expected form it leaves to that one: one query
only, nothing quoted, keywords in upper case as SQLAlchemy writes them.
"""

import re
from typing import Final

__all__ = ["read_plain"]

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_$?.]*+"
_ALIAS: Final = r"(?: AS \w++)?+"
_EQUATION: Final = rf"{_NAME} = {_NAME}"
_CONDITION: Final = rf"(?: ON {_EQUATION}(?: AND {_EQUATION})*+)?+"
# Tables up to what may follow them; each part is taken once and for all, so that a lower-case keyword is no alias.
_TABLES: Final = re.compile(
    rf"({_NAME}){_ALIAS}((?:(?:,| (?:LEFT OUTER |INNER |LEFT )?JOIN) {_NAME}{_ALIAS}{_CONDITION})*+)"
    r"(?=\Z| (?:WHERE|GROUP BY|ORDER BY|HAVING|LIMIT|OFFSET|FETCH|FOR (?:UPDATE|SHARE|NO KEY|KEY SHARE))(?!\w))"
).match
_JOINED: Final = re.compile(rf" JOIN ({_NAME})").findall
_JOINED_OR_LISTED: Final = re.compile(rf"(?: JOIN|,) ({_NAME})").findall
_WRITE: Final = re.compile(
    rf"(INSERT) INTO ({_NAME}) \(|(UPDATE) ({_NAME}) SET |(DELETE) FROM ({_NAME})(?= WHERE |\Z)"
).match
_OTHER_TABLES: Final = re.compile(r" (?:FROM|USING|JOIN|INTO|OUTPUT) ").search


def read_plain(text: str) -> tuple[str, str, tuple[str, ...]] | None:
    """Operation, summary and tables; None if the statement is not plain."""
    if '"' in text or "`" in text or ";" in text or "[" in text:
        return None
    return _read_select(text) if text.startswith("SELECT ") else _read_write(text)


def _read_select(text: str) -> tuple[str, str, tuple[str, ...]] | None:
    start = text.find(" FROM ")
    columns = text[7:start].upper()
    if start < 0 or " INTO " in columns or " FROM " in columns or columns.endswith(" DISTINCT"):
        return None
    # Functions are read over; a subquery, or FROM inside of a function, is not plain.
    if "(" in columns and ("SELECT" in columns or columns.count("(") != columns.count(")")):
        return None
    found = _TABLES(text, start + 6)
    if not found or "SELECT" in text[found.end() :].upper():
        return None
    first, further = found.groups()
    if not further:
        return "SELECT", f"SELECT {first}", (first,)
    names = [first, *(_JOINED_OR_LISTED if "," in further else _JOINED)(further)]
    return "SELECT", "SELECT " + " ".join(names), tuple(dict.fromkeys(names))


def _read_write(text: str) -> tuple[str, str, tuple[str, ...]] | None:
    found = _WRITE(text)
    if not found:
        return None
    rest = text[found.end() - 1 :].upper()
    if "SELECT" in rest or _OTHER_TABLES(rest):
        return None
    operation, table = filter(None, found.groups())
    return operation, f"{operation} {table}", (table,)
