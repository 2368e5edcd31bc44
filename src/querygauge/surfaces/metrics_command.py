"""`querygauge metrics`: durations, cost, memory and CPU time of a range."""

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Price, Service, Span, Store, store_paths

__all__ = ["metrics"]


def metrics(
    store: Store = None,
    span: Span = "24h",
    service: Service = None,
    price: Price = None,
    form: AnswerFormat = Format.text,
) -> None:
    """Print durations, cost, memory and CPU time, and how they went over time."""
    from querygauge.rendering.answers.metrics import METRICS_COLUMNS, metrics_rows, render_metrics
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).performance_metrics(span, service=service, price_per_hour=price)
    print_answer(answer, form, lambda width: render_metrics(answer, width=width), METRICS_COLUMNS, metrics_rows(answer))
