"""`querygauge patterns mark`, `unmark` and `marks`: what somebody says of a query, for everybody who reads reports."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.moments import moment_of
from querygauge.surfaces.options import Format, Store, store_paths

__all__ = ["mark_pattern", "marked_patterns", "unmark_pattern"]

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the query, or the beginning of it.")]


class Kind(StrEnum):
    """What is said of a query."""

    accepted = "accepted"
    fixed = "fixed"
    expected = "expected"


def mark_pattern(
    pattern_id: _Id,
    kind: Annotated[Kind, typer.Argument(help="accepted or expected: quiet until worse; fixed: until found again.")],
    until: Annotated[
        str | None,
        typer.Option(help="A day, a moment, or a length from now: 2026-12-31, 30d.", show_default=False),
    ] = None,
    note: Annotated[str | None, typer.Option(help="Why, for those who read the report.", show_default=False)] = None,
    store: Store = None,
) -> None:
    """Mark a query as known: reports are quiet about it until it gets worse."""
    from querygauge.rendering.answers.marks import mark_line
    from querygauge.storage.opening import open_store

    moment = None if until is None else moment_of(until, datetime.now(UTC))
    marked = open_store(store_paths(store)).mark(pattern_id, kind.value, until=moment, note=note)
    typer.echo(f"{marked.pattern.id}  {marked.pattern.summary}: {mark_line(marked)}")


def unmark_pattern(pattern_id: _Id, store: Store = None) -> None:
    """Take back what was said of a query."""
    from querygauge.storage.opening import open_store

    open_store(store_paths(store)).unmark(pattern_id)


def marked_patterns(store: Store = None, form: AnswerFormat = Format.text) -> None:
    """List what was said of queries, and which have become worse since."""
    from querygauge.rendering.answers.marks import MARK_COLUMNS, mark_rows, render_marks
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).marks()
    print_answer(answer, form, lambda width: render_marks(answer, width=width), MARK_COLUMNS, mark_rows(answer))
