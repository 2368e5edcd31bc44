"""`querygauge objectives`: what is to be attained over a month, and what is left of what may miss it."""

from pathlib import Path

from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Store, store_paths

__all__ = ["objectives"]


def objectives(store: Store = None, form: AnswerFormat = Format.text) -> None:
    """Print how far each objective of the settings here is attained, and how fast its budget is used."""
    from querygauge.alerts.configuration import load_alert_settings
    from querygauge.rendering.answers.objectives import OBJECTIVE_COLUMNS, objective_rows, render_objectives
    from querygauge.storage.opening import open_store

    wanted = load_alert_settings(Path.cwd()).objectives
    answer = open_store(store_paths(store)).objectives(wanted)
    print_answer(
        answer, form, lambda width: render_objectives(answer, width=width), OBJECTIVE_COLUMNS, objective_rows(answer)
    )
