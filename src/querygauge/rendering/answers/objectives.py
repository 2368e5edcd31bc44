"""What is to be attained and how far it is, as a page and as rows."""

from collections.abc import Iterator
from typing import Any, Final

from querygauge.rendering.charts import share_bar
from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.tables import Column, render_table
from querygauge.values.objectives import BURN_WINDOWS, Objective, ObjectiveState, ObjectiveStates

__all__ = ["OBJECTIVE_COLUMNS", "objective_rows", "render_objectives"]

OBJECTIVE_COLUMNS: Final = (
    "name", "service", "scope", "pattern", "p95_ms", "success_percent", "count", "missed", "missed_percent",
    "budget_percent", "budget_left_percent", *(f"burn_rate_{name}" for name in BURN_WINDOWS),
)  # fmt: skip
_NOTHING: Final = "no objective is set; [[alerts.objectives]] in querygauge.toml sets them"
_COLUMNS: Final = (
    Column("Objective", "left", 20), Column("Of", "left", 12), Column("Is to be", "left"), Column("Executions"),
    Column("Missed"), Column("Budget left"), Column("", "left"), *(Column(f"Burn {name}") for name in BURN_WINDOWS),
)  # fmt: skip
_LEAST_TELLING: Final = ("", "Executions", "Burn 30m", "Burn 6h", "Of")
_BAR_WIDTH: Final = 10


def render_objectives(answer: ObjectiveStates, *, width: int) -> str:
    """One row for each: what it is about, what was missed in 30 days, what is left, and how fast that is used."""
    if not answer.states:
        return _NOTHING
    rows = [_cells(state) for state in answer.states]
    return "\n".join(
        ["OBJECTIVES, LAST 30 DAYS", "", *render_table(_COLUMNS, rows, width=width, least_telling=_LEAST_TELLING)]
    )


def _cells(state: ObjectiveState) -> list[str]:
    objective, period, left = state.objective, state.period, state.budget_left_percent
    rates = [f"{state.burn_rate(name):,.1f}" if state.lately[name].count else "-" for name in BURN_WINDOWS]
    named = [objective.name, _about(objective), _aim(objective)]
    if period is None or left is None or not period.count:
        return [*named, "0", "-", "-", "", *rates]
    bar = share_bar(max(0.0, left / 100.0), _BAR_WIDTH)
    return [*named, number(period.count), percent(period.missed_percent), percent(left), bar, *rates]


def _about(objective: Objective) -> str:
    return " ".join(part for part in (objective.service, objective.scope, objective.pattern) if part)


def _aim(objective: Objective) -> str:
    if objective.p95_ms is not None:
        return f"p95 ≤ {duration(objective.p95_ms)}"
    return f"{objective.success_percent:g} % ok"


def objective_rows(answer: ObjectiveStates) -> Iterator[dict[str, Any]]:
    """One for each."""
    for state in answer.states:
        told = {**state.objective.to_dict(), "budget_left_percent": state.budget_left_percent}
        told |= {} if state.period is None else state.period.to_dict()
        told |= {f"burn_rate_{name}": state.burn_rate(name) for name in BURN_WINDOWS}
        yield {name: told.get(name) for name in OBJECTIVE_COLUMNS}
