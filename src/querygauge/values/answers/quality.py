"""How content a user may be with what was executed: a score from 0 to 100."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = [
    "ComplexityQuality",
    "Grade",
    "HourQuality",
    "OperationQuality",
    "PatternQuality",
    "Quality",
    "QualityReport",
]

Grade = Literal["excellent", "good", "fair", "poor"]
_GRADES: Final[tuple[tuple[float, Grade], ...]] = ((90, "excellent"), (75, "good"), (60, "fair"), (0, "poor"))


@dataclass(frozen=True, slots=True)
class Quality(Value):
    """
    Executions by how content somebody who waits for them may be.

    Attributes:
        satisfied_count: Took at most a quarter of the slow threshold.
        tolerating_count: Took longer, and at most the threshold.
        frustrated_count: Took longer than that, or failed.
    """

    satisfied_count: int = 0
    tolerating_count: int = 0
    frustrated_count: int = 0
    _derived: ClassVar[tuple[str, ...]] = ("execution_count", "score", "grade")

    @classmethod
    def of(cls, executions: int, satisfied: int, tolerating: int, *, errors: int, timeouts: int) -> "Quality":
        """
        From the executions by their time, and how many of them failed.

        Which of them that were is not kept: timeouts are taken for the slowest of them, other errors for the quickest.
        """
        within_threshold = max(0, timeouts - (executions - satisfied - tolerating))
        tolerating_left = max(0, tolerating - within_threshold)
        satisfied_left = max(0, satisfied - max(0, within_threshold - tolerating))
        tolerated = max(0, tolerating_left - max(0, errors - satisfied_left))
        content = max(0, satisfied_left - errors)
        return cls(content, tolerated, executions - content - tolerated)

    @property
    def execution_count(self) -> int:
        """All of them."""
        return self.satisfied_count + self.tolerating_count + self.frustrated_count

    @property
    def score(self) -> float | None:
        """100 if all are satisfied, 50 if all are tolerating, 0 if all are frustrated; None if there are none."""
        if not self.execution_count:
            return None
        return 100.0 * (self.satisfied_count + self.tolerating_count / 2) / self.execution_count

    @property
    def grade(self) -> Grade | None:
        """`excellent` from 90 on, `good` from 75, `fair` from 60, else `poor`."""
        score = self.score
        return None if score is None else next(grade for least, grade in _GRADES if score >= least)


@dataclass(frozen=True, slots=True)
class PatternQuality(Value):
    """The score of one pattern."""

    pattern: Pattern
    quality: Quality


@dataclass(frozen=True, slots=True)
class OperationQuality(Value):
    """The score of everything that begins with one keyword."""

    operation: str
    quality: Quality


@dataclass(frozen=True, slots=True)
class ComplexityQuality(Value):
    """The score of every pattern of one complexity: tables, joins, subqueries and set operations together."""

    complexity: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class HourQuality(Value):
    """The score of one hour of a day of the week, in UTC; Monday is 1, and hours are 0 to 23."""

    weekday: int
    hour: int
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport(Value):
    """
    The scores of a span.

    Attributes:
        since: Its begin.
        until: Its end, which is left out.
        service: The one service it is about; None is all of them.
        thresholds_ms: The slow threshold of each service, as its last process had it.
        overall: Everything together.
        by_pattern: The lowest score first.
        by_operation: The lowest score first.
        by_complexity: From simple to complex.
        by_weekday_hour: From Monday morning on; what had no executions is left out, and so is what is told by days.
    """

    since: datetime
    until: datetime
    service: str | None
    thresholds_ms: Mapping[str, float]
    overall: Quality
    by_pattern: tuple[PatternQuality, ...]
    by_operation: tuple[OperationQuality, ...]
    by_complexity: tuple[ComplexityQuality, ...]
    by_weekday_hour: tuple[HourQuality, ...]
