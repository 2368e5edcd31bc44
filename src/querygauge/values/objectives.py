"""What statements are to attain over a month, and how far they are from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final

from querygauge.values.base import Value

__all__ = ["BURN_WINDOWS", "PERIOD", "Attained", "Objective", "ObjectiveState", "ObjectiveStates"]

PERIOD: Final = timedelta(days=30)
"""What an objective is over."""

BURN_WINDOWS: Final[Mapping[str, timedelta]] = {
    "5m": timedelta(minutes=5),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
}
"""Over which it is looked how fast a budget is used."""

_SLOWEST_PERCENT: Final = 5.0  # what a 95th percentile leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(Value):
    """
    What the statements of a service, a scope or a pattern are to attain.

    Attributes:
        name: What people call it.
        service: Name of the application.
        scope: Only what is executed in scopes of this name, `*` standing for any part of it; None is everywhere.
        pattern: Only the pattern whose id is this, or begins so; empty is all of them.
        p95_ms: 95 % of the queries are to take no longer; None if it is about success.
        success_percent: This share of the statements that end by themselves is to succeed; None if it is about time.
    """

    name: str
    service: str
    scope: str | None = None
    pattern: str = ""
    p95_ms: float | None = None
    success_percent: float | None = None
    _derived: ClassVar[tuple[str, ...]] = ("budget_percent",)

    @property
    def budget_percent(self) -> float:
        """The share of the statements that may miss it."""
        return _SLOWEST_PERCENT if self.success_percent is None else 100.0 - self.success_percent


@dataclass(frozen=True, slots=True)
class Attained(Value):
    """
    What was attained in a span.

    Attributes:
        count: Statements that count.
        missed: Those that took longer than they should, to within the width of a bucket (2.2 %, and
            4.4 % where whole days are added up), or that failed.
    """

    count: int = 0
    missed: int = 0
    _derived: ClassVar[tuple[str, ...]] = ("missed_percent",)

    @property
    def missed_percent(self) -> float:
        """Share of the statements that missed it; 0 while there are none."""
        return 100.0 * self.missed / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class ObjectiveState(Value):
    """
    How far an objective is attained.

    Attributes:
        objective: The objective.
        lately: What was attained in each of `BURN_WINDOWS`.
        period: What was attained in the last 30 days; None if nobody looked.
    """

    objective: Objective
    lately: Mapping[str, Attained] = field(default_factory=dict)
    period: Attained | None = None
    _derived: ClassVar[tuple[str, ...]] = ("budget_left_percent", "burn_rates")

    @property
    def budget_left_percent(self) -> float | None:
        """What is left of what may miss it in 30 days; negative if more did; None if nobody looked."""
        if self.period is None:
            return None
        return 100.0 * (1.0 - self.period.missed_percent / self.objective.budget_percent)

    @property
    def burn_rates(self) -> dict[str, float]:
        """By window, how many times too fast the budget is used: at 1 it lasts for exactly 30 days."""
        return {name: self.burn_rate(name) for name in self.lately}

    def burn_rate(self, window: str) -> float:
        """The same for one of `BURN_WINDOWS`."""
        return self.lately[window].missed_percent / self.objective.budget_percent


@dataclass(frozen=True, slots=True)
class ObjectiveStates(Value):
    """All objectives that are set, in the order of the settings."""

    states: tuple[ObjectiveState, ...] = ()
