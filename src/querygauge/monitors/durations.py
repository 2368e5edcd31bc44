"""
Durations of one kind, which are sorted into buckets several at a time: in go nanoseconds, out comes a `Histogram`.

A signal handler of the host may raise in the midst of it, as `monitors.fold` says. What waits is sorted in one step and
is gone with the next ones, so that no duration is in the buckets twice, or in them and not in the sum. Deliberately not
here: the lock, which whoever adds and reads holds.
"""

from collections import Counter, _count_elements  # type: ignore[attr-defined]  # Counter.update() without a step of Python

from querygauge.histogram import EMPTY, Histogram, buckets_of

__all__ = ["Durations"]


class Durations:
    """
    Durations in a form that can still be added to.

    Attributes:
        durations: Nanoseconds of those since the last `settle()`; whoever adds one appends it here.
    """

    __slots__ = ("_buckets", "_max_ns", "_min_ns", "_total_ns", "durations")

    def __init__(self) -> None:
        self.durations: list[int] = []
        self._buckets: Counter[int] = Counter()
        self._total_ns = self._min_ns = self._max_ns = 0

    def settle(self) -> None:
        """Sorts the durations that wait into buckets."""
        durations = self.durations
        if not durations:
            return
        total_ns, min_ns, max_ns = self._total_ns + sum(durations), min(durations), max(durations)
        if self._buckets:
            min_ns, max_ns = min(min_ns, self._min_ns), max(max_ns, self._max_ns)
        sorting = map(_count_elements, (self._buckets,), (buckets_of(durations),))
        # From here on nothing is called that a signal handler could interrupt; see the fold.
        (_,) = sorting
        self._total_ns, self._min_ns, self._max_ns = total_ns, min_ns, max_ns
        del durations[:]

    def histogram(self) -> Histogram:
        """All of them as a value."""
        self.settle()
        if not self._buckets:
            return EMPTY
        return Histogram(self._buckets.total(), self._total_ns, self._min_ns, self._max_ns, dict(self._buckets))
