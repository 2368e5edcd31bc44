"""Whether two samples differ by more than chance."""

import random
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.significance import aligned, holm, rank_sum_p, share_p, tail_counts

_buckets = st.dictionaries(st.integers(-5, 5), st.integers(1, 20), max_size=6)


def _p_by_shuffling(first: list[int], second: list[int]) -> float:
    """The same probability by trying every split of the two samples together."""
    together = first + second

    def distance(places: Iterable[int]) -> float:
        chosen = [together[place] for place in places]
        rest = list((Counter(together) - Counter(chosen)).elements())
        larger = sum((a > b) + (a == b) / 2 for a in chosen for b in rest)
        return abs(larger - len(chosen) * len(rest) / 2)

    seen = distance(range(len(first)))
    splits = [distance(places) for places in combinations(range(len(together)), len(first))]
    return sum(each >= seen - 1e-9 for each in splits) / len(splits)


@pytest.mark.parametrize("seed", range(6))
def test_the_rank_sum_agrees_with_every_split(seed: int) -> None:
    """Also with many ties, which are what buckets make."""
    dice = random.Random(seed)
    first, second = ([dice.randrange(6) + shift for _ in range(8)] for shift in (0, seed % 3))
    assert rank_sum_p(*aligned(Counter(first), Counter(second))) == pytest.approx(
        _p_by_shuffling(first, second), abs=0.05
    )


@given(_buckets, _buckets)
def test_what_is_compared_with_what_does_not_matter(first: dict[int, int], second: dict[int, int]) -> None:
    """Neither does where the buckets begin; a sample does not differ from itself."""
    p = rank_sum_p(*aligned(first, second))
    assert 0 <= p <= 1
    assert rank_sum_p(*aligned(second, first)) == pytest.approx(p)
    moved = [{bucket + 7: count for bucket, count in each.items()} for each in (first, second)]
    assert rank_sum_p(*aligned(*moved)) == p
    assert rank_sum_p(*aligned(first, first)) == 1.0


@pytest.mark.parametrize(
    "counts",
    [
        (3, 4, 1, 4), (0, 10, 0, 10), (0, 0, 5, 10), (10, 10, 0, 10), (5, 100, 20, 100), (1, 3, 0, 50),
        (190, 400, 9, 30), (83, 1_000_000, 48, 1_000_000), (0, 100_000, 199, 1_000_000),
    ],
)  # fmt: skip
def test_shares_are_compared_exactly(counts: tuple[int, int, int, int]) -> None:
    """Twice the smaller side of the hypergeometric distribution, from whichever side it is looked at."""
    hits, count, other_hits, other_count = counts
    ways = {k: comb(count, k) * comb(other_count, hits + other_hits - k) for k in range(hits + other_hits + 1)}
    sides = (sum(way for k, way in ways.items() if (k >= hits if up else k <= hits)) for up in (True, False))
    p = min(1.0, 2 * min(sides) / sum(ways.values()))
    assert share_p(*counts) == pytest.approx(p, rel=1e-12)
    assert share_p(other_hits, other_count, hits, count) == pytest.approx(p, rel=1e-12)


def test_many_hits_are_as_good_as_normal() -> None:
    """Where exactness ends, the probability does not jump."""
    assert share_p(80, 1_000, 120, 1_000) == pytest.approx(share_p(81, 1_000, 121, 1_000), rel=0.1)
    assert share_p(500_000, 10_000_000, 500_000, 10_000_000) == 1.0
    assert share_p(500_000, 10_000_000, 510_000, 10_000_000) < 1e-9


@given(_buckets, _buckets, st.sampled_from([0.5, 0.95]))
def test_a_tail_is_at_most_what_is_left(first: dict[int, int], second: dict[int, int], q: float) -> None:
    """Of both samples together no more than the rest lies above a quantile."""
    total = sum(first.values()) + sum(second.values())
    assert sum(tail_counts(*aligned(first, second), q)) <= (1 - q) * total + 1e-9 if total else True


def test_the_smallest_of_many_counts_most() -> None:
    """Holm's steps, in the order in which they were given, and none below the one before."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
