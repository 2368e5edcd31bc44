"""`querygauge quality`: how content somebody who waits for the queries of a range may be."""

from typing import Annotated

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Service, Span, Store, store_paths

__all__ = ["quality"]


def quality(
    store: Store = None,
    span: Span = "7d",
    service: Service = None,
    limit: Annotated[int, typer.Option(help="Entries of each list.", min=1)] = 10,
    form: AnswerFormat = Format.text,
) -> None:
    """Print a score from 0 to 100, by pattern, operation, complexity and hour of the week."""
    from querygauge.rendering.answers.quality import QUALITY_COLUMNS, quality_rows, render_quality
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).quality(span, service=service)
    print_answer(
        answer,
        form,
        lambda width: render_quality(answer, limit=limit, width=width),
        QUALITY_COLUMNS,
        quality_rows(answer),
    )
