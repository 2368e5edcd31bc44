"""Summaries: OpenTelemetry's own examples, of a statement as it was sent and of its pattern."""

import pytest

from querygauge.patterns.cache import pattern_of
from querygauge.patterns.summary import MAX_SUMMARY_CHARACTERS, summarize

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
    ],
)
def test_complexity_adds_up_what_a_database_has_to_bring_together(statement: str, complexity: int) -> None:
    """Tables, joins, subqueries and set operations count one each, and nothing in quotes does."""
    pattern = pattern_of(statement, "postgresql")
    assert pattern.complexity == complexity
    assert pattern.to_dict()["complexity"] == complexity
