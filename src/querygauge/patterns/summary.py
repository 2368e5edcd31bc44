"""
Pattern text → OpenTelemetry's `db.query.summary`, operation, tables and category.

In goes normalised text, so that every word is a keyword, a name or `?`; out comes what it does and to what, in the
order of the text. Deliberately not here: a parser. Words that open a clause are looked for, and the names that follow;
in a statement nobody foresaw the summary is shorter, never wrong about a value.
"""

import re
from typing import Final, NamedTuple

from querygauge.patterns.categories import category_of
from querygauge.patterns.dialects import dialect_of
from querygauge.patterns.words import words
from querygauge.values import Category

__all__ = ["MAX_READ_CHARACTERS", "MAX_SUMMARY_CHARACTERS", "Description", "describe", "summarize"]

# OpenTelemetry's limit; a token that does not fit is left out whole.
MAX_SUMMARY_CHARACTERS: Final = 255
# Operations and tables beyond this are not read; a pattern so long is a list that could not be folded.
MAX_READ_CHARACTERS: Final = 16 * 1024

_WORD: Final = r"(?:\"[^\"]*\"|'[^']*'|`[^`]*`|\[(?:[^\W\d][^\]]{0,127}|\?)\]|[@#]{0,2}[\w$?]+)"
_TOKEN: Final = re.compile(rf"{_WORD}(?:\.{_WORD})*|[(),;]")
_SUMMARY_TOKEN: Final = re.compile(rf"{_WORD}(?:\.{_WORD})*|\S+")

_BARE: Final = r"[^\W\d][\w$?]*+(?:\.[^\W\d][\w$?]*+)*+"
_EQUATION: Final = rf"{_BARE} = {_BARE}"
# What SQLAlchemy puts after FROM when nothing is nested; group by group, so that a lower-case keyword is no alias.
_PLAIN_TABLES: Final = re.compile(
    rf"{_BARE}(?: AS \w+)?+(?:(?:,| (?:LEFT OUTER |INNER |LEFT )?JOIN) {_BARE}(?: AS \w+)?+"
    rf"(?: ON {_EQUATION}(?: AND {_EQUATION})*+)?+)*+"
).fullmatch
_FIRST_TABLE: Final = re.compile(_BARE).match
_FURTHER_TABLES: Final = re.compile(rf"[,N](?:(?<=,)|(?<=JOIN)) ({_BARE})").findall
_AFTER_TABLES: Final = re.compile(r" (?:WHERE|GROUP BY|ORDER BY|HAVING|LIMIT|OFFSET|FOR|FETCH) ")
_PLAIN_WRITE: Final = re.compile(
    rf"(INSERT) INTO ({_BARE}) \(|(UPDATE) ({_BARE}) SET |(DELETE) FROM ({_BARE})(?: WHERE |\Z)"
)
_OTHER_TABLES: Final = re.compile(r" (?:FROM|USING|JOIN) ")
_QUOTES: Final = re.compile(r"[\"'`\[\]]")

_OPERATIONS: Final = words(
    "SELECT INSERT UPDATE DELETE MERGE REPLACE CALL EXECUTE EXEC TRUNCATE COPY LOCK VACUUM ANALYZE EXPLAIN "
    "REFRESH REINDEX SET SHOW PRAGMA USE LISTEN NOTIFY UNLISTEN DESCRIBE DESC"
)
# Operations that can stand inside a statement, and those whose name is a table's.
_INNER_OPERATIONS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"})
_NAMELESS: Final = frozenset({"SELECT", "EXPLAIN"})
_ON_TABLES: Final = frozenset(
    {
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
        "REPLACE",
        "TRUNCATE",
        "COPY",
        "LOCK",
        "VACUUM",
        "ANALYZE",
        "DESCRIBE",
        "DESC",
    }
)
# Words that may come between an operation or a clause and the name that follows.
_BEFORE_A_NAME: Final = words(
    "INTO ONLY TABLE IGNORE LOW_PRIORITY HIGH_PRIORITY DELAYED QUICK LOCAL SESSION GLOBAL OR ABORT FAIL "
    "ROLLBACK REPLACE LATERAL FULL MATERIALIZED VIEW CONCURRENTLY VERBOSE ANALYZE FREEZE"
)
_NEVER_A_NAME: Final = frozenset({"OUTFILE", "DUMPFILE", "STDIN", "STDOUT", "SELECT", "SET", "VALUES", "WHERE", "?"})
_OBJECTS: Final = words(
    "TABLE INDEX VIEW SEQUENCE SCHEMA DATABASE FUNCTION PROCEDURE TRIGGER TYPE EXTENSION USER ROLE DOMAIN"
)
_DDL: Final = frozenset({"CREATE", "DROP", "ALTER"})
_DDL_NOISE: Final = words(
    "IF NOT EXISTS OR REPLACE TEMP TEMPORARY GLOBAL LOCAL UNLOGGED UNIQUE MATERIALIZED CONCURRENTLY RECURSIVE "
    "FOREIGN VIRTUAL ONLY"
)
_CTE_NOISE: Final = frozenset({"RECURSIVE", "AS", "NOT", "MATERIALIZED", ","})
_TABLE_CLAUSES: Final = frozenset({"FROM", "JOIN", "INTO", "STRAIGHT_JOIN"})
_ENDS_A_LIST: Final = words(
    "WHERE SET ON USING GROUP ORDER HAVING LIMIT OFFSET UNION INTERSECT EXCEPT RETURNING VALUES WINDOW FOR "
    "FETCH DEFAULT WHEN"
)
# After these a word is no operation: `FOR UPDATE`, `ON DELETE`, `DO UPDATE`, `KEY UPDATE`, `THEN INSERT`, `a.update`.
_NO_OPERATION_AFTER: Final = frozenset(
    {"FOR", "ON", "DO", "KEY", "THEN", "AFTER", "BEFORE", "OF", "OR", "AS", ",", "BY"}
)


class Description(NamedTuple):
    """
    What a pattern does.

    Attributes:
        summary: OpenTelemetry's `db.query.summary`: operations and targets in the order of the text.
        operation: Keyword of the statement in upper case; of a statement that begins with `WITH`, the one after it.
        tables: Tables named, without quotes, in order of appearance, without repetition.
        category: As `values.Category`.
    """

    summary: str
    operation: str
    tables: tuple[str, ...]
    category: Category


def summarize(statement_or_pattern_text: str, dialect: str) -> str:
    """
    OpenTelemetry's `db.query.summary`, such as `SELECT orders` or `INSERT shipping_details SELECT orders`.

    Case and quotes are kept as written; at most 255 characters, never cut inside a token.

    Args:
        statement_or_pattern_text: Normalised text. Of a raw statement the names are found as well, but a literal that
            looks like a name is taken for one.
        dialect: SQLAlchemy's name of the dialect.
    """
    return describe(statement_or_pattern_text, dialect).summary


def describe(text: str, dialect: str) -> Description:
    """What normalised text does."""
    operation, summary, tables = _read_plain(text) or _read(text)
    return Description(
        summary=summary if len(summary) <= MAX_SUMMARY_CHARACTERS else _shortened(summary),
        operation=operation,
        tables=tables,
        category=category_of(text, operation, tables, dialect_of(dialect)),
    )


def _read_plain(text: str) -> tuple[str, str, tuple[str, ...]] | None:
    """
    Operation, summary and tables of a statement of the most frequent kinds; None if it is of another.

    Gives what `_read` gives, in a tenth of the time: one query only, nothing quoted, keywords in upper case.
    """
    if '"' in text or "`" in text or ";" in text or "[" in text or text.upper().find("SELECT", 6) >= 0:
        return None
    if not text.startswith("SELECT "):
        return _read_plain_write(text)
    start = text.find(" FROM ")
    if start < 0 or "(" in text[:start] or " INTO " in text[:start] or text.endswith(" DISTINCT", 0, start):
        return None
    end = _AFTER_TABLES.search(text, start + 5)
    clause = text[start + 6 : end.start() if end else len(text)]
    first = _FIRST_TABLE(clause)
    if not first or not _PLAIN_TABLES(clause):
        return None
    names = [first.group(), *_FURTHER_TABLES(clause)]
    return "SELECT", "SELECT " + " ".join(names), tuple(dict.fromkeys(names))


def _read_plain_write(text: str) -> tuple[str, str, tuple[str, ...]] | None:
    found = _PLAIN_WRITE.match(text)
    if found is None or _OTHER_TABLES.search(text.upper(), found.end() - 1):
        return None
    operation, table = (group for group in found.groups() if group)
    return operation, f"{operation} {table}", (table,)


def _read(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Operation, summary and tables of any statement."""
    reader = _Reader(_TOKEN.findall(text, 0, MAX_READ_CHARACTERS))
    tables = tuple(dict.fromkeys(_QUOTES.sub("", table) for table in reader.tables))
    return reader.operation, " ".join(reader.summary), tables


def _shortened(summary: str) -> str:
    end = 0
    for token in _SUMMARY_TOKEN.finditer(summary, 0, 2 * MAX_SUMMARY_CHARACTERS):
        if token.end() > MAX_SUMMARY_CHARACTERS:
            break
        end = token.end()
    return summary[:end]


class _Reader:
    """
    Operations, targets and tables of a statement's tokens.

    `_awaits` is what a name would be now: a `table`, a `target` that is none, a further table after a comma (`listed`),
    or nothing. `_stack` keeps it for each open parenthesis, with whether a query is read there.
    """

    __slots__ = (
        "_awaits",
        "_before",
        "_clause",
        "_ctes",
        "_in_query",
        "_stack",
        "_verb",
        "operation",
        "summary",
        "tables",
    )

    def __init__(self, tokens: list[str]) -> None:
        self.summary: list[str] = []
        self.tables: list[str] = []
        self.operation = ""
        self._awaits = self._before = self._clause = self._verb = ""
        self._ctes: set[str] = set()
        self._in_query = True
        self._stack: list[tuple[str, bool]] = []
        place = 0
        while place < len(tokens):
            place = self._read(tokens, place)

    def _read(self, tokens: list[str], place: int) -> int:
        """Reads the token at `place`; gives the next one's place."""
        word = tokens[place]
        upper = word.upper()
        before, self._before = self._before, upper
        if word in "(),;":
            self._punctuate(word)
        elif not before or (before == "(" and not self.operation):
            return self._begin(tokens, place, upper)
        else:
            self._word(word, upper, before, is_called=tokens[place + 1 : place + 2] == ["("])
        return place + 1

    def _punctuate(self, mark: str) -> None:
        if mark == "(":
            self._open()
        elif mark == ")":
            self._close()
        elif mark == ",":
            self._awaits = "table" if self._awaits == "listed" else self._awaits
        else:
            self._before = self._awaits = ""
            self._in_query, self._stack = True, []

    def _word(self, token: str, upper: str, before: str, *, is_called: bool) -> None:
        if upper in _OPERATIONS and self._is_operation(upper, before):
            self._operate(token, upper)
        elif upper in _TABLE_CLAUSES:
            if self._in_query and before != "DISTINCT" and self._verb != "SHOW":
                self._awaits, self._clause = "table", upper
        elif upper in _ENDS_A_LIST and self._awaits != "table":
            self._awaits = "table" if upper == "USING" and self._verb in {"DELETE", "MERGE"} else ""
        elif self.operation == "WITH" and not self._stack:
            if upper not in _CTE_NOISE:
                self._ctes.add(_QUOTES.sub("", token))
        elif self._awaits in {"table", "target"} and not self._comes_before_a_name(upper):
            self._name(token, upper, is_function=is_called)

    def _comes_before_a_name(self, upper: str) -> bool:
        return upper in _BEFORE_A_NAME or (upper == "TABLES" and self._verb == "LOCK")

    def _begin(self, tokens: list[str], place: int, upper: str) -> int:
        self.operation = self.operation or upper
        if upper in _DDL:
            return self._define(tokens, place)
        if upper in _OPERATIONS:
            self._operate(tokens[place], upper)
        elif upper != "WITH":
            self.summary.append(tokens[place])
        return place + 1

    def _is_operation(self, upper: str, before: str) -> bool:
        if self.operation == "EXPLAIN":
            return True
        if upper == "SELECT":
            return True
        return upper in _INNER_OPERATIONS and before not in _NO_OPERATION_AFTER and self._awaits != "target"

    def _operate(self, token: str, upper: str) -> None:
        if self.operation == "WITH" and not self._stack:
            self.operation = upper
        self.summary.append(token)
        self._in_query = True
        self._clause = self._verb = upper
        self._awaits = "" if upper in _NAMELESS else "table" if upper in _ON_TABLES else "target"

    def _define(self, tokens: list[str], place: int) -> int:
        """Reads the head of a definition, such as `CREATE UNIQUE INDEX name ON table`."""
        head, kind = [tokens[place]], ""
        for following in range(place + 1, len(tokens)):
            token = tokens[following]
            upper = token.upper()
            if not kind and upper in _OBJECTS:
                kind = upper
                head.append(token)
            elif upper not in _DDL_NOISE:
                self.summary.extend([*head, token])
                if kind in {"TABLE", "VIEW"}:
                    self.tables.append(token)
                elif kind == "INDEX" and tokens[following + 1 : following + 2] in (["ON"], ["on"]):
                    self.tables.extend(tokens[following + 2 : following + 3])
                return following + 1
        self.summary.extend(head)
        return len(tokens)

    def _open(self) -> None:
        self._stack.append((self._awaits, self._in_query))
        # `FROM (a JOIN b)` holds tables; a list of columns or arguments does not.
        if self._awaits != "table":
            self._awaits, self._in_query = "", False

    def _close(self) -> None:
        if self._stack:
            awaited, self._in_query = self._stack.pop()
            # What was in parentheses took the place of a name; its alias follows.
            self._awaits = "listed" if awaited == "table" else awaited

    def _name(self, token: str, upper: str, *, is_function: bool) -> None:
        awaited, self._awaits = self._awaits, "listed" if self._awaits == "table" else ""
        if upper in _NEVER_A_NAME:
            self._awaits = ""
            return
        self.summary.append(token)
        is_table = awaited == "table" and not (is_function and self._clause in {"FROM", "JOIN"})
        if is_table and _QUOTES.sub("", token) not in self._ctes:
            self.tables.append(token)
