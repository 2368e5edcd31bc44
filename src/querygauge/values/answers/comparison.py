"""What has changed between two spans, or two stores."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from querygauge.values.answers.execution import Performance
from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["Comparison", "Measure", "PatternChange"]

Measure = Literal["median", "p95", "errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternChange(Value):
    """
    One pattern before and after.

    Attributes:
        pattern: The pattern.
        before: What was executed before; None if it is new.
        after: What was executed after; None if it is gone.
        measures: What differs by more than chance: `median`, `p95`, `errors`; none of a new or gone one.
        p_value: Probability of such a difference by chance, corrected for everything that was compared; None likewise.
    """

    pattern: Pattern
    before: Performance | None
    after: Performance | None
    measures: tuple[Measure, ...] = ()
    p_value: float | None = None
    _derived: ClassVar[tuple[str, ...]] = ("median_change_percent", "p95_change_percent", "total_change_ms")

    @property
    def median_change_percent(self) -> float | None:
        """By how much the median has grown; None if it is new or gone."""
        if self.before is None or self.after is None:
            return None
        return _change_percent(self.before.median_duration_ms, self.after.median_duration_ms)

    @property
    def p95_change_percent(self) -> float | None:
        """By how much the 95th percentile has grown; None likewise."""
        if self.before is None or self.after is None:
            return None
        return _change_percent(self.before.p95_duration_ms, self.after.p95_duration_ms)

    @property
    def total_change_ms(self) -> float:
        """By how much its total time has grown."""
        return sum(
            sign * performance.total_duration_ms
            for sign, performance in ((-1, self.before), (1, self.after))
            if performance is not None
        )


def _change_percent(before: float, after: float) -> float | None:
    return 100.0 * (after / before - 1) if before else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Value):
    """
    Two spans compared, pattern by pattern.

    Attributes:
        before: The span, and the store if there are two, that is compared with.
        after: The one that is looked at.
        service: The one service it is about; None is all of them.
        min_change_percent: A median or 95th percentile that changed by less is left alone.
        compared_count: Patterns that had enough executions in both to be compared.
        too_few_count: Patterns that were in both, with too few.
        regressed: Those that became slower or fail more often, by more than chance; most time first.
        improved: Those that became faster or fail less often.
        new: Those that were not executed before.
        gone: Those that were executed before only.
    """

    before: str
    after: str
    service: str | None
    min_change_percent: float
    compared_count: int
    too_few_count: int
    regressed: tuple[PatternChange, ...]
    improved: tuple[PatternChange, ...]
    new: tuple[PatternChange, ...]
    gone: tuple[PatternChange, ...]
