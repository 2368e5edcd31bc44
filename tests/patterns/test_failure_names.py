"""
Which names stay of what real databases say of a failed statement.

The value of a parameter is `swordfish`, and none of it may stay, whether the statement's pattern is known or not.
"""

import pytest
from sqlalchemy.exc import DBAPIError

from databases.engines import NewAsyncEngine, NewEngine
from querygauge.patterns.failure import failure_of
from querygauge.patterns.normalizer import normalize

# What PostgreSQL says of a name that it is asked for by a parameter.
ASKED = [
    *[
        (f"SELECT {call}", 'relation "?" does not exist')
        for call in (
            "nextval({})",
            "currval({})",
            "setval({}, 1)",
            "CAST({} AS regclass)",
            "has_table_privilege({}, 'select')",
            "has_sequence_privilege({}, 'usage')",
            "has_any_column_privilege({}, 'select')",
            "pg_relation_size(CAST({} AS text)::regclass)",
            "pg_get_serial_sequence({}, 'a')",
            "pg_get_viewdef(CAST({} AS text))",
            "table_to_xml({}, true, true, '')",
            "pg_get_object_address('table', ARRAY[{}], '{{}}')",
            "query_to_xml('SELECT * FROM ' || CAST({} AS text), true, true, '')",
        )
    ],
    ("SELECT CAST({} AS regtype)", 'type "?" does not exist'),
    ("SELECT has_type_privilege({}, 'usage')", 'type "?" does not exist'),
    ("SELECT set_config({}, '1', false)", 'unrecognized configuration parameter "?"'),
    ("SELECT current_setting({})", 'unrecognized configuration parameter "?"'),
    ("SELECT has_schema_privilege({}, 'usage')", 'schema "?" does not exist'),
    ("SELECT CAST({} AS regnamespace)", 'schema "?" does not exist'),
    ("SELECT schema_to_xml({}, true, true, '')", 'schema "?" does not exist'),
    ("SELECT nextval({} || '.a')", 'schema "?" does not exist'),
    ("SELECT has_database_privilege({}, 'connect')", 'database "?" does not exist'),
    ("SELECT has_column_privilege('pg_class', {}, 'select')", 'column "?" of relation "?" does not exist'),
    ("SELECT pg_get_serial_sequence('pg_class', {})", 'column "?" of relation "?" does not exist'),
    ("SELECT CAST({} AS regproc)", 'function "?" does not exist'),
    ("SELECT pg_has_role({}, 'usage')", 'role "?" does not exist'),
    ("SELECT pg_get_object_address('function', ARRAY[{}], '{{}}')", "function ?() does not exist"),
    ("SELECT query_to_xml('SELECT ' || CAST({} AS text), true, true, '')", 'column "?" does not exist'),
    (
        "SELECT query_to_xml('SELECT ' || CAST({} AS text) || '.a', true, true, '')",
        'missing FROM-clause entry for table "?"',
    ),
    (
        "SELECT query_to_xml(format('SELECT FROM pg_class %1$s, pg_class %1$s', CAST({} AS text)), true, true, '')",
        'table name "?" specified more than once',
    ),
    (
        "SELECT query_to_xml(replace('SELECT x FROM (SELECT 1 x) a, (SELECT 1 x) b', 'x', {}::text), true, true, '')",
        'column reference "?" is ambiguous',
    ),
]


def kept_of(error: DBAPIError, dialect: str, statement: str) -> set[str]:
    """What stays of SQLAlchemy's exception and the driver's, with the statement's pattern and without."""
    pattern = normalize(statement, dialect)
    assert "swordfish" not in pattern
    assert isinstance(error.orig, Exception)
    return {
        failure_of(each, dialect, pattern_text=text)[1].message
        for each in (error, error.orig)
        for text in (pattern, "")
    }


def test_psycopg_and_parameters(new_engine: NewEngine) -> None:
    """No name stays that came in a parameter of psycopg."""
    with new_engine("psycopg", isolation_level="AUTOCOMMIT").connect() as connection:
        for call, message in ASKED:
            statement = call.replace("%1", "%%1").format("%s")
            with pytest.raises(DBAPIError, match="swordfish") as caught:
                connection.exec_driver_sql(statement, ("swordfish",))
            assert kept_of(caught.value, "postgresql", statement) == {message}, statement


async def test_asyncpg_and_parameters(new_async_engine: NewAsyncEngine) -> None:
    """Nor one that came in a parameter of asyncpg."""
    async with new_async_engine("asyncpg", isolation_level="AUTOCOMMIT").connect() as connection:
        for call, message in ASKED:
            statement = call.format("CAST($1 AS text)")
            with pytest.raises(DBAPIError, match="swordfish") as caught:
                await connection.exec_driver_sql(statement, ("swordfish",))
            assert kept_of(caught.value, "postgresql", statement) == {message}, statement


def test_literals_in_the_text(new_engine: NewEngine) -> None:
    """Nor one that the statement has as a literal, which its pattern has not."""
    with new_engine("psycopg", isolation_level="AUTOCOMMIT").connect() as connection:
        for call, message in ASKED:
            statement = call.replace("%1", "%%1").format("'swordfish'")
            with pytest.raises(DBAPIError, match="swordfish") as caught:
                connection.exec_driver_sql(statement)
            assert kept_of(caught.value, "postgresql", statement) == {message}, statement


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT * FROM ordres", 'relation "ordres" does not exist'),
        ("SELECT * FROM Shop.Ordres", 'relation "shop.ordres" does not exist'),
        ('SELECT * FROM "Shop"."Ordres"', 'relation "Shop.Ordres" does not exist'),
        ("SELECT * FROM ordres_2024_01", 'relation "ordres_?_?" does not exist'),
        ("SELECT O.Emial FROM pg_class o", "column o.emial does not exist"),
        ("UPDATE t SET emial = %s", 'column "emial" of relation "t" does not exist'),
        ("SELECT fucntion(%s)", "function fucntion(unknown) does not exist"),
        ("SELECT CAST(%s AS mony)", 'type "mony" does not exist'),
        ("SHOW work_men", 'unrecognized configuration parameter "work_men"'),
        ("SELECT a FROM t x, t y", 'column reference "a" is ambiguous'),
        ("SELECT Z.a FROM t", 'missing FROM-clause entry for table "z"'),
        (
            "SELECT t.a, count(*) FROM t",
            'column "t.a" must appear in the GROUP BY clause or be used in an aggregate function',
        ),
        ("CREATE TABLE T (a int)", 'relation "t" already exists'),
    ],
)
def test_what_the_statement_says_stays(new_engine: NewEngine, statement: str, message: str) -> None:
    """A misspelled name is what the person who mends it needs, however the statement writes it."""
    with new_engine("psycopg").connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a int)")
        with pytest.raises(DBAPIError) as caught:
            connection.exec_driver_sql(statement, ("7",) if "%s" in statement else ())
    pattern = normalize(statement, "postgresql")
    assert failure_of(caught.value, "postgresql", pattern_text=pattern)[1].message == message


def test_names_of_constraints_stay(new_engine: NewEngine) -> None:
    """They are the schema's, whatever the statement says."""
    with new_engine("psycopg").connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a text CONSTRAINT only_once UNIQUE)")
        with pytest.raises(DBAPIError, match="swordfish") as caught:
            connection.exec_driver_sql("INSERT INTO t VALUES (%s), (%s)", ("swordfish", "swordfish"))
    assert kept_of(caught.value, "postgresql", "INSERT INTO t VALUES (%s), (%s)") == {
        'duplicate key value violates unique constraint "only_once"\nDETAIL:  Key (a)=(?) already exists.'
    }


RAISED = "raised by the application inside the database"
RAISES = [
    f"DO $$ BEGIN RAISE {name} USING MESSAGE = '{message}'; {again} END $$"
    for name in ("unique_violation", "undefined_table", "SQLSTATE '57P01'")
    for again in ("", "EXCEPTION WHEN OTHERS THEN RAISE;")
    for message in (
        'relation "swordfish" does not exist',
        'duplicate key value violates unique constraint "swordfish"',
    )
]


def test_raise_by_psycopg(new_engine: NewEngine) -> None:
    """What PL/pgSQL raises with an error code of the database's is as silent as with its own."""
    with new_engine("psycopg", isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in RAISES:
            with pytest.raises(DBAPIError, match="swordfish") as caught:
                connection.exec_driver_sql(statement)
            assert kept_of(caught.value, "postgresql", statement) == {RAISED}


async def test_raise_by_asyncpg(new_async_engine: NewAsyncEngine) -> None:
    """Also where the exception is the cause of the cause of SQLAlchemy's."""
    async with new_async_engine("asyncpg", isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in RAISES:
            with pytest.raises(DBAPIError, match="swordfish") as caught:
                await connection.exec_driver_sql(statement)
            assert kept_of(caught.value, "postgresql", statement) == {RAISED}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT * FROM f WHERE f MATCH ?", "no such column: ?"),
        ("SELECT * FROM pragma_foreign_key_check(?)", "no such table: ?"),
        ("SELECT * FROM pragma_integrity_check(?)", "no such table: ?"),
        ("SELECT * FROM pragma_table_info('f', ?)", "unknown database '?'"),
    ],
)
def test_sqlite_and_parameters(new_engine: NewEngine, statement: str, message: str) -> None:
    """What somebody searches for is no name of a column, though SQLite calls it one."""
    with new_engine("sqlite3").connect() as connection:
        connection.exec_driver_sql("CREATE VIRTUAL TABLE f USING fts5(a)")
        value = "swordfish: x" if "MATCH" in statement else "swordfish"
        with pytest.raises(DBAPIError, match="swordfish") as caught:
            connection.exec_driver_sql(statement, (value,))
    assert kept_of(caught.value, "sqlite", statement) == {message}


@pytest.mark.parametrize(
    ("statement", "value", "message"),
    [
        ("SELECT * FROM (SELECT %s, 'swordfish') AS t", "swordfish", "Duplicate column name '?'"),
        ("EXECUTE IMMEDIATE %s", "SELECT * FROM swordfish", "Table '?.?' doesn't exist"),
        ("EXECUTE IMMEDIATE %s", "SELECT swordfish", "Unknown column '?' in 'SELECT'"),
        ("EXECUTE IMMEDIATE %s", "DROP TABLE swordfish", "Unknown table '?.?'"),
        ("EXECUTE IMMEDIATE %s", "USE swordfish", "Unknown database '?'"),
        ("EXECUTE IMMEDIATE %s", "SELECT swordfish()", "FUNCTION ?.? does not exist"),
        ("EXECUTE IMMEDIATE %s", "CALL swordfish()", "PROCEDURE ?.? does not exist"),
        ("EXECUTE IMMEDIATE %s", "SET swordfish = 1", "Unknown system variable '?'"),
        (
            "EXECUTE IMMEDIATE %s",
            "SELECT swordfish FROM (SELECT 1 swordfish) a, (SELECT 1 swordfish) b",
            "Column '?' in SELECT is ambiguous",
        ),
        (
            "SIGNAL SQLSTATE '42S02' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT = %s",
            "Table 'swordfish' doesn't exist",
            "Table '?' doesn't exist",
        ),
        (
            "SIGNAL SQLSTATE '42S02' SET MESSAGE_TEXT = %s",
            "no such table: swordfish",
            RAISED,
        ),
    ],
)
def test_mariadb_and_parameters(new_engine: NewEngine, statement: str, value: str, message: str) -> None:
    """A column without a name has its value as one, and what a parameter holds may be a statement."""
    with new_engine("pymysql").connect() as connection, pytest.raises(DBAPIError, match="swordfish") as caught:
        connection.exec_driver_sql(statement, (value,))
    assert kept_of(caught.value, "mysql", statement) == {message}
