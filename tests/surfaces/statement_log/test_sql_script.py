"""Where a statement ends, in every dialect and in every way people write scripts."""

from itertools import accumulate
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.patterns.dialects import DIALECT_NAMES, dialect_of
from querygauge.patterns.exact import to_plain
from querygauge.patterns.normalizer import MAX_STATEMENT_CHARACTERS
from querygauge.surfaces.statement_log.sql_script import SqlScript

ALL = (*DIALECT_NAMES, "unknown")


def statements(script: str, dialect: str = "unknown") -> list[str]:
    """The statements of a script, without blanks around them."""
    return [execution.statement.strip() for execution in SqlScript(dialect).read([script])]


@pytest.mark.parametrize("dialect", ALL)
def test_a_separator_counts_only_in_code(dialect: str) -> None:
    """Within literals, quoted names and comments a semicolon is text; the last statement needs none."""
    script = "SELECT 'a; ''b;'; SELECT \"c;\" FROM t /* ; */ -- ;\n;\n(SELECT 1)"
    assert statements(script, dialect) == ["SELECT 'a; ''b;'", 'SELECT "c;" FROM t /* ; */ -- ;', "(SELECT 1)"]


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        ("postgresql", "SELECT $$;$$, $a$;$$;$a$, a$b"),
        ("postgresql", r"SELECT E'\';', '\'"),
        ("postgresql", "SELECT /* /* ; */ ; */ 1"),
        ("mysql", "SELECT '\\';', \"\\\";\", `;`, 2--1 # ; '\n"),
        ("mysql+no_backslash_escapes", r"SELECT '\'"),
        ("sqlite", "SELECT [;], `;`"),
        ("mssql", "SELECT [a]];b], N';'"),
        ("oracle", "SELECT q'[it's; so]', nq'!';'!' FROM dual"),
    ],
)
def test_each_dialect_has_its_own_literals(dialect: str, statement: str) -> None:
    """What opens and closes a literal follows from the dialect."""
    assert statements(f"{statement};SELECT 1", dialect) == [statement.strip(), "SELECT 1"]


@pytest.mark.parametrize(
    "doubtful",
    [
        r"'it\'s; x'",
        "'a' /* /* ; */ ; */",
        "a--b; 'c'\n",
        "a # 'b; c'\n",
        "a['x]; y']",
        "q'(it's; so)'",
    ],
)
def test_what_may_end_at_two_places_ends_nowhere(doubtful: str) -> None:
    """Without a dialect, a separator that may be inside a literal makes no statement, and that is said."""
    script = SqlScript("unknown")
    found = list(script.read([f"SELECT 1;\nSELECT {doubtful}; SELECT secret; SELECT 'x'"]))
    assert [execution.statement[:8] for execution in found] == ["SELECT 1", "SELECT " + doubtful[0]]
    assert script.notes()[0].startswith("from line 2 on all is read as one statement")


@pytest.mark.parametrize(
    "certain",
    ["a --b\n", "a # b\n", "a LIKE 'x' ESCAPE '\\'", r"'\\'", "ARRAY['a', 'b']", "a[1]", "q'[a]'", "/* a */ 1"],
)
def test_what_ends_at_one_place_in_any_reading_ends_there(certain: str) -> None:
    """Without a dialect, what is read differently but ends alike is no reason to stop."""
    assert statements(f"SELECT {certain}; SELECT 2") == [f"SELECT {certain}".strip(), "SELECT 2"]


def test_what_mysql_runs_with_another_delimiter() -> None:
    """DELIMITER changes what separates statements, and is none itself."""
    script = "DELIMITER $$\nCREATE TRIGGER t BEGIN SELECT 1; END$$\nSELECT 2$$\ndelimiter ;\nSELECT 3; SELECT 4"
    assert statements(script, "mysql") == ["CREATE TRIGGER t BEGIN SELECT 1; END", "SELECT 2", "SELECT 3", "SELECT 4"]


@pytest.mark.parametrize("dialect", ["sqlite", "mysql", "postgresql", "unknown"])
def test_a_routine_ends_with_its_own_end(dialect: str) -> None:
    """Statements between BEGIN and END belong to the routine; CASE, and the END of an IF, do not confuse it."""
    routine = (
        "CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW BEGIN IF x THEN SELECT CASE WHEN 1 THEN 2 END; END IF; "
        "CASE y WHEN 1 THEN SELECT 'END'; END CASE; END"
    )
    assert statements(f"{routine}; BEGIN; SELECT 1; END; SELECT 2", dialect) == [
        routine, "BEGIN", "SELECT 1", "END", "SELECT 2",
    ]  # fmt: skip


def test_a_block_of_oracle_ends_at_a_slash() -> None:
    """PL/SQL has separators of its own, so a block lasts until the line that runs it."""
    block = "DECLARE\n  x NUMBER := 4 / 2;\nBEGIN\n  y(x);\nEND;"
    assert statements(f"{block}\n/\nSELECT 1 FROM dual;\n", "oracle") == [block, "SELECT 1 FROM dual"]


def test_a_batch_of_sql_server_ends_at_go() -> None:
    """GO on a line of its own separates, in any case and with a count; a procedure lasts until there."""
    procedure = "CREATE PROCEDURE p AS SELECT 1; SELECT 2;"
    script = f"SELECT 1\ngo\n{procedure}\nGO 5\nSELECT go FROM t"
    assert statements(script, "mssql") == ["SELECT 1", procedure, "SELECT go FROM t"]


@pytest.mark.parametrize("dialect", ALL)
def test_data_of_a_dump_is_no_sql(dialect: str) -> None:
    """The rows after COPY … FROM stdin are passed over, whatever they hold."""
    script = "COPY t (a) FROM stdin;\n'; SELECT secret;\n\\N\n\\.\nSELECT 1;\n\\copy t from stdin\n;'\n\\.\nSELECT 2"
    assert statements(script, dialect) == ["COPY t (a) FROM stdin", "SELECT 1", "SELECT 2"]


def test_commands_of_clients_are_no_sql() -> None:
    """What psql, mysql, sqlite3, SQL*Plus and sqlcmd read themselves is passed over; some of it ends a statement."""
    script = """\
\\connect shop
\\set who 'it''s; me'
SELECT 1 \\gset
SELECT 2\\G
.mode csv
:setvar name "x"
PROMPT don't; worry
REM isn't it
SET ECHO OFF
USE shop
@other.sql
SELECT 3
  AS three;
EXIT
"""
    assert statements(script) == ["SELECT 1", "SELECT 2", "USE shop", "SELECT 3\n  AS three"]


def test_comments_alone_are_nothing() -> None:
    """What sends nothing to a server is not counted."""
    assert statements("-- one\n;;\n/* two; */;\n/*!40101 SET NAMES utf8 */;", "mysql") == []


def test_what_is_no_sql_is_counted_and_not_given() -> None:
    """Text that begins with no word of SQL is somebody's data."""
    script = SqlScript("unknown")
    assert [found.statement for found in script.read(["Dear ann; 'x'; SELECT 1"])] == ["SELECT 1"]
    assert script.notes() == ["left out, because it began with no word of SQL: 2 times"]


def test_a_long_statement_is_kept_as_far_as_it_is_read() -> None:
    """Of a statement longer than its pattern needs, the end is not kept, and what follows is still found."""
    parts = ["INSERT INTO t VALUES (1)", *[",\n(2, 'it''s; x')"] * 100_000, ";SELECT 2"]
    first, second = SqlScript("postgresql").read(parts)
    assert len(first.statement) == MAX_STATEMENT_CHARACTERS + 1
    assert second.statement == "SELECT 2"


_PIECES = st.sampled_from(
    ["'", '"', "`", "\\", ";", "--", "/*", "*/", "#", "$$", "$a$", "[", "]", "q'", "E'", "\n", " ", "x", "1",
     "SELECT", "BEGIN", "END", "CREATE TRIGGER", "COPY t FROM stdin;", "\\.", "GO", "DELIMITER //", "//"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40), st.sampled_from(ALL), st.integers(min_value=1, max_value=7))
def test_the_blocks_of_a_text_do_not_matter(pieces: list[str], dialect: str, size: int) -> None:
    """However a text is cut into blocks, it has the same statements; and whatever it is, reading it ends."""
    text = "".join(pieces)
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    read = [execution.statement for execution in SqlScript(dialect).read(blocks)]
    assert read == [execution.statement for execution in SqlScript(dialect).read([text])]


@given(st.lists(st.text("a;'\\\n\"-$`", max_size=8), min_size=1, max_size=6), st.sampled_from(ALL))
def test_literals_written_rightly_separate_nothing(values: list[str], dialect: str) -> None:
    """As many statements are found as were written, whatever their values hold, where the dialect is known."""
    if dialect in {"mysql", "mariadb", "postgresql+backslash_escapes"}:
        values = [value.replace("\\", "\\\\") for value in values]
    elif dialect == "unknown":
        values = [value.replace("\\", "") for value in values]
    escaped = [value.replace("'", "''") for value in values]
    script = "\n;".join(f"SELECT '{value}'" for value in escaped)
    assert len(statements(script, dialect)) == len(values)


# No backslash stands outside of a literal, where it would begin a client's command.
_SQL: Final = st.lists(
    st.sampled_from(
        ["'", '"', ";SELECT ", "--", "-- ", "/*", "*/", "#", "[", "]", "]]", "q'(", "q'!", "!'", ")'", "E'", "xE'",
         "n'", "\n", " ", "x", "1"]
    ),
    max_size=14,
).map(lambda pieces: "SELECT " + "".join(pieces))  # fmt: skip


@given(_SQL, st.sampled_from(DIALECT_NAMES))
def test_what_is_code_here_is_code_in_patterns(script: str, dialect: str) -> None:
    """Separators count where the reading that makes patterns sees neither a literal nor a comment."""
    separators = to_plain(script, dialect_of(dialect))[0].count(";")
    assert len(statements(script, dialect)) == separators + 1


@given(_SQL, st.sampled_from(DIALECT_NAMES))
def test_without_a_dialect_only_what_all_agree_on_separates(script: str, dialect: str) -> None:
    """A separator that is inside a literal in any dialect makes no statement."""
    assert _ends(script, "unknown") <= _ends(script, dialect)


def _ends(script: str, dialect: str) -> set[int]:
    """How many characters stand before each separator."""
    lengths = [len(execution.statement) + 1 for execution in SqlScript(dialect).read([script])]
    return set(accumulate(lengths[:-1]))
