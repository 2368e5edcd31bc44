"""Histograms of durations: laws about buckets, quantiles and merging."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.histogram import EMPTY, Histogram, bucket_bounds_ms, bucket_of, buckets_of

# From a nanosecond to eleven days.
durations = st.integers(1, 10**15)
samples = st.lists(durations, min_size=1, max_size=300)
quantiles = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0])

ERROR_BOUND = 0.0109
# Where a duration lies on a bound, rounding may decide for the neighbour.
ROUNDING = 1e-9


@given(durations)
def test_a_duration_lies_in_its_bucket(duration_ns: int) -> None:
    """Above the lower bound, and not above the upper one."""
    lower, upper = bucket_bounds_ms(bucket_of(duration_ns))
    assert lower * (1 - ROUNDING) < duration_ns / 1e6 <= upper * (1 + ROUNDING)


@given(durations, durations)
def test_buckets_are_ordered_as_durations_are(one: int, other: int) -> None:
    """A longer duration is in no lower bucket."""
    assert (bucket_of(min(one, other)) <= bucket_of(max(one, other))) is True


@given(st.lists(st.integers(0, 10**15)))
def test_many_buckets_are_those_of_each(many: list[int]) -> None:
    """The two ways to count agree."""
    assert buckets_of(many) == [bucket_of(duration) for duration in many]


def test_nothing_at_all_counts_as_a_nanosecond() -> None:
    """Clocks are coarser than some statements are short."""
    assert bucket_of(0) == bucket_of(1)


@pytest.mark.parametrize("octave", range(-20, 12))
def test_buckets_are_those_of_opentelemetry_and_prometheus(octave: int) -> None:
    """32 to an octave, bucket 0 ends at one second: scale 5 and schema 5."""
    bucket = 32 * octave
    assert bucket_bounds_ms(bucket)[1] == pytest.approx(1000 * 2.0**octave, rel=1e-12)
    assert bucket_bounds_ms(bucket + 1)[0] == bucket_bounds_ms(bucket)[1]
    assert bucket_of(round(0.999 * 2.0**octave * 1e9)) == bucket


@given(samples, quantiles)
def test_a_quantile_is_near_the_true_sample(sample: list[int], q: float) -> None:
    """Nearest rank, at most 1.09 % off, and within what was measured."""
    true_ms = sorted(sample)[max(1, math.ceil(q * len(sample))) - 1] / 1e6
    found_ms = Histogram.of(sample).quantile_ms(q)
    assert abs(found_ms - true_ms) <= ERROR_BOUND * true_ms
    assert min(sample) / 1e6 <= found_ms <= max(sample) / 1e6


@given(samples)
def test_the_ends_are_exact(sample: list[int]) -> None:
    """The quantiles 0 and 1 are the minimum and the maximum; count, sum and mean are exact."""
    histogram = Histogram.of(sample)
    assert (histogram.quantile_ms(0), histogram.quantile_ms(1)) == (min(sample) / 1e6, max(sample) / 1e6)
    assert (histogram.count, histogram.total_ns) == (len(sample), sum(sample))
    assert histogram.mean_ms == pytest.approx(sum(sample) / len(sample) / 1e6)


@given(samples, quantiles, quantiles)
def test_quantiles_are_ordered(sample: list[int], one: float, other: float) -> None:
    """A higher quantile is no shorter."""
    histogram = Histogram.of(sample)
    assert histogram.quantile_ms(min(one, other)) <= histogram.quantile_ms(max(one, other))


@given(st.lists(st.lists(durations, max_size=40), max_size=6), st.randoms(use_true_random=False))
def test_merging_is_counting_together(parts: list[list[int]], shuffled: random.Random) -> None:
    """Whatever the parts and their order, the empty one included."""
    whole = Histogram.of(duration for part in parts for duration in part)
    histograms = [Histogram.of(part) for part in parts]
    shuffled.shuffle(histograms)
    merged = EMPTY
    for histogram in histograms:
        merged = merged.merged(histogram)
    assert merged == whole


def test_merging_changes_neither() -> None:
    """Histograms are values."""
    one, other = Histogram.of([1_000, 2_000]), Histogram.of([1_000])
    before = dict(one.buckets), dict(other.buckets)
    one.merged(other)
    assert (dict(one.buckets), dict(other.buckets)) == before


@pytest.mark.parametrize("seed", range(3))
def test_merged_windows_of_many_processes_keep_the_bound(seed: int) -> None:
    """Durations as services have them, over six processes with 48 windows each."""
    chance = random.Random(seed)
    windows = [[max(1, int(chance.lognormvariate(14, 1.5))) for _ in range(200)] for _ in range(6 * 48)]
    merged = EMPTY
    for window in windows:
        merged = merged.merged(Histogram.of(window))
    everything = sorted(duration for window in windows for duration in window)
    for q in (0.5, 0.95, 0.99):
        true_ms = everything[math.ceil(q * len(everything)) - 1] / 1e6
        assert abs(merged.quantile_ms(q) - true_ms) <= ERROR_BOUND * true_ms


@pytest.mark.parametrize("q", [-0.01, 1.01, math.nan])
def test_a_quantile_outside_of_all_is_an_error(q: float) -> None:
    """The error gives the rule and the value."""
    with pytest.raises(ValueError, match=rf"^q must lie in \[0, 1\]; got {q}$"):
        Histogram.of([1]).quantile_ms(q)


def test_nothing_has_no_quantile() -> None:
    """And a mean of nothing is 0."""
    with pytest.raises(ValueError, match="none was recorded"):
        EMPTY.quantile_ms(0.5)
    assert (EMPTY.mean_ms, EMPTY.total_ms, EMPTY.min_ms, EMPTY.max_ms) == (0, 0, 0, 0)


@given(samples, quantiles, st.sampled_from([(5, 0.0109), (4, 0.0217), (3, 0.0434)]))
def test_a_coarser_scale_doubles_the_error(sample: list[int], q: float, scale: tuple[int, float]) -> None:
    """Count, sum, shortest and longest stay exact; so does what is merged at two scales."""
    fine, (number, bound) = Histogram.of(sample), scale
    coarse = fine.coarsened(number)
    assert (coarse.count, coarse.total_ns, coarse.min_ns, coarse.max_ns) == (len(sample), sum(sample), *_ends(sample))
    assert sum(coarse.buckets.values()) == len(sample)
    true_ms = sorted(sample)[max(1, math.ceil(q * len(sample))) - 1] / 1e6
    assert abs(coarse.quantile_ms(q) - true_ms) <= bound * true_ms
    assert coarse.merged(fine) == fine.merged(coarse) == fine.merged(fine).coarsened(number)


def _ends(sample: list[int]) -> tuple[int, int]:
    return min(sample), max(sample)


def test_no_scale_is_finer_than_what_was_counted() -> None:
    """The error says which scales there are."""
    with pytest.raises(ValueError, match="at most that of the histogram, 4; got 5"):
        Histogram.of([1]).coarsened(4).coarsened(5)
