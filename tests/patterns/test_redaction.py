"""Messages and what may be kept of them, one by one: the table is `messages.toml`, as real databases said them."""

import sqlite3
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.patterns.redaction import MAX_MESSAGE_CHARACTERS, redact

# What the statements behind the table held as values, and what no message may keep.
MARKS = ("secret", "ann@", "swordfish", "7777", "4242", "2024-13", "127.0.0.1", "o'brien", "1099511627776")
# In these the mark is the name of a thing in the eyes of the database.
NAMED = ('parameter "secret.name"',)


def _cases() -> list[tuple[str, str, str]]:
    table = tomllib.loads(Path(__file__).with_name("messages.toml").read_text(encoding="utf-8"))
    return [(group["dialect"], *case) for group in table["groups"] for case in group["cases"]]


@pytest.mark.parametrize(("dialect", "message", "redacted"), _cases())
def test_message(dialect: str, message: str, redacted: str) -> None:
    """Of a real message stays what the table says, and redacting that again changes nothing."""
    assert redact(message, dialect) == redacted
    assert redact(redacted, dialect) == redacted


@pytest.mark.parametrize(("dialect", "message", "redacted"), _cases())
def test_no_value_stays(dialect: str, message: str, redacted: str) -> None:
    """No value of the statements behind the messages is kept, in the dialect that said it or in an unknown one."""
    for kept in (redact(message, dialect), redact(message, "nobody")):
        assert not [mark for mark in MARKS if mark in kept and not any(name in kept for name in NAMED)]


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


@given(st.text(max_size=300), st.sampled_from(["postgresql", "mysql", "sqlite", "nobody"]))
@settings(deadline=None)
def test_any_text_can_be_redacted(message: str, dialect: str) -> None:
    """Never raises, and gives text that can be written anywhere."""
    redact(message, dialect).encode()


@given(st.data(), st.from_regex(r"\A[\w@.' \"\n-]{0,20}zq[jx]w[\w@.' \"\n-]{0,20}\Z"))
@settings(max_examples=300, deadline=None)
def test_a_value_never_stays(data: st.DataObject, value: str) -> None:
    """Whatever quotes, spaces and line ends a value holds, nothing of its rare letters stays."""
    dialect, template = data.draw(
        st.sampled_from(
            [
                ("postgresql", 'invalid input syntax for type integer: "{}"'),
                (
                    "postgresql",
                    'duplicate key value violates unique constraint "k"\nDETAIL:  Key (a)=({}) already exists.',
                ),
                ("postgresql", "user {} is blocked\nHINT:  ask {}"),
                ("mysql", "Duplicate entry '{}' for key 'k'"),
                ("mysql", "Incorrect integer value: '{}' for column `t`.`a` at row 1"),
                ("mysql", "You have an error in your SQL syntax near '{}' at line 1"),
                ("sqlite", 'near "{}": syntax error'),
            ]
        )
    )
    assert "zq" not in redact(template.replace("{}", value), dialect)


def test_long_messages_are_cut() -> None:
    """A message of a megabyte is read and kept in its first part only."""
    assert len(redact("duplicate key " * 100_000, "postgresql")) <= MAX_MESSAGE_CHARACTERS
