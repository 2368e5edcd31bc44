"""
Passwords and keys that stand without quotes, or in those of a name: none stays, whatever it looks like.

In goes a statement without literals, out comes one with `?` after the words that announce a password. Deliberately not
here: passwords in literals, which are gone already, and those that a procedure is given.
"""

import re
from typing import Final, NamedTuple

__all__ = ["without_identification", "without_password", "without_password_option"]

_WORD_BEGINS: Final = r"(?<![\w\"`.])"
# Up to the end of the statement, as a password may be followed by another.
_IDENTIFIES: Final = re.compile(rf"(?i){_WORD_BEGINS}(IDENTIFIED (?:WITH \S+ )?BY)\b[^;]+")
# The word may be a column's name, so that what calls a function, or has a point, is none of a password's.
_OPTION: Final = re.compile(
    r"(?i)(?<![\w\"`.@$\[])((?:MEDIA|OLD_)?PASSWORD ?= ?)(?:\[[^\]]*+\]|\"[^\"]*+\"|[\w$#]++)(?! ?\(|\.)"
)


class _Announcement(NamedTuple):
    """
    Words that announce a password.

    Attributes:
        statements: What such statements begin with, after their first word.
        words: An expression for the words.
        gone: An expression for the password, and for what goes with it.
    """

    statements: str
    words: str
    gone: str


_REST: Final = ".+$"
_ONE: Final = r"(?:\"[^\"]*+\"|[^\s,;()]++)"
_USERS: Final = (
    r"(?:OR REPLACE )?(?:USER|ROLE|GROUP|LOGIN|APPLICATION ROLE|(?:A?SYMMETRIC|MASTER) KEY)\b",
    "PASSWORD",
    _REST,
)
_DATABASES: Final = (r"(?=.* (?:EN|DE)CRYPT USING\b)", r"(?:EN|DE)CRYPT USING", _ONE)
_CREDENTIALS: Final = ("(?:DATABASE SCOPED )?CREDENTIAL ", "(?:IDENTITY|SECRET)", _REST)
# By first word.
_ANNOUNCEMENTS: Final = {
    verb: tuple(
        re.compile(rf"(?i)^({verb} {row.statements}.*?{_WORD_BEGINS}{row.words}\b) ?{row.gone}")
        for row in (_Announcement(*of_verb) for of_verb in rows)
    )
    for verb, rows in {
        "ADMINISTER": [("KEY MANAGEMENT ", "SECRET", _REST)],
        "ALTER": [_USERS, _DATABASES, _CREDENTIALS],
        "CREATE": [_USERS, _DATABASES, _CREDENTIALS],
        "GRANT": [_USERS],
    }.items()
}


def without_identification(text: str) -> str:
    """`text` with `?` for all that follows IDENTIFIED BY, up to the end of each statement."""
    return _IDENTIFIES.sub(r"\1 ?", text)


def without_password_option(text: str) -> str:
    """`text`, maybe a batch of SQL Server's, with `?` for each word that a password is said to be equal to."""
    return _OPTION.sub(r"\1?", text)


def without_password(statement: str, verb: str) -> str:
    """`statement`, which begins with `verb`, with `?` for the password that it announces."""
    for announcement in _ANNOUNCEMENTS.get(verb, ()):
        statement = announcement.sub(r"\1 ?", statement)
    return statement
