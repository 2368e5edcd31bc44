"""`querygauge compare`: what has changed between two ranges of a store, or between two stores."""

from pathlib import Path
from typing import Annotated, Final

import typer

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Service, Store, store_paths

__all__ = ["compare"]

_REGRESSED: Final = 1


def compare(
    store: Store = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="What is looked at: 24h, 7d, or two moments; by default 24h, or all of it with --baseline.",
            show_default=False,
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            help="What it is compared with; by default as long a range just before, or all of --baseline.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Directory of another store, which has what was before.", show_default=False)
    ] = None,
    service: Service = None,
    min_change: Annotated[float, typer.Option(help="Percent by which a duration must change.", min=0)] = 10.0,
    limit: Annotated[int, typer.Option(help="Entries of each list.", min=1)] = 10,
    fail: Annotated[
        bool, typer.Option("--fail", help="End with status 1 if anything became slower or fails more often.")
    ] = False,
    form: AnswerFormat = Format.text,
) -> None:
    """Print what became slower, faster, new or gone, by more than chance."""
    from querygauge.rendering.answers.comparison import COMPARISON_COLUMNS, comparison_rows, render_comparison
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).compare(
        before,
        after,
        baseline=None if baseline is None else open_store(baseline),
        service=service,
        min_change_percent=min_change,
    )
    print_answer(
        answer,
        form,
        lambda width: render_comparison(answer, limit=limit, width=width),
        COMPARISON_COLUMNS,
        comparison_rows(answer),
    )
    if fail and answer.regressed:
        raise typer.Exit(_REGRESSED)
