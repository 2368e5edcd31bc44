"""`querygauge cost`: what database time cost in a range, and what was expected."""

from typing import Annotated

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Price, Service, Span, Store, store_paths

__all__ = ["cost"]


def cost(
    store: Store = None,
    span: Span = "30d",
    service: Service = None,
    price: Price = None,
    limit: Annotated[int, typer.Option(help="Entries of each list.", min=1)] = 10,
    form: AnswerFormat = Format.text,
) -> None:
    """Print what database time cost, by pattern, tag and service, and what was expected."""
    from querygauge.rendering.answers.cost import COST_COLUMNS, cost_rows, render_cost
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).cost(span, service=service, price_per_hour=price)
    print_answer(
        answer, form, lambda width: render_cost(answer, limit=limit, width=width), COST_COLUMNS, cost_rows(answer)
    )
