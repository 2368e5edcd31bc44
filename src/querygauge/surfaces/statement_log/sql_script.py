"""
SQL text → statements, one at a time, in memory bounded by one statement.

Comes in: text in blocks; goes out: statements as they are written, without what separates them. Where a statement ends
follows from the `Dialect`: no separator counts within a literal, a name or a comment. Where one of these can be read in
two ways that disagree about what follows, all that follows is one statement: a separator inside a literal must not make
a statement of a value. The same statement then ends early in its pattern.

Deliberately not here: what a statement means. What begins with no word of SQL is counted, and nothing of it is given.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from querygauge.patterns.dialects import Dialect, dialect_of
from querygauge.patterns.normalizer import MAX_STATEMENT_CHARACTERS
from querygauge.surfaces.statement_log import client_lines as client
from querygauge.surfaces.statement_log.execution import Execution
from querygauge.surfaces.statement_log.first_words import FIRST_WORDS
from querygauge.surfaces.statement_log.sql_constructs import COMMENTS, LOST, OPEN, Inside, constructs_of, opening_of

__all__ = ["SqlScript"]

_SEPARATOR: Final = ";"
# Lines longer than this are taken apart, at a blank if there is one.
_LONGEST_LINE: Final = 1024 * 1024
_BATCH_END: Final = re.compile(client.BATCH_END).match
_BLANKS: Final = re.compile(r"\s++").match
_FIRST_WORD: Final = re.compile(r"[\s({?=]*+([A-Za-z]\w*+)").match

# What may hold statements of its own, up to the END that closes its BEGIN.
_ROUTINE: Final = re.compile(
    r"(?is)(?:CREATE|ALTER)\b[^;]*?\b(?:TRIGGER|PROC|PROCEDURE|FUNCTION|EVENT|PACKAGE)\b|BEGIN\s+NOT\s+ATOMIC\b"
).match
# By family: what ends nowhere but at a line of its own.
_UP_TO_A_LINE: Final = {
    "mssql": re.compile(r"(?is)(?:CREATE|ALTER)\b[^;]*?\b(?:TRIGGER|PROC|PROCEDURE|FUNCTION)\b").match,
    "oracle": re.compile(
        r"(?is)(?:CREATE|ALTER)\b[^;]*?\b(?:TRIGGER|PROCEDURE|FUNCTION|PACKAGE|TYPE)\b|(?:BEGIN|DECLARE)\b"
    ).match,
}
_MAY_BE_A_ROUTINE: Final = frozenset({"CREATE", "ALTER", "BEGIN", "DECLARE"})
_LONGEST_ROUTINE_HEAD: Final = 1_000
_WORD: Final = (
    r"(?P<word>(?<=[BbCcEe])(?<![\w$@#.].)(?:(?<=[Bb])(?i:EGIN(?:\s+(?:TRAN|TRANSACTION|WORK))?)|(?<=[Cc])(?i:ASE)"
    r"|(?<=[Ee])(?i:ND(?:\s+(?:IF|LOOP|WHILE|REPEAT|FOR|CASE|TRY|CATCH))?))(?![\w$#]))"
)
_NO_CHANGE: Final = frozenset({"IF", "LOOP", "WHILE", "REPEAT", "FOR", "TRAN", "TRANSACTION", "WORK"})


class SqlScript:
    """
    Reads a text of SQL statements.

    Attributes:
        entries: Statements given so far.
    """

    def __init__(self, dialect: str) -> None:
        self.entries = 0
        self._dialect = dialect_of(dialect)
        self._constructs = constructs_of(self._dialect)
        self._set_separator(_SEPARATOR)
        self._done: list[Execution] = []
        self._not_sql = 0
        self._line = 1
        self._lost_at: int | None = None
        self._inside: Inside | None = None
        self._is_kept = True  # what is inside belongs to the statement
        self._begin_anew()

    def read(self, blocks: Iterable[str]) -> Iterator[Execution]:
        """The statements of a text, in its order."""
        for text in _whole_lines(blocks):
            self._feed(text)
            self._line += text.count("\n")
            yield from self._done
            self._done.clear()
        self._end_statement()
        yield from self._done

    def notes(self) -> list[str]:
        """What was not read, or not as it may have been meant."""
        notes = []
        if self._lost_at is not None:
            notes.append(
                f"from line {self._lost_at:,} on all is read as one statement: where it ends depends on the dialect, "
                "and --dialect names it"
            )
        if self._not_sql:
            notes.append(f"left out, because it began with no word of SQL: {self._not_sql:,} times")
        return notes

    def _set_separator(self, separator: str) -> None:
        self._opening = _opening(self._dialect, separator, with_words=False)
        # With a separator of its own, a routine needs no counting.
        self._opening_in_routines = _opening(self._dialect, separator, with_words=separator == _SEPARATOR)

    def _begin_anew(self) -> None:
        self._pieces: list[str] = []
        self._room = MAX_STATEMENT_CHARACTERS + 1  # one more, by which a pattern knows that it was cut
        self._word: str | None = None  # the first, in capitals; None until something but comments is seen
        self._depth = 0  # of BEGIN and CASE within a routine

    def _feed(self, text: str) -> None:
        position = 0
        while position < len(text):
            if self._inside is not None:
                position = self._pass_construct(text, position, self._inside)
                continue
            start = self._pass_client_lines(text, position) if self._word is None else position
            position = self._pass_code(text, start) if start == position else start

    def _pass_construct(self, text: str, position: int, inside: Inside) -> int:
        end = inside(text, position)
        if end == LOST:
            self._lost_at = self._line + text.count("\n", 0, position)
            self._inside = _nowhere
            return position
        if end == OPEN:
            end = len(text)
        else:
            self._inside = None
        if self._is_kept:
            self._keep(text[position:end])
        return end

    def _pass_client_lines(self, text: str, position: int) -> int:
        """Passes blanks and one client's command between two statements."""
        blanks = _BLANKS(text, position)
        start = blanks.end() if blanks else position
        if found := client.DELIMITER(text, start):
            self._set_separator(found[1])
        elif found := client.USE(text, start):
            self._word = "USE"
            self._keep(found.group())
            self._end_statement()
        else:
            found = client.COMMAND(text, start) or _BATCH_END(text, start)
        if found is None and (word := _FIRST_WORD(text, start)):
            self._word = word[1].upper()
        return found.end() if found else start

    def _pass_code(self, text: str, position: int) -> int:
        opening = self._opening_in_routines if self._word in _MAY_BE_A_ROUTINE else self._opening
        found = opening.search(text, position)
        if found is None:
            self._keep(text[position:])
            return len(text)
        self._keep(text[position : found.start()])
        self._pass_token(text, found)
        return found.end()

    def _pass_token(self, text: str, found: re.Match[str]) -> None:
        token = found.group()
        if found.lastgroup == "separator":
            self._separate(token)
        elif found.lastgroup == "batch":
            self._end_statement()
        elif found.lastgroup == "command":
            if client.ENDS_STATEMENT(token):
                self._end_statement()
            elif client.COPIES_DATA(token):
                self._enter(_data, is_kept=False)
        elif found.lastgroup == "word":
            self._keep(token)
            self._nest(token)
        else:
            is_kept = self._word is not None or token[0] not in COMMENTS
            if is_kept:
                self._keep(token)
            self._enter(self._constructs[token[0]](text, found), is_kept=is_kept)

    def _enter(self, inside: Inside, *, is_kept: bool) -> None:
        self._inside = inside
        self._is_kept = is_kept

    def _keep(self, text: str) -> None:
        if self._word is None and text and not text.isspace():
            self._word = ""
        if self._word is not None and self._room > 0:
            self._pieces.append(text[: self._room])
            self._room -= len(text)

    def _nest(self, token: str) -> None:
        last = token.upper().split()[-1]
        if last not in _NO_CHANGE and _ROUTINE(self._head()):
            self._depth = max(0, self._depth + (-1 if token[0] in "Ee" else 1))

    def _head(self) -> str:
        return "".join(self._pieces)[:_LONGEST_ROUTINE_HEAD]

    def _separate(self, separator: str) -> None:
        up_to_a_line = _UP_TO_A_LINE.get(self._dialect.family)
        if self._depth or (self._word in _MAY_BE_A_ROUTINE and up_to_a_line and up_to_a_line(self._head())):
            self._keep(separator)
            return
        copies_data = self._word == "COPY" and client.COPIES_DATA("".join(self._pieces))
        self._end_statement()
        if copies_data:
            self._enter(_data, is_kept=False)

    def _end_statement(self) -> None:
        if self._word in FIRST_WORDS:
            self.entries += 1
            self._done.append(Execution("".join(self._pieces)))
        elif self._word is not None:
            self._not_sql += 1
        self._begin_anew()


def _whole_lines(blocks: Iterable[str]) -> Iterator[str]:
    """The same text in blocks that end with a line, as far as lines are not too long."""
    rest = ""
    for block in blocks:
        text = rest + block
        end = text.rfind("\n") + 1
        if not end and len(text) > _LONGEST_LINE:
            end = max(text.rfind(" "), text.rfind(",")) + 1 or len(text)
        if end:
            yield text[:end]
        rest = text[end:]
    yield rest


@lru_cache(maxsize=32)  # separators come from the text
def _opening(dialect: Dialect, separator: str, *, with_words: bool) -> re.Pattern[str]:
    """What ends a run of plain code; one set of first characters, so that the others are passed quickly."""
    first, rest = opening_of(dialect)
    alternatives = [
        rf"(?<={re.escape(separator[0])})(?P<separator>{re.escape(separator[1:])})",
        rf"(?<=\n)(?P<batch>{client.BATCH_END})",
        r"(?<=\\)(?P<command>(?!;)[^\n]*)",
        *([_WORD] if with_words else []),
        *rest,
    ]
    words = "BbCcEe" if with_words else ""
    return re.compile(rf"[{re.escape(separator[0])}\n\\{words}{first}](?:{'|'.join(alternatives)})")


def _data(text: str, position: int) -> int:
    found = client.END_OF_DATA(text, position)
    return found.end() if found else OPEN


def _nowhere(_text: str, _position: int) -> int:
    return OPEN
