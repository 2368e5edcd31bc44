"""
What differs between SQL dialects, as data; the passes over a statement have no branches by name.

In goes the name SQLAlchemy gives a dialect, out comes its family's `Dialect`. Deliberately not here: guessing a dialect
from a statement. The wrong one leaks: quotes, backslashes and dollars end a literal in one dialect and not in another.
"""

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Dialect", "dialect_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    How a family of databases writes literals, names, placeholders and comments.

    Where readings differ and nothing tells which is right, the value is `doubtful`: from there on a statement is
    swallowed, so that no literal is taken for text.

    Attributes:
        family: What patterns are kept apart by.
        string_quotes: Characters that open a literal and close it, doubled inside.
        name_quotes_literals: Whether a literal in a name's quotes is accepted where no name fits, as SQLite does.
        q_quotes_doubtful: Whether `q'[…]'` may be a literal of its own kind.
        name_quotes: By the character that opens a quoted name, the one that closes it.
        backslash: Whether a backslash escapes a quote: `never`, `always`, only in literals that begin with `E`
            (`prefixed`), or `doubtful`.
        dollar_quotes: Whether `$tag$ … $tag$` is a literal.
        nested_comments: Whether `/* /* */ */` is one comment: `yes`, `no` or `doubtful`.
        dashes: Whether `--` opens a comment: `always`, only before a space (`spaced`), or `doubtful` without one.
        hash_comments: Whether `#` opens a comment up to the end of the line: `yes`, `no` or `doubtful`.
        brackets_doubtful: Whether `[` may open a name or an array, so that a quote inside may be either's.
        casts: Whether `::type` is a cast.
        charset_prefixes: Whether `_utf8'…'` is a literal.
        named_placeholders: Characters that open a placeholder when a name or number follows.
        question_operators: Characters that make an operator of a `?` right before them.
        catalog_schemas: Schemas that hold the database's own tables.
        catalog_prefixes: What names of the database's own tables begin with.
    """

    family: str
    string_quotes: str = "'"
    name_quotes: tuple[tuple[str, str], ...] = (('"', '"'),)
    name_quotes_literals: bool = False
    q_quotes_doubtful: bool = False
    backslash: Literal["never", "always", "prefixed", "doubtful"] = "never"
    dollar_quotes: bool = False
    nested_comments: Literal["yes", "no", "doubtful"] = "no"
    dashes: Literal["always", "spaced", "doubtful"] = "always"
    hash_comments: Literal["yes", "no", "doubtful"] = "no"
    brackets_doubtful: bool = False
    casts: bool = False
    charset_prefixes: bool = False
    named_placeholders: str = ":"
    question_operators: str = ""
    catalog_schemas: frozenset[str] = frozenset({"information_schema"})
    catalog_prefixes: tuple[str, ...] = ()


_POSTGRESQL: Final = Dialect(
    family="postgresql",
    backslash="prefixed",
    dollar_quotes=True,
    nested_comments="yes",
    casts=True,
    named_placeholders=":$",
    question_operators="|&",
    catalog_schemas=frozenset({"information_schema", "pg_catalog"}),
    catalog_prefixes=("pg_",),
)
_MYSQL: Final = Dialect(
    family="mysql",
    string_quotes="'\"",
    name_quotes=(("`", "`"),),
    backslash="always",
    dashes="spaced",
    hash_comments="yes",
    charset_prefixes=True,
    catalog_schemas=frozenset({"information_schema", "performance_schema", "mysql", "sys"}),
)
_SQLITE: Final = Dialect(
    family="sqlite",
    name_quotes_literals=True,
    name_quotes=(('"', '"'), ("`", "`"), ("[", "]")),
    named_placeholders=":$@",
    catalog_prefixes=("sqlite_",),
)
# A literal of any dialect must go, and what only might be one too: quoted names in double quotes are lost here.
_UNKNOWN: Final = Dialect(
    family="unknown",
    q_quotes_doubtful=True,
    string_quotes="'\"",
    name_quotes=(("`", "`"),),
    backslash="doubtful",
    dollar_quotes=True,
    nested_comments="doubtful",
    dashes="doubtful",
    hash_comments="doubtful",
    brackets_doubtful=True,
    casts=True,
    charset_prefixes=True,
    named_placeholders=":$@",
    question_operators="|&",
    catalog_schemas=frozenset({"information_schema", "pg_catalog", "performance_schema", "sys"}),
    catalog_prefixes=("pg_", "sqlite_"),
)

_BY_NAME: Final = {
    "postgresql": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": _SQLITE,
}


def dialect_of(name: str) -> Dialect:
    """The dialect of an SQLAlchemy dialect name, or of a family; the one that fails closed if nobody knows it."""
    return _BY_NAME.get(name, _UNKNOWN)
