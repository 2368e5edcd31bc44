"""Marked queries, as a page and as rows."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from querygauge.rendering.names import named
from querygauge.rendering.tables import visible
from querygauge.values.answers.marks import MarkedPattern, Marks

__all__ = ["MARK_COLUMNS", "mark_line", "mark_rows", "render_marks"]

MARK_COLUMNS: Final = ("pattern_id", "summary", "kind", "marked_at", "until", "note", "is_worse", "reason")
_INDENT: Final = 10


def render_marks(marks: Marks, *, width: int) -> str:
    """One entry for each: what was said, when, why, and what became of it."""
    if not marks.patterns:
        return "no query is marked; querygauge patterns mark ID accepted marks one"
    return "\n".join(line for entry in marks.patterns for line in _entry(entry, width))


def _entry(entry: MarkedPattern, width: int) -> Iterator[str]:
    yield named(entry.pattern.id, visible(entry.pattern.summary))
    yield from _wrapped(mark_line(entry), width)


def mark_line(entry: MarkedPattern) -> str:
    """What was said, and what is worse since, in a line."""
    mark = entry.mark
    until = f" until {mark.until:%Y-%m-%d %H:%M} UTC" if mark.until else ""
    note = f": {mark.note}" if mark.note else ""
    worse = f"; worse since: {entry.reason}" if entry.reason else ""
    return f"{mark.kind} on {mark.marked_at:%Y-%m-%d}{until}{note}{worse}"


def mark_rows(marks: Marks) -> Iterator[dict[str, Any]]:
    """One per marked query."""
    for entry in marks.patterns:
        told = {"pattern_id": entry.pattern.id, "summary": entry.pattern.summary}
        yield {**told, **entry.mark.to_dict(), "is_worse": entry.is_worse, "reason": entry.reason}


def _wrapped(text: str, width: int) -> list[str]:
    indent = " " * _INDENT
    return textwrap.wrap(visible(text), width, initial_indent=indent, subsequent_indent=f"{indent}  ")
