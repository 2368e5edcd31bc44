"""The seams between the rooms, as the callee's needs: whoever fits may stand there, tests included."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from querygauge.values import Failure, Pattern, PoolGauges, Snapshot

__all__ = ["Clock", "PoolReading", "PoolRecord", "PoolSteps", "Record", "SnapshotSink", "Unit"]


class Clock(Protocol):
    """Where the time comes from: `querygauge.clock.SystemClock`, or a test's own."""

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start; never steps back."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""


class SnapshotSink(Protocol):
    """
    Where flushed snapshots go.

    Attributes:
        dropped: Snapshots it kept at first and had to give up since, for want of room.
    """

    dropped: int

    def write(self, snapshot: Snapshot) -> None:
        """
        Keeps one snapshot, whole or not at all.

        Raises:
            StoreError: If it could not be kept; the caller may try again.
        """


class PoolReading(Protocol):
    """Reads the true state of a pool at the moment of the call."""

    def __call__(self) -> PoolGauges:
        """The pool's state now; cheap, thread-safe, and never raises."""


class Unit(Protocol):
    """
    What repeated queries are counted within: a named scope, else one checkout of a connection.

    Attributes:
        name: The scope's name; None for a checkout.
        repeats: By "target pattern_id" and call site, a tally `[executions, their nanoseconds, the fold's own]`;
            belongs to the fold alone.
    """

    name: str | None
    repeats: dict[tuple[str, str | None], list[Any]]


class Record(Protocol):
    """Takes one execution from the host's thread; this is the hot path, so everything is positional and primitive."""

    def __call__(
        self,
        pattern: Pattern,
        started_ns: int,
        duration_ns: int,
        rows: int,
        outcome: int,
        failure: Failure | None,
        call_site: str | None,
        unit: Unit | None,
        literals: tuple[str, Any] | None,
        /,
    ) -> None:
        """
        Keeps one execution for the next fold.

        Args:
            pattern: What was executed.
            started_ns: When, on the clock's `monotonic_ns`.
            duration_ns: How long.
            rows: Rows returned or affected; negative if the driver did not tell.
            outcome: Place in `values.OUTCOMES`.
            failure: Why it failed; None if it did not.
            call_site: The sending line, if it was looked for.
            unit: What it is repeated within; None for a first execution, and for what cannot be a repetition.
            literals: Statement and parameters as sent, only with `keep_literals` and only for a slow execution.
        """


class PoolSteps(NamedTuple):
    """
    What every checkout uses: the hot path, so everything is positional and primitive, and gauges are dictionaries.

    Attributes:
        asked: By any token, since when somebody waits; the caller enters and removes it.
        held: By token of the connection, `[since_ns, call_site, pattern_id, was_reported, ours, ours]`; whoever calls
            `returns` removes it first.
        limits: Its one entry is how many connections there can be.
        crowds: To be called after entering a token, if as many are asked for and held as there can be.
        obtains: `(wait_ns, connection, entry)`: somebody got a connection; with a token of the connection this was a
            checkout and `entry` is its place in `held`, with None the caller held it already.
        returns: `(entry)`: that one was given back.
    """

    asked: dict[Any, int]
    held: dict[Any, list[Any]]
    limits: list[int]
    crowds: Callable[[], None]
    obtains: Callable[[int, int | None, list[Any]], None]
    returns: Callable[[list[Any]], None]


class PoolRecord(Protocol):
    """Takes what happens in one pool from the host's thread; every method is thread-safe and does not raise."""

    @property
    def held(self) -> Mapping[Any, list[Any]]:
        """What is checked out, by its `connection`; an entry is `[since_ns, call_site, pattern_id, …, ours]`."""

    def steps(self) -> PoolSteps:
        """The functions that every use of a connection calls."""

    def record_request(self, request: object, *, started_ns: int) -> None:
        """Somebody asked for a connection who did not get one; what became of it is told next."""

    def record_timeout(self, *, request: object, waited_ms: float) -> None:
        """That one gave up waiting."""

    def record_error(self, text: Failure, *, request: object) -> None:
        """That one got an error instead."""

    def record_abandoned(self, request: object) -> None:
        """That one was cancelled while it waited."""

    def record_create_time(self, duration_ns: int) -> None:
        """A connection was opened."""

    def record_leak(self, *, checkout: list[Any] | None) -> None:
        """A connection was garbage-collected while it was held; `checkout` is its entry."""

    def record_lost(self) -> None:
        """A connection was thrown away because a statement on it was cancelled."""
