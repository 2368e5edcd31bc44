"""
Tokens of any statement → operation, summary and tables.

Deliberately not here: a parser. Words that open a clause are looked for, and the names that follow; in a statement
nobody foresaw the summary is shorter, never wrong about a value. Every token is looked at once, so that the time is
linear in the text.
"""

import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from querygauge.patterns.summary_words import (
    BEFORE_A_CLAUSE_TABLE,
    BEFORE_A_TABLE,
    BEFORE_A_TARGET,
    BLOCKS,
    DEFINITIONS,
    ENDS_A_LIST,
    EXPLAINED,
    INNER_OPERATIONS,
    LISTS_TABLES,
    NEVER_A_NAME,
    NEVER_A_TABLE,
    NO_OPERATION_AFTER,
    NO_OPERATION_BEFORE,
    NO_QUERY_BEFORE,
    OBJECT_PROPERTIES,
    OBJECTS,
    OPERATIONS_ALONG,
    READS_CLAUSES,
    SECOND_WORDS,
    TABLE_CLAUSES,
    UNREAD,
)

__all__ = ["MAX_READ_CHARACTERS", "NAME", "read_tokens"]

# Operations and tables beyond this are not read; a pattern so long is a list that could not be folded.
MAX_READ_CHARACTERS: Final = 16 * 1024

_WORD: Final = r"(?:\"[^\"]*\"|'[^']*'|`[^`]*`|\[(?:[^\W\d][^\]]{0,127}|\?)\]|[@#]{0,2}[\w$?]+)"
NAME: Final = rf"{_WORD}(?:\.{{1,2}}{_WORD})*"
"""A name with or without quotes and schema; `db..t` is SQL Server's for the schema that goes without saying."""

_TOKEN: Final = re.compile(rf"{NAME}|[(),;=]")
_QUOTES: Final = re.compile(r"[\"'`\[\]]")
_OBJECTS_THAT_ARE_TABLES: Final = frozenset({"TABLE", "VIEW"})
_MARKS: Final = frozenset("(),;=")
_NAMES: Final = frozenset({"table", "target", "indexed"})
_RELATIONS: Final = frozenset({"ON", "USING", "FOR"})
_MAY_BEGIN: Final = INNER_OPERATIONS.union({"WITH"}, *OPERATIONS_ALONG.values())
# What says something although nothing is expected; the names of columns do not.
_ALWAYS_READ: Final = _MAY_BEGIN | TABLE_CLAUSES | _RELATIONS | {"UNION"} | _MARKS - {"="}
_NOTHING_AROUND: Final = [""] * 4  # no question is about a word further off
_BEGINS_A_QUERY: Final = EXPLAINED | {"("}
_TAKES_OPTIONS: Final = frozenset({"EXPLAIN", "VACUUM", "ANALYZE", "CLUSTER", "REINDEX"})


def read_tokens(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Operation, summary and tables of any statement, as `summary.Description` has them."""
    reader = _Reader(_tokens(text))
    tables = tuple(dict.fromkeys(table for table in reader.tables if table))
    return reader.operation, " ".join(filter(None, reader.summary)), tables


def _tokens(text: str) -> list[str]:
    if len(text) <= MAX_READ_CHARACTERS:
        return _TOKEN.findall(text)
    # An end that is given to `findall` would cut a token.
    read = takewhile(lambda found: found.start() < MAX_READ_CHARACTERS, _TOKEN.finditer(text))
    return [found.group() for found in read]


def _unquoted(name: str) -> str:
    return _QUOTES.sub("", name)


@dataclass(slots=True)
class _Level:
    """
    What is read at one depth of parentheses.

    Attributes:
        expects: What a word would be now: a `table`; a `target` that is none; the table `indexed`, which the summary
            leaves out; a `cte`; an `alias`, where a comma brings another name; `comma`, where only that is left; or
            nothing.
        lists: What a comma brings: what `expects` was when the first name came.
        verb: The operation that is read.
        clause: What the next name belongs to: `FROM`, `JOIN` and the like, else the operation or kind of object.
        reads_clauses: Whether FROM and the like open a clause, and are not the words of a function.
        names_ctes: Whether a comma brings another common table expression.
        named: Places in summary and tables of the last name; None where a query stood. The second is None for what is
            no table.
        targets: Such places of what UPDATE and DELETE name in front of their FROM, by name.
        refers: Whether that FROM was reached, which says what the targets stand for.
    """

    expects: str = ""
    lists: str = ""
    verb: str = ""
    clause: str = ""
    reads_clauses: bool = False
    names_ctes: bool = False
    named: tuple[int, int | None] | None = None
    targets: dict[str, tuple[int, int]] = field(default_factory=dict)
    refers: bool = False


class _Reader:
    """
    Operations, targets and tables of a statement's tokens.

    Attributes:
        operation: As `summary.Description`.
        summary: What was named, in order, with gaps.
        tables: Tables without quotes, in order, with gaps and repetition.
    """

    def __init__(self, tokens: list[str]) -> None:
        self.operation = ""
        self.summary: list[str] = []
        self.tables: list[str] = []
        self._tokens = tokens
        # What follows the last word and goes before the first one is nothing.
        self._words = [*(token.upper() for token in tokens), *_NOTHING_AROUND]
        self._level = _Level()
        self._around: list[_Level] = []
        self._has_begun = False
        # A common table expression is no table once its name is known: behind the first part of its own query, of
        # which it may be a table that is only called the same.
        self._ctes: set[str] = set()
        self._new_cte = ""
        place = 0
        while place < len(tokens):
            if self._level.expects or self._words[place] in _ALWAYS_READ or not self._has_begun:
                place = self._read(place, self._words[place])
            else:
                place += 1

    def _read(self, place: int, word: str) -> int:
        """Reads the word at `place`; gives the place to read on from."""
        if word == "(":
            self._open()
        elif word == ")":
            self._close()
        elif word == ",":
            self._list()
        elif word == ";":
            self._level, self._around, self._has_begun = _Level(), [], False
        elif word == "=" or (word == "?" and not self._has_begun and self._words[place + 1] == "="):
            pass  # `{? = call f(?)}` begins after what it returns
        elif not self._has_begun or (word in _MAY_BEGIN and self._is_operation(place, word)):
            return self._begin(place, word)
        else:
            self._word(place, word)
        return place + 1

    def _open(self) -> None:
        level = self._level
        self._around.append(level)
        if level.expects == "table":
            # `FROM (a JOIN b)` holds tables; a list of columns or arguments does not.
            self._level = _Level("table", verb=level.verb, clause=level.clause, reads_clauses=True)
            self._level.targets, self._level.refers = level.targets, level.refers
        else:
            self._level = _Level()

    def _close(self) -> None:
        if not self._around:
            return
        self._level = level = self._around.pop()
        if level.expects == "table":
            level.expects, level.lists, level.named = "alias", "table", None
        elif level.expects == "target":
            level.expects = ""

    def _list(self) -> None:
        level = self._level
        if level.expects in {"alias", "comma"}:
            level.expects = level.lists
        elif level.names_ctes:
            level.expects = "cte"

    def _is_operation(self, place: int, word: str) -> bool:
        level, before, following = self._level, self._words[place - 1], self._words[place + 1]
        if word == "WITH":
            return self._begins_ctes(place)
        if word == "SELECT":
            return following not in NO_QUERY_BEFORE
        if following in NO_OPERATION_BEFORE:
            return False
        if word in OPERATIONS_ALONG.get(level.verb, ()):
            return level.expects != "table"
        if word not in INNER_OPERATIONS or before in NO_OPERATION_AFTER:
            return False
        return before == "(" or level.expects not in {"table", "target"}

    def _begins_ctes(self, place: int) -> bool:
        """Whether `WITH` is not that of a hint or an option: `WITH x AS (`, `WITH x (a) AS (`, `WITH RECURSIVE`."""
        before, (name, after, last) = self._words[place - 1], self._words[place + 1 : place + 4]
        if after == "AS":
            return last in {"(", "NOT", "MATERIALIZED"}
        return name == "RECURSIVE" or (after == "(" and before in {"(", ")", "AS"})

    def _begin(self, place: int, verb: str) -> int:
        """Reads the word of an operation, and what may follow it in front of a name."""
        level, token = self._level, self._tokens[place]
        if not self.operation or (level.verb == self.operation and self.operation in {"WITH", "SET"}):
            self.operation = verb
        if level.names_ctes:
            self._ctes.add(self._new_cte)
        self._has_begun, level.verb, level.clause = True, verb, verb
        level.reads_clauses, level.names_ctes = verb in READS_CLAUSES, verb == "WITH"
        level.targets, level.refers = {}, False
        level.expects = "table" if verb in BEFORE_A_TABLE else "target" if verb in BEFORE_A_TARGET else ""
        if verb == "WITH":
            level.expects = "cte"
            return place + 1
        self.summary.append(token)
        if self._words[place + 1] in SECOND_WORDS.get(verb, ()):
            place += 1
            self.summary.append(self._tokens[place])
        if verb in UNREAD:
            return self._place_of(";", place)
        place = self._after_options(place + 1, verb)
        return self._define(place) if verb in DEFINITIONS else place

    def _after_options(self, place: int, verb: str) -> int:
        """The place after `(ANALYZE, BUFFERS)`, `TOP (?) PERCENT` or Oracle's `ALL` of many tables."""
        word, following = self._words[place], self._words[place + 1]
        if word == "(" and verb in _TAKES_OPTIONS and following not in _BEGINS_A_QUERY:
            return self._place_of(")", place) + 1
        if word == "TOP" and following in {"(", "?"}:
            place = self._place_of(")", place) + 1 if following == "(" else place + 2
            return place + 1 if self._words[place] == "PERCENT" else place
        if verb == "INSERT" and word in {"ALL", "FIRST"} and following in {"INTO", "WHEN"}:
            self._level.expects = ""
            return place + 1
        return place

    def _place_of(self, mark: str, place: int) -> int:
        try:
            return self._tokens.index(mark, place)
        except ValueError:
            return len(self._tokens)

    def _define(self, place: int) -> int:
        """Reads the head of a definition up to the kind of object, such as `CREATE UNIQUE INDEX`."""
        while self._words[place] in OBJECT_PROPERTIES:
            place += 1
        kind = self._words[place]
        if not kind or kind in _MARKS:
            return place
        self.summary.append(self._tokens[place])
        if kind in OBJECTS:
            self._level.clause = kind
            self._level.expects = "table" if kind in _OBJECTS_THAT_ARE_TABLES else "target"
        return place + 1

    def _word(self, place: int, word: str) -> None:
        level = self._level
        if level.expects == "cte":
            if word != "RECURSIVE":
                self._ctes.add(self._new_cte)
                self._new_cte, level.expects = _unquoted(word), ""
        elif word == "UNION":
            self._ctes.add(self._new_cte)
            level.expects = ""
        elif level.expects in _NAMES and self._comes_before_a_name(place, word):
            pass
        elif word in TABLE_CLAUSES:
            self._open_clause(place, word)
        elif word in _RELATIONS:
            self._relate(place, word)
        elif level.expects in _NAMES:
            self._name(place, word)
        elif word in ENDS_A_LIST:
            level.expects = ""
        elif level.expects == "alias" and level.refers:
            self._alias(word)

    def _comes_before_a_name(self, place: int, word: str) -> bool:
        level, clause, following = self._level, self._level.clause, self._words[place + 1]
        if following in ENDS_A_LIST:
            return False
        if level.verb in DEFINITIONS and level.expects != "indexed":
            return word in OBJECT_PROPERTIES
        if word == "ROWS":
            return following == "FROM"
        if word == "?" and level.expects == "target":
            return following == "="
        for known in (BEFORE_A_CLAUSE_TABLE, BEFORE_A_TABLE, BEFORE_A_TARGET):
            if clause in known:
                return word in known[clause]
        return False

    def _open_clause(self, place: int, word: str) -> None:
        level, before = self._level, self._words[place - 1]
        # `IS DISTINCT FROM`, `FOR SYSTEM_TIME FROM`, `USE INDEX FOR JOIN`.
        if not level.reads_clauses or before in {"DISTINCT", "SYSTEM_TIME", "FOR"}:
            return
        if word == "APPLY" and before not in {"CROSS", "OUTER"}:
            return
        if word == "STRAIGHT_JOIN" and not level.expects:
            return
        # A variable's, not a table's.
        if word == "INTO" and (self.operation in BLOCKS or (level.verb == "SELECT" and level.clause != "SELECT")):
            return
        level.expects, level.clause = "table", "JOIN" if word == "STRAIGHT_JOIN" else word
        level.refers = level.refers or word == "FROM"

    def _relate(self, place: int, word: str) -> None:
        """Reads what says how tables belong together, or is a word of another clause."""
        level, following = self._level, self._words[place + 1]
        if word == "FOR":
            # `FOR SYSTEM_TIME` and `USE INDEX FOR JOIN` belong to the table; `FOR UPDATE` does not.
            if following != "SYSTEM_TIME" and self._words[place - 1] not in {"INDEX", "KEY"}:
                level.expects = ""
        elif word == "ON" and level.clause == "INDEX":
            level.expects = "indexed"
        elif level.clause == "JOIN" and following not in {"CONFLICT", "DUPLICATE"}:
            level.expects = "comma"
        elif word == "USING" and level.verb in {"DELETE", "MERGE"}:
            level.expects, level.clause, level.refers = "table", "USING", True
        else:
            level.expects = ""

    def _name(self, place: int, word: str) -> None:
        level, token, expected = self._level, self._tokens[place], self._level.expects
        following = self._words[place + 1]
        level.expects, level.named = "", None
        if word in NEVER_A_NAME:
            return
        if expected == "table" and (word in NEVER_A_TABLE or word[0] == "@" or following == "="):
            return
        name = _unquoted(token)
        if expected == "indexed":
            self.tables.append(name)
            level.clause = ""
            return
        if level.clause in LISTS_TABLES or level.verb in {"DROP", "RENAME"}:
            level.expects, level.lists = "alias", expected
        key = name.upper()
        if level.refers and key in level.targets:
            return
        place_in_tables = None
        is_function = following == "(" and level.clause in BEFORE_A_CLAUSE_TABLE and level.clause != "INTO"
        if expected == "table" and not is_function and key not in self._ctes:
            place_in_tables = len(self.tables)
            self.tables.append(name)
            if level.clause in {"UPDATE", "DELETE"}:
                level.targets[key] = len(self.summary), place_in_tables
        level.named = len(self.summary), place_in_tables
        self.summary.append(token)

    def _alias(self, word: str) -> None:
        """Puts the table that was named last in the place of a target, if the target is its alias."""
        target = self._level.targets.pop(_unquoted(word), None)
        if target is None:
            return
        place, place_in_tables = self._level.named or (None, None)
        _move(self.summary, place, target[0])
        _move(self.tables, place_in_tables, target[1])


def _move(names: list[str], place: int | None, to: int) -> None:
    """Leaves a gap where the name stood, or where it should go if there is none."""
    names[to] = "" if place is None else names[place]
    if place is not None:
        names[place] = ""
