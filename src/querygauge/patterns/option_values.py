"""
Values without quotes that a statement sets something to: settings, options of definitions, arguments of modules.

In goes a statement without literals, out comes one in which they are `?` too, told by its first word and those after
it. Deliberately not here: names that a session makes up, and passwords.
"""

import re
from typing import Final

from querygauge.patterns.name_grammar import NAME, QUALIFIED_NAME
from querygauge.patterns.verb_rules import Rule, by_verb, with_rules

__all__ = ["without_module_arguments", "without_option_values"]

# SQLite hands its module whatever stands between the parentheses, semicolons too.
_MODULE: Final = re.compile(
    rf"(?i)(?<![\w\"`.])(VIRTUAL TABLE ?(?:IF NOT EXISTS ?)?{QUALIFIED_NAME} ?USING ?{NAME} ?+\()(?!\))"
    r"(?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))++"
)

_SET: Final = rf"@{{0,2}}{QUALIFIED_NAME}(?: ?:?= ?| TO )"
_SCOPE: Final = r"(?:(?:SESSION|LOCAL|GLOBAL|PERSIST|PERSIST_ONLY) ){0,2}"
_SETTING: Final = (
    r"(?:AUTHORIZATION |CHARACTER SET |CHARSET |DATEFORMAT |LANGUAGE |NAMES |PASSWORD |(?:DEFAULT )?ROLE |TIME ZONE "
    r"|ROW ARCHIVAL VISIBILITY ?= ?)"
)
_ASSIGNED: Final = rf"SET {_SCOPE}(?:{_SETTING}|{_SET})"
_CONFIGURED: Final = "(?:AGGREGATE|DATABASE|FUNCTION|PROCEDURE|ROLE|ROUTINE|SESSION|SYSTEM|USER)"
_REST: Final = ".+$"
_RULES: Final = by_verb(
    (
        Rule("a setting of one statement", "SET", rf"STATEMENT {_SET}", "(?:.+?(?= FOR )|.+$)"),
        Rule("a setting", "SET", _ASSIGNED.removeprefix("SET "), _REST),
        Rule("a setting of what is defined", "ALTER", rf"{_CONFIGURED} (?:.*? )?{_ASSIGNED}", _REST),
        Rule(
            "a setting of a function",
            "CREATE",
            rf"(?:OR REPLACE )?(?:AGGREGATE|FUNCTION|PROCEDURE|ROUTINE) .*? {_ASSIGNED}",
            _REST,
        ),
        Rule("a setting", "PRAGMA", rf"{QUALIFIED_NAME} ?(?:= ?|\()", r".+?(?=\)?$)"),
        Rule("a user's name", "KILL", "(?:.*? )?USER ", _REST),
        Rule("a word that is looked for", "HELP", "", _REST),
        Rule(
            "arguments of a trigger",
            "CREATE",
            rf"(?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? EXECUTE (?:FUNCTION|PROCEDURE) {QUALIFIED_NAME} ?+\((?!\)$)",
            r".+?(?=\)?$)",
        ),
    )
)
# The file and the password may be words, which are strings here.
_ATTACHES: Final = re.compile(rf"(?i)^(ATTACH (?:DATABASE )?).+( AS {NAME})(?:( KEY ).+)?$")

_DEFINES: Final = frozenset({"ALTER", "CREATE"})
_VALUE: Final = r"(?:\"[^\"]*+\"|[^\s,;()=]++)"
# What a definition says in words of its own: the statement, and in it what stays before a value.
_OPTIONS: Final = (
    (
        re.compile(r"(?i)\w+ EXTENSION ").match,
        re.compile(rf"(?i)( (?:VERSION|FROM|UPDATE TO) ){_VALUE}"),
    ),
    (
        re.compile(r"(?i)\w+ DATABASE ").match,
        re.compile(
            r"(?i)( (?:ENCODING|(?:ICU_|BUILTIN_)?LOCALE(?:_PROVIDER)?|LC_COLLATE|LC_CTYPE|ICU_RULES|COLLATION_VERSION"
            rf"|STRATEGY)(?: ?= ?| )){_VALUE}"
        ),
    ),
)
# What it says in a list of pairs: whatever is after `=`, but for the functions and types that it is made of.
_IS_A_LIST_OF_PAIRS: Final = re.compile(
    r"(?i)\w+ (?:OR REPLACE )?(?:AGGREGATE|COLLATION|TEXT SEARCH \w+|TYPE) "
    rf"(?!(?:BODY )?{QUALIFIED_NAME} [AI]S (?!RANGE\b))"
).match
_MADE_OF: Final = (
    "ANALYZE|BASETYPE|CANONICAL|COLLATION|COMBINEFUNC|COPY|DESERIALFUNC|ELEMENT|FINALFUNC|GETTOKEN|HEADLINE|INIT|INPUT|"
    "LEXIZE|LEXTYPES|LIKE|MFINALFUNC|MINVFUNC|MSFUNC|MSTYPE|MULTIRANGE_TYPE_NAME|OUTPUT|PARSER|RECEIVE|SEND|SERIALFUNC|"
    "SFUNC|SFUNC1|SORTOP|STYPE|STYPE1|SUBSCRIPT|SUBTYPE|SUBTYPE_DIFF|SUBTYPE_OPCLASS|TEMPLATE|TYPMOD_IN|TYPMOD_OUT"
)
_WORDS: Final = r"[^\s,()]++(?: [^\s,()]++)*+"
_PAIR: Final = re.compile(rf"(?i)((?:\(|, )(?!(?:{_MADE_OF}) ?=)[^=(),]++= ?){_WORDS}")
_PARAMETERS: Final = re.compile(r"(?i)(?<![\w\"`.])(?:SET|WITH|\w++(?<=_ops)) ?\([^()]*+(?:\([^()]*+\)[^()]*+)*+")
_PARAMETER: Final = re.compile(rf"((?:\(|, )[^=(),]++= ?){_WORDS}")


def without_module_arguments(text: str) -> str:
    """`text` with `?` for all that the module of a virtual table is told."""
    return _MODULE.sub(r"\1?", text)


def without_option_values(statement: str, verb: str) -> str:
    """`statement`, which begins with `verb`, with `?` for each value without quotes that it sets something to."""
    statement = with_rules(_RULES, verb, statement)
    if verb == "ATTACH":
        return _ATTACHES.sub(lambda found: f"{found[1]}?{found[2]}{f'{found[3]}?' if found[3] else ''}", statement)
    return _defined(statement) if verb in _DEFINES else statement


def _defined(statement: str) -> str:
    for is_meant, option in _OPTIONS:
        if is_meant(statement):
            statement = option.sub(r"\1?", statement)
    if "=" not in statement:
        return statement
    if _IS_A_LIST_OF_PAIRS(statement):
        statement = _PAIR.sub(r"\1?", statement)
    return _PARAMETERS.sub(lambda found: _PARAMETER.sub(r"\1?", found[0]), statement)
