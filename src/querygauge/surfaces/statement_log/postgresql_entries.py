"""
PostgreSQL's server log → its entries, from each of the three forms the server writes.

Comes in: text; goes out: `Entry` values of which only the message, the statement and what stands before them is kept:
details, hints, contexts, users and hosts are dropped here. Deliberately not here: what an entry means, which is
`postgresql_log`. Messages must be English (`lc_messages` `C` or `en_US`), as every reader of this log asks.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, dropwhile, takewhile
from types import MappingProxyType
from typing import Final, NamedTuple

from querygauge.patterns.normalizer import MAX_STATEMENT_CHARACTERS
from querygauge.surfaces.statement_log.texts import lines_of, pieces_of

__all__ = ["FORMS", "Entry", "Form", "form_of"]

Form = Callable[[Iterable[str]], Iterator["Entry | None"]]

# Levels an entry may have, and the names of the lines that belong to the entry before.
_SEVERITIES: Final = "LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?"
_PARTS: Final = "STATEMENT|DETAIL|HINT|CONTEXT|QUERY|LOCATION|BACKTRACE"
_LEVEL: Final = re.compile(rf"(?<![A-Za-z])(?:({_SEVERITIES})|({_PARTS})):  ").search
_ENTRY: Final = re.compile(rf"[^'\"`;\t]*?(?<![A-Za-z])(?:{_SEVERITIES}|{_PARTS}):  \S").match
_LINE_COMMENT: Final = ("--", "/*", "#")

# Columns of csvlog, the same since PostgreSQL 9.0; later versions appended some.
_TIME, _PROCESS, _SEVERITY, _MESSAGE, _QUERY, _COLUMNS = 0, 3, 11, 13, 19, 23
_CSV_ENTRY: Final = re.compile(
    rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^,]{{1,9}},.*,(?:{_SEVERITIES}),[0-9A-Z]{{5}},"
).match
# How a line ends on which an entry does: the program's name, the kind of process, or the number of a query.
_CSV_END: Final = re.compile(r',(?:"[^"]*"|-?[0-9]*)\r?\Z').search
# A statement with some of its quotes doubled, and no more than the csv module takes for one column.
_LONGEST_RECORD: Final = 2 * MAX_STATEMENT_CHARACTERS
_LOOKED_AT: Final = 200  # lines; what a log is shows on its first entries
_JSON_MEMBERS: Final = ("timestamp", "pid", "error_severity", "message")


class Entry(NamedTuple):
    """
    One entry of the log.

    Attributes:
        severity: `LOG`, `ERROR`, ….
        prefix: What stands before it, with the time and the process in it if the server was told to write them.
        message: The message, lines joined.
        statement: The statement it is about, where the log names it apart from the message.
    """

    severity: str
    prefix: str
    message: str
    statement: str | None


def form_of(head: str) -> str | None:
    """
    The form a log is written in, told from its beginning; None if it is no log of PostgreSQL.

    Of the first entry the beginning may be missing, as where `tail` gave the end of a log. In CSV the line before the
    second one must then look like the end of an entry.
    """
    written = head.split("\n")[:_LOOKED_AT]
    lines = [line for line in written if line.strip() and line[0] != "\t"]
    if not lines:
        return None
    if any(_is_json(line) for line in lines[:2]):
        return "jsonlog"
    if _is_csv(written):
        return "csvlog"
    entries = sum(1 for line in lines if _ENTRY(line) and not line.lstrip().startswith(_LINE_COMMENT))
    return "stderr" if 2 * entries >= len(lines) else None


def _is_csv(lines: list[str]) -> bool:
    before = list(takewhile(_is_no_csv_entry, lines))
    if len(before) == len(lines):
        return False
    return not any(map(str.strip, before)) or _CSV_END(before[-1]) is not None


def _is_no_csv_entry(line: str) -> bool:
    return _CSV_ENTRY(line) is None


def _is_json(line: str) -> bool:
    found = _json_object(line)
    return found is not None and all(member in found for member in _JSON_MEMBERS)


def _from_stderr(blocks: Iterable[str]) -> Iterator[Entry | None]:
    entry = _OpenEntry("", "", "")
    for line in lines_of(blocks):
        if line[:1] == "\t":
            entry.go_on(line[1:])
            continue
        level = _LEVEL(line)
        if level is None:
            entry.skip()
        elif level[2] is not None:
            entry.add(level[2], line[level.end() :])
        else:
            if entry.severity:
                yield entry.closed()
            entry = _OpenEntry(level[1], line[: level.start()], line[level.end() :])
    if entry.severity:
        yield entry.closed()


class _OpenEntry:
    """An entry of which lines may still come; it keeps as many of them as a statement may need."""

    __slots__ = ("_continued", "_message", "_prefix", "_room", "_statement", "severity")

    def __init__(self, severity: str, prefix: str, line: str) -> None:
        self.severity = severity
        self._prefix = prefix
        self._message = self._continued = [line]
        self._statement: list[str] | None = None
        self._room = MAX_STATEMENT_CHARACTERS

    def add(self, part: str, line: str) -> None:
        """Begins a part of the entry; only the statement is kept."""
        if part == "STATEMENT":
            self._statement = self._continued = [line]
            self._room = MAX_STATEMENT_CHARACTERS
        else:
            self.skip()

    def go_on(self, line: str) -> None:
        """Adds a further line of the part that is open."""
        if self._room > 0:
            self._continued.append(line)
            self._room -= len(line)

    def skip(self) -> None:
        """Lines that follow belong to nothing that is kept."""
        self._room = 0

    def closed(self) -> Entry:
        """The entry with the lines that came."""
        statement = None if self._statement is None else "\n".join(self._statement)
        return Entry(self.severity, self._prefix, "\n".join(self._message), statement)


def _from_csv(blocks: Iterable[str]) -> Iterator[Entry | None]:
    pieces = pieces_of(blocks)
    first = next(pieces, "")
    if first and _is_no_csv_entry(first):
        yield None  # the rest of an entry, of which nobody can tell what is quoted
    for record in _records(dropwhile(_is_no_csv_entry, chain([first], pieces))):
        # A record that was cut ends inside of a quoted column, which the reader accepts as it is.
        try:
            row = next(csv.reader([record]), [])
        except csv.Error:
            row = []
        if len(row) <= _MESSAGE:
            yield None
            continue
        statement = row[_QUERY] if len(row) > _QUERY else ""
        prefix = f"{row[_TIME]} [{row[_PROCESS]}]"
        yield Entry(row[_SEVERITY], prefix, row[_MESSAGE], statement or None)


def _records(pieces: Iterable[str]) -> Iterator[str]:
    """Lines put together until every quote is closed; of a record that is very long, the beginning."""
    kept: list[str] = []
    room, quotes = _LONGEST_RECORD, 0
    for piece in pieces:
        quotes += piece.count('"')
        if room > 0:
            kept.append(piece[:room])
            room -= len(piece)
        if piece[-1] == "\n" and quotes % 2 == 0:
            yield "".join(kept).rstrip("\r\n")
            kept, room, quotes = [], _LONGEST_RECORD, 0
    if kept:
        yield "".join(kept)


def _from_json(blocks: Iterable[str]) -> Iterator[Entry | None]:
    for line in lines_of(blocks):
        found = _json_object(line)
        if found is None:
            yield None
            continue
        prefix = f"{found.get('timestamp')} [{found.get('pid')}]"
        statement = found.get("statement")
        message = str(found.get("message", ""))
        yield Entry(
            str(found.get("error_severity", "")), prefix, message, None if statement is None else str(statement)
        )


def _json_object(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {"stderr": _from_stderr, "csvlog": _from_csv, "jsonlog": _from_json}
)
"""By the name PostgreSQL gives a form, what reads it; None stands for an entry that cannot be read."""
