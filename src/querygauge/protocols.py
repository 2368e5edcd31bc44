"""The seams between the rooms, as the callee's needs: whoever fits may stand there, tests included."""

from typing import Protocol

from querygauge.values import PoolGauges, Snapshot

__all__ = ["Clock", "PoolReading", "SnapshotSink"]


class Clock(Protocol):
    """Where the time comes from: `querygauge.clock.SystemClock`, or a test's own."""

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start; never steps back."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""


class SnapshotSink(Protocol):
    """Where flushed snapshots go."""

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
