"""What somebody has said of a query, and whether that still holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal, get_args

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["MARK_KINDS", "Mark", "MarkKind", "MarkedPattern", "Marks"]

MarkKind = Literal["accepted", "fixed", "expected"]
MARK_KINDS: Final[tuple[MarkKind, ...]] = get_args(MarkKind)
_WORSE: Final = 1.5  # times what it was; durations and counts of a week differ by less without a reason
_LEAST_EXECUTIONS: Final = 20  # from which a 95th percentile is more than its slowest execution


@dataclass(frozen=True, slots=True)
class Mark(Value):
    """
    What somebody said of a query.

    Attributes:
        kind: `accepted` and `expected` ask for quiet until it gets worse, `fixed` until it is found again.
        marked_at: When.
        until: From then on it is as if nobody had; None is never.
        note: Why.
        p95_ms: 95th percentile of the seven days before; None if it was not executed.
        per_scope: Executions in a scope that repeated it, in those days; None if none did.
    """

    kind: MarkKind
    marked_at: datetime
    until: datetime | None = None
    note: str | None = None
    p95_ms: float | None = None
    per_scope: float | None = None


@dataclass(frozen=True, slots=True)
class MarkedPattern(Value):
    """
    A marked query, and what it did since.

    Attributes:
        pattern: The query.
        mark: What was said of it.
        execution_count: Executions since.
        p95_ms: Their 95th percentile; None if there are none.
        per_scope: Executions in a scope that repeated it since; None if none did.
    """

    pattern: Pattern
    mark: Mark
    execution_count: int = 0
    p95_ms: float | None = None
    per_scope: float | None = None
    _derived: ClassVar[tuple[str, ...]] = ("is_worse", "reason")

    @property
    def is_worse(self) -> bool:
        """Whether it is to be told of although it is marked."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """What is worse than when it was marked; None if nothing is."""
        mark = self.mark
        if mark.kind == "fixed" and self.per_scope is not None:
            return f"repeated again: {self.per_scope:,.1f} times in a scope"
        if _is_worse(self.per_scope, mark.per_scope):
            return f"repeated {self.per_scope:,.1f} times in a scope, {_before(mark.per_scope)}"
        if (
            self.execution_count >= _LEAST_EXECUTIONS
            and mark.p95_ms is not None
            and _is_worse(self.p95_ms, mark.p95_ms)
        ):
            return f"p95 is {self.p95_ms:,.1f} ms, {_before(mark.p95_ms)}"
        return None


@dataclass(frozen=True, slots=True)
class Marks(Value):
    """All marks that are in force, the latest first."""

    patterns: tuple[MarkedPattern, ...] = ()


def _is_worse(now: float | None, before: float | None) -> bool:
    return now is not None and now > _WORSE * (before or 0.0)


def _before(before: float | None) -> str:
    return "not at all before" if before is None else f"{before:,.1f} before"
