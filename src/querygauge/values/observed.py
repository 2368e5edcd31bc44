"""What the rules of alerts look at: every service of a store as it is now, and the store itself."""

from dataclasses import dataclass
from datetime import datetime

from querygauge.values.answers.comparison import PatternChange
from querygauge.values.base import Value
from querygauge.values.objectives import ObjectiveState
from querygauge.values.pools import PoolWindow
from querygauge.values.processes import ProcessWindow
from querygauge.values.queries import QueryStats, SlowQuery
from querygauge.values.repetitions import Repetition

__all__ = ["FailedChecks", "Observation", "ObservedService", "ObservedStore"]


@dataclass(frozen=True, slots=True)
class FailedChecks(Value):
    """How many health checks of a pool in one process failed one after the other, up to the last, and why that did."""

    pool: str
    process: str
    in_row: int
    error: str


@dataclass(frozen=True, slots=True)
class ObservedService(Value):
    """
    One application, all its processes together.

    Attributes:
        service: Its name.
        recent_s: Seconds that `recent` and everything without a span of its own are of: the last five minutes.
        recent: What was executed then, by pattern and target.
        hour: What was executed in the last hour.
        usual_count: Executions in the same hour of the week before, or of the day before; None if neither is known, or
            something was executed in this one.
        regressed: Slow patterns that were slower in the last hour than in the same hour of the week before.
        new_ids: Patterns that were not seen before the last 24 hours, of a service that was.
        quiet_ids: Patterns that somebody marked, and that are no worse since.
        slow_threshold_ms: From here on an execution is slow; None if nobody said.
        slow_queries: Executions that were slow, the slowest of each pattern, target and scope, and the slowest first.
        repetitions: What was repeated within a unit of work.
        pools: What the pools did, and their state.
        failed_checks: Where the last health check failed; of each pool the process in which most did.
        processes: What the processes took.
        objectives: How far what was set for it is attained.
    """

    service: str
    recent_s: float = 300.0
    recent: tuple[QueryStats, ...] = ()
    hour: tuple[QueryStats, ...] = ()
    usual_count: int | None = None
    regressed: tuple[PatternChange, ...] = ()
    new_ids: frozenset[str] = frozenset()
    quiet_ids: frozenset[str] = frozenset()
    slow_threshold_ms: float | None = None
    slow_queries: tuple[SlowQuery, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    pools: tuple[PoolWindow, ...] = ()
    failed_checks: tuple[FailedChecks, ...] = ()
    processes: tuple[ProcessWindow, ...] = ()
    objectives: tuple[ObjectiveState, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservedStore(Value):
    """
    The store, and the disk that it is on.

    Attributes:
        size_mb: Megabytes of the database.
        waiting_count: Snapshots that wait to be folded.
        waiting_mb: Their megabytes.
        disk_free_percent: What of the disk is free; None if that is not told.
        waits_s: For how many seconds the oldest of the snapshots has waited.
        stopped_by: Why nothing was folded; empty if that is not known, or something was.
    """

    size_mb: float = 0.0
    waiting_count: int = 0
    waiting_mb: float = 0.0
    disk_free_percent: float | None = None
    waits_s: float = 0.0
    stopped_by: str = ""


@dataclass(frozen=True, slots=True)
class Observation(Value):
    """Everything the rules look at, at one moment."""

    at: datetime
    services: tuple[ObservedService, ...] = ()
    store: ObservedStore = ObservedStore()
