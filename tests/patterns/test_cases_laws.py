"""
Laws of the normaliser over the patterns of every case in `cases/`: however a query is written, it is one query.

Each law writes a pattern's text in another way that means the same, and asks for the same pattern. What a rule cannot
rewrite without making another statement of it, the rule leaves alone, and says so where it is stated.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final

import pytest

from querygauge.patterns.cache import pattern_of
from querygauge.patterns.dialects import dialect_of
from querygauge.values import Pattern
from statement_cases import groups

PATTERNS: Final = {
    dialect: list(
        dict.fromkeys(
            case[1]
            for group in groups()
            for case in group["cases"]
            if dialect in group["dialects"] and f"not {dialect}" not in case[3:]
        )
    )
    for dialect in dict.fromkeys(dialect for group in groups() for dialect in group["dialects"])
}
BY_DIALECT = pytest.mark.parametrize("dialect", PATTERNS)

_QUOTED: Final = {'"': r'"[^"]*"', "`": r"`[^`]*`", "[": r"\[[^\]]*\]"}


def rewritten(text: str, dialect: str, change: Callable[[str], str]) -> str:
    """`text` after `change`, which sees nothing of what stands in quotes."""
    spoken = dialect_of(dialect)
    # Where nobody knows what quotes, whatever may be a name in quotes is left alone.
    quotes = _QUOTED if spoken.brackets_doubtful else [opens for opens, _ in spoken.name_quotes]
    pieces = re.split(f"({'|'.join(_QUOTED[quote] for quote in quotes)})", text)
    return "".join(piece if number % 2 else change(piece) for number, piece in enumerate(pieces))


def differing(
    dialect: str, writings: Callable[[Pattern], Iterable[str]], seen: Callable[[Pattern], object]
) -> list[tuple[str, str]]:
    """Each case and a way of writing it in which something else is seen of its pattern."""
    found = []
    for text in PATTERNS[dialect]:
        pattern = pattern_of(text, dialect)
        writing = (written for written in writings(pattern) if seen(pattern_of(written, dialect)) != seen(pattern))
        found += [(text, written) for written in writing]
    return found


def whole(pattern: Pattern) -> object:
    """All that a pattern says."""
    return pattern.to_dict()


def without_case(pattern: Pattern) -> object:
    """All that a pattern says, but how its text and its summary are spelled."""
    return {**pattern.to_dict(), "text": "", "summary": pattern.summary.lower()}


def without_spacing(pattern: Pattern) -> object:
    """All that a pattern says, but how its text is spaced."""
    return {**pattern.to_dict(), "text": ""}


@BY_DIALECT
def test_every_pattern_is_its_own(dialect: str) -> None:
    """What the other laws begin with: normalised again, a pattern stays as it is."""
    assert [text for text in PATTERNS[dialect] if pattern_of(text, dialect).text != text] == []


@BY_DIALECT
def test_case_of_keywords(dialect: str) -> None:
    """Keywords in lower or in title case, all of them or one alone, are those in upper case."""
    assert differing(dialect, _in_other_case, without_case) == []


def _in_other_case(pattern: Pattern) -> Iterator[str]:
    """
    The words in capitals in another case: all, and each alone.

    Left alone are names: the parts of tables, and what stands in lower case elsewhere in the statement. A single letter
    is hardly ever a keyword.
    """
    words = set(_WORD.findall(pattern.text))
    names = {part for table in pattern.tables for part in _WORD.findall(table)}
    keywords = [word for word in words - names if len(word) > 1 and word.isupper() and word.lower() not in words]
    keyword = re.compile(rf"(?<![\w$])(?:{'|'.join(keywords) or '(?!)'})(?![\w$])")
    yield _recased(pattern, keyword, str.lower)
    yield _recased(pattern, keyword, str.title)
    for place in range(len(keyword.findall(pattern.text))):
        yield _recased(pattern, keyword, str.lower, place)


def _recased(pattern: Pattern, keyword: re.Pattern[str], case: Callable[[str], str], only: int | None = None) -> str:
    """The pattern's text with its keywords in that case, or only the one at a place among them."""
    places = count()

    def change(found: re.Match[str]) -> str:
        return case(found[0]) if only in {None, next(places)} else found[0]

    return rewritten(pattern.text, pattern.dialect, lambda piece: keyword.sub(change, piece))


_WORD: Final = re.compile(r"[^\W\d][\w$]*")


@BY_DIALECT
@pytest.mark.parametrize("blank", ["  ", "\n", "\t", "\r\n  ", " /* c */ ", "/**/", " /* it's \"a */ ", " -- it's\n"])
def test_blanks(dialect: str, blank: str) -> None:
    """Where there is a blank, there may be more of them, line breaks and comments."""

    def writings(pattern: Pattern) -> list[str]:
        return [rewritten(pattern.text, dialect, lambda piece: piece.replace(" ", blank))]

    assert differing(dialect, writings, whole) == []


@BY_DIALECT
@pytest.mark.parametrize(
    ("mark", "written"),
    [(r" ?, ?", ","), (r" ?, ?", " , "), (r" ?\(", "("), (r"\(", "( "), (r"\)", " )"), (r" ?([=<>]+) ?", r"\1")],
)
def test_blanks_beside_marks(dialect: str, mark: str, written: str) -> None:
    """Beside a comma, a parenthesis or a comparison a blank may be or not be."""

    def writings(pattern: Pattern) -> list[str]:
        return [rewritten(pattern.text, dialect, lambda piece: re.sub(mark, written, piece))]

    assert differing(dialect, writings, without_spacing) == []


_LITERALS: Final = ("1", "1.5e-3", "0x1F", "'x'", "''", "'it''s'")
# Of psycopg, asyncpg and pg8000; PyMySQL; sqlite3; pymssql; python-oracledb. That of pyodbc is what patterns have.
_PLACEHOLDERS: Final = {
    "postgresql": ("%s", "%(a)s", "$1", ":a"),
    "mysql": ("%s", "%(a)s"),
    "sqlite": ("?1", ":a", "@a", "$a"),
    "mssql": ("%s", "%(a)s"),
    "oracle": (":1", ":a"),
}
_PLACEHOLDERS_OF_ANY: Final = tuple(dict.fromkeys(value for values in _PLACEHOLDERS.values() for value in values))


@pytest.mark.parametrize(
    ("dialect", "value"),
    [
        (dialect, value)
        for dialect in PATTERNS
        for value in (*_LITERALS, *_PLACEHOLDERS.get(dialect_of(dialect).family, _PLACEHOLDERS_OF_ANY))
    ],
)
def test_values(dialect: str, value: str) -> None:
    """Literals, and the placeholders of the drivers of a database, are what a pattern has in their place."""
    assert differing(dialect, lambda pattern: [_with_values(pattern, dialect, value)], whole) == []


def _with_values(pattern: Pattern, dialect: str, value: str) -> str:
    """
    The pattern's text with a value in the place of each `?` that stands alone.

    Not alone is one that is part of a name (`events_?`), or of an operator (`?|`, `?&`), one with another after it,
    which is an operator (`b ? ?`) or a procedure's name, and one with a parenthesis after it, which is a name's, too.
    After a colon `:a` would be a cast. Drivers that write placeholders with a percent sign want a percent sign that is
    none to be doubled.
    """
    alone = re.compile(rf"(?<![\w.{':' if value[0] == ':' else ''}])\?(?![\w|&(]| \?)")

    def change(piece: str) -> str:
        return alone.sub(lambda _: value, piece.replace("%", "%%") if value[0] == "%" else piece)

    written = rewritten(pattern.text, dialect, change)
    return written if alone.search(pattern.text) else pattern.text
