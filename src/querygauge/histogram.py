"""
Durations in log-spaced buckets: in go nanoseconds, out come quantiles and exact merges.

Bucket k holds the durations in (2**((k-1)/32), 2**(k/32)] seconds, which is scale 5 of OpenTelemetry's exponential
histograms (their index is k-1) and schema 5 of Prometheus native histograms (the same index). Neighbours differ by
a factor of 1.0219, so a value inside a bucket is known to within 1.083 %. What is kept for years has a coarser scale:
one less halves the buckets, and doubles the error.

Deliberately not here: locks and clocks. A `Histogram` is a value; counting is `monitors.recorder`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["EMPTY", "PER_OCTAVE", "SCALE", "SECONDS_OFFSET", "Histogram", "bucket_bounds_ms", "bucket_of", "buckets_of"]

SCALE = 5
PER_OCTAVE = 32  # 2**SCALE
SECONDS_OFFSET = PER_OCTAVE * math.log2(1e-9)  # moves the bucket of 1 s to k = 0
_NS_PER_MS = 1e6
_ceil, _log2 = math.ceil, math.log2  # a look-up less each; this runs with every statement


def bucket_of(duration_ns: int) -> int:
    """
    The bucket a duration falls into.

    A duration below one nanosecond counts as one: clocks are coarser than some statements are short.
    """
    return _ceil(_log2(duration_ns or 1) * PER_OCTAVE + SECONDS_OFFSET)


def buckets_of(durations_ns: list[int]) -> list[int]:
    """The buckets of several durations; half the time of as many calls."""
    return [_ceil(_log2(duration or 1) * PER_OCTAVE + SECONDS_OFFSET) for duration in durations_ns]


def bucket_bounds_ms(bucket: int, scale: int = SCALE) -> tuple[float, float]:
    """The open lower and the closed upper bound of a bucket, in milliseconds."""
    return 1e3 * 2.0 ** ((bucket - 1) / 2**scale), 1e3 * 2.0 ** (bucket / 2**scale)


@dataclass(frozen=True, slots=True)
class Histogram:
    """
    Counts of durations by bucket, with the exact count, sum, minimum and maximum.

    Attributes:
        count: Durations counted.
        total_ns: Their exact sum.
        min_ns: The shortest one; 0 while nothing is counted.
        max_ns: The longest one; 0 while nothing is counted.
        buckets: Bucket index to count; absent means zero.
        scale: How many buckets there are to an octave, as the exponent of two.
    """

    count: int = 0
    total_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    buckets: Mapping[int, int] = field(default_factory=dict)
    scale: int = SCALE

    @classmethod
    def of(cls, durations_ns: Iterable[int]) -> "Histogram":
        """The histogram of some durations, in nanoseconds."""
        durations = list(durations_ns)
        if not durations:
            return EMPTY
        buckets: dict[int, int] = {}
        for duration in durations:
            bucket = bucket_of(duration)
            buckets[bucket] = buckets.get(bucket, 0) + 1
        return cls(len(durations), sum(durations), min(durations), max(durations), buckets)

    def merged(self, other: "Histogram") -> "Histogram":
        """Both together, at the coarser of their scales; exact, and independent of the order of merging."""
        if not other.count:
            return self
        if not self.count:
            return other
        if self.scale != other.scale:
            scale = min(self.scale, other.scale)
            return self.coarsened(scale).merged(other.coarsened(scale))
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        return Histogram(
            self.count + other.count,
            self.total_ns + other.total_ns,
            min(self.min_ns, other.min_ns),
            max(self.max_ns, other.max_ns),
            buckets,
            self.scale,
        )

    def coarsened(self, scale: int) -> "Histogram":
        """
        The same at another scale; exact, as each of its buckets is several of these.

        Raises:
            ValueError: If `scale` is finer than its own.
        """
        halvings = self.scale - scale
        if halvings < 0:
            raise ValueError(f"scale must be at most that of the histogram, {self.scale}; got {scale}")
        if not halvings:
            return self
        buckets: dict[int, int] = {}
        for bucket, count in self.buckets.items():
            coarse = -(-bucket >> halvings)  # rounded up
            buckets[coarse] = buckets.get(coarse, 0) + count
        return Histogram(self.count, self.total_ns, self.min_ns, self.max_ns, buckets, scale)

    def quantile_ms(self, q: float) -> float:
        """
        Duration that a fraction `q` of the executions did not exceed, in milliseconds.

        Nearest rank. Off by at most 1.09 % of the true sample at scale 5 and 2.2 % at scale 4, and exact at the minimum
        and the maximum.

        Args:
            q: Fraction in [0, 1]; 0.99 is the 99th percentile.

        Raises:
            ValueError: If `q` lies outside [0, 1], or nothing was recorded.
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q must lie in [0, 1]; got {q!r}")
        if not self.count:
            raise ValueError("a quantile needs at least one duration; none was recorded")
        rank = max(1, math.ceil(q * self.count))
        if rank == self.count:
            return self.max_ms
        if rank == 1:
            return self.min_ms
        return min(max(self._midpoint_ms(rank), self.min_ms), self.max_ms)

    def _midpoint_ms(self, rank: int) -> float:
        cumulative = 0
        for bucket, count in sorted(self.buckets.items()):
            cumulative += count
            if cumulative >= rank:
                lower, upper = bucket_bounds_ms(bucket, self.scale)
                # The harmonic mean is equally far, relatively, from both ends: 1.083 % at scale 5.
                return 2.0 * lower * upper / (lower + upper)
        return self.max_ms

    @property
    def mean_ms(self) -> float:
        """Arithmetic mean in milliseconds, exact; 0 while nothing is counted."""
        return self.total_ns / self.count / _NS_PER_MS if self.count else 0.0

    @property
    def total_ms(self) -> float:
        """Sum in milliseconds."""
        return self.total_ns / _NS_PER_MS

    @property
    def min_ms(self) -> float:
        """Shortest duration in milliseconds."""
        return self.min_ns / _NS_PER_MS

    @property
    def max_ms(self) -> float:
        """Longest duration in milliseconds."""
        return self.max_ns / _NS_PER_MS


EMPTY = Histogram()
