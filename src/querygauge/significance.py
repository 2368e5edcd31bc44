"""
Whether two samples differ by more than chance: in go counts, out come probabilities.

Each is the probability of a difference at least as large between two samples of one and the same source, whatever its
distribution looks like. Deliberately not here: how large a difference must be to matter.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Final

__all__ = ["aligned", "holm", "rank_sum_p", "share_p", "tail_counts"]

_EXACT_HITS: Final = 200  # up to so many, every possible split is added up; beyond it they are as good as normal


def aligned(first: Mapping[int, int], second: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """The counts of two samples by bucket, in the order of all buckets that either has."""
    buckets = sorted({*first, *second})
    return [first.get(bucket, 0) for bucket in buckets], [second.get(bucket, 0) for bucket in buckets]


def rank_sum_p(first: Sequence[int], second: Sequence[int]) -> float:
    """
    Two-sided probability by the rank-sum test of Wilcoxon, Mann and Whitney, with its correction for ties.

    It asks whether values of one sample tend to be larger. By the normal approximation, which is good from about ten
    values in each sample on.

    Args:
        first: Counts by bucket, ascending; values of one bucket are ties.
        second: Those of the other sample, in the same buckets.
    """
    count, other = sum(first), sum(second)
    total = count + other
    if not count or not other:
        return 1.0
    up_to = accumulate(first)
    twice_larger = sum(there * (2 * ranks - here) for here, there, ranks in zip(first, second, up_to, strict=True))
    ties = sum(n * n * n for n in map(add, first, second)) - total
    variance = count * other / 12 * (total + 1 - ties / (total * max(1, total - 1)))
    if variance <= 0:
        return 1.0
    return _two_sided(abs(twice_larger - count * other) / 2 - 0.5, variance)


def share_p(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """
    Two-sided probability that the shares of hits differ so much, by Fisher's exact test.

    Args:
        hits: Values of the first sample that have a property.
        count: All its values.
        other_hits: Those of the other sample.
        other_count: All of the other sample.
    """
    total_hits, total = hits + other_hits, count + other_count
    if not count or not other_count or total_hits in {0, total}:
        return 1.0
    if min(total_hits, total - total_hits) > _EXACT_HITS:
        variance = total_hits / total * (total - total_hits) * count / total * other_count / (total - 1)
        return _two_sided(abs(hits - total_hits * count / total) - 0.5, variance)
    fewer, equal, more = _ways(hits, count, total_hits, other_count)
    return min(1.0, 2 * (min(fewer, more) + equal) / (fewer + equal + more))


def _ways(hits: int, count: int, total_hits: int, other_count: int) -> tuple[float, float, float]:
    """How often the first sample has fewer, as many or more hits, if it has the likeliest number of them once."""
    least, most = max(0, total_hits - other_count), min(total_hits, count)
    likeliest = (total_hits + 1) * (count + 1) // (count + other_count + 2)
    # From one number of hits to the next the ways are multiplied by this.
    ratios = [
        (count - k) * (total_hits - k) / ((k + 1) * (other_count - total_hits + k + 1)) for k in range(least, most)
    ]
    middle = likeliest - least
    above = accumulate(ratios[middle:], lambda ways, ratio: ways * ratio, initial=1.0)
    below = accumulate(reversed(ratios[:middle]), lambda ways, ratio: ways / ratio, initial=1.0)
    ways = [*list(below)[:0:-1], *above]
    place = hits - least
    return sum(ways[:place]), ways[place], sum(ways[place + 1 :])


def _two_sided(distance: float, variance: float) -> float:
    return math.erfc(max(0.0, distance) / math.sqrt(2 * variance))


def tail_counts(first: Sequence[int], second: Sequence[int], q: float) -> tuple[int, int]:
    """How many values of each sample lie above the bucket with the quantile `q` of both together; counts as above."""
    ranks = list(accumulate(map(add, first, second)))
    if not ranks:
        return 0, 0
    place = bisect_left(ranks, q * ranks[-1]) + 1
    return sum(first[place:]), sum(second[place:])


def holm(probabilities: Sequence[float]) -> list[float]:
    """
    The same, so corrected that any of them is below a limit by chance only as seldom as that limit says.

    Holm's method: the smallest counts as many times as there are, the next once less, and none below the one before.
    """
    count = len(probabilities)
    order = sorted(range(count), key=probabilities.__getitem__)
    steps = accumulate((min(1.0, (count - rank) * probabilities[place]) for rank, place in enumerate(order)), max)
    corrected = dict(zip(order, steps, strict=True))
    return [corrected[place] for place in range(count)]
