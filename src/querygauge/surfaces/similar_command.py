"""`querygauge similar`: which patterns are like one."""

from typing import Annotated

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Store, store_paths

__all__ = ["similar"]


def similar(
    pattern_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the query, or the beginning of it.")],
    store: Store = None,
    limit: Annotated[int, typer.Option(help="Queries at most.", min=1)] = 5,
    form: AnswerFormat = Format.text,
) -> None:
    """Print the queries that are like one: the same with other columns or filters."""
    from querygauge.rendering.answers.similarity import SIMILAR_COLUMNS, render_similar, similar_rows
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).similar(pattern_id, limit=limit)
    print_answer(answer, form, lambda width: render_similar(answer, width=width), SIMILAR_COLUMNS, similar_rows(answer))
