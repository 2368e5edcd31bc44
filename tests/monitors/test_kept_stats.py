"""What is kept of statistics is all of them, in little memory."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.executions import pattern
from querygauge.histogram import Histogram
from querygauge.monitors import kept_stats
from querygauge.monitors.kept_stats import KeptStats
from querygauge.values import OutcomeCounts, PhaseTimes, QueryStats

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PATTERN = pattern()
COUNTS = st.integers(0, 10**20)
MOMENTS = st.integers(0, 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))


@given(
    st.builds(
        QueryStats,
        st.just(PATTERN),
        st.just("primary"),
        st.builds(OutcomeCounts, COUNTS, COUNTS, COUNTS, COUNTS),
        COUNTS,
        COUNTS,
        COUNTS,
        st.lists(st.integers(1, 10**18)).map(Histogram.of),
        MOMENTS,
        MOMENTS,
        st.builds(PhaseTimes, *[COUNTS] * 8),
        st.dictionaries(st.text(), st.integers(1, 10**20)),
        st.none() | st.text(),
        st.dictionaries(st.text(), st.text()),
    )
)
def test_it_is_the_same_again(stats: QueryStats) -> None:
    """Whatever was counted, and however much."""
    kept = KeptStats(stats)
    assert kept.stats() == stats
    assert EPOCH + timedelta(microseconds=kept.last_us - 1_767_225_600_000_000) == stats.last_seen


@pytest.mark.parametrize("count", [1, 2**8 - 1, 2**8, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63])
def test_counts_may_be_large(count: int) -> None:
    """Each takes as many bytes as the largest needs, and is the same again."""
    durations = Histogram(count + 1, 3, 1, 1, {-640: 1, 3: count})
    stats = QueryStats(PATTERN, "primary", OutcomeCounts(count + 1), 0, 0, 0, durations, EPOCH, EPOCH)
    assert KeptStats(stats).stats() == stats


def test_it_takes_little() -> None:
    """With its buckets, phases and a line, less than 700 bytes; the value takes three kilobytes."""
    tracemalloc.start()
    try:
        kept = [KeptStats(_usual(number)) for number in range(100)]
        # Of that module alone: other threads of the process may be at work meanwhile.
        taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, kept_stats.__file__)])
    finally:
        tracemalloc.stop()
    assert 100 < sum(trace.size for trace in taken.traces) / len(kept) < 700


def _usual(number: int) -> QueryStats:
    durations = Histogram.of([1_000_000 + 30_000 * step * number for step in range(40)])
    phases = PhaseTimes(300_001 + number, 0, 400_001 + number, 500_001 + number)
    moments = (EPOCH + timedelta(seconds=number), EPOCH + timedelta(minutes=number))
    lines = {"shop/orders.py:31 in find": 4}
    return QueryStats(PATTERN, "primary", OutcomeCounts(1_000), 0, 1_000, 1_000, durations, *moments, phases, lines)
