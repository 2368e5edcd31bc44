"""The counters lose nothing and repeat nothing, whoever counts and whoever reads meanwhile."""

import threading
from typing import Any

from querygauge.histogram import EMPTY, Histogram
from querygauge.monitors.pool_counters import PoolCounters

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
