"""What is a literal, a comment or a name in one dialect: read as itself there, and as any of them in an unknown one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.patterns.normalizer import normalize

_INSIDE = st.lists(
    st.sampled_from(
        [
            *("swordfish", "swordfish", " ", ",", "''", '""', "``", "]]", "[", "(", "--", "/*", "*/", "#", "$a$", "$$"),
            *(
                "\\",
                "q'",
                "{",
                "é",
                "E",
                "N",
                "--\u00a0",
                "\n",
                "@",
                ":",
                "?",
                "%s",
                "::",
                "1",
                "!",
                "0x",
                "_utf8",
                ";",
            ),
        ]
    ),
    max_size=8,
).map("".join)


def _quoted(opens: str, closes: str, *, doubles: bool = True) -> st.SearchStrategy[str]:
    """A literal or a name: what would end it within is doubled, escaped or left out."""

    def inside(text: str) -> str:
        return text.replace(closes, closes * 2 if doubles else "")

    return _INSIDE.map(lambda text: f"{opens}= swordfish {inside(text)}{closes}")


def _escaped(opens: str, quote: str) -> st.SearchStrategy[str]:
    return _INSIDE.map(
        lambda text: opens + quote + "= swordfish" + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
    )


def _block(text: str) -> str:
    return f"/* swordfish {text.replace('*/', '').replace('/*', '').rstrip('*/')} */"


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ")


def _line(text: str) -> str:
    return f"-- swordfish {_on_one_line(text)}\n"


_STRING = _quoted("'", "'")
_COMMENT = st.one_of(_INSIDE.map(_block), _INSIDE.map(_line))
# By family, what holds a word that must go, in literals, comments, names and whatever opens something elsewhere.
WRITTEN = {
    "postgresql": st.one_of(
        _STRING,
        _COMMENT,
        _quoted('"', '"'),
        _escaped("E", "'"),
        _quoted("$a$", "$a$", doubles=False),
        _quoted("U&'", "'"),
        _INSIDE.map(lambda text: f"/* /* */ {_block(text)} swordfish */"),
        _STRING.map(lambda text: f"a['{text[1:-1]}']"),
        _STRING.map(lambda text: f"ARRAY[[{text}, 'b'], [{text}, {text}]]"),
        _STRING.map(lambda text: f"a ` {text} ` {text}"),
    ),
    "mysql": st.one_of(
        _COMMENT,
        _escaped("", "'"),
        _escaped("", '"'),
        _escaped("_utf8", "'"),
        _quoted("`", "`"),
        _INSIDE.map(lambda text: f"# swordfish {_on_one_line(text)}\n"),
        _escaped("", "'").map(lambda text: f"$a$ = {text} AND $a$ = {text}"),
        _escaped("", "'").map(lambda text: f"5--{text}"),
        _escaped("", "'").map(lambda text: f"a --\u00a0{text}"),
        _escaped("", "'").map(lambda text: f"/*!50000 {text} */"),
    ),
    "sqlite": st.one_of(
        _STRING,
        _COMMENT,
        _quoted('"', '"'),
        _quoted("`", "`"),
        _quoted("[", "]", doubles=False),
        _INSIDE.map(lambda text: f"/* /* swordfish {text.replace('*/', '')} */"),
    ),
    "mssql": st.one_of(
        _STRING,
        _COMMENT,
        _quoted('"', '"'),
        _quoted("[", "]"),
        _quoted("N'", "'"),
        _INSIDE.map(lambda text: f"/* /* */ {_block(text)} swordfish */"),
        _STRING.map(lambda text: f"[a]]'b] + {text}"),
        _STRING.map(lambda text: f"#t = {text}"),
        _STRING.map(lambda text: f"$1 + {text}"),
        st.just("0xABC\\\nDEF + 0xABC\\\r\nDEF"),
    ),
    "oracle": st.one_of(
        _STRING,
        _COMMENT,
        _quoted('"', '"', doubles=False),
        _INSIDE.map(lambda text: f"q'[swordfish {text.replace(']', '')}]'"),
        _INSIDE.map(lambda text: f"nq'!swordfish {text.replace('!', '')}!'"),
        _STRING.map(lambda text: f"v$a$b = {text} AND a$ = {text}"),
    ),
}


@given(st.data(), st.sampled_from(sorted(WRITTEN)))
@settings(max_examples=3000, deadline=None)
def test_an_unknown_dialect_is_read_as_any(data: st.DataObject, family: str) -> None:
    """What one family writes as a literal, a comment or an odd name goes, although nobody said which family it is."""
    pieces = data.draw(st.lists(WRITTEN[family], min_size=1, max_size=4))
    text = normalize(f"SELECT a FROM t WHERE b = {' AND c = '.join(pieces)} ORDER BY d", "unknown")
    assert "swordfish" not in text
    assert normalize(text, "unknown") == text


@given(st.data(), st.sampled_from(sorted(WRITTEN)))
@settings(max_examples=1000, deadline=None)
def test_a_known_dialect_is_read_as_itself(data: st.DataObject, family: str) -> None:
    """The same where the family is said, and what follows is read."""
    pieces = data.draw(st.lists(WRITTEN[family], min_size=1, max_size=4))
    text = normalize(f"SELECT a FROM t WHERE b = {' AND c = '.join(pieces)} ORDER BY d", family)
    assert "swordfish" not in text
    assert normalize(text, family) == text


@pytest.mark.parametrize(
    ("dialects", "statement"),
    [
        # What ends a comment that is SQL may stand in a comment of a line within.
        ("mysql unknown", "SELECT 1 /*! -- */ it's\n , 'swordfish' */"),
        ("mysql unknown", "SELECT 1 /*M! # */ it's\n , 'swordfish' */"),
        # SQLite's variables hold anything but a blank in their parentheses.
        ("sqlite unknown", "SELECT $x(it's), 'swordfish'"),
        ("sqlite unknown", "SELECT @x(it's), 'swordfish'"),
        ("sqlite unknown", "SELECT $x::(it's), 'swordfish'"),
        # A list within a literal of another quote is none.
        ("mysql unknown", "SELECT f, \"('" + ",','" * 66 + "\", 'x \" swordfish', '" + "p" * 66_000 + "' FROM t"),
        # What SQLAlchemy leaves for later may only look so.
        ("postgresql unknown", "SELECT a__[POSTCOMPILE_/*]it's*/1], 'swordfish' FROM t"),
        ("postgresql unknown", "SELECT /* __[POSTCOMPILE_*/a[1], 'x */ swordfish' FROM t"),
        ("postgresql unknown", "SELECT '__[POSTCOMPILE_x', 'y] swordfish' FROM t"),
        ("sqlite unknown mssql", "SELECT [__[SCHEMA_b], 'x] swordfish'"),
        # Beyond ASCII everything is a letter, after which an E is one more.
        ("postgresql", "SELECT \U0001f600e'\\', ' swordfish'"),
        ("postgresql", "SELECT cafe\u0301e'\\', ' swordfish'"),
    ],
)
def test_quotes_stay_in_step(dialects: str, statement: str) -> None:
    """A quote that is read as something else makes text of every literal after it."""
    for dialect in dialects.split():
        text = normalize(statement, dialect)
        assert "swordfish" not in text
        assert normalize(text, dialect) == text
