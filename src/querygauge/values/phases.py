"""Where the time of a pattern went, before, within and after its executions."""

from dataclasses import dataclass, fields
from operator import add, attrgetter
from typing import ClassVar, Final

from querygauge.values.base import Value

__all__ = ["BEGIN", "COMMIT", "CONNECT", "FETCH", "LOOP_LAG", "PHASES", "POOL_WAIT", "PREPARE", "STREAM", "PhaseTimes"]

_NS_PER_MS: Final = 1e6

PHASES: Final = ("pool_wait", "connect", "begin", "prepare", "fetch", "stream", "commit", "loop_lag")
POOL_WAIT, CONNECT, BEGIN, PREPARE, FETCH, STREAM, COMMIT, LOOP_LAG = range(len(PHASES))
"""On the hot path a phase is its place in `PHASES`."""


@dataclass(frozen=True, slots=True)
class PhaseTimes(Value):
    """
    Nanoseconds that were spent around and within the executions of one pattern, as far as they could be told apart.

    Attributes:
        pool_wait_ns: Before: waiting for a connection, of executions that were the first on theirs.
        connect_ns: Before: opening a connection, of those.
        begin_ns: Within: the BEGIN that a driver sends before the first statement.
        prepare_ns: Within: preparing the statement.
        fetch_ns: Within: fetching the rows of a cursor of asyncpg's own; other rows come with the execution.
        stream_ns: After: fetching the further rows of a result that SQLAlchemy streams.
        commit_ns: After: the COMMIT that the execution was the last before.
        loop_lag_ns: Within: an estimate of how long the event loop was blocked meanwhile.
    """

    pool_wait_ns: int = 0
    connect_ns: int = 0
    begin_ns: int = 0
    prepare_ns: int = 0
    fetch_ns: int = 0
    stream_ns: int = 0
    commit_ns: int = 0
    loop_lag_ns: int = 0
    _derived: ClassVar[tuple[str, ...]] = ()

    @property
    def nanoseconds(self) -> tuple[int, ...]:
        """All of them, in the order of `PHASES`."""
        return _in_order(self)

    @property
    def apart_ns(self) -> int:
        """What of the executions' own duration is not their execute phase."""
        return self.begin_ns + self.prepare_ns + self.fetch_ns

    def merged(self, other: "PhaseTimes") -> "PhaseTimes":
        """Both together."""
        return PhaseTimes(*map(add, self.nanoseconds, other.nanoseconds))

    def ms(self, phase: str) -> float:
        """One of `PHASES` in milliseconds."""
        nanoseconds: int = getattr(self, f"{phase}_ns")
        return nanoseconds / _NS_PER_MS


_in_order: Final = attrgetter(*(field.name for field in fields(PhaseTimes)))
