"""
Odd input → plain input: comments, dollar quotes, escapes and unusual names, read character for character.

In goes a statement, out comes one with the same meaning that the fast pass of `normalizer` reads rightly: comments are
a space, literals that need care are `''`, a quoted name stays if it looks like a name and is `?` in its quotes if not.
What may be read in two ways is swallowed together with all that follows. Most statements need none of this;
`is_odd` tells in less than a microsecond. Deliberately not here: placeholders, numbers, and everything else the fast
pass does itself.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from querygauge.patterns.dialects import Dialect
from querygauge.patterns.doubtful_names import without_doubtful_names

__all__ = ["CONTINUED", "DOLLAR_TAG", "executable_end", "is_odd", "to_plain"]

DOLLAR_TAG: Final = r"(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?"
"""What may stand between the dollars of PostgreSQL's literals."""

# What a quoted name may hold to be kept: anything else could be a value in the wrong quotes.
_LOOKS_LIKE_A_NAME: Final = re.compile(r"[^\W\d][\w $.\-]{0,62}").fullmatch
_DOLLAR_TAG: Final = re.compile(rf"\${DOLLAR_TAG}\$")
# A literal in PostgreSQL goes on in the next one if a line ends between them, and with it whether a backslash escapes.
CONTINUED: Final = re.compile(r"[^\S\n\r]*+(?:--[^\n\r]*+)?+[\n\r](?:\s|--[^\n\r]*+)*+'")
# The end of a comment that a server reads as SQL; a literal in it may hold what looks like the end.
_EXECUTABLE: Final = re.compile(
    r"(?:[^'\"`*]|\*(?!/)|'(?:[^'\\]|\\(?s:.))*+'|\"(?:[^\"\\]|\\(?s:.))*+\"|`[^`]*+`)*+\*/"
)
# What would open something in one dialect or another if it stood where it is not within a name or a literal.
_OPENS: Final = re.compile(rf"['\"`\[\\#]|--|/\*|\${DOLLAR_TAG}\$").search
# What may stand between brackets: a name, or places and bounds in an array.
_SUBSCRIPT: Final = re.compile(r"[\s(\[+-]*+(?:[\w$:@?.%]++\s*+[,:+*()\[-]++\s*+)*+[\w$:@?.%]*+\s*+").fullmatch
_COMMENTS: Final = re.compile(r"/\*|--|#")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_ESCAPED_LITERAL: Final = re.compile(r"[eE]'")
# What SQLAlchemy's compiler leaves for later: a list of values, and a schema, none of which is the default one.
_BIND_NAME: Final = r"(?:[^\]\[/*#$\\'\"`~\s-]|-(?!-))"
_WITHIN: Final = r"~~(?:[^'\"`\[\]/*#$\\-]|[/*-](?![/*-])){0,512}?~~"
_TOKEN: Final = re.compile(
    rf"(?<![\w$])__\[(?:(?P<list>POSTCOMPILE_{_BIND_NAME}{{1,128}}(?:{_WITHIN})?)\]|SCHEMA__none\]\.|"
    r"SCHEMA_(?P<schema>[^\W\d]\w{0,127})\])"
)
# SQLite's variables may end in parentheses that hold anything but a blank.
_TCL_VARIABLE: Final = re.compile(r"[$@:](?<![\w$:?].)[\w$:]++\((?:[^\s)]*+\))?+")
# By the character that opens a name; how many of it a plain name has, and how it looks.
_PLAIN_NAME: Final = {
    '"': (2, re.compile(r"\"[^\W\d]\w*\"")),
    "`": (2, re.compile(r"`[^\W\d]\w*`")),
    "[": (1, re.compile(r"\[[^\W\d]\w*\](?!\])")),
}
_AFTER_ESCAPE: Final = re.compile(r"(?i)(?<!\w)ESCAPE\s*\Z").search
_LONGEST_ESCAPE: Final = 20  # characters before a literal in which the word is looked for
_Q_CLOSES: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}
_EXECUTED: Final = ("!", "M!")
_CONTINUED_LINE: Final = re.compile(r"\\\r?\n")
_LINE_END: Final = re.compile(r"[\n\r]")
_LITERAL: Final = "''"
# Beyond so many of them a statement is read as if it were cut there; each costs microseconds.
_MAX_READINGS: Final = 8_192
# What a reader gives: the text that stands for what it read, and where it ended; -1 swallows the rest.
_Reading = tuple[str, int]


def is_odd(statement: str, dialect: Dialect) -> bool:
    """Whether the fast pass might misread `statement`; never false when it would."""
    # One character is found in a tenth of the time that two take.
    return (
        ("-" in statement and "--" in statement)
        or ("/" in statement and "/*" in statement)
        or (dialect.hash_comments != "no" and "#" in statement)
        or (dialect.dollar_quotes and "$" in statement and _DOLLAR_TAG.search(statement) is not None)
        or ("\\" in statement and _has_odd_backslash(statement, dialect))
        or ("[" in statement and (dialect.brackets_doubtful or "__[" in statement))
        or (dialect.tcl_variables != "no" and "(" in statement and _TCL_VARIABLE.search(statement) is not None)
        or (dialect.q_quotes != "no" and ("q'" in statement or "Q'" in statement))
        or any(opens in statement and not _inert(statement, opens) for opens, _ in dialect.name_quotes)
        or (dialect.name_quotes_literals and '"' in statement)
    )


def _has_odd_backslash(statement: str, dialect: Dialect) -> bool:
    if dialect.continued_lines and _CONTINUED_LINE.search(statement):
        return True
    if dialect.backslash == "prefixed":
        return _ESCAPED_LITERAL.search(statement) is not None
    return dialect.backslash == "doubtful"


def _inert(statement: str, quote: str) -> bool:
    # If every quote belongs to a pair around a plain word, no other quote can stand between two of a pair: each pair
    # lies inside one literal or outside of all, and the fast pass may read over it.
    quotes, plain = _PLAIN_NAME[quote]
    return statement.count(quote) == quotes * len(plain.findall(statement))


def to_plain(statement: str, dialect: Dialect) -> tuple[str, bool]:
    """`statement` with everything odd made plain, in time linear in its length; and whether its end is missing."""
    opens, readers = _readers(dialect)
    pieces: list[str] = []
    position = 0
    is_cut = False
    for _ in range(_MAX_READINGS):
        found = opens.search(statement, position)
        if found is None:
            pieces.append(statement[position:])
            break
        pieces.append(statement[position : found.start()])
        text, position = readers[found.group()[0]](statement, found)
        pieces.append(text)
        if position < 0:
            break
    else:
        is_cut = True
    plain = "".join(pieces)
    return without_doubtful_names(plain) if dialect.name_quotes_literals and '"' in plain else plain, is_cut


_Reader = Callable[[str, re.Match[str]], _Reading]


@cache
def _readers(dialect: Dialect) -> tuple[re.Pattern[str], dict[str, _Reader]]:
    """What opens something odd, and by its first character who reads it."""
    # Beyond ASCII, what is a space or a control to MySQL depends on the character set of the connection.
    opening = [r"--(?=[\x00-\x20\x7f-\xa0]|\Z)" if dialect.dashes == "spaced" else "--", r"/\*"]
    line = {"yes": _line_of_either_end, "no": _line, "doubtful": _line_of_one_end}[dialect.line_ends]
    opening.insert(0, _TOKEN.pattern)
    dashes = line if dialect.dashes == "always" else _dashes_reader(line)
    readers: dict[str, _Reader] = {"-": dashes, "/": _comment_reader(dialect), "_": _token}
    for quote in dialect.string_quotes:
        opening.append(quote)
        readers[quote] = _literal_reader(dialect, quote)
    for opens, closes in dialect.name_quotes:
        opening.append(re.escape(opens))
        readers[opens] = _name_reader(opens, closes, dialect)
    if dialect.hash_comments != "no":
        opening.append("#")
        readers["#"] = line if dialect.hash_comments == "yes" else _swallow
    if dialect.dollar_quotes:
        # Glued to an identifier, a dollar is a part of it.
        opening.append(rf"(?<![\w$]){_DOLLAR_TAG.pattern}")
        readers["$"] = _dollar_reader(dialect)
    if dialect.tcl_variables != "no":
        opening.insert(0, _TCL_VARIABLE.pattern)
        reader = _variable if dialect.tcl_variables == "yes" else _doubtful_variable
        readers |= {":": reader, "@": reader, "$": _one_of(reader, readers.get("$"))}
    if dialect.brackets_doubtful:
        opening.append(r"\[[^\]'\"`]*+\]?")
        readers["["] = _bracket
    if dialect.q_quotes != "no":
        opening.insert(0, r"(?<![^\W\d_][^\W\d_])[qQ]'")
        readers["q"] = readers["Q"] = _q_literal if dialect.q_quotes == "yes" else _swallow_literal
    if dialect.continued_lines:
        opening.append(_CONTINUED_LINE.pattern)
        readers["\\"] = lambda _statement, found: ("", found.end())
    return re.compile("|".join(opening)), readers


def _literal_reader(dialect: Dialect, quote: str) -> _Reader:
    escaping = re.compile(rf"[^{quote}\\]*+(?:\\(?s:.)?+[^{quote}\\]*+|{quote}{quote}[^{quote}\\]*+)*+{quote}")
    doubling = re.compile(rf"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}")

    def read(statement: str, found: re.Match[str]) -> _Reading:
        start = found.end()
        escapes = dialect.backslash == "always"
        if dialect.backslash == "prefixed":
            before = statement[max(0, start - 3) : start - 1]
            escapes = before[-1:] in {"e", "E"} and not (len(before) > 1 and _is_of_a_word(before[0]))
        closed = (escaping if escapes else doubling).match(statement, start)
        if closed is None:
            return _LITERAL, -1
        if dialect.backslash == "doubtful" and _is_doubtful(closed.group(), quote, statement, start - 1):
            return _LITERAL, -1
        while escapes and dialect.backslash == "prefixed" and (more := CONTINUED.match(statement, closed.end())):
            closed = escaping.match(statement, more.end())
            if closed is None:
                return _LITERAL, -1
        return _LITERAL, closed.end()

    return read


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or character in "_$" or character >= "\x80"  # to PostgreSQL, a letter


def _is_doubtful(literal: str, quote: str, statement: str, start: int) -> bool:
    if "\\" + quote not in literal:
        return False
    # `ESCAPE '\'` is the one place where a backslash before the closing quote cannot escape it.
    before = statement[max(0, start - _LONGEST_ESCAPE) : start]
    return literal != "\\" + quote or _AFTER_ESCAPE(before) is None


def _token(_statement: str, found: re.Match[str]) -> _Reading:
    return "?" if found["list"] else found["schema"] or "", found.end()


def _variable(_statement: str, found: re.Match[str]) -> _Reading:
    return _LITERAL, found.end() if found.group().endswith(")") else -1


def _doubtful_variable(_statement: str, found: re.Match[str]) -> _Reading:
    # A variable, or a name and what stands in parentheses after it.
    text = found.group()
    return (text, found.end()) if text.endswith(")") and not _OPENS(text) else (text[: text.index("(") + 1], -1)


def _one_of(variable: _Reader, dollar: _Reader | None) -> _Reader:
    def read(statement: str, found: re.Match[str]) -> _Reading:
        return dollar(statement, found) if dollar and "(" not in found.group() else variable(statement, found)

    return read


def _name_reader(opens: str, closes: str, dialect: Dialect) -> _Reader:
    end = re.escape(closes)
    doubled = rf"(?:{end}{end}[^{end}]*+)*+" if opens == closes or dialect.doubled_brackets else ""
    inside = re.compile(rf"([^{end}]*+{doubled}){end}")

    def read(statement: str, found: re.Match[str]) -> _Reading:
        closed = inside.match(statement, found.end())
        if closed is None:
            return _LITERAL, -1
        name = closed.group(1)
        if dialect.brackets_doubtful and _OPENS(name.replace(closes, "")):
            return _LITERAL, -1
        return f"{opens}{name if _LOOKS_LIKE_A_NAME(name) else '?'}{closes}", closed.end()

    return read


def _dashes_reader(line: _Reader) -> _Reader:
    def read(statement: str, found: re.Match[str]) -> _Reading:
        after = statement[found.end() : found.end() + 1]
        return line(statement, found) if after <= " " or after == "\x7f" else ("", -1)

    return read


def _comment_reader(dialect: Dialect) -> _Reader:
    def read(statement: str, found: re.Match[str]) -> _Reading:
        if dialect.executable_comments and statement.startswith(_EXECUTED, found.end()):
            return " ", executable_end(statement, found.end())
        if dialect.nested_comments == "no":
            end = statement.find("*/", found.end())
            return " ", end + 2 if end >= 0 else -1
        depth = 1
        for edge in _COMMENT_EDGE.finditer(statement, found.end()):
            if edge.group() == "*/":
                depth -= 1
            elif dialect.nested_comments == "doubtful":
                return " ", -1
            else:
                depth += 1
            if not depth:
                return " ", edge.end()
        return " ", -1

    return read


def executable_end(statement: str, start: int) -> int:
    """Where a comment ends that is SQL to some servers; -1 if that depends on which, or if it never does."""
    plain, read = statement.find("*/", start), _EXECUTABLE.match(statement, start)
    is_certain = read is not None and read.end() == plain + 2
    # A comment within may hold what looks like the end.
    return plain + 2 if is_certain and not _COMMENTS.search(statement, start, plain) else -1


def _line_of_either_end(statement: str, found: re.Match[str]) -> _Reading:
    end = _LINE_END.search(statement, found.end())
    return " ", end.start() if end else -1


def _line_of_one_end(statement: str, found: re.Match[str]) -> _Reading:
    end = _LINE_END.search(statement, found.end())
    if end is None:
        return " ", -1
    # A carriage return alone ends it or not.
    is_certain = end.group() == "\n" or statement.startswith("\r\n", end.start())
    return " ", end.start() if is_certain else -1


def _line(statement: str, found: re.Match[str]) -> _Reading:
    end = statement.find("\n", found.end())
    return " ", end if end >= 0 else -1


def _swallow(_statement: str, _found: re.Match[str]) -> _Reading:
    return " ", -1


def _swallow_literal(_statement: str, _found: re.Match[str]) -> _Reading:
    return _LITERAL, -1


def _q_literal(statement: str, found: re.Match[str]) -> _Reading:
    delimiter = statement[found.end() : found.end() + 1]
    end = statement.find(_Q_CLOSES.get(delimiter, delimiter) + "'", found.end() + 1)
    return _LITERAL, end + 2 if end >= 0 else -1


def _dollar_reader(dialect: Dialect) -> _Reader:
    def read(statement: str, found: re.Match[str]) -> _Reading:
        start, tag = found.end(), found.group()
        end = statement.find(tag, start)
        # To PostgreSQL any blank beyond ASCII is a letter, and the dollar after it a part of a name.
        is_glued = statement[found.start() - 1 : found.start()] > "\x7f"
        # A tag is a name elsewhere, and what stands between two of them is read there.
        is_doubtful = dialect.brackets_doubtful and _OPENS(statement, start, max(start, end))
        return _LITERAL, -1 if end < 0 or is_glued or is_doubtful else end + len(tag)

    return read


def _bracket(statement: str, found: re.Match[str]) -> _Reading:
    # With a quote or the like inside, nobody knows whether it or the bracket counts; nor what a second bracket closes.
    text = found.group()
    if not text.endswith("]") or statement.startswith("]", found.end()) or _OPENS(text.replace("[", "")):
        return "", -1
    is_plain = _LOOKS_LIKE_A_NAME(text[1:-1]) or _SUBSCRIPT(text[1:-1])
    return text if is_plain else "[?]", found.end()
