"""
A database's error message → the same message without values.

In goes what a driver said, or what SQLAlchemy made of it; out comes one or two lines in which words of the databases'
own vocabulary stay, names stay where the message says that they are names, and everything else is `?`. So a message
nobody foresaw, such as one an application raises inside the database, loses more than it must and never less.

Deliberately not here: class and SQLSTATE, which carry no values and are read from the exception.
"""

import re
from typing import Final

from querygauge.patterns.dialects import dialect_of
from querygauge.patterns.error_words import ERROR_WORDS
from querygauge.patterns.words import words

__all__ = ["MAX_MESSAGE_CHARACTERS", "redact"]

# Longer messages are statements or data in disguise; read and result are cut here.
MAX_MESSAGE_CHARACTERS: Final = 2_000

_SQLALCHEMY_TAIL: Final = re.compile(r"\s*(?:\[SQL: |\[parameters: |\[generated in |\(Background on this error )")
_MODULE: Final = r"(?:sqlite3|psycopg2?|asyncpg|pymysql|aiomysql|asyncmy|MySQLdb|mysql|aiosqlite|sqlalchemy|builtins)\."
_CLASS: Final = re.compile(rf"\({_MODULE}(?:\w+\.)*\w+\) (?=\S)|<class '{_MODULE}(?:\w+\.)*\w+'>: ")
_NUMBERED: Final = re.compile(r"(?s)\((\d{1,5}), (['\"]?)(.*)\2\)\Z")
_LEVEL: Final = re.compile(r"(?:ERROR|FATAL|PANIC|WARNING):\s+")

_NAME: Final = r"[^\W\d][\w$]{0,63}"
_NAMES: Final = rf"{_NAME}(?:\.{_NAME}){{0,2}}"
_LIST: Final = rf"{_NAMES}(?:, {_NAMES}){{0,15}}"
_IS_NAME: Final = re.compile(rf"{_NAMES}").fullmatch
_TYPE: Final = r"[a-z][a-z ]{0,40}(?:\(\d+(?:,\d+)?\))?(?:\[\])?"

# PostgreSQL's second line that is worth keeping: which columns were in the way.
_KEY_DETAIL: Final = re.compile(
    rf"DETAIL:\s+Key \(({_LIST})\)=\(.*\)( already exists| is duplicated| is not present in table \"{_NAME}\"|"
    rf" is still referenced from table \"{_NAME}\")\.?\Z"
)
_CONFLICT_DETAIL: Final = re.compile(rf"DETAIL:\s+Key \(({_LIST})\)=\(.*\) conflicts with (?:existing )?key\b.*\Z")
_ROW_DETAIL: Final = re.compile(r"DETAIL:\s+Failing row contains \(.*")

# Where a message holds a value between words of its own, all of it goes, whatever quotes the value holds itself.
_VALUES: Final = {
    "postgresql": (
        (re.compile(r"(?s)\A(invalid input for query argument \$\d+.*?: ).*\Z"), r"\1?"),
        (re.compile(rf"(?s)\A(value )\".*\"( is out of range for type {_TYPE})\Z"), r'\1"?"\2'),
        (re.compile(r"(?s)(at or near )\".*\Z"), r'\1"?"'),
        (re.compile(rf"(?s)\A((?:[^\":]|\"{_NAME}\")*: )\".*\Z"), r'\1"?"'),
    ),
    "mysql": (
        (re.compile(rf"(?s)\A(Duplicate entry )'.*'( for key '{_NAMES}')\Z"), r"\1'?'\2"),
        (re.compile(r"(?s)\A(Duplicate entry )'.*\Z"), r"\1'?'"),
        (
            re.compile(
                r"(?s)\A((?:Truncated i|I)ncorrect [\w()]+ value: )'.*'( for (?:column|function) \S+(?: at row \d+)?)\Z"
            ),
            r"\1'?'\2",
        ),
        (re.compile(r"(?s)\A((?:Truncated i|I)ncorrect [\w()]+ value: )'.*\Z"), r"\1'?'"),
        (re.compile(r"(?s)( near )'.*'( at line \d+)\Z"), r"\1'?'\2"),
        (re.compile(r"(?s)( near )'.*\Z"), r"\1'?'"),
        (re.compile(r"(?s)( to the value of )'.*\Z"), r"\1'?'"),
    ),
    "sqlite": (
        (re.compile(r"(?s)\A(near )\".*\"(: syntax error)\Z"), r'\1"?"\2'),
        (re.compile(r"(?s)\A(unrecognized token: )\".*\Z"), r'\1"?"'),
    ),
}
# Whole messages in which names stand without quotes.
_BARE_NAMES: Final = tuple(
    re.compile(rf"{message}\Z")
    for message in (
        rf"column {_NAMES} does not exist",
        rf"function {_NAMES}\((?:{_TYPE}(?:, {_TYPE}){{0,20}})?\) does not exist",
        rf"(?:UNIQUE|NOT NULL) constraint failed: {_LIST}",
        rf"CHECK constraint failed: {_NAMES}",
        rf"no such (?:table|column|function|index|view|trigger|module|collation sequence): {_NAMES}",
        rf"table {_NAMES} has no column named {_NAMES}",
        rf"table {_NAMES} has \d+ columns but \d+ values were supplied",
        rf"(?:table|index|view|trigger) {_NAMES} already exists",
        rf"ambiguous column name: {_NAMES}",
        rf"cannot store [A-Z]+ value in [A-Z]+ column {_NAMES}",
        rf"(?:FUNCTION|PROCEDURE|TRIGGER) {_NAMES} (?:does not exist|already exists)",
        rf"value too long for type {_TYPE}",
        rf"invalid input syntax for type {_TYPE}",
    )
)
# A quoted text right after one of these is a name, if it looks like one.
_NAMED_BY: Final = words(
    "column columns constraint database enum field function index key parameter procedure reference relation "
    "schema sequence table trigger type variable view"
)
# MySQL says in quotes where in the statement a name was met.
_PLACES: Final = frozenset(
    {
        "SELECT",
        "WHERE",
        "ON",
        "HAVING",
        "ORDER BY",
        "GROUP BY",
        "SET",
        "INSERT INTO",
        "field list",
        "where clause",
        "on clause",
        "order clause",
        "group statement",
        "having clause",
        "PRIMARY",
    }
)
_QUOTED: Final = re.compile(r"(?s)(?<!\w)(?P<quote>['\"]).*?(?P=quote)(?!\w)|(?<!\w)`[^`]*`(?:\.`[^`]*`)*")
_BACKTICKED: Final = re.compile(rf"`{_NAMES}`(?:\.`{_NAMES}`){{0,2}}").fullmatch
_LAST_WORD: Final = re.compile(r"([A-Za-z]+)\s*\Z")
_CHUNK: Final = re.compile(r"([(\[{,.;:!]*)(.*?)([)\]},.;:!?]*)\Z", re.DOTALL)
_COUNTED_BY: Final = frozenset({"row", "line", "errno", "offset", "position"})
_UNKNOWNS: Final = re.compile(r"\?(?: \?)+")


def redact(message: str, dialect: str) -> str:
    """
    `message` without a value in it; when in doubt, a word is a value.

    Never raises. What SQLAlchemy appends (statement, parameters, a link) is cut, as are PostgreSQL's CONTEXT, HINT and
    the line of the statement; of its DETAIL only the columns stay.

    Args:
        message: `str()` of the driver's exception, or of SQLAlchemy's.
        dialect: SQLAlchemy's name of the dialect.
    """
    text = message[:MAX_MESSAGE_CHARACTERS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8").strip()
    tail = _SQLALCHEMY_TAIL.search(text)
    if tail:
        text = text[: tail.start()]
    known = _CLASS.match(text)
    head = ""
    while known:
        head += known.group()
        text = text[known.end() :]
        known = _CLASS.match(text)
    numbered = _NUMBERED.match(text)
    if numbered:
        return f"{head}({numbered[1]}, {_redacted(_unescaped(numbered[3]), dialect)})"
    return (head + _redacted(text, dialect)).strip()


def _unescaped(text: str) -> str:
    # Drivers of MySQL give a tuple, so the message comes as Python writes it.
    return text.replace("\\'", "'").replace('\\"', '"').replace("\\n", "\n")


def _redacted(text: str, dialect: str) -> str:
    main, _, rest = text.partition("\n")
    level = _LEVEL.match(main)
    main = main[level.end() :] if level else main
    if main.count('"') % 2:
        # The line ended inside a value: what follows may look like anything.
        return _without_values(text, dialect)
    detail = _detail(rest)
    line = _without_values(main.strip(), dialect)
    return f"{line}\n{detail}" if detail else line


def _detail(rest: str) -> str:
    line = next((line.strip() for line in rest.split("\n") if line.startswith("DETAIL:")), "")
    if found := _KEY_DETAIL.match(line):
        return f"DETAIL:  Key ({found[1]})=(?){found[2]}."
    if found := _CONFLICT_DETAIL.match(line):
        return f"DETAIL:  Key ({found[1]})=(?) conflicts with existing key."
    return "DETAIL:  Failing row contains (?)." if _ROW_DETAIL.match(line) else ""


def _without_values(text: str, dialect: str) -> str:
    family = dialect_of(dialect).family
    templates = _VALUES[family] if family in _VALUES else [template for each in _VALUES.values() for template in each]
    for pattern, replacement in templates:
        text, found = pattern.subn(replacement, text)
        if found:
            break
    if any(known.match(text) for known in _BARE_NAMES):
        return text
    pieces: list[str] = []
    position = 0
    for quoted in _QUOTED.finditer(text):
        pieces.append(_known_words(text[position : quoted.start()]))
        pieces.append(_name_or_nothing(quoted.group(), text[: quoted.start()]))
        position = quoted.end()
    pieces.append(_known_words(text[position:]))
    return _UNKNOWNS.sub("?", " ".join("".join(pieces).split()))


def _name_or_nothing(quoted: str, before: str) -> str:
    """A quoted text if the word before it says that it is a name, else the quotes with `?` inside."""
    if quoted[0] == "`":
        return quoted if _BACKTICKED(quoted) else "`?`"
    inside = quoted[1:-1]
    word = _LAST_WORD.search(before[-40:])
    named_by = word[1].lower() if word else ""
    if (named_by in _NAMED_BY and _IS_NAME(inside)) or (named_by in {"in", "key"} and inside in _PLACES):
        return quoted
    return f"{quoted[0]}?{quoted[0]}"


def _known_words(text: str) -> str:
    """`text` with `?` for every word that is not of the databases' vocabulary."""
    words = re.split(r"(\s+)", text)
    before = ""
    for place in range(0, len(words), 2):
        words[place] = _known_word(words[place], before)
        before = words[place].lower()
    return "".join(words)


def _known_word(chunk: str, before: str) -> str:
    found = _CHUNK.match(chunk)
    opening, word, closing = found.groups() if found else ("", chunk, "")
    if not word or word.lower() in ERROR_WORDS or (word[0] == "$" and word[1:].isdecimal()):
        return chunk
    if word.isdecimal() and len(word) <= 5 and before.strip("[(") in _COUNTED_BY:  # noqa: PLR2004  # a place, no value
        return chunk
    return f"{opening}?{closing}"
