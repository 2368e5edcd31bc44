"""`querygauge status`: whether a store is well, with an exit status that cron and monitors understand."""

from typing import Annotated, Final

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Store, store_paths

__all__ = ["status"]

_EXIT: Final = {"OK": 0, "WARNING": 1, "ERROR": 2}
_COLUMNS: Final = (
    "status", "path", "size_mb", "total", "recent_1h", "daily", "weekly", "daily_success_rate", "avg_duration_ms",
    "warnings", "errors",
)  # fmt: skip


def status(
    store: Store = None,
    warn_mb: Annotated[float, typer.Option(help="From so many megabytes on, the size is a warning.", min=0)] = 500.0,
    limit_mb: Annotated[float, typer.Option(help="From so many megabytes on, it is an error.", min=0)] = 1_000.0,
    form: AnswerFormat = Format.text,
) -> None:
    """Tell whether the store is well; the exit status is 0, or 1 with a warning, or 2 with an error."""
    from querygauge.rendering.answers.status import render_status
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).status(warn_mb=warn_mb, limit_mb=limit_mb)
    parts = answer.to_dict()
    row = {**parts, **parts["database"], **parts["executions"], **parts["performance"]}
    row |= {name: "; ".join(parts[name]) for name in ("warnings", "errors")}
    print_answer(answer, form, lambda width: render_status(answer, width=width), _COLUMNS, [row])
    raise typer.Exit(_EXIT[answer.status])
