"""Words in double quotes that SQLite takes for literals: none stays, wherever it stands."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.patterns.normalizer import normalize

MARK = '"swordfish"'


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """Two tables without a column that is called like the literal."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript('CREATE TABLE t (a, b, "order", UNIQUE (a)); CREATE TABLE u (a, c)')
        yield connection


def _expressions() -> st.SearchStrategy[str]:
    atoms = st.sampled_from([MARK, MARK, "t.a", "b", 't."order"', "1", "?", "'x'", "NULL"])
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["=", "<>", "||", "+", "AND", "OR", "IS", "IS NOT", "LIKE"]), inner).map(
                " ".join
            ),
            st.tuples(inner, inner).map(lambda pair: f"{pair[0]} IN (b, {pair[1]}, {MARK})"),
            st.tuples(inner, inner).map(lambda pair: f"coalesce({pair[0]}, {pair[1]})"),
            inner.map(lambda one: f"({one}) BETWEEN {MARK} AND b"),
            st.tuples(inner, inner).map(lambda pair: f"CASE WHEN {pair[0]} THEN {pair[1]} ELSE {MARK} END"),
            inner.map(lambda one: f"CAST({one} AS TEXT)"),
            inner.map(lambda one: f"({one}) IS DISTINCT FROM {MARK}"),
            inner.map(lambda one: f'{one} COLLATE "NOCASE"'),
            inner.map(lambda one: f'(SELECT {one} FROM u AS "v" WHERE "v".c = {MARK})'),
            inner.map(lambda one: f"sum(length({one})) OVER (PARTITION BY {MARK} ORDER BY {one})"),
        ),
        max_leaves=6,
    )


STATEMENTS = st.sampled_from(
    [
        "SELECT {0}, {1} FROM t WHERE {2}",
        "SELECT {0} AS {1} FROM t".replace("{1}", '"x"'),
        'SELECT {0} FROM "t", u AS "w" JOIN t AS "z" ON {1} GROUP BY {2} HAVING {0} ORDER BY {1} LIMIT {2}',
        'SELECT t.a FROM t JOIN (u AS "w" JOIN t AS "z" USING ("a")) ON {0} ORDER BY {1}, {2}',
        "SELECT t.a FROM t, json_each({0}) WHERE {1} UNION SELECT {2} FROM t",
        'WITH "x" ("y") AS (SELECT {0} FROM t), "z" AS MATERIALIZED (SELECT {1} FROM t) SELECT {2} FROM "x", "z", t',
        'INSERT INTO t (a, "order") SELECT {0}, {1} FROM t WHERE {2}',
        'UPDATE t SET "order" = {0}, b = {1} WHERE {2}',
        'UPDATE t SET (a, "order") = ({0}, {1}) WHERE {2} RETURNING {0}',
        "UPDATE t SET b = {0} FROM u WHERE {1} RETURNING {2}",
        'INSERT INTO t ("order") SELECT {0} FROM t WHERE 1 ON CONFLICT ("a") DO UPDATE SET b = excluded."b" WHERE {1}',
        "DELETE FROM t WHERE {0} OR {1} RETURNING {2}",
        "SELECT t.a FROM t WHERE EXISTS (SELECT {0} FROM u WHERE {1}) AND t.b NOT IN (SELECT {2} FROM u)",
    ]
)


@given(STATEMENTS, st.lists(_expressions(), min_size=3, max_size=3))
@settings(max_examples=1500, deadline=None)
def test_no_literal_in_double_quotes_stays(statement: str, expressions: list[str]) -> None:
    """Wherever an expression may stand, a literal in double quotes goes."""
    assert "swordfish" not in normalize(statement.format(*expressions), "sqlite")


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE TABLE n (a TEXT DEFAULT {MARK}, b TEXT)",
        f"CREATE VIEW n AS SELECT a FROM t WHERE b = {MARK}",
        f"CREATE TRIGGER n AFTER UPDATE OF a ON t WHEN new.b = {MARK} BEGIN UPDATE t SET a = {MARK} WHERE b; END",
        f"ALTER TABLE u ADD COLUMN d TEXT DEFAULT {MARK}",
        f"INSERT INTO t (a, b) VALUES (1, {MARK}), ({MARK}, 2) RETURNING {MARK}",
        f"PRAGMA table_info({MARK})",
        f"PRAGMA application_id = {MARK}",
        f"VALUES ({MARK}, 1), (2, {MARK})",
    ],
)
def test_no_literal_of_a_definition_stays(database: sqlite3.Connection, statement: str) -> None:
    """SQLite accepts these, and what they say in double quotes is a value."""
    database.execute(f"EXPLAIN {statement}")
    assert "swordfish" not in normalize(statement, "sqlite")
