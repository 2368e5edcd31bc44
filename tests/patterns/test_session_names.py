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
    ["EXEC p", "execute dbo.p", "EXEC @r = d..p", "EXEC @p", "EXEC #p", "EXEC [a b].[p]", "EXEC p;2", "INSERT t EXEC p"]
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
    ("statement", "pattern"),
    [
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
        ("mysql", "XA START 'swordfish', 'swordfish', 1"),
        ("mysql", "EXECUTE swordfish USING @a"),
        ("mssql", "BEGIN DISTRIBUTED TRAN swordfish SELECT 1 SAVE TRAN swordfish ROLLBACK TRANSACTION swordfish"),
        ("mssql", "DECLARE swordfish SCROLL CURSOR FOR SELECT 1 OPEN swordfish FETCH LAST FROM swordfish INTO @a"),
        ("mssql", "IF @a = 1 BEGIN CLOSE GLOBAL swordfish DEALLOCATE swordfish END"),
    ],
)
def test_no_name_of_a_session_stays(dialect: str, statement: str) -> None:
    """Wherever in a statement a session names what it has made up, the name goes, and the pattern is one."""
    text = normalize(statement, dialect)
    assert "swordfish" not in text
    assert normalize(text, dialect) == text
