"""`querygauge doctor`: whether the numbers of a store are in order, and why there may be none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from querygauge.errors import QueryGaugeError, StoreError
from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Store, store_paths
from querygauge.values.answers.diagnosis import Finding

__all__ = ["doctor"]

_EXIT: Final = {"OK": 0, "WARNING": 1, "ERROR": 2}
_COLUMNS: Final = ("check", "severity", "message", "remedy")


def doctor(
    store: Store = None,
    warn_mb: Annotated[float, typer.Option(help="From so many megabytes on, the size is a warning.", min=0)] = 500.0,
    limit_mb: Annotated[float, typer.Option(help="From so many megabytes on, it is an error.", min=0)] = 1_000.0,
    form: AnswerFormat = Format.text,
) -> None:
    """Look through the whole store; the exit status is 0, or 1 if there is something to see to, or 2 with an error."""
    from querygauge.rendering.answers.diagnosis import render_diagnosis
    from querygauge.storage.answers.diagnosis import other_stores
    from querygauge.storage.opening import open_store

    paths = store_paths(store)
    try:
        opened = open_store(paths)
    except StoreError as error:
        near = () if paths.remote else other_stores(paths.root)
        elsewhere = ", ".join(repr(str(path)) for path in near)
        raise StoreError(f"{error}; there is one in {elsewhere}") if elsewhere else error from error
    answer = opened.doctor(warn_mb=warn_mb, limit_mb=limit_mb)
    answer = replace(answer, findings=(*answer.findings, *_wrong_settings()))
    rows = [finding.to_dict() for finding in answer.findings]
    print_answer(answer, form, lambda width: render_diagnosis(answer, width=width), _COLUMNS, rows)
    raise typer.Exit(_EXIT[answer.status])


def _wrong_settings() -> Iterator[Finding]:
    """What is wrong in the settings of alerts, which the tick of an application has no log to say it in."""
    from querygauge.alerts.configuration import checked_channel, load_alert_settings

    try:
        settings = load_alert_settings(Path.cwd())
        for route in settings.routes:
            checked_channel(settings, route)
    except QueryGaugeError as error:
        remedy = "set it right; until then the default is in force, and what is for a channel that is not read waits"
        yield Finding("alert settings", "warning", str(error), remedy)
