"""
Names that a session makes up, and values that stand without quotes: savepoints, cursors, settings, passwords.

In goes a statement without literals, out comes one in which they are `?` too, told by its keywords, and as a rule by
the first. The names are here; each other kind of value has a room of its own, which is entered from here. Deliberately
not here: literals, which are gone already.
"""

import re
from itertools import islice
from typing import Final, Literal

from querygauge.patterns.dialects import Dialect
from querygauge.patterns.name_grammar import NAME, NO_STATEMENT, UP_TO_A_STATEMENT
from querygauge.patterns.option_values import without_module_arguments, without_option_values
from querygauge.patterns.passwords import without_identification, without_password, without_password_option
from querygauge.patterns.procedure_arguments import without_arguments
from querygauge.patterns.verb_rules import Rule, by_verb, with_rules

__all__ = ["without_session_names"]

_MAX_STATEMENTS: Final = 256  # of a script; each takes some microseconds, and nobody tells scripts apart by more

_TRANSACTION: Final = r"TRAN(?:SACTION)? "
_NO_OPTION: Final = rf"(?!(?:AND|DEFERRABLE|ISOLATION|NOT|READ|TO)\b){NO_STATEMENT}"
_GLOBAL: Final = "(?:GLOBAL (?=.))?"
_RULES: Final = by_verb(
    (
        Rule("a savepoint", "SAVEPOINT", "", UP_TO_A_STATEMENT),
        Rule("a savepoint", "RELEASE", "(?:SAVEPOINT )?", UP_TO_A_STATEMENT),
        Rule("a transaction", "SAVE COMMIT END ROLLBACK", _TRANSACTION, rf"{_NO_OPTION}{NAME}"),
        Rule(
            "a transaction",
            "BEGIN",
            rf"(?:(?:DEFERRED|IMMEDIATE|EXCLUSIVE|DISTRIBUTED) )?{_TRANSACTION}",
            rf"{_NO_OPTION}{NAME}",
        ),
        Rule("a savepoint", "ROLLBACK", rf"(?:(?:WORK |{_TRANSACTION}(?:\? )?)?TO (?:SAVEPOINT )?)", UP_TO_A_STATEMENT),
        Rule("a cursor", "DECLARE", rf"(?:CURSOR (?={NAME} ?(?:IS\b|RETURN\b|\()))?", NAME),
        Rule("a cursor", "CURSOR", "", NAME),
        Rule(
            "a cursor",
            "FETCH MOVE",
            r"(?:.*? (?:FROM|IN) (?:GLOBAL (?!INTO\b))?(?=\S)|(?:.*? )??(?=\S+(?: INTO |$)))",
            rf"(?:{NAME}|\S+)",
        ),
        Rule("a cursor", "OPEN", _GLOBAL, NAME),
        Rule("a cursor", "CLOSE", _GLOBAL, rf"(?!ALL$){UP_TO_A_STATEMENT}"),
        Rule("a prepared statement", "PREPARE", "", rf"(?!TRANSACTION ){NAME}"),
        Rule("a prepared statement", "EXECUTE", "", rf"(?!IMMEDIATE ){NAME}"),
        Rule("a prepared statement", "CREATE", ".*? AS EXECUTE ", NAME),
        Rule(
            "a prepared statement",
            "DEALLOCATE",
            "(?:(?:PREPARE|GLOBAL) (?=.))?",
            rf"(?!ALL$){UP_TO_A_STATEMENT}",
        ),
        Rule("a prepared statement", "DROP", "PREPARE ", UP_TO_A_STATEMENT),
        Rule("a channel", "LISTEN UNLISTEN", "", NAME),
        Rule("a channel", "NOTIFY", "", rf"{NAME}(?:, \?)?"),
    )
)
# Of what is sent most often nothing more is asked.
_ORDINARY: Final = frozenset({"DELETE", "INSERT", "SELECT", "UPDATE", "WITH"})
_WORD_AT_FIRST: Final = re.compile(r"\w+").match
_QUOTED: Final = re.compile(r"((?<=\w))?((?:\"[^\"]*+\")++|(?:`[^`]*+`)++|\[[^\W\d][^\[\]]*+\])(?=(\w)?)")
_EXPLAINS: Final = re.compile(
    r"(?i)EXPLAIN(?: |(?=\())(?:(?:QUERY PLAN|ANALYSE|ANALYZE|VERBOSE|EXTENDED|PARTITIONS|FORMAT ?= ?\S+|\([^()]*\)"
    r"|PLAN (?:SET STATEMENT_ID ?= ?\? )?(?:INTO \S+ )?FOR) ?)*"
)
_CURRENT: Final = re.compile(rf"(?i)(?<![\w.\"`\[])(CURRENT OF(?: {_GLOBAL}|(?=[\"`\[]))){NAME}")
# A statement may stand within another, or begin a block.
_HOLDERS: Final = frozenset(
    {"BEGIN", "CASE", "CREATE", "DECLARE", "ELSE", "ELSIF", "EXCEPTION", "FOR", "IF", "LOOP", "WHEN", "WHILE"}
)
_HELD: Final = re.compile(
    r"(?i)^(.* )?(?:BEGIN|DO(?: ALSO| INSTEAD)?|ELSE|LOOP|THEN) \(?"
    r"(?=(?:CLOSE|DEALLOCATE|FETCH|LISTEN|MOVE|NOTIFY|OPEN|RELEASE|ROLLBACK|SAVEPOINT|UNLISTEN) )"
)
# In a batch of SQL Server's, whose statements follow each other without a semicolon.
_CURSOR: Final = (
    r"(?:OPEN|CLOSE|DEALLOCATE) (?:GLOBAL (?=.))?(?!(?:ALL|IDENTIFIED|MASTER|SYMMETRIC) )"
    r"|DECLARE (?=\S+ (?:INSENSITIVE |SCROLL )*CURSOR\b)"
    r"|FETCH (?:(?:NEXT|PRIOR|FIRST|LAST|(?:ABSOLUTE|RELATIVE) \?) )?FROM (?:GLOBAL (?!INTO\b))?"
    r"|FETCH (?:GLOBAL (?!INTO\b))?(?!(?:NEXT|PRIOR|FIRST|LAST|ABSOLUTE|RELATIVE|FROM) )"
)
_IN_A_BATCH: Final = re.compile(
    rf"(?i)(?<![\w.@$\"\[])({_CURSOR}|(?:SAVE|BEGIN(?: DISTRIBUTED)?|COMMIT|ROLLBACK) {_TRANSACTION}"
    rf"|SET (?:LANGUAGE|DATEFORMAT) ){NO_STATEMENT}{NAME}"
)
# A block or a batch that opens the cursor it declares, or runs through it in a loop.
_DECLARES: Final = re.compile(
    rf"(?i)(?<![\w.@$\"\[])(?:DECLARE ({NAME}) (?:INSENSITIVE |SCROLL |NO SCROLL |BINARY )*CURSOR\b"
    rf"|CURSOR ({NAME}) ?(?:IS\b|RETURN\b|\())"
)
_WORD: Final = re.compile(r"(?<![\w$#@.])(?:\"[^\"]*+\"|\[[^\[\]]*+\]|[\w$#\x80-\U0010ffff]++)")
# What follows is rows, as a script sends them.
_COPIES: Final = re.compile(r"(?i)(?:^|; ?)COPY [^;]*? FROM STDIN\b[^;]*")


def without_session_names(text: str, dialect: Dialect) -> str:
    """`text` with `?` for every name of a session and every value without quotes; rows after COPY are cut."""
    if text[:1] == ";":
        text = text.lstrip("; ")
    upper = text.upper()  # to look for words in, which is quicker than to search for them in any case
    verb = upper[: upper.find(" ")]
    if dialect.executes_procedures != "no":
        text = _without_words_of_sql_server(text, upper, verb, dialect.executes_procedures)
    if "IDENTIFIED" in upper:
        text = without_identification(text)
    if "CURRENT OF" in upper:
        text = _CURRENT.sub(r"\1?", text)
    if ";" in text:
        return _without_names_of_a_script(_defined(text, upper), dialect)
    if verb in _ORDINARY:
        return text
    return _without_session_name(_defined(text, upper), dialect)


def _without_words_of_sql_server(text: str, upper: str, verb: str, calls_by_name: Literal["yes", "doubtful"]) -> str:
    text = without_arguments(text, upper, verb, calls_by_name)
    if "PASSWORD" in upper:
        text = without_password_option(text)
    if calls_by_name == "yes" and _has_names_in_a_batch(upper):
        return _IN_A_BATCH.sub(r"\1?", _with_blanks_beside_names(text))
    return text


def _has_names_in_a_batch(upper: str) -> bool:
    # One by one: each is found in a tenth of the time that a choice of them takes.
    return (
        "TRAN" in upper
        or "OPEN" in upper
        or "CLOSE" in upper
        or "FETCH" in upper
        or "CURSOR" in upper
        or "DEALLOCATE" in upper
        or "LANGUAGE" in upper
        or "DATEFORMAT" in upper
    )


def _defined(text: str, upper: str) -> str:
    """`text` with `?` for what a definition in it may spread over more than one statement."""
    if "CURSOR" in upper and ("OPEN" in upper or "LOOP" in upper):
        text = _without_cursors(text)
    return without_module_arguments(text) if "VIRTUAL" in upper else text


def _without_cursors(text: str) -> str:
    """`text` with `?` for each name that it gives to a cursor, wherever it stands."""
    names = {_bare(found[1] or found[2]) for found in _DECLARES.finditer(text)} - {"", "?"}
    return _WORD.sub(lambda word: "?" if _bare(word[0]) in names else word[0], text) if names else text


def _bare(name: str) -> str:
    return name.strip('"`[]').upper()


def _without_names_of_a_script(text: str, dialect: Dialect) -> str:
    data = _COPIES.search(text)
    parts = (part.strip() for part in text[: data.end() if data else len(text)].split(";"))
    statements = islice(filter(None, parts), _MAX_STATEMENTS)
    return "; ".join(_without_session_name(statement, dialect) for statement in statements)


def _without_session_name(text: str, dialect: Dialect) -> str:
    if text[: text.find(" ")].upper() in _ORDINARY:
        return text
    explained, statement = "", _with_blanks_beside_names(text)
    if explains := _EXPLAINS.match(statement):
        explained, statement = explains.group(), statement[explains.end() :]
    verb = _first_word(statement)
    if not (verb == "EXECUTE" and dialect.executes_procedures == "yes"):
        statement = with_rules(_RULES, verb, statement)
    statement = without_password(without_option_values(statement, verb), verb)
    if verb in _HOLDERS and (held := _HELD.match(statement)):
        inner = statement[held.end() :]
        statement = held.group() + with_rules(_RULES, _first_word(inner), inner)
    return explained + statement


def _with_blanks_beside_names(text: str) -> str:
    """`text` with a blank on either side of a name in quotes where a word is, as SQL does without one there."""
    if not ('"' in text or "`" in text or "[" in text):
        return text
    return _QUOTED.sub(lambda name: f"{'' if name[1] is None else ' '}{name[2]}{' ' if name[3] else ''}", text)


def _first_word(statement: str) -> str:
    word = _WORD_AT_FIRST(statement)
    return word[0].upper() if word else ""
