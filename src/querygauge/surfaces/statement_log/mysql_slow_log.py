"""
The slow log of MySQL, MariaDB and Percona Server → executions.

Comes in: text; goes out: executions with durations, rows and outcomes. What the server writes around a statement is
dropped here: users, hosts, plans, the `use` and `SET timestamp` in front of it. Administrator commands are no
statements. Deliberately not here: the general log, and the slow log that is kept in a table.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from querygauge.patterns.normalizer import MAX_STATEMENT_CHARACTERS
from querygauge.surfaces.statement_log.execution import Execution
from querygauge.surfaces.statement_log.texts import lines_of
from querygauge.values import CANCELLED, ERROR, OK, TIMEOUT

__all__ = ["MysqlSlowLog", "is_slow_log"]

_OPENS: Final = ("# Time: ", "# User@Host: ")
# What a server that starts writes on top, or in between.
_BANNER: Final = re.compile(r"\S.*, Version: .* started with:|Tcp port: \d+ +Unix socket: |Time +Id +Command +Argument")
_FACT: Final = re.compile(r"(?<!\w)(Query_time|Rows_sent|Rows_affected|Last_errno|Errno|Killed): +([0-9.]+)")
_TIMESTAMP: Final = re.compile(r"SET (?:(?:last_insert_id|insert_id)=\d+,)*timestamp=(\d+)(?:\.(\d+))?;").fullmatch
_USE: Final = re.compile(r"use [^;]+;").fullmatch

_OUTCOMES: Final = {"1205": TIMEOUT, "1969": TIMEOUT, "3024": TIMEOUT, "1317": CANCELLED, "1927": CANCELLED}
_NS_PER_S: Final = 1e9


def is_slow_log(head: str) -> bool:
    """Whether a text that begins so is a slow log: both lines that every entry has are in it."""
    return re.search(r"(?m)^# User@Host: ", head) is not None and re.search(r"(?m)^# Query_time: ", head) is not None


class MysqlSlowLog:
    """
    Reads a slow log.

    Attributes:
        entries: Entries of the log, administrator commands included.
    """

    def __init__(self) -> None:
        self.entries = 0
        self._forget()

    def read(self, blocks: Iterable[str]) -> Iterator[Execution]:
        """The executions of a log, in its order."""
        for line in lines_of(blocks):
            if line.startswith(_OPENS) or _BANNER.match(line):
                if self._lines:
                    yield self._execution()
                self._forget()
            elif line.startswith("#") and not self._lines:
                self._note_facts(line)
            elif self._facts:
                self._note_line(line)
        if self._lines:
            yield self._execution()

    def notes(self) -> list[str]:
        """Nothing: what is no entry is passed over."""
        return []

    def _forget(self) -> None:
        self._facts: dict[str, str] = {}
        self._lines: list[str] = []
        self._room = MAX_STATEMENT_CHARACTERS
        self._started_us: int | None = None

    def _note_facts(self, line: str) -> None:
        found = dict(_FACT.findall(line))
        self.entries += "Query_time" in found
        self._facts.update(found)

    def _note_line(self, line: str) -> None:
        if not self._lines and self._started_us is None:
            if timestamp := _TIMESTAMP(line):
                self._started_us = int(timestamp[1]) * 1_000_000 + int((timestamp[2] or "0").ljust(6, "0")[:6])
                return
            if _USE(line):
                return
        if self._room > 0:
            self._lines.append(line)
            self._room -= len(line)

    def _execution(self) -> Execution:
        facts = self._facts
        rows = [int(facts[name]) for name in ("Rows_sent", "Rows_affected") if facts.get(name, "").isdigit()]
        return Execution(
            "\n".join(self._lines),
            _nanoseconds(facts.get("Query_time", "")),
            self._outcome(),
            sum(rows) if rows else None,
            self._started_us,
        )

    def _outcome(self) -> int:
        number = self._facts.get("Last_errno", self._facts.get("Errno", "0"))
        if number.strip("0"):
            return _OUTCOMES.get(number, ERROR)
        return CANCELLED if self._facts.get("Killed", "0").strip("0") else OK


def _nanoseconds(seconds: str) -> int | None:
    try:
        return round(float(seconds) * _NS_PER_S)
    except ValueError:
        return None
