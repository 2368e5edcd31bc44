"""The counters lose nothing and repeat nothing, whoever counts and whoever reads meanwhile."""

import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from conftest import FakeClock
from interrupting import TooLong, raising_handler, signal_at
from querygauge.histogram import EMPTY, Histogram
from querygauge.monitors import durations, pool_counters, pool_demand, queues
from querygauge.monitors.pool_counters import PoolCounters
from querygauge.values import PoolMetrics

THREADS = 8
EVENTS = 4_000


def test_windows_add_up_to_the_totals_under_eight_threads(clock: Any) -> None:
    """Every event is in exactly one window, and in the totals, while eight threads count and one drains."""
    counters = PoolCounters(clock, [5])
    begin = threading.Barrier(THREADS + 1)

    def count() -> None:
        begin.wait()
        for duration in range(1, EVENTS + 1):
            counters.requests.add()
            counters.checkouts.add()
            counters.wait.add(duration)
            counters.use.add(duration * 2)
            if duration % 8 == 0:
                counters.timeouts.add()

    threads = [threading.Thread(target=count) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    begin.wait()
    windows = []
    while any(thread.is_alive() for thread in threads):
        windows.append(counters.drain(0, 0, is_empty=True, keeps_idle=False))
        counters.totals()
        clock.advance(0.5)
    for thread in threads:
        thread.join()
    windows.append(counters.drain(0, 0, is_empty=True, keeps_idle=False))

    expected = Histogram.of(list(range(1, EVENTS + 1)) * THREADS)
    totals = counters.totals()
    assert totals.total_requests == totals.total_checkouts == totals.total_checkins == THREADS * EVENTS
    assert totals.total_timeouts == THREADS * EVENTS // 8
    assert totals.wait == expected
    assert totals.use == Histogram.of([2 * duration for duration in range(1, EVENTS + 1)] * THREADS)
    assert sum(window.total_requests for window in windows) == THREADS * EVENTS
    assert sum(window.total_timeouts for window in windows) == totals.total_timeouts
    merged = EMPTY
    for window in windows:
        merged = merged.merged(window.wait)
    assert merged == expected


def test_reading_counts_nothing(clock: Any) -> None:
    """A count may be read as often as one likes."""
    counters = PoolCounters(clock, [5])
    counters.errors.add()
    assert [counters.totals().total_errors for _ in range(3)] == [1, 1, 1]
    assert [counters.drain(0, 0, is_empty=True, keeps_idle=False).total_errors for _ in range(3)] == [1, 0, 0]
    assert counters.totals().total_errors == 1


def test_peaks_belong_to_their_window(clock: Any) -> None:
    """A new window starts from what is in use when the last one ended."""
    counters = PoolCounters(clock, [5])
    counters.see(7, 2)
    first = counters.drain(3, 0, is_empty=False, keeps_idle=False)
    second = counters.drain(0, 0, is_empty=True, keeps_idle=False)
    assert (first.peak_active, first.peak_waiting) == (7, 2)
    assert (second.peak_active, second.peak_waiting) == (3, 0)
    assert (counters.totals().peak_active, counters.totals().peak_waiting) == (7, 2)


def test_recent_waits_are_those_of_the_last_minute(clock: Any) -> None:
    """A wait is forgotten after a minute, and stays in the totals."""
    counters = PoolCounters(clock, [5])
    counters.wait.add(5_000_000)
    counters.fold()
    clock.advance(50)
    counters.wait.add(1_000_000)
    assert counters.recent_waits().count == 2
    clock.advance(20)
    assert counters.recent_waits().max_ms == 1.0
    clock.advance(120)
    assert counters.recent_waits() == EMPTY
    assert counters.totals().wait.count == 2


def test_recent_waits_do_not_care_for_windows(clock: Any) -> None:
    """Draining ends a window, not the last minute."""
    counters = PoolCounters(clock, [5])
    counters.wait.add(5_000_000)
    counters.drain(0, 0, is_empty=True, keeps_idle=False)
    assert counters.recent_waits().count == 1


def test_no_more_checks_fail_than_are_made(clock: Any) -> None:
    """Whatever a window catches of a check that fails right now, it is in both numbers or in none."""
    counters = PoolCounters(clock, [5])
    counters.health_checks_failed.add()
    window = counters.drain(0, 0, is_empty=True, keeps_idle=False)
    assert (window.health_checks, window.health_checks_failed) == (1, 1)


def test_what_is_no_duration_is_met_once(clock: Any) -> None:
    """Whoever folds is told, and what comes later is counted."""
    counters = PoolCounters(clock, [5])
    counters.create.add(-1)
    with pytest.raises(ValueError, match="math domain"):
        counters.totals()
    counters.create.add(5)
    assert counters.totals().create == Histogram.of([5])


class Busy:
    """
    Counters to which a bit of everything was told: some of it drained, some folded, some in a slice that is over.

    Args:
        overlaps: How many more want a connection while somebody has one; None if nobody does since the last drain.
    """

    def __init__(self, overlaps: int | None) -> None:
        self.clock = FakeClock()
        self.counters = PoolCounters(self.clock, [2])
        self.overlaps = overlaps
        self.windows: list[PoolMetrics] = []
        self.tell()
        self.drain()
        self.clock.advance(3)
        if overlaps is not None:
            self.tell()
            self.counters.fold()
            self.clock.advance(3)
            self.tell()

    def tell(self) -> None:
        """Everything that can be told; in the end nobody wants a connection."""
        counters = self.counters
        for number in range(3):
            counters.wait.queue.append(100 + number)
            counters.handed.queue.append(200 + number)
            counters.use.queue.append(3_000 + number)
            counters.create.queue.append(40_000 + number)
        for counter in (counters.requests, counters.checkouts, counters.timeouts, counters.errors, counters.leaks):
            counter.add()
        counters.health_checks_passed.add()
        counters.health_checks_failed.add()
        counters.lost.extend(["a", None, "a"])
        counters.see(3, 1)
        counters.see(2, 4)
        more = self.overlaps or 0
        for step in (1, -1, 1, *(1,) * more, *(-1,) * more, -1):
            self.clock.advance(0.01)
            counters.demand.queue.append(step * self.clock.monotonic_ns())

    def drain(self) -> None:
        """Takes a window, as a process does that writes none in which nothing happened."""
        self.windows.append(self.counters.drain(0, 0, is_empty=True, keeps_idle=True))

    def end(self) -> None:
        """Tells more, and takes the rest."""
        self.clock.advance(1)
        self.tell()
        self.drain()


_LOOKS: dict[str, Callable[[Busy], object]] = {
    "fold": lambda busy: busy.counters.fold(),
    "totals": lambda busy: busy.counters.totals(),
    "recent waits": lambda busy: busy.counters.recent_waits(),
    "drain": Busy.drain,
}
_COUNTING = tuple(str(module.__file__) for module in (durations, pool_counters, pool_demand, queues))


@pytest.mark.parametrize("overlaps", [0, 2, None], ids=["one at a time", "three at once", "quiet"])
@pytest.mark.parametrize("look", _LOOKS)
def test_a_signal_handler_that_raises_cuts_nothing_in_two(look: str, overlaps: int | None) -> None:
    """Wherever it raises: everything is counted once, now or later, and a window has all of its events or none."""
    plain = Busy(overlaps)
    _LOOKS[look](plain)
    plain.end()
    first, *others = plain.windows
    possible = [others]
    if look == "drain":
        drained, rest = others
        possible += [[rest], [drained.merged(rest)]]  # begun and not told of; or not begun
    for number in count():
        busy = Busy(overlaps)
        with raising_handler(), suppress(TooLong), signal_at(number, _COUNTING) as places:
            _LOOKS[look](busy)
        busy.end()
        assert busy.counters.totals() == plain.counters.totals(), places
        assert busy.windows[0] == first
        assert busy.windows[1:] in possible, places
        assert busy.counters.recent_waits() == plain.counters.recent_waits(), places
        if not places:
            break
    assert number > 20
