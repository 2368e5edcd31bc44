"""Words in double quotes or without any that a server takes for literals: none stays, wherever it stands."""

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
        f"CREATE INDEX n ON t ({MARK})",
        f"CREATE UNIQUE INDEX n ON t (a, {MARK} COLLATE nocase DESC)",
        f"CREATE INDEX n ON t ({MARK} || a) WHERE {MARK}",
        f"PRAGMA table_info({MARK})",
        f"PRAGMA application_id = {MARK}",
        f"VALUES ({MARK}, 1), (2, {MARK})",
    ],
)
def test_no_literal_of_a_definition_stays(database: sqlite3.Connection, statement: str) -> None:
    """SQLite accepts these, and what they say in double quotes is a value."""
    database.execute(f"EXPLAIN {statement}")
    assert "swordfish" not in normalize(statement, "sqlite")


@pytest.mark.parametrize(
    "statement",
    [
        f"ATTACH {MARK} || 'x' AS d KEY ({MARK})",
        f"VACUUM INTO {MARK}",
        f"EXPLAIN VACUUM main INTO {MARK}",
        f"SELECT * FROM json_each({MARK})",
        f"SELECT * FROM t, json_each({MARK}) AS j, pragma_table_info({MARK})",
        f"CREATE VIRTUAL TABLE n USING csv({MARK})",
        f"CREATE TABLE n (a AS ({MARK}), b TEXT COLLATE nocase DEFAULT {MARK}, c CHECK ({MARK} = 1))",
        f"CREATE INDEX n ON t (lower({MARK})) WHERE a = {MARK}",
        f"CREATE TRIGGER n AFTER DELETE ON t BEGIN SELECT raise(ABORT, {MARK}); INSERT INTO u VALUES ({MARK}, 1); END",
        f"SELECT DISTINCT a IS DISTINCT FROM {MARK} FROM t",
        f"SELECT sum(a) FILTER (WHERE {MARK}) OVER (PARTITION BY {MARK} ORDER BY a) FROM t LIMIT {MARK} OFFSET {MARK}",
        f"SELECT a ->> {MARK}, a MATCH {MARK}, a REGEXP {MARK}, a NOTNULL OR {MARK} FROM t",
        f"INSERT INTO t AS x (a) VALUES ({MARK}) ON CONFLICT (a) DO UPDATE SET a = {MARK} WHERE x.a = {MARK}",
        f"REPLACE INTO t SELECT {MARK}, {MARK} FROM u AS x WHERE x.a = {MARK} UNION ALL VALUES ({MARK}, 1)",
    ],
)
def test_no_literal_of_sqlite_stays(statement: str) -> None:
    """Every place of SQLite's grammar in which an expression may stand."""
    assert "swordfish" not in normalize(statement, "sqlite")


def test_in_a_long_statement_only_names_known_from_its_beginning_stay() -> None:
    """Beyond some thousand words no place is looked at, and what is no known name is a literal."""
    columns = ", ".join(['t."order"'] * 2_000)
    text = normalize(f'SELECT {columns}, t."late" FROM t WHERE "order" = "swordfish"', "sqlite")
    assert text.endswith('t."order", t.? FROM t WHERE "order" = ?')


# What may come before a statement of SQL Server without a semicolon, each with another clause open at its end.
BEFORE = [
    "",
    "SELECT a FROM t ",
    "SELECT a FROM t AS x ",
    "SELECT a FROM t JOIN u ON t.a = u.a, v x ",
    "SELECT a INTO n FROM t WITH (NOLOCK) ",
    "SELECT a FROM t GROUP BY a WITH ROLLUP ",
    "SELECT a FROM t ORDER BY a OFFSET 1 ROWS FETCH NEXT 5 ROWS ONLY OPTION (HASH JOIN) ",
    "WITH c (a) AS (SELECT 1), d AS (SELECT 2) SELECT a FROM c ",
    "INSERT INTO t ",
    "INSERT INTO t (a, b) ",
    "INSERT INTO t (a) OUTPUT inserted.a INTO n (a) DEFAULT VALUES ",
    "DELETE FROM t ",
    "UPDATE t SET a = 1 ",
    "UPDATE t SET a = 1, b = 2 FROM t AS x ",
    "MERGE INTO t AS x USING u AS y ON x.a = y.a WHEN MATCHED THEN DELETE; ",
    "DROP TABLE t, u ",
    "DROP INDEX i ON t ",
    "TRUNCATE TABLE t ",
    "ALTER TABLE t ADD a int REFERENCES u ",
    "CREATE TABLE t (a int, INDEX i (a)) ",
    "CREATE UNIQUE INDEX i ON t (a) ",
    "DISABLE TRIGGER tr ON t ",
    "DECLARE @t TABLE (a int) ",
    "DECLARE c CURSOR FOR SELECT a FROM t FOR UPDATE ",
    "FETCH NEXT FROM c INTO @a, @b ",
    "SET NOCOUNT ON ",
    "SET @a = 1 ",
    "CREATE TRIGGER tr ON t AFTER INSERT AS ",
    "CREATE TRIGGER tr ON t INSTEAD OF INSERT, UPDATE AS ",
    "CREATE PROCEDURE p AS ",
    "CREATE OR ALTER PROC dbo.p @a int = 1, @t dbo.t READONLY WITH RECOMPILE AS ",
    "CREATE FUNCTION f (@a int) RETURNS TABLE AS ",
    "CREATE FUNCTION f (@a int) RETURNS @t TABLE (a int) AS BEGIN ",
    "EXEC p WITH RECOMPILE ",
    "RAISERROR (N'x', 16, 1) WITH LOG ",
    "IF 1 = 1 ",
    "IF UPDATE(a) ",
    "BEGIN TRY ",
    "WHILE EXISTS (SELECT 1 FROM t) ",
    "GRANT SELECT ON t TO u WITH GRANT OPTION ",
    "RESTORE DATABASE d FROM dev WITH RECOVERY ",
    "BACKUP DATABASE d TO dev ",
]
# The statements and clauses of SQL Server in which a value may stand.
AFTER = [
    "EXEC find {}",
    "EXECUTE dbo.find @a = {}, @b = {}",
    "EXEC @r = find 1, {}",
    "EXEC ({}) AT s",
    "EXEC (@a + {})",
    "EXECUTE AS USER = {}",
    "PRINT {}",
    "PRINT @a + {}",
    "RAISERROR({}, 16, 1, {}) WITH NOWAIT",
    "RAISERROR ({}, 16, 1)",
    "THROW 50000, {}, 1",
    "RETURN {}",
    "RETURN (SELECT a FROM t WHERE b = {})",
    "WAITFOR DELAY {}",
    "WAITFOR (RECEIVE a FROM q WHERE b = {}), TIMEOUT 5",
    "IF {} = @a PRINT {} ELSE PRINT {}",
    "WHILE @a <> {} BREAK",
    "SET @a = {}",
    "SET @a += {}",
    "SET LANGUAGE {}",
    "DECLARE @a varchar(9) = {}, @b AS nvarchar(max) = {}",
    "DECLARE @t TABLE (a varchar(9) DEFAULT {}, b AS {})",
    "SELECT {}, a = {}, TRIM({} FROM {}), TRIM(BOTH {} FROM a) FROM t WHERE CONTAINS(a, {})",
    "SELECT @a = {}",
    "SELECT TOP 5 WITH TIES a, {} FROM t ORDER BY a COLLATE x, {}",
    "SELECT a FROM t FOR SYSTEM_TIME FROM {} TO {}",
    "SELECT a FROM t FOR SYSTEM_TIME AS OF {} AS x JOIN u FOR SYSTEM_TIME BETWEEN {} AND {} ON a = {}",
    "SELECT a FROM t FOR SYSTEM_TIME CONTAINED IN ({}, {})",
    "SELECT a FROM t FOR XML PATH({}), ROOT({})",
    "SELECT a FROM OPENROWSET(BULK {}, SINGLE_CLOB) AS x",
    "SELECT a FROM OPENQUERY(s, {}) x JOIN OPENJSON({}, {}) WITH (a varchar(9) {}) AS y ON {} = {}",
    "SELECT a FROM OPENDATASOURCE({}, {}).d.dbo.t",
    "SELECT a FROM CONTAINSTABLE(t, a, {}) AS x CROSS APPLY f({}) y OUTER APPLY (SELECT {}) z",
    "SELECT a FROM (VALUES ({}, 1), ({}, 2)) AS x (a, b)",
    "SELECT a FROM t PIVOT (max(a) FOR b IN (x)) AS p WHERE a IN ({}, {})",
    "SELECT a FROM t OPTION (USE HINT ({}), LABEL = {})",
    "SELECT a.value({}, {}), b.query({}) FROM t",
    "SELECT CASE a WHEN {} THEN {} ELSE {} END, IIF(a = {}, {}, {}) FROM t",
    "SELECT a FROM t WHERE a IS DISTINCT FROM {} AND b LIKE {} ESCAPE {}",
    "WITH XMLNAMESPACES ({} AS x, DEFAULT {}) SELECT a FROM t",
    "WITH CHANGE_TRACKING_CONTEXT ({}) UPDATE t SET a = {}",
    "INSERT INTO t (a) VALUES ({}), ({})",
    "INSERT INTO t (a) SELECT {} UNION SELECT {}",
    "INSERT INTO t EXEC find {}",
    "INSERT INTO t EXEC ({})",
    "INSERT t VALUES ({}, {})",
    "INSERT INTO OPENQUERY(s, {}) VALUES ({})",
    "INSERT INTO OPENROWSET({}, {}, {}) SELECT 1",
    "UPDATE t SET a = {}, b.WRITE({}, 0, 5), @c = d = {} OUTPUT {} WHERE e = {}",
    "UPDATE OPENQUERY(s, {}) SET a = {}",
    "DELETE OPENQUERY(s, {})",
    "DELETE TOP (5) FROM t OUTPUT deleted.a, {} WHERE a = {}",
    "MERGE t USING (VALUES ({})) AS x (a) ON t.a = {} WHEN NOT MATCHED AND {} = a THEN INSERT (a) VALUES ({});",
    "MERGE t USING u FOR SYSTEM_TIME FROM {} TO {} ON t.a = {} WHEN MATCHED THEN UPDATE SET a = {};",
    "BULK INSERT t FROM {} WITH (FIELDTERMINATOR = {}, ROWTERMINATOR = {})",
    "COPY INTO t (a DEFAULT {} 1) FROM {} WITH (FILE_TYPE = {})",
    "BACKUP DATABASE d TO DISK = {}, DISK = {} WITH NAME = {}, MEDIANAME = {}",
    "RESTORE DATABASE d FROM DISK = {} WITH MOVE {} TO {}, NORECOVERY, MOVE {} TO {}, STOPAT = {}",
    "RESTORE HEADERONLY FROM DISK = {}",
    "CREATE TABLE n (a varchar(9) DEFAULT {} CHECK (a IN ({})), b AS {} + a, c AS {}, d int CONSTRAINT e DEFAULT ({}))",
    "ALTER TABLE t ADD CONSTRAINT c DEFAULT {} FOR a",
    "ALTER TABLE t ADD a varchar(9) DEFAULT {} WITH VALUES, CONSTRAINT c CHECK (a <> {})",
    "ALTER TABLE t ADD a AS {}",
    "CREATE INDEX i ON t (a) WHERE a = {} WITH (FILLFACTOR = 50)",
    "CREATE VIEW v (a) AS SELECT {} FROM t JOIN u ON {} = t.a",
    "CREATE TRIGGER tr ON t AFTER UPDATE AS UPDATE t SET a = b FROM t JOIN u ON {} = t.a PRINT {}",
    "CREATE TRIGGER tr ON t AFTER INSERT AS SEND ON CONVERSATION @h MESSAGE TYPE m ({})",
    "CREATE PROCEDURE p @a varchar(9) = {} AS SELECT {} RETURN {}",
    "CREATE PROCEDURE p (@a varchar(9) = {}, @b varchar(9) = {}) WITH EXECUTE AS {} AS PRINT {}",
    "CREATE FUNCTION f (@a varchar(9) = {}) RETURNS varchar(9) AS BEGIN RETURN {} END",
    "CREATE PARTITION FUNCTION f (varchar(9)) AS RANGE LEFT FOR VALUES ({}, {})",
    "CREATE DEFAULT d AS {}",
    "CREATE RULE r AS @a IN ({}, {})",
    "CREATE LOGIN l WITH PASSWORD = {}, DEFAULT_DATABASE = d",
    "ALTER LOGIN l WITH PASSWORD = {} OLD_PASSWORD = {}",
    "CREATE ASSEMBLY a FROM {} WITH PERMISSION_SET = SAFE",
    "ALTER ASSEMBLY a ADD FILE FROM {} AS {}",
    "CREATE CERTIFICATE c FROM FILE = {} WITH PRIVATE KEY (FILE = {}, DECRYPTION BY PASSWORD = {})",
    "CREATE SYMMETRIC KEY k WITH KEY_SOURCE = {}, IDENTITY_VALUE = {} ENCRYPTION BY PASSWORD = {}",
    "OPEN SYMMETRIC KEY k DECRYPTION BY PASSWORD = {}",
    "ADD SIGNATURE TO t BY CERTIFICATE c WITH PASSWORD = {}",
    "CREATE XML SCHEMA COLLECTION c AS {}",
    "ALTER XML SCHEMA COLLECTION c ADD {}",
    "CREATE FULLTEXT INDEX ON t (a LANGUAGE {}) KEY INDEX i",
    "CREATE EXTERNAL TABLE e (a int) WITH (LOCATION = {}, DATA_SOURCE = s)",
    "CREATE DATABASE d ON (NAME = a, FILENAME = {}) LOG ON (NAME = b, FILENAME = {})",
    "BEGIN DIALOG @h FROM SERVICE a TO SERVICE {}, {} ON CONTRACT c WITH LIFETIME = 5",
    "END CONVERSATION @h WITH ERROR = 1 DESCRIPTION = {}",
    "SEND ON CONVERSATION @h MESSAGE TYPE m ({})",
    "BEGIN TRANSACTION x WITH MARK {}",
    "DBCC CHECKTABLE ({}) WITH NO_INFOMSGS",
    "UPDATETEXT t.a @p 0 1 {}",
    "WRITETEXT t.a @p {}",
    "SETUSER {}",
    "KILL {}",
]


@pytest.mark.parametrize("after", AFTER)
def test_no_literal_of_sql_server_stays(after: str) -> None:
    """Whatever comes before a statement, every place in it where a value may stand is a literal's."""
    for before in BEFORE:
        assert "swordfish" not in normalize(before + after.replace("{}", MARK), "mssql"), before


@given(st.lists(st.sampled_from(AFTER), min_size=2, max_size=4), st.sampled_from(BEFORE))
@settings(max_examples=500, deadline=None)
def test_no_literal_of_a_batch_stays(statements: list[str], before: str) -> None:
    """Nor in statements that follow each other without a semicolon, in whatever order."""
    batch = before + " ".join(statements).replace("{}", MARK)
    text = normalize(batch, "mssql")
    assert "swordfish" not in text
    assert normalize(text, "mssql") == text
