"""
What a separator does not count in: literals, quoted names and comments, by the data of a `Dialect`.

In goes the dialect, out comes what opens such a construct, and for each a function that finds its end. The functions
take up a construct again where the last block of text ended. Where a construct may end at two places they say so.
Deliberately not here: what makes a pattern of it, which is `patterns.exact`.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from querygauge.patterns.dialects import Dialect
from querygauge.patterns.exact import CONTINUED, DOLLAR_TAG, executable_end

__all__ = ["COMMENTS", "LOST", "OPEN", "Inside", "constructs_of", "opening_of"]

Inside = Callable[[str, int], int]
"""From a text and the place where reading goes on, the place behind the construct; or `OPEN`, or `LOST`."""

OPEN: Final = -1
LOST: Final = -2
COMMENTS: Final = "-/#"
"""First characters of what opens a comment."""

_Opened = Callable[[str, re.Match[str]], Inside]

_LINE_END: Final = re.compile(r"[\n\r]")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
# What would mean something else outside of a comment than inside.
_TELLING: Final = re.compile(r"['\"`;$\[\]\\#{}]|--|/\*|\*/")
# A bracket and a `q` literal that end at the same place whichever way they are read.
_CERTAIN_BRACKET: Final = re.compile(
    r"\[(?:[^\]\['\"`;\\#$/\-qQ]|-(?!-)|/(?!\*)|[qQ](?!')|'[^'\]\\]*+')*+\](?!\])"
).match
_CERTAIN_Q: Final = re.compile(
    r"[qQ]'(?:\[[^'\\]*\]|\([^'\\]*\)|\{[^'\\]*\}|<[^'\\]*>|([^\s'\\\[({<])[^'\\]*\1)'(?!')"
).match
_Q_CLOSES: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}
_ESCAPE: Final = re.compile(r"(?i)(?<!\w)ESCAPE\s*\Z").search
_LONGEST_ESCAPE: Final = 20  # characters before a literal in which the word is looked for


def opening_of(dialect: Dialect) -> tuple[str, list[str]]:
    """The characters that may open a construct, and what must follow each, as parts of a regular expression."""
    quotes = "".join((*dialect.string_quotes, *(opens for opens, _ in dialect.name_quotes)))
    first = f"{re.escape(quotes)}\\-/"
    rest = [rf"(?<=[{re.escape(quotes)}])", r"(?<=-)-", r"(?<=/)\*"]
    if dialect.hash_comments != "no":
        first, rest = f"{first}#", [*rest, r"(?<=#)"]
    if dialect.dollar_quotes:
        first, rest = f"{first}$", [*rest, rf"(?<=\$)(?<![\w$].){DOLLAR_TAG}\$"]
    if dialect.brackets_doubtful:
        first, rest = rf"{first}\[", [*rest, r"(?<=\[)"]
    if dialect.q_quotes != "no":
        # Before it one letter may stand, as in `nq'[…]'`.
        first, rest = f"{first}qQ", [r"(?<=[qQ])(?<![^\W\d_][^\W\d_].)'(?s:.)?", *rest]
    return first, rest


@cache
def constructs_of(dialect: Dialect) -> Mapping[str, _Opened]:
    """By the character that opens a construct, what finds its end."""
    constructs: dict[str, _Opened] = {
        "-": lambda _text, _found: _dashes(dialect),
        "/": lambda _text, _found: _comment(dialect),
        "#": lambda _text, _found: _line_of(dialect) if dialect.hash_comments == "yes" else _doubtful_line,
        "$": lambda _text, found: _up_to(found.group()),
        "[": lambda _text, found: _certain(_CERTAIN_BRACKET, found.start()),
        **dict.fromkeys("qQ", _q_literal if dialect.q_quotes == "yes" else _doubtful_q_literal),
    }
    for opens, closes in dialect.name_quotes:
        constructs[opens] = _name(closes, is_doubled=opens == closes or dialect.doubled_brackets)
    for quote in dialect.string_quotes:
        constructs[quote] = _literal(quote, dialect)
    return MappingProxyType(constructs)


def _line_of(dialect: Dialect) -> Inside:
    return {"yes": _line_of_either_end, "no": _line, "doubtful": _line_of_one_end}[dialect.line_ends]


def _line(text: str, position: int) -> int:
    return text.find("\n", position)


def _line_of_either_end(text: str, position: int) -> int:
    end = _LINE_END.search(text, position)
    return end.start() if end else OPEN


def _line_of_one_end(text: str, position: int) -> int:
    end = _LINE_END.search(text, position)
    if end is None:
        return OPEN
    # Where a carriage return alone may end it, what follows must not tell.
    is_certain = end.group() == "\n" or text.startswith("\r\n", end.start())
    return end.start() if is_certain else _doubtful_line(text, position)


def _doubtful_line(text: str, position: int) -> int:
    end = _line(text, position)
    return LOST if _TELLING.search(text, position, len(text) if end < 0 else end) else end


def _up_to(closes: str) -> Inside:
    def inside(text: str, position: int) -> int:
        end = text.find(closes, position)
        return OPEN if end < 0 else end + len(closes)

    return inside


def _certain(form: Callable[[str, int], re.Match[str] | None], start: int) -> Inside:
    def inside(text: str, _position: int) -> int:
        found = form(text, start)
        return found.end() if found else LOST

    return inside


def _doubtful_q_literal(_text: str, found: re.Match[str]) -> Inside:
    return _certain(_CERTAIN_Q, found.start())


def _q_literal(_text: str, found: re.Match[str]) -> Inside:
    delimiter = found.group()[len("q'") :]
    return _up_to(f"{_Q_CLOSES.get(delimiter, delimiter)}'")


def _dashes(dialect: Dialect) -> Inside:
    def inside(text: str, position: int) -> int:
        after = text[position : position + 1]
        if dialect.dashes == "always" or not after or after <= " " or after == "\x7f":
            return _line_of(dialect)(text, position)
        return _doubtful_line(text, position) if dialect.dashes == "doubtful" else position

    return inside


def _comment(dialect: Dialect) -> Inside:
    depth = 1

    def nested(text: str, position: int) -> int:
        nonlocal depth
        for edge in _COMMENT_EDGE.finditer(text, position):
            if edge.group() == "/*" and dialect.nested_comments == "doubtful":
                return LOST
            depth += 1 if edge.group() == "/*" else -1
            if not depth:
                return edge.end()
        return OPEN

    plain = _up_to("*/") if dialect.nested_comments == "no" else nested
    return _executable_or(plain) if dialect.executable_comments else plain


def _executable_or(plain: Inside) -> Inside:
    """A comment that a server may read as SQL, in which a literal may hold what looks like the end."""

    def inside(text: str, position: int) -> int:
        if not text.startswith(("!", "M!"), position):
            return plain(text, position)
        end = executable_end(text, position)
        return LOST if end < 0 else end

    return inside


def _name(closes: str, *, is_doubled: bool) -> _Opened:
    close = re.escape(closes)
    doubled = rf"(?:{close * 2}[^{close}]*+)*+" if is_doubled else ""
    inside = _closed_by(re.compile(rf"[^{close}]*+{doubled}{close}"))
    return lambda _text, _found: inside


def _literal(quote: str, dialect: Dialect) -> _Opened:
    doubling = _closed_by(re.compile(rf"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"))
    escaping = _closed_by(re.compile(rf"[^{quote}\\]*+(?:(?:\\(?s:.)|{quote}{quote})[^{quote}\\]*+)*+{quote}"))
    if dialect.backslash == "prefixed":
        return lambda text, found: (
            _not_continued(escaping) if _is_prefixed(text[max(0, found.start() - 2) : found.start()]) else doubling
        )
    if dialect.backslash == "doubtful":
        return lambda text, found: _doubtful_literal(
            quote, text[max(0, found.start() - _LONGEST_ESCAPE) : found.start()]
        )
    return lambda _text, _found: escaping if dialect.backslash == "always" else doubling


def _not_continued(escaping: Inside) -> Inside:
    """A literal with escapes; one that goes on in a further literal, in which they hold too, is not followed."""

    def inside(text: str, position: int) -> int:
        end = escaping(text, position)
        return LOST if end >= 0 and CONTINUED.match(text, end) else end

    return inside


def _is_prefixed(before: str) -> bool:
    return before[-1:] in {"e", "E"} and not (len(before) > 1 and (before[0].isalnum() or before[0] in "_$"))


def _doubtful_literal(quote: str, before: str) -> Inside:
    form = re.compile(
        rf"[^{quote}\\]*+(?:(?:\\[^{quote}]|{quote}{quote})[^{quote}\\]*+)*+(?:{quote}|(\\{quote}))"
    ).match
    may_be_the_escape = _ESCAPE(before) is not None

    def inside(text: str, position: int) -> int:
        found = form(text, position)
        if found is None:
            return OPEN
        # The character after ESCAPE is one backslash in any reading, unless it goes on.
        is_the_escape = (
            may_be_the_escape and found.end() - position == len("\\'") and text[found.end() : found.end() + 1] != quote
        )
        return LOST if found[1] and not is_the_escape else found.end()

    return inside


def _closed_by(form: re.Pattern[str]) -> Inside:
    def inside(text: str, position: int) -> int:
        found = form.match(text, position)
        return found.end() if found else OPEN

    return inside
