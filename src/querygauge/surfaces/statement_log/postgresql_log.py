"""
Entries of PostgreSQL's log → executions, each counted once.

Comes in: entries of any form; goes out: executions. A statement may be logged when it begins (`log_statement`), when
it ends (`log_duration`, `log_min_duration_statement`) and when it fails, together or apart, so one that began waits for
its end within its session. Durations of parsing and binding, and of further rows fetched, are no executions.

Deliberately not here: parameters, plans of auto_explain, audits, and everything else servers log.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from querygauge.surfaces.statement_log.execution import Execution
from querygauge.surfaces.statement_log.moments import moment_in
from querygauge.surfaces.statement_log.postgresql_entries import FORMS, Entry
from querygauge.values import CANCELLED, ERROR, TIMEOUT

__all__ = ["PostgresqlLog"]

_MESSAGE: Final = re.compile(
    r"(?:duration: (?P<ms>[0-9]+(?:\.[0-9]+)?) ms(?:  |\Z))?"
    r"(?:(?P<kind>statement|execute (?!fetch from )[^:\n]*): )?"
).match
_SESSION: Final = re.compile(r"\[(\d+)(?:-\d+)?\]|(?<!\w)pid=(\d+)|(?<![\w.])([0-9a-f]{6,}\.[0-9a-f]+)(?![\w.])").search
_FAILURES: Final = frozenset({"ERROR", "FATAL", "PANIC"})
_OTHER_ENDS: Final = (
    ("canceling statement due to statement timeout", TIMEOUT),
    ("canceling statement due to lock timeout", TIMEOUT),
    ("canceling statement due to user request", CANCELLED),
)
_NS_PER_MS: Final = 1e6
# Sessions that began a statement and did not end it, beyond which the oldest is taken to have ended.
_MOST_SESSIONS: Final = 1_000


class _Begun(NamedTuple):
    statement: str
    started_us: int | None


class PostgresqlLog:
    """
    Reads a server log of PostgreSQL in one of the forms of `FORMS`.

    Attributes:
        entries: Entries of the log, whatever they say.
    """

    def __init__(self, form: str) -> None:
        self.entries = 0
        self._unread = 0
        self._unmatched = 0
        self._entries_of = FORMS[form]
        self._begun: dict[str, _Begun] = {}

    def read(self, blocks: Iterable[str]) -> Iterator[Execution]:
        """The executions of a log, in the order in which their ends were logged."""
        for entry in self._entries_of(blocks):
            if entry is None:
                self._unread += 1
                continue
            self.entries += 1
            if entry.severity == "LOG":
                yield from self._logged(entry)
            elif entry.severity in _FAILURES and entry.statement:
                yield from self._failed(entry, entry.statement)
        for begun in self._begun.values():
            yield Execution(begun.statement, started_us=begun.started_us)

    def notes(self) -> list[str]:
        """What could not be read."""
        notes = []
        if self._unread:
            notes.append(f"entries that could not be read, being cut or of another kind: {self._unread:,}")
        if self._unmatched:
            notes.append(
                f"durations that could not be given to their statements: {self._unmatched:,}; "
                "log_line_prefix must have %p or %c for that"
            )
        return notes

    def _logged(self, entry: Entry) -> Iterator[Execution]:
        found = _MESSAGE(entry.message)
        if found is None or not found.end():
            return
        statement = entry.message[found.end() :]
        duration_ns = None if found["ms"] is None else round(float(found["ms"]) * _NS_PER_MS)
        if found["kind"] and duration_ns is not None:
            yield Execution(statement, duration_ns, started_us=_started_us(entry, duration_ns))
        elif found["kind"]:
            yield from self._begin(_session_of(entry), _Begun(statement, moment_in(entry.prefix)))
        elif duration_ns is not None and not statement:
            yield from self._end(_session_of(entry), duration_ns)

    def _begin(self, session: str, begun: _Begun) -> Iterator[Execution]:
        before = self._begun.pop(session, None)
        if before is None and len(self._begun) >= _MOST_SESSIONS:
            before = self._begun.pop(next(iter(self._begun)))
        self._begun[session] = begun
        if before is not None:
            yield Execution(before.statement, started_us=before.started_us)

    def _end(self, session: str, duration_ns: int) -> Iterator[Execution]:
        if not session:
            # Whose duration it is cannot be told from its place: sessions write in turn.
            self._unmatched += 1
        elif begun := self._begun.pop(session, None):
            yield Execution(begun.statement, duration_ns, started_us=begun.started_us)

    def _failed(self, entry: Entry, statement: str) -> Iterator[Execution]:
        begun = self._begun.pop(_session_of(entry), None)
        if begun is not None and begun.statement.strip() != statement.strip():
            yield Execution(begun.statement, started_us=begun.started_us)
        outcome = next((outcome for text, outcome in _OTHER_ENDS if text in entry.message), ERROR)
        yield Execution(statement, outcome=outcome, started_us=_started_us(entry, 0))


def _session_of(entry: Entry) -> str:
    """What tells sessions apart in a prefix: the process, or the session id; empty if neither is in it."""
    found = _SESSION(entry.prefix)
    return "" if found is None else found[found.lastindex or 0]


def _started_us(entry: Entry, duration_ns: int) -> int | None:
    moment_us = moment_in(entry.prefix)
    return None if moment_us is None else moment_us - duration_ns // 1_000
