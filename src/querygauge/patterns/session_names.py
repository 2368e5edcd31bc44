"""
Names that a session makes up, and values that stand without quotes: savepoints, cursors, settings, passwords.

In goes a statement without literals, out comes one in which they are `?` too, told by its first keyword. Deliberately
not here: literals, which are gone already.
"""

import re
from typing import Final

from querygauge.patterns.dialects import Dialect

__all__ = ["without_session_names"]

_NAME: Final = r"(?:\"[^\"]{0,128}\"|`[^`]{0,128}`|\[[^\]]{0,128}\]|[\w$?]+)"
# By first keyword: names that a session makes up, and values without quotes.
_SET: Final = rf"@{{0,2}}{_NAME}(?:\.{_NAME})*(?: ?:?= ?| TO )"
_TRANSACTION: Final = rf"TRAN(?:SACTION)? )(?!(?:AND|DEFERRABLE|ISOLATION|NOT|READ|WITH)\b){_NAME}"
_SESSION_NAMES: Final = {
    verb: re.compile(rf"(?i)^({verb} {rest}")
    for verb, rest in {
        "SAVEPOINT": rf"){_NAME}$",
        "SAVE": _TRANSACTION,
        "BEGIN": _TRANSACTION,
        "COMMIT": _TRANSACTION,
        "RELEASE": rf"(?:SAVEPOINT )?){_NAME}$",
        "ROLLBACK": rf"(?:(?:WORK |TRANSACTION )?TO (?:SAVEPOINT )?|TRAN(?:SACTION)? )){_NAME}$",
        "DECLARE": rf"){_NAME}",
        **dict.fromkeys(("FETCH", "MOVE"), r"(?:.*? (?:FROM|IN) (?=\S)|(?:.* )?(?=\S+$)))\S+"),
        "OPEN": rf"){_NAME}",
        "CLOSE": rf")(?!ALL$){_NAME}$",
        "PREPARE": rf")(?!TRANSACTION ){_NAME}",
        "EXECUTE": rf")(?!IMMEDIATE ){_NAME}",
        "DEALLOCATE": rf"(?:PREPARE )?)(?!ALL$){_NAME}$",
        "LISTEN": rf"){_NAME}",
        "UNLISTEN": rf"){_NAME}",
        "NOTIFY": rf"){_NAME}(?:, \?)?",
        "EXPLAIN": rf"(?:.*? )?EXECUTE ){_NAME}",
        "CREATE": rf"(?:OR REPLACE )?(?:FUNCTION|PROCEDURE) .*? SET {_SET}).+$",
        "SET": r"(?:(?:SESSION|LOCAL|GLOBAL|PERSIST) )?"
        rf"(?:TIME ZONE |(?:DEFAULT )?ROLE |AUTHORIZATION |PASSWORD |{_SET})).+$",
        "ALTER": rf"(?:USER|ROLE|DATABASE|SYSTEM|SESSION|FUNCTION|PROCEDURE) (?:.*? )?SET (?:TIME ZONE |{_SET})).+$",
        "PRAGMA": rf"{_NAME}(?:\.{_NAME})* ?(?:= ?|\()).+?(?=\)?$)",
    }.items()
}
# What follows is rows, as a script sends them.
_COPIES: Final = re.compile(r"(?i)(?:^|; ?)COPY [^;]*? FROM STDIN\b[^;]*")
# What follows these words is a password, whatever it looks like.
_IDENTIFIES: Final = re.compile(r"(?i)(?<![\w\"`.])IDENTIFIED BY\b(?=.)")
_PASSWORD: Final = re.compile(
    r"(?i)^(?:CREATE|ALTER|GRANT) (?:OR REPLACE )?"
    r"(?:USER|ROLE|GROUP|LOGIN|APPLICATION ROLE|(?:A?SYMMETRIC|MASTER) KEY)\b.*?(?<![\w\"`.])PASSWORD\b(?=.)"
)
_MAY_IDENTIFY: Final = frozenset({"ADMINISTER", "ALTER", "CREATE", "GRANT", "SET"})


def without_session_names(text: str, dialect: Dialect) -> str:
    """`text` with `?` for every name of a session and every value without quotes; rows after COPY are cut."""
    if ";" in text:
        data = _COPIES.search(text)
        parts = (part.strip() for part in text[: data.end() if data else len(text)].split(";"))
        return "; ".join(_without_session_name(part, dialect) for part in parts if part)
    return _without_session_name(text, dialect)


def _without_session_name(text: str, dialect: Dialect) -> str:
    verb = text[: text.find(" ")].upper()
    if verb in _SESSION_NAMES and not (verb == "EXECUTE" and dialect.executes_procedures):
        text = _SESSION_NAMES[verb].sub(r"\1?", text)
    if verb in _MAY_IDENTIFY:
        for password in (_IDENTIFIES, _PASSWORD):
            found = password.search(text)
            if found:
                text = f"{text[: found.end()]} ?"
    return text
