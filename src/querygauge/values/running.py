"""Values about executions that have not ended: one of them, all on one target, all of one process."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import ClassVar

from querygauge.values.base import Value
from querygauge.values.queries import Pattern

__all__ = ["ProcessRunning", "RunningQuery", "RunningState", "oldest_first"]


@dataclass(frozen=True, slots=True)
class RunningQuery(Value):
    """
    One execution that had not ended at the moment somebody looked.

    Attributes:
        pattern: What is executed.
        target: Name of the database.
        age_ms: How long it has run so far; of a cursor whose rows are fetched, what all fetches have taken.
        started: That long before the moment.
        held_ms: How long its connection has been checked out; of one that belongs to no pool, watched.
        call_site: The line that sent it, else the one that checked its connection out; None if neither is known.
        scope: The request, job or test it belongs to; None if there is none, or it cannot be told from outside.
        reason: Why its connection may be held for long, as given to `long_hold`; None if nobody said so.
    """

    pattern: Pattern
    target: str
    age_ms: float
    started: datetime
    held_ms: float
    call_site: str | None = None
    scope: str | None = None
    reason: str | None = None
    _derived: ClassVar[tuple[str, ...]] = ("pattern_id", "query_pattern", "summary")

    @property
    def pattern_id(self) -> str:
        """The pattern's id."""
        return self.pattern.id

    @property
    def query_pattern(self) -> str:
        """The pattern's text."""
        return self.pattern.text

    @property
    def summary(self) -> str:
        """The pattern's summary."""
        return self.pattern.summary


@dataclass(frozen=True, slots=True)
class RunningState(Value):
    """
    What runs on one target at one moment.

    Attributes:
        target: Name of the database.
        count: Executions under way, however young.
        oldest_ms: Age of the oldest of them; 0 if there are none.
        queries: Those that have run for longer than a threshold, oldest first; a snapshot has at most 20.
    """

    target: str
    count: int = 0
    oldest_ms: float = 0.0
    queries: tuple[RunningQuery, ...] = ()

    def merged(self, other: "RunningState") -> "RunningState":
        """Both together; the same target is the caller's business."""
        return RunningState(
            self.target,
            self.count + other.count,
            max(self.oldest_ms, other.oldest_ms),
            oldest_first(self.queries, other.queries),
        )


@dataclass(frozen=True, slots=True)
class ProcessRunning(Value):
    """
    What had not ended in one process when it was last seen.

    Attributes:
        service: Name of the application.
        process: `host:pid`.
        seen: When that was; every age is as of then.
        states: One per target on which anything ran.
    """

    service: str
    process: str
    seen: datetime
    states: tuple[RunningState, ...] = ()
    _derived: ClassVar[tuple[str, ...]] = ("count",)

    @property
    def count(self) -> int:
        """Executions under way, however young."""
        return sum(state.count for state in self.states)

    @property
    def queries(self) -> tuple[RunningQuery, ...]:
        """Those that were slow already, oldest first."""
        return oldest_first(*(state.queries for state in self.states))


def oldest_first(*several: Iterable[RunningQuery]) -> tuple[RunningQuery, ...]:
    """All of them in one order."""
    return tuple(sorted(chain.from_iterable(several), key=lambda query: -query.age_ms))
