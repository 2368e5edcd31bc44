"""What is taken off the end of a statement before it is looked up: a comment, and never anything else."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from querygauge.patterns.cache import pattern_of
from querygauge.patterns.comment_tail import without_comment_tail
from querygauge.patterns.dialects import DIALECT_NAMES

DIALECTS = st.sampled_from([*DIALECT_NAMES, "nobody"])
PIECES = (
    *("'", "''", '"', '""', "`", "[", "]", "\\", "\\'", "$", "$$", "$a$", "$1", "E'", "q'[", "]'", "N'", "_utf8'"),
    *("/*", "*/", "/**/", "/* a */", "/* ' */", "/*+", "/*!", "/*M!", "*", "/", "--", "-- ", "#", "\n", "\r", " ", ";"),
    *("a", "1", "SELECT 1", "?", "::int.", ":b", "%s", ".", ",", "(", ")", "-"),
    *("::int", "\0", "\ud800", "é", "\xa0", "__[X"),
)
TAILS = (
    *("/* a */", "/*a='1'*/", "/*a='it\\'s'*/ ", "/*a:b='1'*/\n", "/* a */;"),
    *('/* " */', "/*$$*/", "/*#\n--*/", "/***/"),
)
STATEMENT = "SELECT a FROM t WHERE b = 1"


@pytest.mark.parametrize(
    "tail",
    [
        "/*a='1'*/ ",
        "/*a='1'*/\n",
        "/*a='%2Fx',b='2'*/",
        "/*a:b='1'*/",
        "/*app:x,req:1*/",
        "/* request 1 */",
        r"/*a='it\'s'*/",
        "/*a='b*c'*/",
        "/*a='1'*/;",
        " /*a='1'*/ ; ",
    ],
)
@pytest.mark.parametrize("statement", [STATEMENT, "SELECT a FROM t WHERE b = '1 /* 2 */'", "SELECT /* c */ 'a'"])
@pytest.mark.parametrize("dialect", DIALECT_NAMES)
def test_a_comment_at_the_end_goes(statement: str, tail: str, dialect: str) -> None:
    """What instrumentation writes behind a statement is dropped in each of its forms, with the blanks before it."""
    assert without_comment_tail(f"{statement} {tail}", dialect) == statement


@pytest.mark.parametrize(
    "statement",
    [
        STATEMENT,
        f"{STATEMENT} /* a */ LIMIT 1",
        f"{STATEMENT} /*+ a */",
        f"{STATEMENT} /*! FOR UPDATE */",
        f"{STATEMENT} /*M! FOR UPDATE */",
        f"{STATEMENT} -- /* a */",
        "SELECT '/* a' -- */",
        "SELECT '/* a */",
        "SELECT '/*a='1'*/",
        "SELECT $$ /* a */",
        "SELECT 1 /* a /* b */",
    ],
)
def test_what_is_no_comment_at_the_end_stays(statement: str) -> None:
    """Literals, comments in comments or up to the end of the line, hints, and what MySQL executes are left alone."""
    assert without_comment_tail(statement, "postgresql") is statement


def test_the_dialect_tells_where_a_literal_ends() -> None:
    """A backslash before a quote lets the literal go on in MySQL, and nobody knows what it does elsewhere."""
    statement = r"SELECT 'a\' /* b */"
    assert without_comment_tail(statement, "mysql") is statement
    assert without_comment_tail(statement, "nobody") is statement
    assert without_comment_tail(statement, "sqlite") == r"SELECT 'a\'"


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.sampled_from(TAILS), DIALECTS)
@example("'a' /* b */ 'c' ", "/* d */", "postgresql")
@example("a --", "/* b */", "mysql")
@example("/* /* a */", "/* b */", "mssql")
@example("$a$ /* b */ $", "/*$a$*/", "postgresql")
@example("a \\\n", "/* b */", "mssql")
@example('""?1', "/* b */", "mysql")
@example('::int."a"', "/* b */", "nobody")
@settings(max_examples=1_000)
def test_the_pattern_stays(begin: str, tail: str, dialect: str) -> None:
    """Whatever a statement holds, it has the pattern that it has without its tail."""
    for statement in (begin + tail, f"SELECT 1 {begin}{tail}"):
        assert pattern_of(without_comment_tail(statement, dialect), dialect) == pattern_of(statement, dialect)
