"""`querygauge errors`: how statements failed in a range."""

from typing import Annotated

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Service, Span, Store, store_paths

__all__ = ["errors"]


def errors(
    store: Store = None,
    span: Span = "24h",
    service: Service = None,
    limit: Annotated[int, typer.Option(help="Entries of each list.", min=1)] = 10,
    form: AnswerFormat = Format.text,
) -> None:
    """Print how statements failed: by SQLSTATE, over time, by pattern, and the latest of them."""
    from querygauge.rendering.answers.errors import ERROR_COLUMNS, error_rows, render_errors
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).errors(span, service=service, limit=limit)
    print_answer(
        answer, form, lambda width: render_errors(answer, limit=limit, width=width), ERROR_COLUMNS, error_rows(answer)
    )
