"""
The counters of one pool: in go events from any thread, out come totals, windows and the waits of the last minute.

Nothing is lost, nothing is counted twice and nobody waits, since every event is one step of the interpreter: advancing
an `itertools.count`, or an append to a deque, which whoever finds 256 entries in it folds into buckets. A signal
handler of the host may raise in the midst of that, as `monitors.fold` says: so whatever changes is worked out first,
and then changed in steps without a call, so that it is all there or not at all.
Deliberately not here: gauges, and what an event means for an alert.
"""

import itertools
from collections import Counter as Counts
from collections import _count_elements, deque  # type: ignore[attr-defined]  # as in `durations`
from dataclasses import replace
from typing import Final

from querygauge.histogram import EMPTY, Histogram
from querygauge.interruptions import is_of_host
from querygauge.monitors.durations import Durations
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
        failed: By class of exception, requests that failed, as they were told.
        peaks: Most connections in use, and most callers waiting; whoever sees more calls `see`.
        demand: How many connections are asked for at once.
    """

    def __init__(self, clock: Clock, limits: list[int]) -> None:
        self._clock = clock
        self.demand = DemandCounter(clock, limits)
        self.peaks = [0, 0]
        self.wait, self.handed, self.use, self.create = (DurationCounter(clock) for _ in range(4))
        self.lost: deque[str | None] = deque()
        self.failed: deque[str] = deque()
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
        self._lost_in_window: Counts[str | None] = Counts()
        self.failed.clear()
        self._failed_in_window: Counts[str] = Counts()
        self.health_checks_passed = Counter()
        self.health_checks_failed = Counter()
        # In place, as capture holds on to the queues and the peaks.
        for durations in (self.wait, self.handed, self.use, self.create):
            durations.reset(self._lock)
        self.demand.reset()
        self.peaks[:] = 0, 0
        self._handed_drained = 0
        self._highest = [(0, 0)]  # and what was seen since it was the highest
        self._seen: deque[tuple[int, int]] = deque()
        self._drained = PoolMetrics()

    def see(self, active: int, waiting: int) -> None:
        """Takes note of gauges, for the peaks; from any thread, without the lock."""
        peaks = self.peaks
        if active > peaks[0] or waiting > peaks[1]:
            self._seen.append((active, waiting))
            # Two threads may leave the lower one here. Then more is taken note of than need be, and nothing is lost.
            peaks[:] = max(active, peaks[0]), max(waiting, peaks[1])

    def _fold_peaks(self) -> tuple[int, int]:
        highest = self._highest
        highest += taken(self._seen)
        peaks = max(active for active, _ in highest), max(waiting for _, waiting in highest)
        highest[:] = (peaks,)
        return peaks

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
            if not is_free:
                return self._drained
            for durations in (self.wait, self.handed, self.use, self.create):
                durations.fold()
            return self._drained.merged(self._window())

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
            for durations in (self.wait, self.handed, self.use, self.create):
                durations.close()
            window = self._window()
            is_idle = keeps_idle and _without_time(window) == PoolMetrics()
            if is_idle:
                window = _without_time(window, peak_active=window.peak_active, peak_waiting=window.peak_waiting)
            if is_empty:
                self.demand.settle()
            drained = self._drained.merged(window)
            handed_drained = self._handed_drained + self.handed.closed.count
            lost: Counts[str | None] = Counts()
            failed: Counts[str] = Counts()
            # From here on nothing is called, so that the new window begins with all of them, or with none.
            self.wait.closed = self.handed.closed = self.use.closed = self.create.closed = EMPTY
            if not is_idle:
                self.demand.counted = NO_DEMAND
            self._drained, self._handed_drained, self._lost_in_window = drained, handed_drained, lost
            self._failed_in_window = failed
            self._highest[:] = ((active, waiting),)
            self.peaks[:] = active, waiting
        return window

    def recent_waits(self) -> Histogram:
        """The waits of the last minute, to within five seconds."""
        with self._lock.held() as is_free:
            return self.wait.recent().merged(self.handed.recent()) if is_free else EMPTY

    def _window(self) -> PoolMetrics:
        """What was counted since the last drain, of durations those that are folded."""
        drained = self._drained
        peak_active, peak_waiting = self._fold_peaks()
        use, handed = self.use.window(), self.handed.window()
        counting = map(_count_elements, (self._lost_in_window,), (taken(self.lost),))
        (_,) = counting  # in one step
        counting = map(_count_elements, (self._failed_in_window,), (taken(self.failed),))
        (_,) = counting
        handed_count = self._handed_drained + handed.count
        failed_count = self.health_checks_failed.value()  # once, or more might fail than were made
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
            health_checks=self.health_checks_passed.value() + failed_count - drained.health_checks,
            health_checks_failed=failed_count - drained.health_checks_failed,
            leaks=self.leaks.value() - drained.leaks,
            lost_to_cancellation=self._lost_in_window.total(),
            lost_by_pattern={pattern_id: count for pattern_id, count in self._lost_in_window.items() if pattern_id},
            errors_by_type=dict(self._failed_in_window),
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

    __slots__ = ("_count", "_reads", "add")

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add = self._count.__next__
        self._reads = 0

    def value(self) -> int:
        """The count; the caller holds the lock."""
        reading = itertools.islice(self._count, 1)
        # Reading advances it too, which is taken off again before anything is called.
        (value,) = reading
        value -= self._reads
        self._reads += 1
        return value


class DurationCounter:
    """
    Durations of one kind; all but `add` are for whoever holds the lock.

    Attributes:
        queue: Takes durations.
        closed: Those since `closed` was last replaced by `EMPTY`, without the ones of the last seconds, unless `close`
            was called.
    """

    __slots__ = ("_clock", "_lock", "_open", "_opened_ns", "_recent", "closed", "queue")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queue: deque[int] = deque()

    def reset(self, lock: FoldLock) -> None:
        """Forgets everything; the queue stays the same object."""
        self._lock = lock
        self.queue.clear()
        self._open, self._opened_ns = Durations(), self._clock.monotonic_ns()
        self._recent: list[tuple[int, Histogram]] = []
        self.closed = EMPTY

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
        if now_ns - self._opened_ns >= _SLICE_NS:
            self._close(now_ns)
        durations = self._open.durations
        durations += taken(self.queue)
        try:
            self._open.settle()
        except Exception as error:
            if not is_of_host(error):  # what is no duration must not be met again by every later fold
                del durations[:]
            raise

    def close(self) -> None:
        """Folds, and ends the open slice."""
        self.fold()
        self._close(self._clock.monotonic_ns())

    def _close(self, now_ns: int) -> None:
        """Turns the open slice into a value of the window and of the last minute."""
        ended, opened = self._open.histogram(), Durations()
        recent = [one for one in self._recent if now_ns - one[0] <= _MINUTE_NS]
        if ended.count and now_ns - self._opened_ns <= _MINUTE_NS:
            recent += ((self._opened_ns, ended),)
        closed = self.closed.merged(ended)
        # From here on nothing is called.
        self.closed, self._recent, self._open, self._opened_ns = closed, recent, opened, now_ns

    def window(self) -> Histogram:
        """The durations since `closed` was last replaced, as far as they are folded."""
        return self.closed.merged(self._open.histogram())

    def recent(self) -> Histogram:
        """The durations of the last minute."""
        self.fold()
        recent = self._open.histogram()
        for _, closed in self._recent:
            recent = recent.merged(closed)
        return recent
