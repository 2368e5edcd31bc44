"""
Which values of a statement move on from page to page, or from window to window: a walk through a table, and no loop.

In goes a statement as it was sent, out come the places of the values that a walk changes, and a hash of the rest.
Recognised are `OFFSET`, a key that a page continues after (`id > ? … ORDER BY … LIMIT ?`), a range of one column with
both its ends, and a limit without an order, whose rows are gone by the next time. In doubt nothing moves. Deliberately
not here: the values themselves, which are read and not kept.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["Key", "Moving", "moving_of"]

Key = int | str
"""Place or name of a parameter."""

_TEXTS_REMEMBERED: Final = 200
_LONGEST_TEXT: Final = 10_000  # beyond it a statement is data more often than a page
_NAME: Final = r"(?:[A-Za-z_][\w$]*|\"[^\"]*\"|`[^`]*`|\[\w+\])"
_TOKENS: Final = re.compile(
    r"(?P<skipped>--[^\n]*|/\*.*?\*/|::\w+|\s+)|"
    r"(?P<named>%\((?P<of_percent>\w+)\)s|:(?P<of_colon>[A-Za-z_]\w*))|"
    r"(?P<numbered>[$:](?P<number>\d+))|"
    r"(?P<anonymous>\?|%s)|"
    r"(?P<literal>'(?:[^']|'')*'|\d+(?:\.\d+)?)|"
    rf"(?P<name>{_NAME}(?:\.{_NAME})*)|"
    r"(?P<sign>[<>]=?|=|<>|!=|[(),])|"
    r"(?P<other>.)",
    re.DOTALL,
)
_VALUES: Final = frozenset({"named", "numbered", "anonymous", "literal"})
_UPPER: Final = frozenset({"<", "<="})
_LOWER: Final = frozenset({">", ">="})
_LIMITS: Final = frozenset({"LIMIT", "FIRST", "NEXT"})
_OF_MANY: Final = frozenset({"AVG", "COUNT", "MAX", "MIN", "SUM"})  # make one row of a window


class _Value(NamedTuple):
    """A parameter, by its key, or a literal, by where it stands."""

    key: Key | None
    start: int
    end: int


class _Bound(NamedTuple):
    column: str
    sign: str
    value: _Value


class Moving(NamedTuple):
    """
    What moves in one statement.

    Attributes:
        keys: Parameters that move.
        rest: The statement without the literals that move.
        limit: The parameter that says how long a page is; None if none does.
        is_sorted: Whether the same values have the same rows, unless somebody writes.
    """

    keys: frozenset[Key]
    rest: str
    limit: Key | None
    is_sorted: bool


@lru_cache(_TEXTS_REMEMBERED)
def moving_of(statement: str) -> Moving | None:
    """What moves in `statement` if it is part of a walk; None if nothing does."""
    if len(statement) > _LONGEST_TEXT:
        return None
    return _Reading(statement).moving()


class _Reading:
    """One statement as tokens: what each is, its text in upper case, and the value if it is one."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._kinds: list[str] = []
        self._words: list[str] = []
        self._values: list[_Value | None] = []
        self._read()
        self._bounds: list[_Bound] = []
        self._equal: list[_Bound] = []
        self._offsets: list[_Value] = []
        self._limits: list[_Value] = []
        for place, value in enumerate(self._values):
            if value is not None:
                self._place(place, value)

    def _read(self) -> None:
        anonymous = 0
        for token in _TOKENS.finditer(self._statement):
            kind = token.lastgroup or ""
            named = token["of_percent"] or token["of_colon"]
            kind = "named" if named else "numbered" if token["number"] else kind
            if kind == "skipped":
                continue
            key: Key | None = named or (int(token["number"]) - 1 if token["number"] else None)
            if kind == "anonymous":
                key, anonymous = anonymous, anonymous + 1
            self._kinds.append(kind)
            self._words.append(token[0].upper())
            self._values.append(_Value(key, *token.span()) if kind in _VALUES else None)

    def _word(self, place: int) -> str:
        return self._words[place] if place >= 0 else ""

    def _place(self, place: int, value: _Value) -> None:
        """What the value at `place` is there for."""
        before = self._word(place - 1)
        if before == "(" and self._word(place - 2) in {"OFFSET", *_LIMITS}:
            before = self._word(place - 2)
        if before == "OFFSET":
            self._offsets.append(value)
        elif before in _LIMITS:
            # MySQL's `LIMIT 20, 10` begins with the offset.
            is_offset = self._words[place + 1 : place + 2] == [","]
            (self._offsets if is_offset else self._limits).append(value)
        elif before == "," and self._word(place - 3) == "LIMIT":
            self._limits.append(value)
        elif before == "BETWEEN":
            self._bounds.append(_Bound(self._word(place - 2), ">", value))
        elif before == "AND" and self._word(place - 3) == "BETWEEN":
            self._bounds.append(_Bound(self._word(place - 4), "<", value))
        elif before in _UPPER | _LOWER:
            self._bounds.append(_Bound(self._word(place - 2), before, value))
        elif before == "=":
            self._equal.append(_Bound(self._word(place - 2), before, value))
        else:
            self._place_in_row(place, value)

    def _place_in_row(self, place: int, value: _Value) -> None:
        """The same for a value of `(a, b) > (?, ?)`."""
        while place > 0 and (self._values[place] is not None or self._words[place] == ","):
            place -= 1
        if self._words[place] == "(" and self._word(place - 1) in _UPPER | _LOWER:
            self._bounds.append(_Bound("(", self._word(place - 1), value))

    def moving(self) -> Moving | None:
        """What moves, if anything does."""
        if self._is_page_of_one():
            return None
        is_sorted = "ORDER" in self._words
        if self._limits and is_sorted:
            columns = {bound.column for bound in self._bounds}
            # `a > ? OR (a = ? AND b > ?)` is how a pair is compared where rows cannot be. An offset may stand beside
            # it: SQLAlchemy gives SQLite one of 0.
            values = [bound.value for bound in self._bounds + self._equal if bound.column in columns]
            return self._made_of(values + self._offsets) if values or self._offsets else None
        if self._offsets or self._limits:
            return self._made_of(self._offsets, is_sorted=is_sorted)
        if self._is_window():
            return self._made_of(bound.value for bound in self._bounds)
        return None

    def _is_page_of_one(self) -> bool:
        return any(limit.key is None and self._statement[limit.start : limit.end] == "1" for limit in self._limits)

    def _is_window(self) -> bool:
        if self._words[0] == "SELECT" and self._words[1] in _OF_MANY and "GROUP" not in self._words:
            return False
        signs = {bound.sign[0] for bound in self._bounds}
        return len({bound.column for bound in self._bounds}) == 1 and signs == {"<", ">"}

    def _made_of(self, values: Iterable[_Value], *, is_sorted: bool = True) -> Moving:
        rest, keys, end = [], set(), 0
        for value in sorted(values, key=lambda value: value.start):
            if value.key is None:
                rest.append(self._statement[end : value.start])
                end = value.end
            else:
                keys.add(value.key)
        limit = self._limits[0].key if self._limits else None
        return Moving(frozenset(keys), "".join([*rest, self._statement[end:]]), limit, is_sorted)
