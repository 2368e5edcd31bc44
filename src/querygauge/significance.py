"""
Whether two samples differ by more than chance: in go counts, out come probabilities.

Each is the probability of a difference at least as large between two samples of one and the same source, whatever its
distribution looks like. Deliberately not here: how large a difference must be to matter.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

__all__ = ["holm", "rank_sum_p", "share_p", "tail_counts"]

_EXACT_HITS: Final = 200  # up to so many, every possible split is added up; beyond it they are as good as normal


def rank_sum_p(first: Mapping[int, int], second: Mapping[int, int]) -> float:
    """
    Two-sided probability by the rank-sum test of Wilcoxon, Mann and Whitney, with its correction for ties.

    It asks whether values of one sample tend to be larger. By the normal approximation, which is good from about ten
    values in each sample on.

    Args:
        first: Counts by bucket; values of one bucket are ties.
        second: Those of the other sample, in the same buckets.
    """
    count, other = sum(first.values()), sum(second.values())
    total = count + other
    if not count or not other:
        return 1.0
    below, larger, ties = 0, 0.0, 0
    for bucket in sorted({*first, *second}):
        here, there = first.get(bucket, 0), second.get(bucket, 0)
        larger += there * (below + here / 2)
        below += here
        ties += (here + there) ** 3 - (here + there)
    variance = count * other / 12 * (total + 1 - ties / (total * max(1, total - 1)))
    if variance <= 0:
        return 1.0
    return _two_sided(abs(larger - count * other / 2) - 0.5, variance)


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
    least, most = max(0, total_hits - other_count), min(total_hits, count)
    weights = [_splits(k, count, total_hits - k, other_count) for k in range(least, most + 1)]
    highest = max(weights)
    likely = [math.exp(weight - highest) for weight in weights]
    at_most = sum(likely[: hits - least + 1]) / sum(likely)
    at_least = sum(likely[hits - least :]) / sum(likely)
    return min(1.0, 2 * min(at_most, at_least))


def _splits(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """The logarithm of the number of ways to have so many hits in each sample."""
    return sum(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        for k, n in ((hits, count), (other_hits, other_count))
    )


def _two_sided(distance: float, variance: float) -> float:
    return math.erfc(max(0.0, distance) / math.sqrt(2 * variance))


def tail_counts(first: Mapping[int, int], second: Mapping[int, int], q: float) -> tuple[int, int]:
    """How many values of each sample lie above the bucket with the quantile `q` of both together."""
    buckets = sorted({*first, *second})
    ranks = list(accumulate(first.get(bucket, 0) + second.get(bucket, 0) for bucket in buckets))
    above = [bucket for bucket, rank in zip(buckets, [0, *ranks], strict=False) if rank >= q * ranks[-1]]
    return sum(first.get(bucket, 0) for bucket in above), sum(second.get(bucket, 0) for bucket in above)


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
