"""Laws of the normaliser, over statements nobody wrote."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from querygauge.patterns.cache import pattern_of
from querygauge.patterns.normalizer import MAX_STATEMENT_CHARACTERS, normalize
from statement_cases import groups

FAMILIES = ["postgresql", "mysql", "sqlite", "mssql", "oracle", "unknown"]
DIALECTS = st.sampled_from(FAMILIES)
# Everything that opens, closes, escapes or glues something, and what may stand between.
PIECES = st.sampled_from(
    [
        *"'\"`$[](){},;:?@#%\\=<>+-*/.!|&~^ \n\t\0aeEnNxX_01459é\ud800٣",
        *("--", "/*", "*/", "''", '""', "$$", "$a$", "::", "%s", "%(n)s", "$1", ":n", "?|", "{ts ", "U&'", "_utf8'"),
        *("SELECT ", " FROM t", " IN (", " NULL", " TRUE", " IS ", " NOT ", " SET ", "VALUES (", "), (", "__[", "]"),
        *("SAVEPOINT x", "SET a = b", "PASSWORD ", "E'", "b1f2a3c4d5", "t_2024_01", "1e5", "0xff", "1_0", ".5", "int"),
        *("LISTEN ", "NOTIFY ", "EXECUTE ", "%%", "_utf8mb4 ", "U&", "::int", ".5", "DATE", "COPY t FROM STDIN;"),
        *("__[POSTCOMPILE_x]", "__[SCHEMA__none].", "\\'", "ESCAPE '\\'", "/*+ x */", "/*! y */", "- ", "-1", " AS "),
    ]
)
SOUP = st.lists(PIECES, max_size=40).map("".join)
ANYTHING = st.one_of(st.text(max_size=200), SOUP)


@given(ANYTHING, DIALECTS)
@settings(max_examples=1000, deadline=None)
def test_any_text_has_a_pattern(statement: str, dialect: str) -> None:
    """Never raises, is bounded, holds no quote of a literal and can be written anywhere."""
    pattern = pattern_of(statement, dialect)
    assert len(pattern.text) <= 2 * len(statement) + 1
    assert len(pattern.summary) <= 255
    assert "'" not in pattern.text
    pattern.text.encode()


@given(ANYTHING, DIALECTS)
@settings(max_examples=2000, deadline=None)
@example("SELECT E'a\\'b', 1", "postgresql")
@example("a--b", "mysql")
def test_a_pattern_is_its_own_pattern(statement: str, dialect: str) -> None:
    """Normalising twice is normalising once."""
    once = normalize(statement, dialect)
    assert normalize(once, dialect) == once


# What each dialect has for literals and comments, with a value in all of them.
LITERALS = {
    "postgresql": r"E'swordfish\' swordfish', $$ swordfish ' $$, $a$ swordfish $$ swordfish $a$, U&'swordfish' /* /* ' */ swordfish */",  # noqa: E501
    "mysql": r""" 'swordfish\' swordfish', "swordfish 'swordfish", _utf8'swordfish' # swordfish' \n""",
    "sqlite": """ 'it''s swordfish', "swordfish", "swordfish it's", x'50' """,
    "mssql": """ N'it''s swordfish', "swordfish", 'C:\\' /* /* ' */ swordfish */ """,
    "oracle": "q'[it's swordfish]', nq'!swordfish'swordfish!', 'it''s swordfish'",
    "unknown": """ "swordfish", 'swordfish', $$ swordfish $$, q'[swordfish ]' """,
}


@given(st.integers(0, 400), DIALECTS)
@settings(deadline=None)
def test_a_statement_may_be_cut_anywhere(length: int, dialect: str) -> None:
    """A log that cuts statements cuts literals too: what is open at the end goes."""
    statement = (
        f"INSERT INTO users (name, n) VALUES ({LITERALS[dialect]}, 'it''s swordfish' -- swordfish\n) /* swordfish"
    )
    text = normalize(statement[:length], dialect)
    assert "swor" not in text
    assert "'" not in text


SPACES = st.sampled_from([" ", "  ", "\n", "\t", " \r\n ", "\f"])
COMMENTS = st.sampled_from([" ", " /* c */ ", " /* 'c */ ", " -- it's\n", '\n-- "\n ', " /*+ HINT(x) */ ", " /**/ "])
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="'\\\"\0$"), max_size=12)
TEMPLATES = st.sampled_from(
    [
        "SELECT t.a, t.b FROM t WHERE t.a = {} AND t.b IN ({}, {})",
        "SELECT coalesce(t.a, {}) AS x FROM t WHERE t.b BETWEEN {} AND {} LIMIT {}",
        "INSERT INTO t (a, b) VALUES ({}, {}), ({}, {})",
        "UPDATE t SET a = {}, b = {} WHERE t.c LIKE {} OR t.d < {}",
        "SELECT t1.a FROM t1 JOIN t2 ON t1.id = t2.id WHERE (t1.a, t1.b) IN (({}, {}), ({}, {})) ORDER BY t1.a",
        "DELETE FROM t WHERE t.a NOT IN ({}) AND t.b != {}",
        "SELECT t.a FROM t WHERE t.b IN (lower({}), upper({})) AND t.c = CAST({} AS INTEGER) - t.d",
        "SELECT count(*), sum(t.a) OVER (PARTITION BY t.b) FROM t GROUP BY t.c HAVING max(t.a) > {} ORDER BY t.c DESC",
    ]
)


def _literal(dialect: str) -> st.SearchStrategy[str]:
    strings = WORDS.map(lambda word: "'" + word.replace("'", "''") + "'")
    numbers = st.one_of(
        st.integers().map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.sampled_from([".5", "0xFF", "1e-3", "1_000", "- 7", "+1", "NULL", "true"]),
    )
    placeholders = {
        "postgresql": [
            "$1",
            "%s",
            "%(name_1)s",
            ":n",
            "$1::INTEGER",
            "%(v)s::VARCHAR(3)",
            "$2::TIMESTAMP WITH TIME ZONE",
        ],
        "mysql": ["%s", "%(n)s", "?", ":n", "_utf8'x'", '"a""b"', "'a\\'b'", "N'x'", "0b1"],
        "sqlite": ["?", "?1", ":n", "@n", "$n", "x'ab'", "''''"],
        "mssql": ["?", "%s", "@p1", ":n", "$12.50", "N'x''y'", "0xAB", "''"],
        "oracle": [":1", ":name_1", ':"group"', "q'[it's]'", "nq'!x'y!'", "1.5f", "2D", "N'x'"],
        "unknown": ["?", "$1", ":n", "@p1", "%s", "$$ab$$"],
    }
    return st.one_of(strings, numbers, st.sampled_from(placeholders[dialect]))


@given(st.data(), TEMPLATES, DIALECTS)
@settings(max_examples=500, deadline=None)
def test_values_and_placeholders_do_not_matter(data: st.DataObject, template: str, dialect: str) -> None:
    """Whatever a literal's value and spelling, or a placeholder's style, the pattern is the same."""
    values = data.draw(st.lists(_literal(dialect), min_size=template.count("{}"), max_size=template.count("{}")))
    assert pattern_of(template.format(*values), dialect) == pattern_of(template.replace("{}", "?"), dialect)


@given(st.data(), TEMPLATES, DIALECTS)
@settings(max_examples=300, deadline=None)
def test_spacing_and_comments_do_not_matter(data: st.DataObject, template: str, dialect: str) -> None:
    """Runs of white space and comments are a space."""
    words = template.replace("{}", "'x'").split(" ")
    blanks = data.draw(st.lists(st.one_of(SPACES, COMMENTS), min_size=len(words), max_size=len(words)))
    spaced = "".join(word + blank for word, blank in zip(words, blanks, strict=True))
    assert pattern_of(spaced, dialect) == pattern_of(template.replace("{}", "?"), dialect)


@given(st.data(), TEMPLATES, DIALECTS)
@settings(max_examples=300, deadline=None)
def test_blanks_beside_operators_do_not_matter(data: st.DataObject, template: str, dialect: str) -> None:
    """Around what is no word there may be any white space or none, and the query is the same."""
    pieces = re.split(r"\s*([=<>!,()*.-]+)\s*", template.replace("{}", "?"))
    blanks = data.draw(st.lists(st.one_of(st.just(""), SPACES, COMMENTS), min_size=len(pieces), max_size=len(pieces)))
    spaced = "".join(piece + blank for piece, blank in zip(pieces, blanks, strict=True))
    assert pattern_of(spaced, dialect).id == pattern_of(template.replace("{}", "?"), dialect).id


@given(st.data(), TEMPLATES, DIALECTS)
@settings(max_examples=300, deadline=None)
def test_case_of_keywords_does_not_matter(data: st.DataObject, template: str, dialect: str) -> None:
    """Keywords in whatever case, word by word, make the id of those in upper case, and are kept as written."""
    statement = template.replace("{}", "?")
    written = re.sub(r"\b[A-Z]{2,}\b", lambda found: data.draw(_CASES)(found.group()), statement)
    pattern = pattern_of(written, dialect)
    assert pattern.id == pattern_of(statement, dialect).id
    assert pattern.text == written or "?, ?" in written or "(?), " in written


_CASES = st.sampled_from([str.upper, str.lower, str.title, str.swapcase, lambda word: word[:2] + word[2:].lower()])


@given(st.sampled_from(["postgresql", "sqlite", "oracle"]), TEMPLATES.filter(lambda template: "t.a" in template))
def test_case_of_names_does_not_matter_where_the_database_folds_it(dialect: str, template: str) -> None:
    """Without quotes `T.A` is `t.a` there, and is another name in quotes, and where files have names."""
    assert pattern_of(template.upper(), dialect).id == pattern_of(template, dialect).id
    quoted = template.replace("t.a", 't."a"')
    assert pattern_of(quoted, dialect).id != pattern_of(quoted.replace('"a"', '"A"'), dialect).id
    assert pattern_of("SELECT a FROM T", "mysql").id != pattern_of("SELECT a FROM t", "mysql").id


@given(st.data(), TEMPLATES, DIALECTS)
@settings(max_examples=500, deadline=None)
def test_no_literal_survives(data: st.DataObject, template: str, dialect: str) -> None:
    """No four characters of a literal are in the pattern unless they are in it without the literal."""
    secret = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=4, max_size=20))
    doubled = secret.replace("'", "''")
    if dialect == "mysql":
        doubled = doubled.replace("\\", "\\\\")
    text = normalize(template.format(*[f"'{doubled}'"] * template.count("{}")), dialect)
    without = normalize(template.replace("{}", "?"), dialect)
    for start in range(len(secret) - 3):
        part = secret[start : start + 4]
        assert part not in text or part in without


@given(
    st.sampled_from(
        [
            *(
                "'",
                '"',
                "/*",
                "(",
                "$a$",
                "1,",
                "''",
                "'a',",
                "\\",
                "[",
                "`",
                "--",
                "$$",
                "((1),",
                "a.",
                "::x",
                "+ ",
                "[a",
            )
        ]
    )
)
@settings(deadline=None)
def test_hostile_input_is_bounded(piece: str) -> None:
    """A megabyte of anything gives a pattern no longer than twice what is read."""
    for dialect in FAMILIES:
        assert len(normalize(piece * (1_000_000 // len(piece)), dialect)) <= 2 * MAX_STATEMENT_CHARACTERS + 1


# What statements are made of that were really sent: those of the tables, each with its dialect's own quoting.
REAL = {
    dialect: [case[0] for group in groups() if dialect in group["dialects"] for case in group["cases"]]
    for dialect in FAMILIES
}
# A literal of each dialect that holds every other dialect's quotes, and a word that is nowhere else.
MARKED = {
    "postgresql": ["'it''s qzvkqzvk \\\\'", "E'\\'qzvkqzvk\\''", "$x$ ' qzvkqzvk $$ $x$", "U&'qzvkqzvk'"],
    "mysql": ["'it\\'s qzvkqzvk'", '"it\'s ""qzvkqzvk"', "N'qzvkqzvk'", "_utf8'qzvkqzvk'"],
    "sqlite": ["'it''s qzvkqzvk \\\\'", "'qzvkqzvk [`'", "X'00' || 'qzvkqzvk'"],
    "mssql": ["N'it''s qzvkqzvk \\\\'", "'qzvkqzvk ]['"],
    "oracle": ["q'[it's qzvkqzvk]'", "nq'!qzvkqzvk'!'", "'it''s qzvkqzvk \\\\'"],
    "unknown": ["'qzvkqzvk'", '"qzvkqzvk"', "'it''s qzvkqzvk'"],
}


@given(st.data(), DIALECTS)
@settings(max_examples=1500, deadline=None)
def test_real_statements_cut_and_spliced(data: st.DataObject, dialect: str) -> None:
    """Whatever two statements are cut to and joined from, a literal between them goes, and the pattern is one."""
    first, second = data.draw(st.sampled_from(REAL[dialect])), data.draw(st.sampled_from(REAL[dialect]))
    # Cut where nothing is open, or nobody could say what the literal is; the second one anywhere.
    head = data.draw(st.sampled_from(["", *_closed_heads(first)]))
    tail = second[data.draw(st.integers(0, len(second))) :]
    literal = data.draw(st.sampled_from(MARKED[dialect]))
    text = normalize(f"{head} {literal} {tail}"[: data.draw(st.integers(0, 600))], dialect)
    assert "qzvk" not in text
    assert normalize(text, dialect) == text


def _closed_heads(statement: str) -> list[str]:
    """The beginnings of a statement in front of its first quote, comment or the like."""
    opening = re.search(r"['\"`\[$#\\]|--|/\*|[qQ]'", statement)
    whole = statement if opening is None else statement[: opening.start()]
    return [whole[:end] for end in range(len(whole) + 1) if end == len(whole) or whole[end].isspace()]


@given(st.lists(st.sampled_from(["'", '"', "`", "[", "]", "\\", "$", "$$", "a", " ", "E", "q"]), max_size=30), DIALECTS)
@settings(max_examples=2000, deadline=None)
def test_quotes_and_escapes_alone(pieces: list[str], dialect: str) -> None:
    """In any heap of quotes and escapes no quote of a literal is left over, and reading it again changes nothing."""
    text = normalize("SELECT " + "".join(pieces), dialect)
    assert "'" not in text
    assert normalize(text, dialect) == text
