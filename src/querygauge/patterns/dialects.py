"""
What differs between SQL dialects, as data; the passes over a statement have no branches by name.

In goes the name SQLAlchemy gives a dialect, out comes its family's `Dialect`. Deliberately not here: guessing a dialect
from a statement. The wrong one leaks: quotes, backslashes and dollars end a literal in one dialect and not in another.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from querygauge.patterns import catalog_names

__all__ = ["DIALECT_NAMES", "Dialect", "dialect_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    How a family of databases writes literals, names, placeholders and comments.

    Where readings differ and nothing tells which is right, the value is `doubtful`: from there on a statement is
    swallowed, so that no literal is taken for text.

    Attributes:
        family: What patterns are kept apart by.
        string_quotes: Characters that open a literal and close it, doubled inside.
        name_quotes_literals: Whether a literal in double quotes is accepted where no name fits, as SQLite does.
        q_quotes: Whether `q'[…]'` is a literal of its own kind: `yes`, `no` or `doubtful`.
        name_quotes: By the character that opens a quoted name, the one that closes it; where they are the same, it
            is doubled inside.
        doubled_brackets: Whether `]` is doubled inside of `[…]`; it cannot stand there otherwise.
        backslash: Whether a backslash escapes a quote: `never`, `always`, only in literals that begin with `E`
            (`prefixed`), or `doubtful`.
        dollar_quotes: Whether `$tag$ … $tag$` is a literal.
        nested_comments: Whether `/* /* */ */` is one comment: `yes`, `no` or `doubtful`.
        dashes: Whether `--` opens a comment: `always`, only before a space (`spaced`), or `doubtful` without one.
        line_ends: Whether a carriage return alone ends a comment of a line: `yes`, `no` or `doubtful`.
        continued_lines: Whether a backslash at the end of a line joins it with the next, in the middle of a number.
        executable_comments: Whether what `/*! … */` holds is read as SQL.
        hash_comments: Whether `#` opens a comment up to the end of the line: `yes`, `no` or `doubtful`.
        brackets_doubtful: Whether `[` may open a name or an array, and a backtick or `$tag$` something or nothing, so
            that a quote inside may be either's.
        casts: Whether `::type` is a cast.
        charset_prefixes: Whether `_utf8'…'` is a literal.
        number_suffixes: Letters that may end a number.
        money_signs: Characters that open an amount of money.
        named_placeholders: Characters that open a placeholder when a name or number follows.
        numbered_placeholders: Characters that open one when a number follows.
        quoted_placeholders: Whether `:"name"` is a placeholder.
        tcl_variables: Whether `$x(…)` is one placeholder, whatever the parentheses hold: `yes`, `no` or `doubtful`.
        question_operators: Characters that make an operator of a `?` right before them.
        executes_procedures: Whether `EXECUTE` calls a procedure, whose arguments may be strings without quotes, rather
            than a prepared statement a session has named: `yes`, `no` or `doubtful`.
        tables_keep_case: Whether tables that differ in the case of their letters may be two, even without quotes.
        catalog_schemas: Schemas that hold the database's own tables.
        catalog_tables: Names of such tables that are known without a schema, in lower case.
        catalog_prefixes: What names begin with that the database keeps for itself.
    """

    family: str
    string_quotes: str = "'"
    name_quotes: tuple[tuple[str, str], ...] = (('"', '"'),)
    name_quotes_literals: bool = False
    doubled_brackets: bool = False
    q_quotes: Literal["yes", "no", "doubtful"] = "no"
    backslash: Literal["never", "always", "prefixed", "doubtful"] = "never"
    dollar_quotes: bool = False
    nested_comments: Literal["yes", "no", "doubtful"] = "no"
    dashes: Literal["always", "spaced", "doubtful"] = "always"
    line_ends: Literal["yes", "no", "doubtful"] = "no"
    continued_lines: bool = False
    executable_comments: bool = False
    hash_comments: Literal["yes", "no", "doubtful"] = "no"
    brackets_doubtful: bool = False
    casts: bool = False
    charset_prefixes: bool = False
    number_suffixes: str = ""
    money_signs: str = ""
    named_placeholders: str = ":"
    numbered_placeholders: str = ""
    quoted_placeholders: bool = False
    tcl_variables: Literal["yes", "no", "doubtful"] = "no"
    question_operators: str = ""
    executes_procedures: Literal["yes", "no", "doubtful"] = "no"
    tables_keep_case: bool = False
    catalog_schemas: frozenset[str] = frozenset({"information_schema"})
    catalog_tables: frozenset[str] = frozenset()
    catalog_prefixes: tuple[str, ...] = ()

    @property
    def placeholders(self) -> str:
        """Characters that open a placeholder of either kind."""
        return self.named_placeholders + self.numbered_placeholders


_POSTGRESQL: Final = Dialect(
    family="postgresql",
    backslash="prefixed",
    dollar_quotes=True,
    nested_comments="yes",
    line_ends="yes",
    casts=True,
    numbered_placeholders="$",
    question_operators="|&",
    catalog_schemas=frozenset({"information_schema", "pg_catalog"}),
    catalog_tables=catalog_names.POSTGRESQL,
)
_MYSQL: Final = Dialect(
    family="mysql",
    tables_keep_case=True,
    string_quotes="'\"",
    name_quotes=(("`", "`"),),
    backslash="always",
    dashes="spaced",
    executable_comments=True,
    hash_comments="yes",
    charset_prefixes=True,
    catalog_schemas=frozenset({"information_schema", "performance_schema", "mysql", "sys"}),
)
_SQLITE: Final = Dialect(
    family="sqlite",
    tcl_variables="yes",
    name_quotes_literals=True,
    name_quotes=(('"', '"'), ("`", "`"), ("[", "]")),
    named_placeholders=":$@",
    catalog_prefixes=("sqlite_",),
)
_MSSQL: Final = Dialect(
    family="mssql",
    name_quotes=(('"', '"'), ("[", "]")),
    # Under QUOTED_IDENTIFIER OFF, which a session may choose, double quotes hold literals.
    name_quotes_literals=True,
    doubled_brackets=True,
    nested_comments="yes",
    line_ends="doubtful",
    continued_lines=True,
    money_signs="$",
    named_placeholders=":@",
    executes_procedures="yes",
    catalog_schemas=frozenset({"information_schema", "sys"}),
)
_ORACLE: Final = Dialect(
    family="oracle",
    q_quotes="yes",
    number_suffixes="fFdD",
    named_placeholders=":",
    quoted_placeholders=True,
    catalog_schemas=frozenset({"sys", "system"}),
    catalog_tables=catalog_names.ORACLE,
    catalog_prefixes=("v$", "gv$"),
)
# A literal of any dialect must go, and what only might be one too: quoted names in double quotes are lost here.
_UNKNOWN: Final = Dialect(
    family="unknown",
    tcl_variables="doubtful",
    tables_keep_case=True,
    q_quotes="doubtful",
    string_quotes="'\"",
    name_quotes=(("`", "`"),),
    backslash="doubtful",
    dollar_quotes=True,
    nested_comments="doubtful",
    dashes="doubtful",
    line_ends="doubtful",
    executable_comments=True,
    hash_comments="doubtful",
    brackets_doubtful=True,
    executes_procedures="doubtful",
    continued_lines=True,
    casts=True,
    charset_prefixes=True,
    named_placeholders=":$@",
    question_operators="|&",
    catalog_schemas=frozenset({"information_schema", "pg_catalog", "performance_schema", "sys"}),
    catalog_tables=catalog_names.POSTGRESQL | catalog_names.SQLITE,
)

_BY_NAME: Final = {
    "postgresql": _POSTGRESQL,
    # With `standard_conforming_strings = off`, and in the mode NO_BACKSLASH_ESCAPES.
    "postgresql+backslash_escapes": replace(_POSTGRESQL, backslash="always"),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "mysql+no_backslash_escapes": replace(_MYSQL, backslash="never"),
    "sqlite": _SQLITE,
    "mssql": _MSSQL,
    "oracle": _ORACLE,
}
DIALECT_NAMES: Final = tuple(_BY_NAME)
"""The names of dialects that `dialect_of` knows."""


def dialect_of(name: str) -> Dialect:
    """
    The dialect of an SQLAlchemy dialect name, or of a family; the one that fails closed if nobody knows it.

    Args:
        name: With `+backslash_escapes` or `+no_backslash_escapes` where a server was told to differ from its kind.
    """
    return _BY_NAME.get(name, _UNKNOWN)
