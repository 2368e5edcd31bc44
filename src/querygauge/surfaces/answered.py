"""
An answer of a store on standard output: as a page, as JSON, or as CSV.

Comes in: the value, and how it is laid out for people; goes out: what was asked for. Deliberately not here: any layout.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from querygauge.rendering.interchange import rows_to_csv
from querygauge.surfaces.console import page_width, show
from querygauge.surfaces.options import Format
from querygauge.values.base import Value

__all__ = ["AnswerFormat", "print_answer"]

AnswerFormat = Annotated[Format, typer.Option("--format", help="How to write it.")]


def print_answer(
    answer: Value,
    form: Format,
    text: Callable[[int], str],
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    """
    Prints an answer.

    Args:
        answer: All of it is the JSON.
        form: How it is written.
        text: Gives the page for a width in characters.
        columns: Those of the CSV, of which an empty answer has the names.
        rows: Its rows.
    """
    if form is Format.json:
        typer.echo(json.dumps(answer.to_dict(), indent=2))
    elif form is Format.csv:
        typer.echo(rows_to_csv(columns, rows), nl=False)
    else:
        show(text(page_width()))
