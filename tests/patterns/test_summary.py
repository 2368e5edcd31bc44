"""Summaries, tables and complexity: OpenTelemetry's own examples, and what holds for every statement."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.patterns.cache import pattern_of
from querygauge.patterns.normalizer import normalize
from querygauge.patterns.summary import MAX_SUMMARY_CHARACTERS, describe, summarize
from querygauge.patterns.summary_plain import read_plain
from querygauge.patterns.summary_reader import MAX_READ_CHARACTERS, NAME, read_tokens
from statement_cases import groups

# The examples of the semantic conventions 1.44, "Generating a summary of the query".
INSERT = """
INSERT INTO shipping_details
            (order_id,
            address)
SELECT order_id,
       address
FROM   orders
WHERE  order_id = ?
"""
ANONYMOUS = """
SELECT order_date
FROM   (SELECT *
        FROM   orders o
               JOIN customers c
                 ON o.customer_id = c.customer_id)
"""
EXAMPLES = [
    ("SELECT *\nFROM   wuser_table\nWHERE  username = ?", "SELECT wuser_table"),
    (INSERT, "INSERT shipping_details SELECT orders"),
    ("SELECT *\nFROM   songs,\n       artists\nWHERE  songs.artist_id == artists.id", "SELECT songs artists"),
    (ANONYMOUS, "SELECT SELECT orders customers"),
    ("SELECT *\nFROM   \"song list\",\n       'artists'", "SELECT \"song list\" 'artists'"),
    ("{call some_stored_procedure}", "call some_stored_procedure"),
    ("EXECUTE some_stored_procedure", "EXECUTE some_stored_procedure"),
]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite", "mssql", "oracle"])
@pytest.mark.parametrize(("statement", "summary"), EXAMPLES)
def test_the_examples_of_the_semantic_conventions(statement: str, summary: str, dialect: str) -> None:
    """Word for word, of the statement itself."""
    assert summarize(statement, dialect) == summary


@pytest.mark.parametrize(("statement", "summary"), EXAMPLES[:4])
@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite", "mssql", "oracle", "unknown"])
def test_the_same_of_a_pattern(statement: str, summary: str, dialect: str) -> None:
    """Word for word, too, of what is kept of the statement."""
    assert pattern_of(statement, dialect).summary == summary


def test_a_literal_in_the_place_of_a_table_is_no_name() -> None:
    """In a pattern it is gone, whatever the conventions' example makes of it: nobody knows what it says."""
    assert pattern_of("SELECT * FROM \"song list\", 'artists'", "postgresql").summary == 'SELECT "song list"'


def test_a_summary_is_never_cut_inside_a_token() -> None:
    """What does not fit is left out whole."""
    tables = [f"a_table_with_a_long_name_{letter}" for letter in "abcdefghijkl"]
    summary = summarize(f"SELECT * FROM {', '.join(tables)}", "postgresql")
    assert len(summary) <= MAX_SUMMARY_CHARACTERS
    assert summary == "SELECT " + " ".join(tables[: summary.count(" ")])


def test_a_long_statement_is_not_cut_inside_a_name() -> None:
    """What is not read any more is left out whole, too."""
    for blanks in range(30):
        statement = (
            f'SELECT {"a, " * (MAX_READ_CHARACTERS // 3 - 8)}{" " * blanks} a FROM "a name" JOIN schema.table_ u'
        )
        assert summarize(statement, "postgresql") in {"SELECT", 'SELECT "a name"', 'SELECT "a name" schema.table_'}


@pytest.mark.parametrize(
    ("statement", "operation", "tables"),
    [
        ("CREATE INDEX ix ON ONLY t (a)", "CREATE", ("t",)),
        ("CREATE INDEX ON t (a) INCLUDE (b)", "CREATE", ("t",)),
        ("DROP VIEW a, b", "DROP", ("a", "b")),
        ("REINDEX INDEX i", "REINDEX", ()),
        ("SELECT a FROM f(1), t CROSS JOIN LATERAL g(t.a) AS x", "SELECT", ("t",)),
        ("SELECT a FROM t JOIN t AS u ON t.a = u.b", "SELECT", ("t",)),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM X", "SELECT", ("t",)),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM public.x", "SELECT", ("t", "public.x")),
        ("WITH t AS (SELECT a FROM t) SELECT a FROM t", "SELECT", ("t",)),
        ("WITH t AS (SELECT a FROM t), u AS (SELECT a FROM t, u) SELECT a FROM t, u", "SELECT", ("t", "u")),
        ("WITH RECURSIVE x (a) AS (SELECT 1 UNION ALL SELECT a FROM x) SELECT a FROM x", "SELECT", ()),
        ("WITH x (a) AS (SELECT a FROM t UNION ALL SELECT a FROM x) SELECT a FROM x", "SELECT", ("t",)),
        ("(WITH x AS (SELECT a FROM t) SELECT a FROM x) UNION (SELECT a FROM u)", "SELECT", ("t", "u")),
        ("EXPLAIN ANALYZE INSERT INTO t (a) SELECT b FROM u", "EXPLAIN", ("t", "u")),
        ("SET NOCOUNT ON INSERT INTO t (a) VALUES (1)", "INSERT", ("t",)),
        ("SET x = 1", "SET", ()),
        ("UPDATE x SET a = (SELECT b FROM u x) FROM t AS x", "UPDATE", ("t", "u")),
        ("UPDATE x SET a = 1 FROM (t AS x JOIN u ON x.a = u.a)", "UPDATE", ("t", "u")),
        ("UPDATE x SET a = 1 FROM f((SELECT b FROM u)) AS x", "UPDATE", ("u",)),
        ("WITH t AS (SELECT a FROM u) UPDATE x SET a = 1 FROM t AS x", "UPDATE", ("u",)),
        ("BEGIN; UPDATE t SET a = 1; COMMIT", "BEGIN", ("t",)),
    ],
)
def test_operation_and_tables(statement: str, operation: str, tables: tuple[str, ...]) -> None:
    """Operation and tables are told where the summary does not, or says more."""
    pattern = pattern_of(statement, "postgresql")
    assert (pattern.operation, pattern.tables) == (operation, tables)


def _lists(of: list[str], glue: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(of), min_size=1, max_size=3).map(glue.join)


COLUMNS = _lists(
    [
        *("a", "t.b AS c", "count(*)", "count(DISTINCT a)", "coalesce(max(a), ?) AS d", "t.selected", '"x"'),
        *("EXTRACT(YEAR FROM a)", "(SELECT a FROM v)", "a IS DISTINCT FROM b", "STRAIGHT_JOIN a"),
    ],
    ", ",
)
TABLE = _lists(["t", "u AS x", "s.v", "f(a)", "f(a) AS y", "db..w", "ünder", "ONLY t", "(t JOIN u ON a = b)"], ", ")
JOINS = st.lists(
    st.sampled_from(
        [
            *(" JOIN u ON t.a = u.a", " LEFT OUTER JOIN u AS x ON t.a = x.a AND t.b = x.b", " CROSS JOIN v"),
            *(" INNER JOIN u ON t.a = ?", " JOIN u USING (a)", " CROSS APPLY f(a)", " FOR SYSTEM_TIME AS OF ?"),
            *(" WITH (NOLOCK)", " TABLESAMPLE SYSTEM (?)", " JOIN (SELECT a FROM w) AS y ON t.a = y.a", ", v", " x"),
        ]
    ),
    max_size=3,
).map("".join)
REST = st.lists(
    st.sampled_from(
        [
            *(" WHERE t.a = ?", " WHERE EXISTS (SELECT ? FROM w)", " WHERE a IS DISTINCT FROM b", " GROUP BY a, b"),
            *(" ORDER BY a, b", " LIMIT ?", " FOR UPDATE OF t, u", " UNION SELECT a FROM w", " union select a from w"),
            *(
                " FETCH FIRST ROWS ONLY",
                " RETURNING a",
                " RETURNING a INTO b",
                " USING w WHERE a = b",
                " FOR JSON PATH",
            ),
        ]
    ),
    max_size=3,
).map("".join)
SELECTS = st.builds("SELECT {} FROM {}{}{}".format, COLUMNS, TABLE, JOINS, REST)
WRITES = st.builds(
    str.format,
    st.sampled_from(["UPDATE {} SET a = ?{}", "DELETE FROM {}{}", "INSERT INTO {} (a) VALUES (?){}", "INSERT {}{}"]),
    st.sampled_from(["t", "s.t", '"t"', "ONLY t", "TOP (?) t", "t AS x"]),
    REST,
)


@given(st.one_of(SELECTS, WRITES))
@settings(max_examples=1500, deadline=None)
def test_a_plain_statement_is_read_as_every_other(text: str) -> None:
    """The short way gives what the long one gives, or nothing."""
    assert read_plain(text) in (None, read_tokens(text))


def test_every_case_is_read_as_its_tokens_are() -> None:
    """The same of the statements in the tables, in lower case, too."""
    for text in (case[1] for group in groups() for case in group["cases"]):
        assert read_plain(text) in (None, read_tokens(text))
        assert [word.upper() for word in read_tokens(text)[1].split()] == read_tokens(text.lower())[1].upper().split()


WORDS = st.sampled_from(
    re.findall(
        r"\S+",
        "SELECT INSERT UPDATE DELETE MERGE INTO FROM JOIN USING WITH RECURSIVE AS ON FOR SET CREATE DROP TABLE INDEX "
        'EXPLAIN ANALYZE VALUES TOP ALL CROSS APPLY EXEC CALL VACUUM TRUNCATE UNION WHERE t u x "a" [b c] s.t db..t ? '
        "( ) ( ) , ; = {",
    )
)


@given(st.lists(WORDS, max_size=40).map(" ".join))
@settings(max_examples=1500, deadline=None)
def test_a_summary_says_nothing_that_the_statement_does_not(text: str) -> None:
    """Whatever stands in a row: never raises, and every name is a whole name of the text."""
    summary, operation, tables, _ = describe(text, "unknown")
    names = re.compile(NAME).findall
    assert set(names(summary)) <= set(names(text))
    assert {operation} <= {"", *names(text.upper())}
    assert {*tables} <= {re.sub(r'["\[\]]', "", name) for name in names(text)}


@pytest.mark.parametrize("before", ["", "SELECT a FROM ", "UPDATE x SET a FROM ", "WITH "])
@pytest.mark.parametrize(
    "piece",
    [
        *(
            "(",
            ")",
            "FROM a, ",
            "a, ",
            "JOIN ",
            "UNION (",
            "[a ",
            '"',
            "(SELECT ",
            "WITH x AS (",
            "a.",
            "db..",
            "TOP (",
        ),
        *(
            "t AS x ",
            "DELETE a FROM a ",
            "; ",
            "EXPLAIN (",
            "VACUUM (;",
            "INSERT INTO t (",
            "? = ",
            "version(), ",
            "@@a ",
        ),
    ],
)
def test_a_megabyte_is_read_in_time(before: str, piece: str) -> None:
    """The time is linear in the length, or this would not end; the summary has its bound."""
    text = before + piece * (1_000_000 // len(piece))
    description = describe(text, "postgresql")
    assert len(description.summary) <= MAX_SUMMARY_CHARACTERS


def test_no_literal_is_named() -> None:
    """Where a name would stand, a literal does not take its place."""
    for group in groups():
        for dialect in group["dialects"]:
            for case in group["cases"]:
                summary = describe(normalize(case[0].replace("t ", "'swordfish' "), dialect), dialect).summary
                assert "swordfish" not in summary


@pytest.mark.parametrize(
    ("statement", "complexity"),
    [
        ("COMMIT", 0),
        ("SELECT 1", 0),
        ("SELECT a FROM t", 1),
        ("SELECT a FROM t JOIN u ON t.id = u.id", 3),
        ("SELECT a FROM t, u WHERE t.id IN (SELECT id FROM v)", 4),
        ("SELECT a FROM t UNION ALL SELECT b FROM u EXCEPT SELECT c FROM t", 4),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM x WHERE EXISTS (SELECT 1 FROM u LEFT JOIN v ON 1 = 1)", 6),
        ('SELECT "join"."union" FROM "join" WHERE a = \'UNION SELECT\'', 1),
        ("INSERT INTO t (a) SELECT b FROM u", 2),
        ("SELECT a FROM t AS x JOIN t AS y ON x.a = y.b", 2),
        ("SELECT a FROM t AS x, t AS y", 1),
        ("SELECT a FROM t CROSS APPLY f(t.a) AS x OUTER APPLY (SELECT b FROM u) AS y", 5),
        ("SELECT STRAIGHT_JOIN a FROM t STRAIGHT_JOIN u", 3),
        ("SELECT a FROM t USE INDEX FOR JOIN (i)", 1),
        ("WITH x AS (SELECT a FROM t), y AS (SELECT a FROM x) SELECT a FROM x, y", 3),
        ("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x", 2),
        ("(SELECT a FROM t) UNION (SELECT b FROM u)", 3),
        ("((SELECT a FROM t) UNION ALL (SELECT b FROM u)) EXCEPT (SELECT c FROM v)", 5),
        ("SELECT a FROM ((SELECT a FROM t) INTERSECT (SELECT b FROM u)) AS x", 4),
        ("SELECT a FROM t UNION VALUES (1)", 2),
        ("SELECT minus, t.join FROM t", 1),
    ],
)
def test_complexity_adds_up_what_a_database_has_to_bring_together(statement: str, complexity: int) -> None:
    """Tables, joins, subqueries and set operations count one each; a comma, a second mention and quotes do not."""
    pattern = pattern_of(statement, "postgresql")
    assert pattern.complexity == complexity
    assert pattern.to_dict()["complexity"] == complexity
