"""Messages and what may be kept of them: one by one in `messages.toml`, and as laws over every template."""

import re
import sqlite3
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from querygauge.patterns.error_templates import TEMPLATES
from querygauge.patterns.redaction import MAX_MESSAGE_CHARACTERS, redact

# What the statements behind the table held as values, and what no message may keep.
MARKS = ("secret", "ann@", "swordfish", "7777", "4242", "2024-13", "127.0.0.1", "o'brien", "1099511627776")


def _cases() -> list[tuple[str, str, str, str]]:
    table = tomllib.loads(Path(__file__).with_name("messages.toml").read_text(encoding="utf-8"))
    return [
        (group["dialect"], message, redacted, "".join(pattern))
        for group in table["groups"]
        for message, redacted, *pattern in group["cases"]
    ]


@pytest.mark.parametrize(("dialect", "message", "redacted", "pattern"), _cases())
def test_message(dialect: str, message: str, redacted: str, pattern: str) -> None:
    """Of a real message stays what the table says, and redacting that again changes nothing."""
    assert redact(message, dialect, pattern_text=pattern) == redacted
    assert redact(redacted, dialect, pattern_text=pattern) == redacted


@pytest.mark.parametrize(("dialect", "message", "redacted", "pattern"), _cases())
def test_no_value_stays(dialect: str, message: str, redacted: str, pattern: str) -> None:
    """No value of the statements behind the messages is kept, in the dialect that said it or in an unknown one."""
    for kept in (redact(message, dialect), redact(message, "nobody")):
        assert not [mark for mark in MARKS if mark in kept]


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("INSERT INTO users VALUES (2, 'ann@example.org', 1)", "UNIQUE constraint failed: users.email"),
        ("INSERT INTO users VALUES (2, 'swordfish', -7)", "CHECK constraint failed: positive"),
        ("INSERT INTO users VALUES ('swordfish', 'x', 1)", "datatype mismatch"),
        ("SELECT * FROM users WHERE swordfish = 'swordfish", 'unrecognized token: "?"'),
    ],
)
def test_sqlite_says_no_value(statement: str, kept: str) -> None:
    """What SQLite says of a value in the wrong place is kept without the value."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, n INT CONSTRAINT positive CHECK (n > 0))"
    )
    connection.execute("INSERT INTO users VALUES (1, 'ann@example.org', 1)")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute(statement)
    connection.close()
    assert redact(str(caught.value), "sqlite") == kept


@given(st.text(max_size=300), st.sampled_from([*TEMPLATES, "nobody"]))
@settings(deadline=None)
def test_any_text_can_be_redacted(message: str, dialect: str) -> None:
    """Never raises, and gives text that can be written anywhere."""
    redact(message, dialect).encode()


# What a slot of `error_templates` may hold beside a value.
FILLINGS = {
    "name": "orders",
    "names": "shop.orders",
    "list": "id, email",
    "quoted": '"SHOP"."ORDERS"',
    "ticked": "`shop`.`orders`",
    "ticked_list": "`id`, `email`",
    "number": "7",
    "text": "integer",
    "odd": "no name",
    "line": "\n",
}
# And what is asked for, as a statement may say it.
ASKED = {
    "asked_name": "emial",
    "asked_names": "shop.ordres",
    "asked_quoted": '"SHOP"."ORDRES"',
    "asked_ticked": "`ordres`",
}
LOST = {"asked_name": "?", "asked_names": "?.?", "asked_quoted": '"?"."?"', "asked_ticked": "`?`"}
PATTERN = "SELECT Emial FROM Shop.ordres"
MARK = "zq"
# The marks and all that may pass for an end of the value, or for the beginning of something that is kept.
PIECES = st.sampled_from(
    [
        *("zqjw", " zqjw ", "zqjw.zqxw", "7zq", "é", "\0", "\ud800", "%s", "{}", "\n", "\\", "\\n", *"'\"`()[].,:;"),
        *("column ", "table ", "for key ", "constraint ", "at row ", "in table ", "already exists", "is not "),
        *("' for key 'zqjw'", "' for key `zqjw`", "' for column `zqjw` at row 1", "') (2627) (SQLExecDirectW)"),
        *('") is not present in table "zqjw".', ' of relation "zqjw" does not exist', '", maximum: 7)'),
        *('" already exists\n', '" does not exist\n', "' already exists", "already exists, 'zqjw'. (208)"),
        *("\nDETAIL:  Key (zqjw)=(1) already exists.", '\nHINT:  column "zqjw"', "\nORA-00942: table or view zqjw"),
        *("\n[SQL: ", "\n[parameters: ", "\n(Background on this error at: ", "(pyodbc.zqjw) ", "[23000] [SQL Server]"),
        *("; [23000] [SQL Server]Invalid object name 'zqjw'. (208)", "DB-Lib error message 20018"),
    ]
)
MARKED = st.tuples(*[st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=20))] * 2).map("zqjw".join)


def _hostile(value: str) -> list[tuple[str, str]]:
    """Every message of a database, and every one of the table, with `value` for its values and what is asked for."""
    templates = [
        (family, line.strip().format(**FILLINGS, **dict.fromkeys(ASKED, value), value=value))
        for family, text in TEMPLATES.items()
        for line in text.strip().splitlines()
    ]
    table = [
        (dialect, re.sub("|".join(map(re.escape, MARKS)), lambda _: value, message))
        for dialect, message, *_ in _cases()
    ]
    # What begins with a value may be a whole message of the database in the value's words.
    return [(dialect, message) for dialect, message in templates + table if not message.startswith(value)]


def _as_drivers_say(dialect: str, message: str, value: str) -> list[str]:
    """A message as `str()` of the drivers' exceptions gives it, and as SQLAlchemy does."""
    number = re.search(r" \((\d+)\)\Z", message)
    own = {
        "mysql": [("pymysql.err", str((1062, message)))],
        "mssql": [
            ("pyodbc", str(("23000", f"[23000] [Microsoft][SQL Server]{message} (SQLExecDirectW); [01000] {value}"))),
            (
                "pymssql.exceptions",
                str((int(number[1]) if number else 7, f"{message}DB-Lib error {value}".encode("utf-8", "replace"))),
            ),
        ],
        "oracle": [("oracledb.exceptions", f"{message}\nHelp: https://docs.oracle.com/error-help/db/ora-00001/")],
        "postgresql": [("psycopg.errors", f"{message}\nLINE 1: SELECT {value}\n        ^\nCONTEXT:  {value}")],
    }
    said = [("sqlite3", message), *own.get(dialect, [])]
    tail = f"\n[SQL: INSERT {value}]\n[parameters: ({value!r},)]\n(Background on this error at: https://sqlalche.me/e/21/g)"
    return [text for _, text in said] + [f"({module}.IntegrityError) {text}{tail}" for module, text in said]


@given(MARKED)
@settings(max_examples=60, deadline=None)
@example("zqjw' for key 'zqjw'\n[SQL: ")
@example('zqjw) is not present in table "zqjw".\n[SQL: ')
@example("zqjw\nDETAIL:  Key (zqjw)=(1) already exists.")
@example('zqjw) is not present in table "zqjw".')
@example('zqjw column "zqjw" of `zqjw` $77')
def test_a_value_never_stays(value: str) -> None:
    """
    Whatever a value holds, nothing of its rare letters stays.

    Not in any message of any database, given by any driver, wrapped by SQLAlchemy, or read in an unknown dialect.
    """
    for dialect, message in _hostile(value):
        for text in _as_drivers_say(dialect, message, value):
            for kept in (redact(text, dialect, pattern_text=PATTERN), redact(text, "nobody")):
                assert MARK not in kept, (text, kept)


@pytest.mark.parametrize("family", TEMPLATES)
def test_templates_keep_their_names(family: str) -> None:
    """
    Each template is the first to know its own message, and keeps all of it but the values.

    What the database was asked for stays if the statement says it, in whatever case, and goes if that is not known.
    """
    for line in TEMPLATES[family].strip().splitlines():
        message = line.strip().format(**FILLINGS, **ASKED, value="zqjw")
        known = message.replace("zqjw", "?").replace("no name", "?")
        assert redact(message, family, pattern_text=PATTERN) == known
        lost = line.strip().format(**FILLINGS | {"odd": "?"}, **LOST, value="?")
        assert redact(message, family) == lost
        assert redact(lost, family) == lost


@pytest.mark.parametrize(
    ("name", "pattern", "kept"),
    [
        ("swordfish", "SELECT swordfishes, my_swordfish FROM a$swordfish", "?"),
        ("swordfish", 'SELECT * FROM "Swordfish"', "swordfish"),
        ("shop.swordfish", "SELECT * FROM shop.orders", "shop.?"),
        ("orders_2024_01", "SELECT * FROM Orders_?_?", "orders_?_?"),
        ("orders_2024", "SELECT * FROM orders WHERE a = ?", "?"),
        ("größe", "SELECT GRÖSSE FROM t", "größe"),
    ],
)
def test_a_name_is_a_whole_word_of_the_pattern(name: str, pattern: str, kept: str) -> None:
    """No part of a word vouches for a name, and a pattern that lost digits vouches for none."""
    assert redact(f'relation "{name}" does not exist', "postgresql", pattern_text=pattern) == (
        f'relation "{kept}" does not exist'
    )


@pytest.mark.parametrize("family", TEMPLATES)
def test_no_name_stands_between_two_values(family: str) -> None:
    """What stands between two values could be a part of either."""
    for line in TEMPLATES[family].strip().splitlines():
        slots = re.findall(r"\{(\w+)\}", line)
        between = " ".join(slots).partition("value")[2].rpartition("value")[0]
        assert {"value", "text", "line"}.issuperset(between.split()), line


@pytest.mark.parametrize(("name", "kept"), [("UniqueViolation", "UniqueViolation"), ("Swordfish", "?")])
def test_a_class_is_made_of_known_words(name: str, kept: str) -> None:
    """Before a message stays the class of a driver's exception, and not what only stands where one would."""
    assert (
        redact(f"(psycopg.errors.{name}) integer overflow", "postgresql") == f"(psycopg.errors.{kept}) integer overflow"
    )


@pytest.mark.parametrize("name", ["E7777", "7777", "É", "_"])
def test_a_class_has_letters_only(name: str) -> None:
    """No number passes for the class of an exception."""
    assert redact(f"(psycopg.errors.{name}) integer overflow", "postgresql") == "(?) integer overflow"


def test_a_name_after_a_cut_is_none() -> None:
    """MySQL cuts its messages at 512 bytes, in the middle of a value that may look like their end."""
    message = f"Duplicate entry '{'x' * 600}' for key 'swordfish'"
    assert "swordfish" not in redact(message, "mysql")


def test_long_messages_are_cut() -> None:
    """A message of a megabyte is read and kept in its first part only."""
    assert len(redact("duplicate key " * 100_000, "postgresql")) <= MAX_MESSAGE_CHARACTERS


@pytest.mark.parametrize("family", [*TEMPLATES, "nobody"])
@pytest.mark.parametrize("module", ["sqlalchemy.exc.", "psycopg.errors."])
def test_a_class_is_short(family: str, module: str) -> None:
    """What would be the class of an exception is not looked for beyond what is read of a message."""
    opening, _, rest = module.partition(".")
    for start in (f"({opening}.", f"<class '{opening}."):
        kept = redact(f"{start}{rest * 250_000}Error) x", family)
        assert len(kept) <= MAX_MESSAGE_CHARACTERS


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("(1, 'integer overflow')", "(1, integer overflow)"),
        ("(1, b'integer overflow')", "(1, integer overflow)"),
        ("(1, integer overflow)", "(1, integer overflow)"),
        ("(1, '')", "(1, )"),
        ("(1, )", "(1, )"),
        ("(1, ", "(?,"),
        ("('23000', 'integer overflow')", "integer overflow"),
        ("('23000', 'integer overflow\")", "('?', ?)"),
        ("('23000', '", "('?', ?"),
        ("('23000', ')", "('?', ?)"),
        ("('integer overflow', '22003')", "(integer overflow, '22003')"),
        ("(integer overflow, '22003')", "(integer overflow, '22003')"),
        ("(', '22003')", "(?, '22003')"),
        (", '22003')", ", '?')"),
    ],
)
def test_two_arguments(message: str, kept: str) -> None:
    """Number and text, SQLSTATE and text, or text and SQLSTATE are told by how they begin and end."""
    assert redact(message, "mssql") == kept
