"""The seams between the rooms, as the callee's needs: whoever fits may stand there, tests included."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from querygauge.checkout import Checkout
from querygauge.values import ConnectionActivity, Failure, Pattern, PoolGauges, ScopeLabel, Snapshot
from querygauge.values.alerts import AlertMessage
from querygauge.values.repetitions import Cause

__all__ = [
    "Activity",
    "AlertChannel",
    "Clock",
    "Evidence",
    "PoolLedger",
    "PoolReading",
    "PoolRecord",
    "QueryLedger",
    "Record",
    "Scope",
    "SnapshotSink",
    "Streak",
    "Trace",
    "Unit",
]


class AlertChannel(Protocol):
    """Where alerts are sent to, such as a chat."""

    async def send(self, message: AlertMessage) -> None:
        """
        Sends it, once; a receiver that has the message's key already may leave it.

        Raises:
            DeliveryError: If it did not arrive, or nobody knows.
        """


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


class Activity(Protocol):
    """Reads what a connection is at that is checked out, at the moment of the call."""

    def __call__(self, checkout: Checkout, /) -> ConnectionActivity | None:
        """What it is at; None if nobody can tell. Cheap, thread-safe, and never raises."""


class Evidence(Protocol):
    """
    What the repeated executions from one line have in common; it grows while it is read.

    Attributes:
        cause: What SQLAlchemy sends them for; None if the application asks for the rows.
        attribute: What it loads then.
    """

    cause: Cause | None
    attribute: str | None

    @property
    def tasks(self) -> int:
        """Tasks or threads seen."""

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """Executions compared, distinct parameters, parents, origins, overlaps, and 1 if several tasks overlapped."""

    def is_innocent(self, threshold: int) -> bool:
        """Whether repeating is in the nature of the thing; `threshold` is how many executions are too many."""


class Unit(Protocol):
    """
    What repeated queries are counted within: a named scope, else one checkout of a connection.

    Attributes:
        repeats: By "target pattern_id" and call site, a tally `[executions, nanoseconds, and what the fold adds]`;
            belongs to the fold alone.
    """

    repeats: dict[tuple[str, str | None], list[Any]]

    @property
    def evidence(self) -> Mapping[str | None, Evidence]:
        """Why it is repeated, by call site; empty if nobody looked."""


class Scope(Unit, Protocol):
    """
    The request, job or test that an execution belongs to.

    Attributes:
        label: What it is counted under; None while that is not known yet.
        tallies: What each fold has counted of it so far, by keys of their own; belongs to them.
    """

    label: ScopeLabel | None
    tallies: dict[object, Any]

    def find_label(self, *, is_last: bool = False) -> ScopeLabel | None:
        """
        The label, looked for if it is not known yet; for any thread, and does not raise.

        Args:
            is_last: Whether nobody asks again, so that it gives what is known so far.
        """


class Streak(Unit, Protocol):
    """
    A unit that has executions of one pattern only, all of the same scope.

    Attributes:
        target: Name of the database.
        pattern: What is executed.
        scope: What it belongs to; None outside of every scope.
    """

    target: str
    pattern: Pattern
    scope: Scope | None


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
        scope: Scope | None,
        phases: Sequence[int] | None = None,
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
            scope: What it belongs to; None outside of every scope.
            phases: Nanoseconds by phase, in the order of `values.PHASES`; a shorter one leaves out the last.
        """


class Trace(Protocol):
    """Tells of an execution to whoever follows a request through a system; on the hot path only if it is asked to."""

    def __call__(
        self,
        pattern: Pattern,
        started_ns: int,
        duration_ns: int,
        outcome: int,
        failure: Failure | None,
        call_site: str | None,
        phases: Sequence[int] | None,
        /,
    ) -> str | None:
        """
        Takes an execution that has just ended, in the context that sent it; each as `Record` has it.

        Returns:
            Id of the trace that the execution belongs to; None if it belongs to none.
        """


class QueryLedger(NamedTuple):
    """
    Where capture writes what `Record` would take, without the call, for the executions that are nothing but fast.

    Attributes:
        queue: Takes `(target, *what Record takes up to scope, trace_id, phases)`; for an execution of a `Streak` that
            ended well, has no phases and took less than `unusual_ns` also `(streak, started_ns, duration_ns, rows,
            call_site)`, which is half the work for everybody.
        unusual_ns: What takes as long is kept one by one.
        fold_at: Executions in the queue from which `folds` is to be called.
        folds: Empties the queue; takes the moment at which the driver ended the last of them, to time its hook.
        phases: Takes `(target, pattern, phase, nanoseconds, scope)` for executions that ended before.
    """

    queue: deque[tuple[Any, ...]]
    unusual_ns: int
    fold_at: int
    folds: Callable[[int | None], None]
    phases: deque[tuple[str, Pattern, int, int, Scope | None]]


class PoolLedger(NamedTuple):
    """
    What capture writes at every checkout: the hot path, so these are plain containers, each changed in single steps.

    Attributes:
        asked: By any token, since when somebody waits; entered before asking, removed after.
        held: By token of the connection, its checkout; entered when it is handed out, removed when it is given back.
        limits: Its one entry is how many connections there can be.
        peaks: Its first entry is the most connections held so far.
        handed: The wait of a request that got a connection is appended.
        used: The time a connection was held is appended.
        moves: The moment at which somebody asks is appended, and, negative, that at which a connection is given back.
        fold_at: Durations in a queue from which `folds` is to be called.
        high_wait_ns: A wait from which `judges` is to be called.
        sees: To be called when as many or more are held than `limits` or `peaks` say.
        folds: Empties the queues.
        judges: Takes a high wait.
    """

    asked: dict[Any, int]
    held: dict[Any, Checkout]
    limits: list[int]
    peaks: list[int]
    handed: deque[int]
    used: deque[int]
    moves: deque[int]
    fold_at: int
    high_wait_ns: int
    sees: Callable[[], None]
    folds: Callable[[], None]
    judges: Callable[[int], None]

    def let_go(self, now_ns: int) -> None:
        """Takes out whatever is held, as nobody will tell of its end: measuring is over."""
        for connection in tuple(self.held):
            if self.held.pop(connection, None) is not None:
                self.moves.append(-now_ns)


class PoolRecord(Protocol):
    """Takes what happens in one pool from the host's thread; every method is thread-safe and does not raise."""

    @property
    def held(self) -> Mapping[Any, Checkout]:
        """What is checked out, by its `connection`."""

    def ledger(self) -> PoolLedger:
        """What every use of a connection writes."""

    def record_request(self, request: object, *, started_ns: int) -> None:
        """Somebody of whom `moves` knows asked for a connection and got none; what became of it is told next."""

    def record_obtained(self, request: object, wait_ns: int) -> None:
        """Somebody asked for a connection and got one it holds already, so that this is no checkout."""

    def record_timeout(self, *, request: object, waited_ms: float) -> None:
        """That one gave up waiting."""

    def record_error(self, text: Failure, *, request: object) -> None:
        """That one got an error instead."""

    def record_abandoned(self, request: object) -> None:
        """That one was cancelled while it waited."""

    def record_create_time(self, duration_ns: int) -> None:
        """A connection was opened."""

    def record_leak(self, *, checkout: Checkout | None) -> None:
        """A connection was garbage-collected while it was held; `checkout` is its entry."""

    def record_lost(self, pattern_id: str | None) -> None:
        """A connection was thrown away because a statement on it was cancelled: which one, if that is known."""
