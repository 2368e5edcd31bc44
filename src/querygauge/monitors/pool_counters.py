"""
The counters of one pool: in go events from any thread, out come totals, windows and the waits of the last minute.

Nothing is lost, nothing is counted twice and nobody waits, since every event is one step of the interpreter: advancing
an `itertools.count`, or an append to a deque, which whoever finds 256 entries in it folds into buckets.
Deliberately not here: gauges, and what an event means for an alert.
"""

import collections
import itertools
from dataclasses import replace
from typing import Final

from querygauge.histogram import EMPTY, Histogram, buckets_of
from querygauge.monitors.fold_lock import FoldLock
from querygauge.monitors.pool_demand import DemandCounter
from querygauge.monitors.queues import taken
from querygauge.protocols import Clock
from querygauge.values import NO_DEMAND, PoolMetrics

__all__ = ["FOLD_AT", "Counter", "DurationCounter", "PoolCounters"]

FOLD_AT: Final = 256  # durations; a fold of so many takes some 60 µs, and one caller in so many pays it
_MINUTE_NS: Final = 60_000_000_000
_SLICE_NS: Final = 5_000_000_000  # the last minute is known to within so much, in some 13 slices


class PoolCounters:
    """
    Counts since the beginning and since the last `drain()`.

    Attributes:
        wait: Waits of requests that are told of in steps.
        handed: Waits that are a request and a checkout as well, so that capture counts all three at once.
        lost: By pattern id, connections lost to cancellation, as they were told.
        peaks: Most connections in use, and most callers waiting; whoever sees more calls `see`.
        demand: How many connections are asked for at once.
    """

    def __init__(self, clock: Clock, limits: list[int]) -> None:
        self._clock = clock
        self.demand = DemandCounter(clock, limits)
        self.peaks = [0, 0]
        self.wait, self.handed, self.use, self.create = (DurationCounter(clock) for _ in range(4))
        self.lost: collections.deque[str | None] = collections.deque()
        self.reset()

    def reset(self) -> None:
        """Forgets everything and replaces the lock: for a child process, where nobody else runs."""
        self._lock = FoldLock()
        self.requests = Counter()
        self.checkouts = Counter()
        self.timeouts = Counter()
        self.errors = Counter()
        self.leaks = Counter()
        self.lost.clear()
        self._lost_in_window: collections.Counter[str | None] = collections.Counter()
        self.health_checks = Counter()
        self.health_checks_failed = Counter()
        # In place, as capture holds on to the queues and the peaks.
        for durations in (self.wait, self.handed, self.use, self.create):
            durations.reset(self._lock)
        self.demand.reset()
        self.peaks[:] = 0, 0
        self._handed_drained = self._handed_in_window = 0
        self._peaks = (0, 0)
        self._seen: collections.deque[tuple[int, int]] = collections.deque()
        self._drained = PoolMetrics()

    def see(self, active: int, waiting: int) -> None:
        """Takes note of gauges, for the peaks; from any thread, without the lock."""
        peaks = self.peaks
        if active > peaks[0] or waiting > peaks[1]:
            self._seen.append((active, waiting))
            # Two threads may leave the lower one here. Then more is taken note of than need be, and nothing is lost.
            peaks[:] = max(active, peaks[0]), max(waiting, peaks[1])

    def _fold_peaks(self) -> tuple[int, int]:
        active, waiting = self._peaks
        for _ in range(len(self._seen)):
            seen_active, seen_waiting = self._seen.popleft()
            active, waiting = max(active, seen_active), max(waiting, seen_waiting)
        self._peaks = active, waiting
        return self._peaks

    def fold(self) -> None:
        """Sorts the durations that wait into their buckets, and adds the demand up."""
        with self._lock.held() as is_free:
            if is_free:
                self._fold()

    def fold_if_free(self) -> None:
        """The same, unless somebody holds the lock, who folds anyway."""
        if self._lock.acquire(timeout_s=0):
            try:
                self._fold()
            finally:
                self._lock.release()

    def _fold(self) -> None:
        for durations in (self.wait, self.handed, self.use, self.create):
            durations.fold()
        self.demand.fold()

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal handler asks that interrupted the counting itself; `drain()` has nothing for it."""
        return self._lock.is_interrupted

    def totals(self) -> PoolMetrics:
        """Everything counted since the beginning; up to the last drain for who interrupted the counting."""
        with self._lock.held() as is_free:
            return self._drained.merged(self._window()) if is_free else self._drained

    def drain(self, active: int, waiting: int, *, is_empty: bool, keeps_idle: bool) -> PoolMetrics:
        """
        What was counted since the last call; every event is in exactly one result.

        Args:
            active: Connections in use now, which the peaks of the next window start from.
            waiting: Callers waiting now.
            is_empty: Whether nobody holds or wants a connection that was told of.
            keeps_idle: Whether time in which nothing happened is left to the next result.
        """
        with self._lock.held() as is_free:
            if not is_free:
                return PoolMetrics()
            window = self._window()
            if keeps_idle and _without_time(window) == PoolMetrics():
                window = _without_time(window, peak_active=window.peak_active, peak_waiting=window.peak_waiting)
            else:
                self.demand.drain()
            if is_empty:
                self.demand.settle()
            self._handed_drained += self._handed_in_window
            self._lost_in_window.clear()
            for durations in (self.wait, self.handed, self.use, self.create):
                durations.drain()
            self._drained = self._drained.merged(window)
            self._peaks = active, waiting
            self.peaks[:] = active, waiting
        return window

    def recent_waits(self) -> Histogram:
        """The waits of the last minute, to within five seconds."""
        with self._lock.held() as is_free:
            return self.wait.recent().merged(self.handed.recent()) if is_free else EMPTY

    def _window(self) -> PoolMetrics:
        drained = self._drained
        peak_active, peak_waiting = self._fold_peaks()
        use, handed = self.use.window(), self.handed.window()
        self._lost_in_window.update(self.lost.popleft() for _ in range(len(self.lost)))
        self._handed_in_window = handed.count
        handed_count = self._handed_drained + handed.count
        return PoolMetrics(
            total_requests=self.requests.value() + handed_count - drained.total_requests,
            total_checkouts=self.checkouts.value() + handed_count - drained.total_checkouts,
            total_checkins=use.count,
            total_timeouts=self.timeouts.value() - drained.total_timeouts,
            total_errors=self.errors.value() - drained.total_errors,
            wait=self.wait.window().merged(handed),
            use=use,
            create=self.create.window(),
            peak_active=peak_active,
            peak_waiting=peak_waiting,
            health_checks=self.health_checks.value() - drained.health_checks,
            health_checks_failed=self.health_checks_failed.value() - drained.health_checks_failed,
            leaks=self.leaks.value() - drained.leaks,
            lost_to_cancellation=self._lost_in_window.total(),
            lost_by_pattern={pattern_id: count for pattern_id, count in self._lost_in_window.items() if pattern_id},
            demand=self.demand.window(),
        )


def _without_time(window: PoolMetrics, *, peak_active: int = 0, peak_waiting: int = 0) -> PoolMetrics:
    """A window without the time that its demand lasted, unless somebody asked meanwhile, and with these peaks."""
    demand = window.demand if window.demand.requests else NO_DEMAND
    return replace(window, demand=demand, peak_active=peak_active, peak_waiting=peak_waiting)


class Counter:
    """
    A count that any thread may advance.

    Attributes:
        add: Counts one; a single step of the interpreter, unlike `+= 1`.
    """

    __slots__ = ("_reads", "add")

    def __init__(self) -> None:
        self.add = itertools.count().__next__
        self._reads = 0

    def value(self) -> int:
        """The count; the caller holds the lock."""
        # Reading advances it too, which is taken off again.
        value = self.add() - self._reads
        self._reads += 1
        return value


class DurationCounter:
    """Durations of one kind; all but `add` are for whoever holds the lock."""

    __slots__ = ("_clock", "_closed", "_lock", "_open", "_recent", "_window", "queue")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queue: collections.deque[int] = collections.deque()

    def reset(self, lock: FoldLock) -> None:
        """Forgets everything; the queue stays the same object."""
        self._lock = lock
        self.queue.clear()
        self._open = _Slice(self._clock.monotonic_ns())
        self._recent: collections.deque[tuple[int, Histogram]] = collections.deque()
        self._window = EMPTY

    def add(self, duration_ns: int) -> None:
        """Counts one duration; from any thread, without the lock."""
        self.queue.append(duration_ns)
        if len(self.queue) >= FOLD_AT:
            self.fold_if_free()

    def fold_if_free(self) -> None:
        """Folds unless somebody holds the lock, who folds anyway."""
        if self._lock.acquire(timeout_s=0):
            try:
                self.fold()
            finally:
                self._lock.release()

    def fold(self) -> None:
        """Empties the queue into the open slice."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._open.started_ns >= _SLICE_NS:
            self._close(now_ns)
        self._open.add(taken(self.queue))

    def _close(self, now_ns: int) -> None:
        """Turns the open slice into a value of the window and of the last minute."""
        started_ns, closed = self._open.started_ns, self._open.histogram()
        self._open = _Slice(now_ns)
        if closed.count:
            self._window = self._window.merged(closed)
            self._recent.append((started_ns, closed))
        while self._recent and now_ns - self._recent[0][0] > _MINUTE_NS:
            self._recent.popleft()

    def window(self) -> Histogram:
        """The durations since the last `drain()`."""
        self.fold()
        return self._window.merged(self._open.histogram())

    def drain(self) -> None:
        """Begins a new window after what `window()` returned; what arrived since is in the queue."""
        self._close(self._clock.monotonic_ns())
        self._window = EMPTY

    def recent(self) -> Histogram:
        """The durations of the last minute."""
        self.fold()
        recent = self._open.histogram()
        for _, closed in self._recent:
            recent = recent.merged(closed)
        return recent


class _Slice:
    """Durations of some seconds, in a form that can still be added to."""

    __slots__ = ("buckets", "count", "max_ns", "min_ns", "started_ns", "total_ns")

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.count = self.total_ns = self.min_ns = self.max_ns = 0
        self.buckets: collections.Counter[int] = collections.Counter()

    def add(self, durations_ns: list[int]) -> None:
        if durations_ns:
            shortest_ns = min(durations_ns)
            self.min_ns = min(self.min_ns, shortest_ns) if self.count else shortest_ns
            self.max_ns = max(self.max_ns, *durations_ns)
            self.count += len(durations_ns)
            self.total_ns += sum(durations_ns)
            self.buckets.update(buckets_of(durations_ns))

    def histogram(self) -> Histogram:
        if not self.count:
            return EMPTY
        return Histogram(self.count, self.total_ns, self.min_ns, self.max_ns, dict(self.buckets))
