"""
Arguments of procedures, and defaults of their parameters: in SQL Server words without quotes are strings there.

In goes a batch without literals, out comes one in which each argument is `?` too, whether EXECUTE calls the procedure,
its name alone, or the `{call …}` of ODBC. Deliberately not here: calls in whose parentheses words are columns.
"""

import re
from itertools import islice
from typing import Final, Literal

from querygauge.patterns.name_grammar import NAME, QUALIFIED_NAME, RESERVED
from querygauge.patterns.words import words

__all__ = ["without_arguments"]

# More calls, and more words of one, nobody wrote; what follows them goes.
_MAX_CALLS: Final = 512
_MAX_WORDS: Final = 8_192
_ENDS_A_CALL: Final = words(RESERVED)
_NO_PROCEDURE: Final = _ENDS_A_CALL | words("ALL ANY AS FROM FUNCTION ON PROCEDURE TO")
# First words of statements: a name that is none of them calls a procedure. Where nobody knows the dialect, those of
# every other database are among them; some of these nobody means for a procedure elsewhere either.
_OF_SQL_SERVER: Final = _ENDS_A_CALL | words(
    "ADD ADMINISTER CALL COPY DISABLE ENABLE EXPLAIN GET GO LINENO MOVE RECEIVE RELEASE RENAME SEND SETUSER SHOW THROW "
    "VALUES"
)
_STATEMENTS: Final = {
    "yes": _OF_SQL_SERVER,
    "doubtful": _OF_SQL_SERVER
    | words(
        "ABORT ANALYSE ANALYZE ASSOCIATE ATTACH AUDIT BINLOG CACHE CHANGE CHECK CHECKSUM CLONE CLUSTER "
        "COMMENT CURSOR DESC DESCRIBE DETACH DISASSOCIATE DISCARD DO EXCHANGE EXPORT FLASHBACK FLUSH FROM HANDLER HELP "
        "IMPORT INSTALL ITERATE LEAVE LIST LISTEN LOAD LOCK LOOP MSCK NOAUDIT NOTIFY OPTIMIZE PIVOT PRAGMA PREPARE "
        "PURGE PUT REASSIGN REFRESH REINDEX REMOVE REPAIR REPEAT REPLACE RESET RESIGNAL RESTART SAVEPOINT "
        "SECURITY SIGNAL START STOP SUMMARIZE SYSTEM TABLE UNCACHE UNDROP UNINSTALL UNLISTEN UNLOAD UNLOCK "
        "UNPIVOT UPSERT VACUUM WATCH XA"
    ),
}
_NUMBER: Final = r"(?: ?; ?\?)?"  # of procedures with the same name, one
_PROCEDURE: Final = rf"([@#]*+{NAME}(?: ?\.++ ?{NAME})*+){_NUMBER}"
# Beside a bracket, a quote or a variable's `@` no blank is needed.
_ARGUMENTS_BEGIN: Final = r"(?=[ \[\"@-]|(?<=[\]\"])[\w#$])(?! ?\()"
# A call up to the procedure's name: what it returns goes before. Or a name in quotes, to skip.
_CALL: Final = re.compile(
    r"(?i)\"[^\"]*+\"|\[[^\[\]]*+\]|(?<![\w.@$])EXEC(?:UTE)?(?: |(?=[\[\"]))(?:\? ?= ?)?"
    rf"{_PROCEDURE}(?:{_ARGUMENTS_BEGIN}|(?=;|$))"
)
_CALL_BY_NAME: Final = re.compile(rf"{_PROCEDURE}{_ARGUMENTS_BEGIN}")
_CALL_BY_ODBC: Final = re.compile(
    rf"(?i)(\{{ ?(?:\? ?= ?)?CALL {QUALIFIED_NAME}{_NUMBER} ?+\(?+)(?!\)? ?\}}$).+?(?=\)? ?\}}$|$)"
)
_ARGUMENT: Final = re.compile(r"\"[^\"]*+\"|\[[^\[\]]*+\]|[\w@$#?]+|\S")
_ARGUMENTS: Final = re.compile(r"\?(?:,? \?)++")
_DEFINES: Final = frozenset({"ALTER", "CREATE"})
_DEFINITION: Final = re.compile(r"(?i)(?:CREATE|ALTER) (?:OR (?:ALTER|REPLACE) )?(?:PROC|PROCEDURE|FUNCTION) ").match
# The parameter's name is `?` already, and so may be the word that it can be none.
_TYPE: Final = rf"(?:AS )?(?:(?:NATIONAL|DOUBLE) )?{QUALIFIED_NAME}(?: VARYING)?(?: ?\([^()]*+\))?"
_DEFAULT: Final = re.compile(rf"(?i)(\? (?!\?){_TYPE}(?: NOT NULL| \?)? ?= ?){NAME}")


def without_arguments(text: str, upper: str, verb: str, calls_by_name: Literal["yes", "doubtful"]) -> str:
    """
    `text` with `?` for each argument of a called procedure, where a word without quotes is a string.

    Args:
        text: The batch.
        upper: The same in capitals.
        verb: What stands before its first blank, in capitals.
        calls_by_name: Whether a name alone calls a procedure, or only what is no statement of any other database.
    """
    if verb not in _STATEMENTS[calls_by_name]:
        text = _without_arguments_of_a_name(text, _STATEMENTS[calls_by_name])
    if "{" in text and "CALL" in upper:
        text = _CALL_BY_ODBC.sub(r"\1?", text)
    if verb in _DEFINES and _DEFINITION(text):
        text = _DEFAULT.sub(r"\1?", text)
    return _without_arguments_of_execute(text) if "EXEC" in upper else text


def _without_arguments_of_a_name(text: str, statements: frozenset[str]) -> str:
    called = _CALL_BY_NAME.match(text)
    if not called or called[1].upper() in statements:
        return text
    arguments, end = _arguments(text, called.end())
    return f"{text[: called.end()]}{arguments}{text[end:]}"


def _without_arguments_of_execute(text: str) -> str:
    pieces: list[str] = []
    position = 0
    calls = 0
    while call := _CALL.search(text, position):
        end = call.end()
        pieces.append(text[position:end])
        if call[1] and call[1].upper() not in _NO_PROCEDURE:
            calls += 1
            arguments, end = _arguments(text, end) if calls < _MAX_CALLS else ("", len(text))
            pieces.append(arguments)
        position = end
    return "".join((*pieces, text[position:]))


def _arguments(text: str, start: int) -> tuple[str, int]:
    """The arguments of a call as they may stay, and where they end: before a word that nothing but a statement has."""
    kept: list[str] = []
    depth, is_awaited, end = 0, False, len(text)
    for argument in islice(_ARGUMENT.finditer(text, start), _MAX_WORDS):
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
