"""Statements and their patterns, one by one: the tables are the files of `cases/`."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, oracle

from querygauge.patterns.cache import pattern_of
from querygauge.patterns.normalizer import normalize
from querygauge.patterns.summary import summarize
from statement_cases import groups


def _cases() -> list[tuple[str, str, str, str, str]]:
    return [
        (group["reason"], dialect, *case[:3])
        for group in groups()
        for dialect in group["dialects"]
        for case in group["cases"]
        if f"not {dialect}" not in case[3:]
    ]


@pytest.mark.parametrize(("reason", "dialect", "statement", "pattern", "summary"), _cases())
def test_statement(reason: str, dialect: str, statement: str, pattern: str, summary: str) -> None:
    """A statement becomes the pattern and the summary that the table says."""
    text = normalize(statement, dialect)
    assert text == pattern, reason
    assert summarize(text, dialect) == summary, reason


PSYCOPG, ASYNCPG, PYMYSQL, SQLITE = (
    sa.create_engine(f"{name}://").dialect  # never connects
    for name in ("postgresql+psycopg", "postgresql+asyncpg", "mysql+pymysql", "sqlite")
)
USERS = sa.table(
    "users",
    sa.column("id", sa.Integer),
    sa.column("name", sa.String),
    sa.column("born", sa.DateTime),
    sa.column("ok", sa.Boolean),
)
ORDERS = sa.table("order", sa.column("id", sa.Integer), sa.column("user_id", sa.Integer), sa.column("Total", sa.Float))
MSSQL, ORACLE = mssql.dialect(), oracle.dialect()  # type: ignore[no-untyped-call]
QUERIES = {
    "comparison": sa.select(USERS).where(
        USERS.c.id == 5, USERS.c.name.like("a%"), USERS.c.born > datetime(2024, 1, 1, tzinfo=UTC)
    ),
    "list": sa.select(USERS.c.id).where(USERS.c.id.in_([1, 2, 3])),
    "limit": sa.select(USERS.c.id).order_by(USERS.c.id).limit(5).offset(10),
    "modulo": sa.select(USERS.c.id).where(USERS.c.id % 2 == 0),
    "insert": sa.insert(USERS).values(name="ann", ok=True),
    "rows": sa.insert(USERS).values([{"name": "ann", "ok": None}, {"name": "bob", "ok": None}]),
    "update": sa.update(USERS).where(USERS.c.id == 1).values(name="ann"),
    "coalesce": sa.select(sa.func.coalesce(USERS.c.name, "none"), sa.cast(sa.literal(5), sa.BigInteger)),
}


def _compiled(query: sa.Executable, dialect: sa.Dialect, **options: bool) -> str:
    return str(query.compile(dialect=dialect, compile_kwargs=options))  # type: ignore[attr-defined]  # a ClauseElement


@pytest.mark.parametrize("name", QUERIES)
def test_drivers_agree(name: str) -> None:
    """One query has one pattern, whether psycopg or asyncpg sends it, with lists expanded or not yet."""
    query = QUERIES[name]
    patterns = {
        pattern_of(_compiled(query, dialect, **options), "postgresql")
        for dialect in (PSYCOPG, ASYNCPG)
        for options in ({}, {"render_postcompile": True})
    }
    assert len(patterns) == 1


@pytest.mark.parametrize("name", ["comparison", "list", "limit", "insert", "rows", "update"])
def test_databases_agree_on_plain_queries(name: str) -> None:
    """A query that needs no dialect of its own has one text on every database."""
    query = QUERIES[name]
    texts = {
        normalize(_compiled(query, dialect, render_postcompile=True), dialect.name).replace('"', "").replace("`", "")
        for dialect in (PSYCOPG, PYMYSQL, SQLITE)
    }
    if name == "limit":  # MySQL writes LIMIT offset, count
        texts = {text.partition(" LIMIT")[0] for text in texts}
    assert len(texts) == 1


@pytest.mark.parametrize("name", QUERIES)
def test_literals_and_placeholders_agree(name: str) -> None:
    """A query with its literals in the text, as `text()` would send it, has the pattern of that with placeholders."""
    # Oracle's literals of a date are calls of TO_DATE, and it has no rows in VALUES.
    oracles = [] if name in {"comparison", "rows"} else [ORACLE]
    for dialect in (PSYCOPG, ASYNCPG, PYMYSQL, SQLITE, MSSQL, *oracles):
        literal, bound = _compiled(QUERIES[name], dialect, literal_binds=True), _compiled(QUERIES[name], dialect)
        assert pattern_of(literal, dialect.name) == pattern_of(bound, dialect.name)


def test_length_of_a_multi_row_insert_does_not_matter() -> None:
    """Rows beyond what is read leave no trace, wherever the text is cut."""
    for rows in (1, 2, 1_000, 20_000, 20_001):
        for row in ("(?, ?)", "(%s, 'ann')", "(1,NULL)"):
            statement = "INSERT INTO t (a, b) VALUES " + ", ".join([row] * rows)
            assert normalize(statement, "mysql") == "INSERT INTO t (a, b) VALUES (?)"


@pytest.mark.parametrize("count", [1, 2, 1_000, 6_000, 8_001])
@pytest.mark.parametrize(
    ("statement", "item"),
    [
        ("INSERT INTO t (a, b) VALUES {} ON CONFLICT DO NOTHING RETURNING id", "('0b0ca4a3', NULL)"),
        ("INSERT INTO t (a, b) VALUES {} ON CONFLICT DO NOTHING RETURNING id", "($1, $2::INTEGER)"),
        ("INSERT INTO t (a, b) VALUES {} ON CONFLICT DO NOTHING RETURNING id", "(%(a__1)s, -1.5)"),
        ("SELECT a FROM t WHERE b IN ({}) AND c = 5 ORDER BY d", "'f8a49ac7-53f4'"),
        ("SELECT a FROM t WHERE b IN ({}) AND c = 5 ORDER BY d", "1234567"),
        ("SELECT a FROM t WHERE b IN ({}) AND c = 5 ORDER BY d", ":b_1"),
    ],
)
def test_what_follows_a_list_is_read_however_long_the_list(statement: str, item: str, count: int) -> None:
    """A list of hundreds of kilobytes is shortened before its statement is cut."""
    listed = normalize(statement.format(", ".join([item] * count)), "postgresql")
    assert listed == normalize(statement.format("(?)" if item[0] == "(" else "?"), "postgresql")


@pytest.mark.parametrize("count", [5_000, 5_001, 20_000])
def test_a_cut_statement_leaves_nothing_of_the_row_it_is_cut_in(count: int) -> None:
    """Where the end is missing, a list of rows that cannot be shortened ends after its first row."""
    rows = ", ".join(["(lower('ann'), 1, now())"] * count)
    assert (
        normalize(f"INSERT INTO t VALUES {rows} RETURNING id", "mysql") == "INSERT INTO t VALUES (lower(?), ?, now())"
    )


def test_numbered_names_may_be_kept_apart() -> None:
    """Whoever wants to see single partitions and tenants keeps their numbers; values go all the same."""
    statement = "SELECT a FROM events_2024_01 JOIN tmp_5f3c2a1b9d ON b = 20240131"
    assert normalize(statement, "sqlite") == "SELECT a FROM events_?_? JOIN tmp_? ON b = ?"
    kept = normalize(statement, "sqlite", fold_numbered_names=False)
    assert kept == "SELECT a FROM events_2024_01 JOIN tmp_5f3c2a1b9d ON b = ?"
    assert normalize(kept, "sqlite", fold_numbered_names=False) == kept
    assert pattern_of(statement, "sqlite", fold_numbered_names=False).tables == ("events_2024_01", "tmp_5f3c2a1b9d")


def test_a_summary_ends_between_tokens() -> None:
    """Of a statement over many tables the summary names as many as fit into 255 characters, none of them cut."""
    tables = [f'"a table of length {letter}"' for letter in "bcdefghijklmnopqrstuvwxyz"]
    summary = summarize(f"SELECT a FROM {', '.join(tables)}", "postgresql")
    assert summary == " ".join(["SELECT", *tables[:11]])
    assert len(summary) <= 255
