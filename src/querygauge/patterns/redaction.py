"""
A database's error message → the same message without values.

In goes what a driver said, or what SQLAlchemy made of it. A message that is one of `error_templates` from its first
character to its last keeps its names; of every other one stay the words of the databases' own vocabulary, and all else
is `?`. So a message nobody foresaw, such as one an application raises inside the database, loses more than it must and
never less. Only a value that is a database's message itself, and all there is, is taken for one.

A name that a message repeats and the database does not know, as in `relation "x" does not exist`, is mostly a word of
the statement, and sometimes a parameter's value: it stays if the statement's pattern, which has no values, has it too.

Deliberately not here: class and SQLSTATE, which carry no values and are read from the exception.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from querygauge.patterns.dialects import dialect_of
from querygauge.patterns.error_templates import TEMPLATES
from querygauge.patterns.error_words import ERROR_WORDS

__all__ = ["MAX_MESSAGE_CHARACTERS", "ODBC_STATE", "redact"]

# Longer messages are statements or data in disguise; read and result are cut here.
MAX_MESSAGE_CHARACTERS: Final = 2_000
# MySQL and Oracle cut their messages at 512 bytes, and where a value was cut a name may seem to follow it.
_MAX_WHOLE_BYTES: Final = 500

# A SQLSTATE of ODBC, tighter than five characters: a name of five letters is none.
ODBC_STATE: Final = r"(?:\d[0-9A-Z]|HY|IM|S1)[0-9A-Z]{3}"

_MODULE: Final = (
    r"(?:psycopg2?|asyncpg|pymysql|aiomysql|asyncmy|MySQLdb|mysql|sqlite3|aiosqlite|pyodbc|pymssql|mssql_python|"
    r"oracledb|cx_Oracle|sqlalchemy|builtins)\."
    r"(?:(?:dialects|postgresql|mysql|sqlite|asyncpg|connector|err|errors|exc|exceptions|_exceptions|_pymssql)\.)*"
)
# What SQLAlchemy puts before a driver's message, at times twice.
_CLASS: Final = re.compile(rf"(\({_MODULE})([A-Za-z]+|\?)(\)) (?=\S)|(<class '{_MODULE})([A-Za-z]+|\?)('>:) ")
_CLASS_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\?")
# And after it: the statement, its parameters and a link, or a link alone.
_TAILS: Final = ("\n[SQL: ", "\n(Background on this error at: ")

# Some drivers give two arguments, which `str()` writes as Python writes a tuple: number and text (MySQL's, pymssql),
# SQLSTATE and text (pyodbc), or text and SQLSTATE (pyodbc of itself).
_NUMBERED: Final = re.compile(r"\((\d{1,5}), b?")
_STATED: Final = re.compile(rf"\('{ODBC_STATE}', ")
_STATED_LAST: Final = re.compile(rf", '({ODBC_STATE})'\)")
_STATED_LAST_CHARACTERS: Final = len(", '23000')")
_ESCAPED: Final = re.compile(r"(?s)\\(.)")
# `[23000] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]`: the last one spoke, the others passed it on.
_SPEAKER: Final = (
    r"\[(?:unixODBC|ODBC Driver Manager|Microsoft|FreeTDS|SQL Server Native Client \d\d\.\d|"
    r"(?:ODBC )?(?:Driver \d\d for )?SQL Server(?: Driver)?)\]"
)
_ODBC: Final = re.compile(rf"(\[{ODBC_STATE}\] )(?: ?{_SPEAKER})*({_SPEAKER})")
_ODBC_TAIL: Final = re.compile(r" \(\d+\) \(SQL\w+\)|DB-Lib error message \d")
_ORACLE: Final = re.compile(r"(?:ORA|DPI|DPY|PLS|TNS)-\d{4,5}: ")
# A further part of PostgreSQL's message, which may repeat the value.
_PART: Final = re.compile(r"\n(?:LINE \d+|HINT|CONTEXT|QUERY|STATEMENT):")
_LEVEL: Final = re.compile(r"(?:ERROR|FATAL|PANIC|WARNING):\s+")

_NAME: Final = r"[^\W\d][\w$#]{0,127}"
_NAMES: Final = rf"{_NAME}(?:\.{_NAME}){{0,2}}"
_TICKED: Final = rf"`{_NAMES}`(?:\.`{_NAMES}`){{0,2}}"
_GIVEN_SHAPES: Final = {
    "value": r".*",
    "odd": r".*",
    "text": r"[^\"'`\n]*",
    "name": _NAME,
    "names": _NAMES,
    "list": rf"{_NAMES}(?:, {_NAMES}){{0,31}}",
    "quoted": rf'"{_NAME}"(?:\."{_NAME}"){{0,2}}',
    "ticked": _TICKED,
    "ticked_list": rf"{_TICKED}(?:, {_TICKED}){{0,15}}",
    "number": r"\d{1,10}",
}
# What is asked for may have lost parts of its name already, or digits as a pattern loses them.
_ASKED: Final = "asked_"
_ASKED_NAME: Final = r"(?:[^\W\d][\w$#?]{0,127}|\?)"
_SHAPES: Final = _GIVEN_SHAPES | {
    _ASKED + slot: _GIVEN_SHAPES[slot].replace(_NAME, _ASKED_NAME) for slot in ("name", "names", "quoted", "ticked")
}
_ASKED_PART: Final = re.compile(_ASKED_NAME)
_WORD: Final = re.compile(r"[^\W\d][\w$#?]*")
_DIGITS: Final = re.compile(r"\d+|\?")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_NUMBER: Final = re.compile(r" \(\d+\)\Z")
# What may follow a message and is dropped. Where a name follows a value, only text that cannot hide its end.
_REST: Final = {"postgresql": r"(?:\n.*)?", "oracle": r"(?:\n.*)?", "mssql": r".*"}
_FIXED_REST: Final = {"oracle": r"(?:\nHelp: https://docs\.oracle\.com/error-help/db/ora-\d{5}/)?"}

_QUOTED: Final = re.compile(r"(?s)(?<!\w)(['\"]).*?\1(?!\w)|(?<!\w)`[^`]*`(?:\.`[^`]*`)*")
_LAST_END: Final = {quote: re.compile(rf"(?s).*{quote}(?!\w)") for quote in "'\""}
_CHUNK: Final = re.compile(r"([(\[{,.;:!]*)(.*?)([)\]},.;:!?]*)\Z", re.DOTALL)
_UNKNOWNS: Final = re.compile(r"\?(?: \?)+")


def redact(message: str, dialect: str, *, pattern_text: str = "") -> str:
    """
    `message` without a value in it; when in doubt, a word is a value.

    Never raises. What SQLAlchemy appends (statement, parameters, a link) is cut, as are PostgreSQL's CONTEXT, HINT and
    the line of the statement, the later errors of SQL Server and Oracle, and links to a manual.

    Args:
        message: `str()` of the driver's exception, or of SQLAlchemy's.
        dialect: SQLAlchemy's name of the dialect.
        pattern_text: Pattern of the statement the message is about. Without it no name stays that the database was
            asked for and does not vouch for.
    """
    family = dialect_of(dialect).family
    head, text, is_whole = _without_sqlalchemy(message.strip())
    before, text, after = _without_driver(text, family)
    text = text[:MAX_MESSAGE_CHARACTERS]
    is_whole = is_whole and len(text.encode("utf-8", "replace")) < _MAX_WHOLE_BYTES and not _PART.search(text)
    known = _without_values(text.strip(), family, pattern_text, is_whole=is_whole)
    return f"{head}{before}{known}{after}".strip()


def _without_sqlalchemy(text: str) -> tuple[str, str, bool]:
    """The classes before a message, the message, and whether its end is known for certain."""
    head = ""
    for _ in range(2):
        known = _CLASS.match(text, 0, MAX_MESSAGE_CHARACTERS)
        if not known:
            break
        before, name, after = (group for group in known.groups() if group is not None)
        head += f"{before}{_class_name(name)}{after} "
        text = text[known.end() :]
    if not head:
        return "", text, True
    tail = next((tail for tail in _TAILS if tail in text), None)
    if tail is None:
        return head, text, True
    # A value may look like the tail.
    return head, text.partition(tail)[0], text.count(tail) == 1


def _without_driver(text: str, family: str) -> tuple[str, str, str]:
    """What a driver puts before a message, the message, and what it puts after it."""
    if family in {"mysql", "mssql", "unknown"} and text.endswith(")") and (numbered := _NUMBERED.match(text)):
        return f"({numbered[1]}, ", _unescaped(_unquoted(text[numbered.end() : -1])), ")"
    if family not in {"mssql", "unknown"}:
        return "", text, ""
    last = len(text) - _STATED_LAST_CHARACTERS
    if text.startswith("(") and last > 0 and (stated := _STATED_LAST.match(text, last)):
        return "(", _unescaped(_unquoted(text[1:last])), f", '{stated[1]}')"
    if text.endswith(")") and (stated := _STATED.match(text)):
        quoted = text[stated.end() : -1]
        unquoted = _unquoted(quoted)
        text = text if unquoted == quoted else _unescaped(unquoted)
    odbc = _ODBC.match(text, 0, MAX_MESSAGE_CHARACTERS)
    return (odbc[1] + odbc[2], text[odbc.end() :], "") if odbc else ("", text, "")


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _class_name(name: str) -> str:
    return name if all(word.lower() in ERROR_WORDS or word == "?" for word in _CLASS_WORD.findall(name)) else "?"


def _unescaped(text: str) -> str:
    read = text[: 2 * MAX_MESSAGE_CHARACTERS + 2]  # as much as may become what is read, and more
    return _ESCAPED.sub(lambda escaped: "\n" if escaped[1] == "n" else escaped[1], read)


def _without_values(text: str, family: str, pattern_text: str, *, is_whole: bool) -> str:
    level = _LEVEL.match(text)
    text = text[level.end() :] if level else text
    for template in _templates(family):
        known = template.redacted(text, pattern_text, is_whole=is_whole)
        if known is not None:
            return known
    code = _ORACLE.match(text) if family in {"oracle", "unknown"} else None
    start = code.end() if code else 0
    end = _ODBC_TAIL.search(text, 1)
    line = text[start : end.start() if end else len(text)].partition("\n")[0]
    return (code.group() if code else "") + _known_text(line)


class _Template(NamedTuple):
    """A message of `error_templates`: text and slots in turn, and SQL Server's number."""

    family: str
    parts: tuple[str, ...]
    number: str

    def redacted(self, text: str, pattern_text: str, *, is_whole: bool) -> str | None:
        """`text` without its values, and without what was asked for if the pattern lacks it, if it is this message."""
        if not text.startswith(self.parts[0]) or (self.needs_end and not is_whole):
            return None
        found = _pattern(self).match(text)
        if not found:
            return None
        slots = iter(found.groups())
        kept = [_kept(part, next(slots), pattern_text) if place % 2 else part for place, part in enumerate(self.parts)]
        return "".join(kept) + (next(slots) or "")

    @property
    def needs_end(self) -> bool:
        """Whether a name or number follows a value, so that only the very end tells it from one inside the value."""
        slots = self.parts[1::2]
        return "value" in slots and not {"value", "odd", "text"}.issuperset(slots[slots.index("value") :])


@cache
def _templates(family: str) -> tuple[_Template, ...]:
    families = [family] if family in TEMPLATES else list(TEMPLATES)
    return tuple(_template(each, line) for each in families for line in TEMPLATES[each].strip().splitlines())


def _template(family: str, line: str) -> _Template:
    text = line.strip().replace("{line}", "\n")
    number = _NUMBER.search(text)
    return _Template(
        family,
        tuple(_SLOT.split(text[: number.start()] if number else text)),
        number.group() if number else "",
    )


@cache
def _pattern(template: _Template) -> re.Pattern[str]:
    said = "".join(f"({_SHAPES[part]})" if place % 2 else re.escape(part) for place, part in enumerate(template.parts))
    rest = (_FIXED_REST if template.needs_end else _REST).get(template.family, "")
    return re.compile(rf"(?s){said}({re.escape(template.number)})?{rest}\Z")


def _kept(slot: str, found: str, pattern_text: str) -> str:
    if slot in {"value", "odd"}:
        return "?"
    if slot.startswith(_ASKED):
        return _asked_for(found, pattern_text)
    return _known_text(found) if slot == "text" else found


def _asked_for(names: str, pattern_text: str) -> str:
    """`names` with `?` for each part that is not a word of the pattern; digits go where the pattern lost them."""
    # PostgreSQL and Oracle fold the case of names, each its own way.
    words = set(_WORD.findall(pattern_text.casefold()))
    numbered = {_DIGITS.sub("?", word) for word in words if "?" in word}

    def known(part: re.Match[str]) -> str:
        name = part.group()
        if name.casefold() in words:
            return name
        without_digits = _DIGITS.sub("?", name)
        return without_digits if without_digits.casefold() in numbered else "?"

    return _ASKED_PART.sub(known, names)


def _known_text(text: str) -> str:
    """`text` with `?` for what stands in quotes and every word that is not of the databases' vocabulary."""
    pieces: list[str] = []
    position = 0
    for quoted in _QUOTED.finditer(_without_endless_quotes(text)):
        quote = quoted.group()[0]
        pieces += [_known_words(text[position : quoted.start()]), f"{quote}?{quote}"]
        position = quoted.end()
    pieces.append(_known_words(text[position:]))
    return _UNKNOWNS.sub("?", "".join(pieces))


def _without_endless_quotes(text: str) -> str:
    # Looking for the end of each of them would take a time that grows with the square of the text's length.
    for quote, last_end in _LAST_END.items():
        found = last_end.match(text)
        end = found.end() if found else 0
        text = text[:end] + text[end:].replace(quote, "\0")
    return text


def _known_words(text: str) -> str:
    return "".join(" " if chunk.isspace() else _known_word(chunk) for chunk in re.split(r"(\s+)", text))


def _known_word(chunk: str) -> str:
    found = _CHUNK.match(chunk)
    opening, word, closing = found.groups() if found else ("", chunk, "")
    return chunk if not word or word.lower() in ERROR_WORDS else f"{opening}?{closing}"
