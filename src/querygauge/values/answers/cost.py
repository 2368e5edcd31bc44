"""What database time cost, and what it would have cost at the pace of the weeks before."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["Cost", "CostReport", "PatternCost", "ServiceCost", "TagCost"]


@dataclass(frozen=True, slots=True)
class Cost(Value):
    """
    What some executions cost.

    Attributes:
        execution_count: How many there were.
        total_duration_ms: The database time they took.
        actual: What that cost.
        expected: What they would have cost, had each taken the median time of its pattern in its service in the four
            weeks before. What the service did not execute then is expected to cost what it did.
    """

    execution_count: int
    total_duration_ms: float
    actual: float
    expected: float
    _derived: ClassVar[tuple[str, ...]] = ("saved",)

    @property
    def saved(self) -> float:
        """By how much less they cost than expected; negative if they cost more."""
        return self.expected - self.actual


@dataclass(frozen=True, slots=True)
class PatternCost(Value):
    """
    What one pattern cost.

    Attributes:
        pattern: The pattern.
        cost: What it cost.
        median_before_ms: Its median time in the four weeks before; where several services execute it, the mean of
            theirs by how often each does now. None if none of them did then.
    """

    pattern: Pattern
    cost: Cost
    median_before_ms: float | None


@dataclass(frozen=True, slots=True)
class TagCost(Value):
    """What was executed in scopes with one tag cost."""

    tag: str
    value: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class ServiceCost(Value):
    """What one application cost."""

    service: str
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport(Value):
    """
    What database time cost in a span, the most expensive first.

    Attributes:
        since: Its begin.
        until: Its end, which is left out.
        service: The one service it is about; None is all of them.
        price_per_hour: What an hour of database time costs.
        total: Everything together.
        by_pattern: One per pattern.
        by_tag: One per tag and value; an execution counts for each tag of its scope.
        by_service: One per application.
    """

    since: datetime
    until: datetime
    service: str | None
    price_per_hour: float
    total: Cost
    by_pattern: tuple[PatternCost, ...]
    by_tag: tuple[TagCost, ...]
    by_service: tuple[ServiceCost, ...]
