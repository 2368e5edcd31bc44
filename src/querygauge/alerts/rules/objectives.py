"""A rule about what is to be attained over a month: whether it is being missed so fast that somebody should look."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from querygauge.alerts.thresholds import Thresholds
from querygauge.rendering.formats import duration, number, percent
from querygauge.values.alerts import AlertSeverity, Finding
from querygauge.values.objectives import Objective, ObjectiveState
from querygauge.values.observed import ObservedService

__all__ = ["burn_rate"]


class _Burn(NamedTuple):
    """How fast is too fast: both over a window that is long enough to matter and over one that tells it goes on."""

    rate: float
    long: str
    short: str
    severity: AlertSeverity


# The rates of Google's "Site Reliability Workbook": they use 2 % of a month's budget in an hour, and 5 % in six.
_BURNS: Final = (_Burn(14.4, "1h", "5m", "critical"), _Burn(6.0, "6h", "30m", "warning"))
_SAID: Final = {"5m": "five minutes", "30m": "half hour", "1h": "hour", "6h": "six hours"}


def burn_rate(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """An objective is missed by so many statements that its budget of 30 days is gone in days."""
    for state in service.objectives:
        burn = _fastest(state, limits)
        if burn is not None:
            objective, rate = state.objective, state.burn_rate(burn.long)
            yield Finding(
                "burn_rate",
                burn.severity,
                f"{objective.name} uses its budget {rate:,.1f} times too fast: {_missed(state, burn)}, where "
                f"{percent(objective.budget_percent)} may over 30 days",
                _advice(objective),
                service.service,
                pattern_id=_pattern_id(objective),
                objective=objective.name,
                value=rate,
                threshold=burn.rate,
            )


def _fastest(state: ObjectiveState, limits: Thresholds) -> _Burn | None:
    for burn in _BURNS:
        is_fast = min(state.burn_rate(burn.long), state.burn_rate(burn.short)) >= burn.rate
        if is_fast and state.lately[burn.long].count >= limits.min_statements:
            return burn
    return None


def _missed(state: ObjectiveState, burn: _Burn) -> str:
    objective, long, short = state.objective, state.lately[burn.long], state.lately[burn.short]
    how = "failed" if objective.p95_ms is None else f"took longer than {duration(objective.p95_ms)}"
    return (
        f"{percent(long.missed_percent)} of {number(long.count)} statements of the last {_SAID[burn.long]} {how}, and "
        f"{percent(short.missed_percent)} in the last {_SAID[burn.short]}"
    )


def _advice(objective: Objective) -> str:
    where = f" --scope {objective.scope!r}" if objective.scope is not None else ""
    left = "querygauge objectives tells what is left of the budget"
    if objective.pattern:
        return f"{left}, querygauge patterns show {objective.pattern} since when it is so"
    if objective.p95_ms is None:
        return f"{left}, querygauge errors --service {objective.service} how statements fail"
    return f"{left}, querygauge report --since 1h --service {objective.service}{where} which queries take the time"


def _pattern_id(objective: Objective) -> str | None:
    return objective.pattern or None
