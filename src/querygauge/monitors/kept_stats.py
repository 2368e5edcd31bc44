"""
The statistics of one pattern, as they are kept for a day: their numbers in one string of bytes.

In goes a `QueryStats`, out comes an equal one. Thousands are kept, and each flush replaces hundreds. As values each was
some twenty objects, most of them integers; after an hour half of the room for integers stood empty, and none of it
could be given back, as something lived in each part of it. Deliberately not here: adding up.
"""

import marshal
from array import array
from collections.abc import Mapping
from typing import Final

from querygauge.clock import datetime_of, microseconds_of
from querygauge.histogram import Histogram
from querygauge.values import OutcomeCounts, PhaseTimes, QueryStats

__all__ = ["KeptStats"]

_FORMAT: Final = 2  # of marshal: the last without references, which take time and find nothing here
_LIMITS: Final = {kind: 1 << 8 * array(kind).itemsize for kind in "BHIQ"}
_NO_TAGS: Final[Mapping[str, str]] = {}


class KeptStats:
    """
    One `QueryStats`; never changed.

    Attributes:
        last_us: Start of the last execution, in microseconds since 1970.
    """

    __slots__ = ("_lines", "_numbers", "_pattern", "_scope", "_tags", "_target", "last_us")

    def __init__(self, stats: QueryStats) -> None:
        outcomes, durations = stats.outcomes, stats.durations
        buckets, most = durations.buckets, max(durations.buckets.values(), default=0)
        kind = next(kind for kind, limit in _LIMITS.items() if most < limit)
        self._pattern = stats.pattern
        self._target = stats.target
        self._scope = stats.scope
        self._tags = stats.tags or _NO_TAGS
        self._lines = tuple(stats.lines)
        self.last_us = microseconds_of(stats.last_seen)
        numbers = (
            (outcomes.ok, outcomes.error, outcomes.timeout, outcomes.cancelled),
            (stats.slow_count, stats.rows, stats.rows_known_count),
            (durations.count, durations.total_ns, durations.min_ns, durations.max_ns),
            # No duration falls into a bucket beyond 16 bits.
            (array("h", buckets).tobytes(), kind, array(kind, buckets.values()).tobytes()),
            microseconds_of(stats.first_seen),
            stats.phases.nanoseconds,
            tuple(stats.lines.values()),
        )
        # A copy: marshal takes a kilobyte more to begin with, and what it gives lies among what is as large as that.
        self._numbers = bytes(memoryview(marshal.dumps(numbers, _FORMAT)))

    def stats(self) -> QueryStats:
        """The same as a value."""
        numbers = marshal.loads(self._numbers)  # noqa: S302  # they are our own
        outcomes, (slow, rows, known), durations, (buckets, kind, in_bucket), first_us, phases, lines = numbers
        count, total_ns, min_ns, max_ns = durations
        return QueryStats(
            self._pattern,
            self._target,
            OutcomeCounts(*outcomes),
            slow,
            rows,
            known,
            Histogram(
                count, total_ns, min_ns, max_ns, dict(zip(array("h", buckets), array(kind, in_bucket), strict=True))
            ),
            datetime_of(first_us),
            datetime_of(self.last_us),
            PhaseTimes(*phases),
            dict(zip(self._lines, lines, strict=True)),
            self._scope,
            self._tags,
        )
