"""Names that a session makes up, and arguments of procedures: none stays, wherever it stands."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.patterns.normalizer import normalize

MARK = '"swordfish"'
ARGUMENTS = st.sampled_from(
    [
        "swordfish",
        "[swordfish]",
        MARK,
        "@n = swordfish",
        "@n=swordfish OUTPUT",
        "'swordfish'",
        "-1",
        "@a OUT",
        "DEFAULT",
    ]
)
CALLS = st.sampled_from(
    [
        *("EXEC p", "execute dbo.p", "EXEC @r = d..p", "EXEC @p", "EXEC #p", "EXEC [a b].[p]", "EXEC p;2"),
        *("INSERT t EXEC p", "EXEC[p]", "EXEC dbo . p", "p", "dbo.p", "d..p", "[a b].[p]", "sp_help;2", ";p"),
    ]
)
# What may follow a call without a semicolon, and stays.
FOLLOWING = st.sampled_from(
    [
        *("", "; SELECT b FROM u", "SELECT b FROM u", "UPDATE u SET b = c", "WITH RECOMPILE", "END", "ELSE PRINT @b"),
        *("IF b = c RETURN", "EXEC q", "DECLARE @b int", "MERGE u USING v ON b = c WHEN MATCHED THEN DELETE"),
    ]
)


@given(CALLS, st.lists(ARGUMENTS, max_size=4), FOLLOWING, st.sampled_from(["mssql", "unknown"]))
@settings(max_examples=1000, deadline=None)
def test_no_argument_of_a_call_stays(call: str, arguments: list[str], following: str, dialect: str) -> None:
    """An argument is a value with quotes or without, and what follows the call is as if it stood alone."""
    text = normalize(f"{call} {', '.join(arguments)} {following}", dialect)
    assert "swordfish" not in text
    assert normalize(text, dialect) == text
    if dialect == "mssql":
        assert text.endswith(normalize(following, dialect))


@pytest.mark.parametrize(
    "statement",
    [
        "EXEC p[swordfish]",
        "EXEC [p]swordfish",
        "EXEC dbo.p@a=swordfish",
        "EXEC @r=[p][swordfish]",
        "[p]swordfish",
        "p@a=swordfish",
        "dbo. p swordfish",
        "help swordfish",
        "load 5, swordfish",
        "; CREATE PROC x;1 @a national character varying(9) = swordfish AS SELECT 1",
        "CREATE PROC x @a double precision NULL = swordfish, @b [sys].[int] = [swordfish] OUT AS SELECT 1",
    ],
)
def test_no_argument_in_other_spellings_stays(statement: str) -> None:
    """No blank is needed beside a bracket, and in SQL Server no word of another database is a statement."""
    text = normalize(statement, "mssql")
    assert "swordfish" not in text
    assert normalize(text, "mssql") == text


@given(
    st.sampled_from(
        ["{{call p({})}}", "{{?=call dbo.p({})}}", "{{ ? = CALL [p] ( {} ) }}", "SET NOCOUNT ON {{call p({})}}"]
    ),
    st.lists(ARGUMENTS, min_size=1, max_size=4),
    st.sampled_from(["mssql", "unknown"]),
)
@settings(deadline=None)
def test_no_argument_of_a_call_by_odbc_stays(call: str, arguments: list[str], dialect: str) -> None:
    """What a driver turns into a call of its own has the same kind of arguments."""
    text = normalize(call.format(", ".join(arguments)), dialect)
    assert "swordfish" not in text
    assert text == normalize(call.format("?"), dialect)
    assert normalize(text, dialect) == text


@pytest.mark.parametrize(
    ("statement", "pattern"),
    [
        ("again: SELECT a FROM t", "again: SELECT a FROM t"),
        ("EXEC (@sql) AT server EXEC p ann", "EXEC (?) AT server EXEC p ?"),
        ("EXEC ('SELECT ' + @a) AS USER = 'ann'", "EXEC (? + ?) AS USER = ?"),
        ("CREATE PROC p WITH EXECUTE AS OWNER AS EXEC q ann", "CREATE PROC p WITH EXECUTE AS OWNER AS EXEC q ?"),
        ("GRANT SELECT, EXECUTE ON p TO u", "GRANT SELECT, EXECUTE ON p TO u"),
        ("INSERT INTO t EXEC p ann SELECT b FROM u", "INSERT INTO t EXEC p ? SELECT b FROM u"),
    ],
)
def test_what_is_no_argument_stays(statement: str, pattern: str) -> None:
    """A text that is executed, a right to execute and whose rights are taken have no arguments."""
    assert normalize(statement, "mssql") == pattern


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        ("sqlite", "EXPLAIN PRAGMA key = swordfish"),
        ("sqlite", "EXPLAIN QUERY PLAN ATTACH swordfish AS d KEY swordfish"),
        ("sqlite", "EXPLAIN SAVEPOINT swordfish"),
        ("postgresql", "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE swordfish(1)"),
        ("postgresql", "DELETE FROM t WHERE CURRENT OF swordfish RETURNING a"),
        ("postgresql", 'DELETE FROM t WHERE CURRENT OF "swordfish"'),
        ("postgresql", 'DELETE FROM t WHERE CURRENT OF"swordfish"'),
        ("mysql", "XA START 'swordfish', 'swordfish', 1"),
        ("mysql", "EXECUTE swordfish USING @a"),
        ("mssql", "BEGIN DISTRIBUTED TRAN swordfish SELECT 1 SAVE TRAN swordfish ROLLBACK TRANSACTION swordfish"),
        ("mssql", "DECLARE swordfish SCROLL CURSOR FOR SELECT 1 OPEN swordfish FETCH LAST FROM swordfish INTO @a"),
        ("mssql", "IF @a = 1 BEGIN CLOSE GLOBAL swordfish DEALLOCATE swordfish END"),
        ("mssql", "SELECT 1 FETCH GLOBAL swordfish INTO @a SELECT 1 FETCH swordfish"),
        ("mssql", "BEGIN CLOSE c SET LANGUAGE [swordfish] SET DATEFORMAT swordfish END"),
        ("mssql", "SAVE TRAN [a]]swordfish]"),
        ("mysql", "RELEASE SAVEPOINT `a``swordfish`"),
        ("postgresql", 'CLOSE U&"swordfish"'),
        ("postgresql", 'PREPARE U&"swordfish" AS SELECT 1'),
        ("postgresql", 'DEALLOCATE U&"swordfish"'),
        ("postgresql", 'FETCH 5 FROM U&"sword swordfish"'),
        ("postgresql", "ROLLBACK TO U&\"swordfish\" UESCAPE '!'"),
        ("postgresql", 'NOTIFY U&"swordfish"'),
        ("postgresql", 'SAVEPOINT "a""swordfish""b"'),
        ("postgresql", "SAVEPOINT sword\N{NO-BREAK SPACE}swordfish"),
        ("postgresql", "RELEASE \N{EM DASH}swordfish"),
        ("postgresql", "UPDATE t SET a = 1 WHERE cuRRent oF \N{EM DASH}swordfish"),
        ("postgresql", "EXPLAIN ANALYSE VERBOSE EXECUTE swordfish"),
        ("postgresql", "CREATE RULE r AS ON UPDATE TO t DO NOTIFY swordfish"),
        ("postgresql", "CREATE RULE r AS ON UPDATE TO t DO INSTEAD (DELETE FROM u; NOTIFY swordfish)"),
        ("oracle", "BEGIN IF a = 1 THEN SAVEPOINT swordfish; ELSE ROLLBACK TO swordfish; END IF; END;"),
        (
            "oracle",
            "CREATE PROCEDURE p AS CURSOR swordfish (x NUMBER) IS SELECT 1 FROM t; BEGIN OPEN swordfish(1); END;",
        ),
        ("oracle", "<<x>> DECLARE CURSOR swordfish IS SELECT 1 FROM t; BEGIN OPEN swordfish; END;"),
        ("oracle", "BEGIN p(); EXCEPTION WHEN a THEN p(); WHEN OTHERS THEN ROLLBACK TO swordfish; END;"),
        ("sqlite", 'CREATE VIRTUAL TABLE"t"USING"csv"(a=swordfish)'),
        ("sqlite", "SELECT 1; CREATE VIRTUAL TABLE t USING csv(a=swordfish;swordfish); SELECT 2"),
        ("unknown", "DECLARE [swordfish] CURSOR FOR SELECT 1 OPEN swordfish FETCH SwordFish INTO @a"),
        (
            "unknown",
            "DECLARE swordfish SCROLL CURSOR FOR SELECT 1; OPEN swordfish WHILE @a = 1 FETCH swordfish INTO @a",
        ),
    ],
)
def test_no_name_of_a_session_stays(dialect: str, statement: str) -> None:
    """Wherever in a statement a session names what it has made up, the name goes, and the pattern is one."""
    text = normalize(statement, dialect)
    assert "swordfish" not in text
    assert normalize(text, dialect) == text


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        ("oracle", "ADMINISTER KEY MANAGEMENT ADD SECRET swordfish FOR CLIENT 'a' IDENTIFIED BY b"),
        ("oracle", "CREATE PLUGGABLE DATABASE p USING 'x' KEYSTORE IDENTIFIED BY y DECRYPT USING swordfish"),
        ("oracle", "ALTER PLUGGABLE DATABASE p UNPLUG INTO 'x' ENCRYPT USING \"sword swordfish\""),
        ("oracle", 'SET ROLE r IDENTIFIED BY "swordfish"'),
        ("oracle", "ALTER USER u IDENTIFIED BY a REPLACE swordfish"),
        ("mysql", "CREATE USER u IDENTIFIED WITH x BY swordfish"),
        ("mssql", "SELECT 1 BACKUP DATABASE d TO DISK = 'x' WITH PASSWORD = swordfish, MEDIAPASSWORD = [swordfish]"),
        ("mssql", "OPEN SYMMETRIC KEY k DECRYPTION BY PASSWORD = swordfish"),
        ("mssql", "SELECT 1 CREATE LOGIN l WITH PASSWORD=swordfish MUST_CHANGE"),
        ("mssql", "CREATE DATABASE SCOPED CREDENTIAL c WITH IDENTITY = swordfish, SECRET = swordfish"),
        ("postgresql", "CREATE INDEX i ON t USING gist (a gist_trgm_ops(siglen=swordfish), b)"),
        ("postgresql", 'CREATE EXTENSION e VERSION "swordfish"'),
        ("postgresql", "ALTER EXTENSION e UPDATE TO swordfish"),
        ("postgresql", "CREATE DATABASE d WITH LOCALE swordfish LC_CTYPE = swordfish ICU_LOCALE swordfish"),
        ("postgresql", "CREATE TYPE t (input = f, output = g, delimiter = swordfish, category = swordfish)"),
        ("postgresql", "CREATE COLLATION c (provider = icu, locale = swordfish)"),
        ("postgresql", "ALTER TEXT SEARCH DICTIONARY d (STOPWORDS = swordfish)"),
        ("postgresql", "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (slot_name = swordfish)"),
        ("postgresql", "CREATE FUNCTION f() RETURNS int SET SESSION AUTHORIZATION swordfish AS 'x'"),
        ("postgresql", "ALTER ROLE u IN DATABASE d SET ROLE swordfish"),
    ],
)
def test_no_password_and_no_option_stays(dialect: str, statement: str) -> None:
    """Passwords, and what a definition says in a word, go in the dialect that has them and in an unknown one."""
    for spoken in (dialect, "unknown"):
        text = normalize(statement, spoken)
        assert "swordfish" not in text
        assert normalize(text, spoken) == text


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        ("postgresql", "SAVEPOINT~"),
        ("postgresql", "RELEASE~"),
        ("postgresql", "ROLLBACK TO~"),
        ("postgresql", "DECLARE~CURSOR FOR SELECT a FROM t"),
        ("postgresql", "FETCH FROM~"),
        ("postgresql", "CLOSE~"),
        ("postgresql", "PREPARE~AS SELECT a FROM t"),
        ("postgresql", "EXECUTE~(1)"),
        ("postgresql", "EXPLAIN(ANALYZE)EXECUTE~"),
        ("postgresql", "DEALLOCATE~"),
        ("postgresql", "LISTEN~"),
        ("postgresql", "SET ROLE~"),
        ("postgresql", "SET a TO~"),
        ("mysql", "SAVEPOINT~"),
        ("oracle", "SAVEPOINT~"),
        ("mssql", "SELECT a FROM t OPEN~FETCH NEXT FROM~INTO @a CLOSE~DEALLOCATE~"),
        ("mssql", "SELECT a FROM t SAVE TRAN~"),
        ("mssql", "DECLARE~CURSOR FOR SELECT a FROM t"),
        ("mssql", "SELECT a FROM t SET LANGUAGE~"),
    ],
)
def test_no_blank_is_needed_beside_a_name_in_quotes(dialect: str, statement: str) -> None:
    """A name in quotes goes, and its statement is one, whether blanks are around it or not."""
    name = {"mysql": "`swordfish`", "mssql": "[swordfish]"}.get(dialect, '"swordfish"')
    text = normalize(statement.replace("~", name), dialect)
    assert "swordfish" not in text
    assert text == normalize(statement.replace("~(", f" {name}(").replace("~", f" {name} "), dialect)


def test_a_script_is_read_up_to_some_hundred_statements() -> None:
    """Of the statements of a long script the first ones make its pattern."""
    script = "; ".join(["CLOSE swordfish"] * 300)
    for dialect in ("postgresql", "mssql", "unknown"):
        text = normalize(script, dialect)
        assert text == "; ".join(["CLOSE ?"] * 256)
        assert normalize(text, dialect) == text
