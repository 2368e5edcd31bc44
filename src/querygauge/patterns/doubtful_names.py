"""
Double quotes that hold a name, or a literal where no name fits: which of them stay.

SQLite takes `"x"` for a string where there is no column x, and SQL Server does under `QUOTED_IDENTIFIER OFF`. In goes
a statement that `exact` has made plain, out comes one in which a word in double quotes stays only where the grammar
has room for nothing but a name (before or after a point, as a table, in a list of columns, after AS), or if it is such
a name elsewhere in the statement; every other one is a literal. Deliberately not here: a parser. A place nobody
foresaw is a literal's.
"""

import re
from typing import Final

from querygauge.patterns.words import words

__all__ = ["without_doubtful_names"]

_TOKEN: Final = re.compile(r"\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|''|\.?[0-9][\w.]*|[^\W\d][\w$#]*|\S")
_NAME: Final = re.compile(r"[\"`\[\w]").match
_LITERAL: Final = "''"

# What a place is: where only names stand (`names` of a list of columns, `tables` that lists of columns follow, `from`),
# where a name stands before `=` (`set`), or where anything may (`values`).
_CLAUSES: Final = {
    **dict.fromkeys(words("FROM JOIN"), "from"),
    **dict.fromkeys(words("INTO UPDATE TABLE INDEX VIEW TRIGGER WITH REFERENCES"), "tables"),
    "SET": "set",
    **dict.fromkeys(
        words(
            "SELECT WHERE ON GROUP ORDER HAVING BY LIMIT OFFSET RETURNING VALUES DEFAULT CHECK DO WINDOW FOR OUTPUT "
            "TOP PRAGMA"
        ),
        "values",
    ),
}
# What goes on with an expression, which the next comma ends.
_EXPRESSIONS: Final = words("CASE WHEN THEN ELSE AND OR BETWEEN LIKE GLOB IN IS = < > + - * / % | & ! ~")
_BEFORE_A_NAME: Final = frozenset({"AS", "COLLATE", "CONSTRAINT"})
_BEFORE_COLUMNS: Final = frozenset({"KEY", "UNIQUE", "CONFLICT", "USING"})
_DEFINES: Final = frozenset({"CREATE", "ALTER", "DROP"})


def without_doubtful_names(text: str) -> str:
    """`text` with a literal in the place of each word in double quotes that need not be a name."""
    tokens = list(_TOKEN.finditer(text))
    places = _Places([token.group() for token in tokens])
    pieces: list[str] = []
    position = 0
    for number, token in enumerate(tokens):
        name = token.group()
        if name[0] == '"' and number not in places.certain and name not in places.names:
            pieces += (text[position : token.start()], _LITERAL)
            position = token.end()
    return "".join((*pieces, text[position:]))


class _Places:
    """
    Which of a statement's words in double quotes are names.

    Attributes:
        certain: The numbers of those tokens that stand where only a name can.
        names: What those say.
    """

    def __init__(self, tokens: list[str]) -> None:
        self.certain: set[int] = set()
        self.names: set[str] = set()
        # The clause of the current place, and what it is again after the next comma: `names`, `set` or neither.
        self._clause = self._list = "values"
        self._is_definition = self._is_vacuum = False
        self._outer: list[tuple[str, str]] = []
        upper = [token.upper() for token in tokens]
        for number, token in enumerate(tokens):
            before = upper[number - 1] if number else ""
            after = tokens[number + 1] if number + 1 < len(tokens) else ""
            if token[0] == '"':
                if self._is_name(before, after):
                    self.certain.add(number)
                    self.names.add(token)
            elif token == "(":  # noqa: S105  # a parenthesis, no password
                self._open(before, upper[number - 2] if number > 1 else "")
            else:
                self._pass(upper[number], before)

    def _is_name(self, before: str, after: str) -> bool:
        if before == "." or after == "." or before in _BEFORE_A_NAME:
            return True
        if self._clause == "names":
            return before in {"(", ","}
        if self._clause == "set":
            return before in {"SET", ","} and after == "="
        return self._clause in {"from", "tables"}

    def _open(self, before: str, before_that: str) -> None:
        is_after_a_name = before not in _CLAUSES and before not in _EXPRESSIONS and _NAME(before) is not None
        if before in _BEFORE_COLUMNS:
            inside = "names"
        elif self._clause == "tables" and is_after_a_name:
            inside = "values" if before == "AS" else "names"
        elif self._clause == "from":
            inside = "from" if not is_after_a_name else "names" if before_that == "AS" else "values"
        else:
            inside = "names" if self._clause == "set" and before in {"SET", ","} else "values"
        self._outer.append((self._clause, self._list))
        self._clause = self._list = inside

    def _pass(self, word: str, before: str) -> None:
        if word == ")":
            self._clause, self._list = self._outer.pop() if self._outer else ("values", "values")
        elif word == ",":
            self._clause = self._clause if self._list == "values" else self._list
        elif word == ";":
            self._clause = self._list = "values"
            self._outer.clear()
            self._is_definition = False
        elif before != "." and word in _EXPRESSIONS:
            self._clause = "values"
        elif before != "." and word in _CLAUSES:
            self._enter(word, before)
        elif before in {"", ";"}:
            self._is_definition = word in _DEFINES
            self._is_vacuum = word == "VACUUM"
        elif word == "BEGIN":
            self._is_definition = False

    def _enter(self, word: str, before: str) -> None:
        if word == "FROM" and before == "DISTINCT":
            return
        if word == "INTO" and self._is_vacuum:  # a file's name follows
            return
        if word == "ON" and self._is_definition:
            self._clause = "tables"
            return
        if word == "SELECT":
            self._is_definition = False
        self._clause = _CLAUSES[word]
        if self._clause == "set" or self._list == "set" or word == "SELECT":
            self._list = "set" if self._clause == "set" else "values"
