"""
Names that a session makes up, and values that stand without quotes: savepoints, cursors, settings, passwords.

In goes a statement without literals, out comes one in which they are `?` too, told by its keywords, and as a rule by
the first. Deliberately not here: literals, which are gone already.
"""

import re
from typing import Final

from querygauge.patterns.dialects import Dialect
from querygauge.patterns.words import words

__all__ = ["without_session_names"]

_NAME: Final = r"(?:\"[^\"]{0,128}\"|`[^`]{0,128}`|\[[^\]]{0,128}\]|[\w$?]+)"
# Words that SQL Server reserves and statements begin or end with, so that none of them is a string without quotes.
_RESERVED: Final = (
    "ALTER BACKUP BEGIN BREAK BULK CHECKPOINT CLOSE COMMIT CONTINUE CREATE DBCC DEALLOCATE DECLARE DELETE DENY DROP "
    "ELSE END EXEC EXECUTE FETCH GOTO GRANT IF INSERT KILL MERGE OPEN PRINT RAISERROR READTEXT RECONFIGURE RESTORE "
    "RETURN REVERT REVOKE ROLLBACK SAVE SELECT SET SHUTDOWN TRUNCATE UPDATE UPDATETEXT USE WAITFOR WHILE WITH WRITETEXT"
)
_ENDS_A_CALL: Final = words(_RESERVED)
_NO_PROCEDURE: Final = _ENDS_A_CALL | words("ALL ANY AS FROM FUNCTION ON PROCEDURE TO")
_NO_NAME: Final = rf"(?!(?:{_RESERVED.replace(' ', '|')})\b)"

_SET: Final = rf"@{{0,2}}{_NAME}(?:\.{_NAME})*(?: ?:?= ?| TO )"
_SCOPE: Final = r"(?:(?:SESSION|LOCAL|GLOBAL|PERSIST|PERSIST_ONLY) ){0,2}"
_SETTING: Final = r"(?:AUTHORIZATION|CHARACTER SET|CHARSET|DATEFORMAT|LANGUAGE|NAMES|PASSWORD|(?:DEFAULT )?ROLE) "
_CONFIGURED: Final = "(?:AGGREGATE|DATABASE|FUNCTION|PROCEDURE|ROLE|ROUTINE|SESSION|SYSTEM|USER)"
_TRANSACTION: Final = r"TRAN(?:SACTION)? "
_NO_OPTION: Final = rf"(?!(?:AND|DEFERRABLE|ISOLATION|NOT|READ|TO)\b){_NO_NAME}"
# By first keyword, what stays before a name that a session makes up or a value without quotes, and what goes.
_RULES: Final = (
    ("SAVEPOINT", "", rf"{_NAME}$"),
    ("SAVE COMMIT END ROLLBACK", _TRANSACTION, rf"{_NO_OPTION}{_NAME}"),
    ("BEGIN", rf"(?:(?:DEFERRED|IMMEDIATE|EXCLUSIVE|DISTRIBUTED) )?{_TRANSACTION}", rf"{_NO_OPTION}{_NAME}"),
    ("RELEASE", "(?:SAVEPOINT )?", rf"{_NAME}$"),
    ("ROLLBACK", rf"(?:(?:WORK |{_TRANSACTION}(?:\? )?)?TO (?:SAVEPOINT )?)", rf"{_NAME}$"),
    ("DECLARE LISTEN UNLISTEN", "", _NAME),
    ("FETCH MOVE", r"(?:.*? (?:FROM|IN) (?:GLOBAL (?!INTO\b))?(?=\S)|(?:.*? )??(?=\S+(?: INTO |$)))", r"\S+"),
    ("OPEN", "(?:GLOBAL (?=.))?", _NAME),
    ("CLOSE", "(?:GLOBAL (?=.))?", rf"(?!ALL$){_NAME}$"),
    ("PREPARE", "", rf"(?!TRANSACTION ){_NAME}"),
    ("EXECUTE", "", rf"(?!IMMEDIATE ){_NAME}"),
    ("DEALLOCATE", "(?:(?:PREPARE|GLOBAL) (?=.))?", rf"(?!ALL$){_NAME}$"),
    ("DROP", "PREPARE ", rf"{_NAME}$"),
    ("NOTIFY", "", rf"{_NAME}(?:, \?)?"),
    ("KILL", "(?:.*? )?USER ", ".+$"),
    ("CREATE", rf"(?:OR REPLACE )?(?:AGGREGATE|FUNCTION|PROCEDURE|ROUTINE) .*? SET {_SET}", ".+$"),
    ("CREATE", ".*? AS EXECUTE ", _NAME),
    ("SET", rf"STATEMENT {_SET}", "(?:.+?(?= FOR )|.+$)"),
    ("SET", rf"{_SCOPE}(?:TIME ZONE |{_SETTING}|{_SET})", ".+$"),
    ("ALTER", rf"{_CONFIGURED} (?:.*? )?SET (?:TIME ZONE |{_SET})", ".+$"),
    ("PRAGMA", rf"{_NAME}(?:\.{_NAME})* ?(?:= ?|\()", r".+?(?=\)?$)"),
)
_SESSION_NAMES: Final = {
    verb: tuple(re.compile(rf"(?i)^({verb} {kept}){gone}") for verbs, kept, gone in _RULES if verb in verbs.split())
    for verbs, _, _ in _RULES
    for verb in verbs.split()
}
_EXPLAINS: Final = re.compile(
    r"(?i)EXPLAIN (?:(?:QUERY PLAN|ANALYZE|VERBOSE|EXTENDED|PARTITIONS|FORMAT ?= ?\S+|\([^()]*\)) ?)*"
)
_CURRENT: Final = re.compile(rf"(?i)(?<![\w.\"`\[])(CURRENT OF (?:GLOBAL (?=.))?){_NAME}")
# The file and the password may be words, which are strings here.
_ATTACHES: Final = re.compile(rf"(?i)^(ATTACH (?:DATABASE )?).+( AS {_NAME})(?:( KEY ).+)?$")
# In a batch of SQL Server's, whose statements follow each other without a semicolon.
_CURSOR: Final = (
    r"(?:OPEN|CLOSE|DEALLOCATE) (?:GLOBAL (?=.))?(?!(?:ALL|IDENTIFIED|MASTER|SYMMETRIC) )"
    r"|DECLARE (?=\S+ (?:INSENSITIVE |SCROLL )*CURSOR\b)"
    r"|FETCH (?:(?:NEXT|PRIOR|FIRST|LAST|(?:ABSOLUTE|RELATIVE) \?) )?FROM (?:GLOBAL (?!INTO\b))?"
)
_IN_A_BATCH: Final = re.compile(
    rf"(?i)(?<![\w.@$\"\[])({_CURSOR}|(?:SAVE|BEGIN|COMMIT|ROLLBACK) {_TRANSACTION}){_NO_NAME}{_NAME}"
)
# A call up to the procedure's name: what it returns goes before, and a number may follow. Or a name in quotes, to skip.
_CALL: Final = re.compile(
    r"(?i)\"[^\"]{0,128}\"|\[[^\]]{0,128}\]|(?<![\w.@$])EXEC(?:UTE)? (?:\? ?= ?)?"
    rf"([@#]*+{_NAME}(?:\.+{_NAME})*+)(?: ?; ?\?)?(?= |$|;)(?! \()"
)
_ARGUMENT: Final = re.compile(r"\"[^\"]{0,128}\"|\[[^\]]{0,128}\]|[\w@$#?]+|\S")
_ARGUMENTS: Final = re.compile(r"\?(?:,? \?)++")
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
    if dialect.executes_procedures != "no":
        upper = text.upper()
        if "EXEC" in upper:
            text = _without_arguments(text)
        if dialect.executes_procedures == "yes" and _has_names_in_a_batch(upper):
            text = _IN_A_BATCH.sub(r"\1?", text)
    if " OF " in text or " of " in text or " Of " in text:
        text = _CURRENT.sub(r"\1?", text)
    if ";" in text:
        data = _COPIES.search(text)
        parts = (part.strip() for part in text[: data.end() if data else len(text)].split(";"))
        return "; ".join(_without_session_name(part, dialect) for part in parts if part)
    return _without_session_name(text, dialect)


def _has_names_in_a_batch(upper: str) -> bool:
    # One by one: each is found in a tenth of the time that a choice of them takes.
    return (
        "TRAN" in upper
        or "OPEN" in upper
        or "CLOSE" in upper
        or "FETCH" in upper
        or "CURSOR" in upper
        or "DEALLOCATE" in upper
    )


def _without_arguments(text: str) -> str:
    """`text` with `?` for each argument of a called procedure, where a word without quotes is a string."""
    pieces: list[str] = []
    position = 0
    while call := _CALL.search(text, position):
        end = call.end()
        pieces.append(text[position:end])
        if call[1] and call[1].upper() not in _NO_PROCEDURE:
            arguments, end = _arguments(text, end)
            pieces.append(arguments)
        position = end
    return "".join((*pieces, text[position:]))


def _arguments(text: str, start: int) -> tuple[str, int]:
    """The arguments of a call as they may stay, and where they end: before a word that nothing but a statement has."""
    kept: list[str] = []
    depth, is_awaited, end = 0, False, len(text)
    for argument in _ARGUMENT.finditer(text, start):
        word = argument.group().upper()
        is_end = word in {";", ")"} or (word in _ENDS_A_CALL and not is_awaited)
        if is_end and not depth:
            end = argument.start()
            break
        depth += (word == "(") - (word == ")")
        is_mark = len(word) == 1 and not (word.isalnum() or word in "_?@$#")
        is_awaited = is_mark and word not in ")}"
        if word in {",", "="}:
            kept.append(word)
        elif not is_mark:
            kept.append(argument.group() if word in {"OUT", "OUTPUT"} and kept[-1:] == ["?"] else "?")
    if not kept:
        return text[start:end], end
    folded = _ARGUMENTS.sub("?", " ".join(kept).replace(" ,", ","))
    return f" {folded}{'' if text[end : end + 1] in {'', ';', ')'} else ' '}", end


def _without_session_name(text: str, dialect: Dialect) -> str:
    explained, statement = "", text
    verb = text[: text.find(" ")].upper()
    if verb == "EXPLAIN" and (explains := _EXPLAINS.match(text)):
        explained, statement = explains.group(), text[explains.end() :]
        verb = statement[: statement.find(" ")].upper()
    if not (verb == "EXECUTE" and dialect.executes_procedures == "yes"):
        for rule in _SESSION_NAMES.get(verb, ()):
            statement = rule.sub(r"\1?", statement)
    if verb == "ATTACH":
        statement = _ATTACHES.sub(lambda found: f"{found[1]}?{found[2]}{f'{found[3]}?' if found[3] else ''}", statement)
    if verb in _MAY_IDENTIFY:
        for password in (_IDENTIFIES, _PASSWORD):
            found = password.search(statement)
            if found:
                statement = f"{statement[: found.end()]} ?"
    return explained + statement
