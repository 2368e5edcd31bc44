"""
Double quotes that hold a name, or a literal where no name fits: which of them stay.

SQLite takes `"x"` for a string where there is no column x, and SQL Server does under `QUOTED_IDENTIFIER OFF`. In goes
a statement that `exact` has made plain, out comes one in which a word in double quotes stays only where the grammar
has room for nothing but a name (beside a point, as a table, in a list of columns, as an alias), or if it is such a
name elsewhere in the statement; every other one is a literal. Deliberately not here: a parser. A place nobody foresaw
is a literal's, and since SQL Server's statements follow each other without a semicolon, any word may begin one.
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from querygauge.patterns.words import words

__all__ = ["without_doubtful_names"]

_TOKEN: Final = re.compile(r"\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|''|\.?[0-9][\w.]*|[^\W\d][\w$#]*|\S")
_DOUBTFUL: Final = re.compile(r"\"[^\"]*\"")
_MAX_TOKENS: Final = 4_096  # beyond them no place is known, as no statement has so many that a person wrote
_IS_A_MARK: Final = re.compile(r"[^\"`\['\w?]").match
_LITERAL: Final = "''"

# By word, the clause it opens. In these a name follows at once: `from` is a list of tables and aliases, `into` a table
# and its columns, `indexed` a table whose columns may be expressions, `object` what is defined or dropped, `update` a
# table alone, `with` a query that is given a name.
_NAMING: Final = {
    **dict.fromkeys(words("FROM JOIN"), "from"),
    **dict.fromkeys(words("INTO REFERENCES"), "into"),
    "ON": "indexed",
    **dict.fromkeys(words("TABLE INDEX VIEW TRIGGER"), "object"),
    "UPDATE": "update",
    "WITH": "with",
}
# In these an expression follows: in `select` it may be given a name, in `set` it has one before its `=`.
_CLAUSES: Final = {
    **_NAMING,
    **dict.fromkeys(words("SELECT RETURNING OUTPUT ATTACH"), "select"),
    "SET": "set",
    **dict.fromkeys(
        words(
            "WHERE GROUP ORDER HAVING BY LIMIT OFFSET VALUES DEFAULT CHECK DO WINDOW FOR PRAGMA ALTER BULK CREATE "
            "DELETE EXEC EXECUTE INSERT RESTORE VACUUM"
        ),
        "values",
    ),
}
# What goes on with an expression, which the next comma ends.
_EXPRESSIONS: Final = words("CASE WHEN THEN ELSE AND OR BETWEEN LIKE GLOB IN IS = < > + - * / % | & ! ~")
_BEFORE_A_NAME: Final = frozenset({"COLLATE", "COLUMN", "CONSTRAINT"})
_BEFORE_A_NAME_WITHIN: Final = {"names": frozenset({"(", ","}), "object": frozenset({"ADD", "TO"})}
# After these two words columns stand in parentheses.
_BEFORE_COLUMNS: Final = frozenset({("PRIMARY", "KEY"), ("FOREIGN", "KEY"), ("ON", "CONFLICT")})
# The first `FROM` of these is before tables; others are those of functions, files and periods.
_HAS_TABLES: Final = frozenset({"SELECT", "UPDATE", "DELETE"})
_HAS_NONE: Final = frozenset({"ALTER", "BULK", "CREATE", "INSERT", "RESTORE"})
_BEFORE_ANOTHER_FROM: Final = frozenset({"DISTINCT", "SYSTEM_TIME"})
# Before INDEX or TRIGGER, if a table follows the next ON.
_DEFINES: Final = words("CREATE ALTER UNIQUE CLUSTERED NONCLUSTERED COLUMNSTORE FULLTEXT TEMP TEMPORARY")
# Between the word that opens a clause and the name.
_NOISE: Final = {"object": words("IF NOT EXISTS"), "with": frozenset({"RECURSIVE"})}
_BEFORE_A_QUERY: Final = frozenset({"NOT", "MATERIALIZED"})
_SIGILS: Final = frozenset({"#", "@", ":"})
# By clause, where a comma is followed by a name again.
_LISTS: Final = {
    "from": frozenset({"named", "aliased"}),
    "object": frozenset({"named"}),
    "with": frozenset({"aliased"}),
}
# What looks like a table or a query with a list of its columns, and has arguments.
_HAS_ARGUMENTS: Final = words("CHANGE_TRACKING_CONTEXT OPENDATASOURCE OPENQUERY OPENROWSET XMLNAMESPACES")


def without_doubtful_names(text: str) -> str:
    """`text` with a literal in the place of each word in double quotes that need not be a name."""
    tokens = list(islice(_TOKEN.finditer(text), _MAX_TOKENS))
    places = _Places([token.group() for token in tokens])
    pieces: list[str] = []
    position = 0
    for number, token in enumerate(tokens):
        name = token.group()
        if name[0] == '"' and number not in places.certain and name not in places.names:
            pieces += (text[position : token.start()], _LITERAL)
            position = token.end()
    end = tokens[-1].end() if tokens else 0
    unread = _DOUBTFUL.sub(lambda found: found[0] if found[0] in places.names else _LITERAL, text[end:])
    return "".join((*pieces, text[position:end], unread))


@dataclass(slots=True)
class _Level:
    """
    Where a reader is between two parentheses.

    Attributes:
        items: What a comma leads to: a column's name (`names`), one that is set (`set`), or `values`.
        clause: One of `_CLAUSES`, or `names` within a list of columns.
        step: Of a clause with names, what was read of it: nothing yet (`name` may follow), the name (`named`), AS
            after it (`alias`), the alias (`aliased`); nothing of it can follow any more (`over`).
        has_tables: Whether the next `FROM` is that of a query.
    """

    items: str = "values"
    clause: str = "values"
    step: str = "over"
    has_tables: bool = False


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
        self._level = _Level()
        self._outer: list[_Level] = []
        self._is_vacuum = self._awaits_on = False
        upper = [token.upper() for token in tokens]
        before_that = before = ""
        for number, (token, word) in enumerate(zip(tokens, upper, strict=True)):
            after = upper[number + 1] if number + 1 < len(upper) else ""
            if word[0] == '"' and self._is_name(before, after):
                self.certain.add(number)
                self.names.add(token)
            self._pass(word, before, before_that, after)
            before_that, before = before, word

    def _is_name(self, before: str, after: str) -> bool:
        level = self._level
        if before == "." or after == "." or before in _BEFORE_A_NAME or level.step in {"name", "alias"}:
            return True
        if level.clause == "from":
            return level.step == "named"
        if level.clause == "set":
            return before in {"SET", ","} and after == "="
        return before in _BEFORE_A_NAME_WITHIN.get(level.clause, ())

    def _pass(self, word: str, before: str, before_that: str, after: str) -> None:
        if word == "(":
            self._open(before, before_that)
        elif word == ")":
            self._level = self._outer.pop() if self._outer else _Level()
        elif word == ";":
            self._level, self._outer = _Level(), []
            self._is_vacuum = self._awaits_on = False
        elif word == ",":
            self._list()
        elif word in _EXPRESSIONS and before != ".":
            self._level.step = "over"
            self._level.clause = "select" if self._level.clause == "select" else "values"
        elif word in _CLAUSES and before != ".":
            self._enter(word, before, after)
        elif self._level.step != "over" or word == "AS":
            self._advance(word)

    def _open(self, before: str, before_that: str) -> None:
        level = self._level
        inside = _Level()
        if self._has_columns(before, before_that):
            inside.items = inside.clause = "names"
        elif level.clause == "from" and level.step == "name":
            inside.clause, inside.step = "from", "name"
        if level.clause == "from" and level.step in {"name", "named"}:  # the alias of a query, or of a function's rows
            level.step = "named"
        elif level.step != "aliased" and (level.clause, level.step) != ("with", "named"):
            level.step = "over"
        self._outer.append(level)
        self._level = inside

    def _has_columns(self, before: str, before_that: str) -> bool:
        clause, step = self._level.clause, self._level.step
        if before in {"UNIQUE", "USING"} or (before_that, before) in _BEFORE_COLUMNS:
            return True
        if clause == "set":
            return before in {"SET", ","}
        if step == "aliased" and before_that == "AS":
            return clause in {"from", "into"}
        return step == "named" and clause in {"into", "object", "with"} and before not in _HAS_ARGUMENTS

    def _list(self) -> None:
        level = self._level
        if level.step in _LISTS.get(level.clause, ()):
            level.step = "name"
            return
        level.step = "over"
        if level.clause != "select":
            level.clause = level.items

    def _enter(self, word: str, before: str, after: str) -> None:
        level = self._level
        level.clause = _CLAUSES[word] if self._is_meant(word, before, after) else "values"
        level.step = "name" if level.clause in _NAMING.values() else "over"
        if level.clause == "set" or level.items == "set" or word == "SELECT":
            level.items = "set" if level.clause == "set" else "values"
        self._expect(word, before)

    def _is_meant(self, word: str, before: str, after: str) -> bool:
        """Whether `word` opens the clause it opens as a rule."""
        if word == "FROM":
            return self._level.has_tables and before not in _BEFORE_ANOTHER_FROM
        if word == "ON":
            return self._awaits_on
        if word == "INTO":
            return not self._is_vacuum  # a file's name follows
        return word != "SET" or after not in {"NULL", "DEFAULT"}

    def _expect(self, word: str, before: str) -> None:
        """Keeps what `word` says of the words to come."""
        level = self._level
        if word in _HAS_TABLES:
            level.has_tables = True
        elif word in _HAS_NONE or before == "COPY" or (word == "FROM" and before not in _BEFORE_ANOTHER_FROM):
            level.has_tables = False
        if word in {"INDEX", "TRIGGER"}:
            self._awaits_on = before in _DEFINES
        elif word in {"ON", "SELECT"}:
            self._awaits_on = False
        self._is_vacuum = self._is_vacuum or word == "VACUUM"

    def _advance(self, word: str) -> None:
        """Takes `word` for the next part of a clause with names, or ends what it cannot be a part of."""
        level = self._level
        if word == "AS":
            level.step = self._after_as()
        elif level.step == "name" and (word in _SIGILS or word in _NOISE.get(level.clause, ())):
            return
        elif word == "." and level.step in {"name", "named"}:
            level.step = "name"
        elif _IS_A_MARK(word):
            level.step = "over"
        elif not (level.step == "aliased" and level.clause == "with" and word in _BEFORE_A_QUERY):
            level.step = self._after_a_word()

    def _after_as(self) -> str:
        clause, step = self._level.clause, self._level.step
        if clause == "select":
            return "alias"
        if step != "named":
            return "over"
        return {"from": "alias", "into": "alias", "update": "alias", "with": "aliased"}.get(clause, "over")

    def _after_a_word(self) -> str:
        clause, step = self._level.clause, self._level.step
        if step == "name":
            return "named"
        is_alias = step == "alias" or (step == "named" and clause == "from")
        return "aliased" if is_alias and clause != "select" else "over"
