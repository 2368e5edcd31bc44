"""`querygauge stats`: what was executed in a range, over time and by everything that tells executions apart."""

from typing import Annotated

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Service, Span, Store, store_paths

__all__ = ["stats"]


def stats(
    store: Store = None,
    span: Span = "24h",
    service: Service = None,
    limit: Annotated[int, typer.Option(help="Entries of each list.", min=1)] = 10,
    form: AnswerFormat = Format.text,
) -> None:
    """Print what was executed, over time and by tag, pool, operation, service, pattern and line."""
    from querygauge.rendering.answers.execution import STATISTICS_COLUMNS, render_statistics, statistics_rows
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).execution_statistics(span, service=service, limit=limit)
    print_answer(
        answer,
        form,
        lambda width: render_statistics(answer, limit=limit, width=width),
        STATISTICS_COLUMNS,
        statistics_rows(answer),
    )
