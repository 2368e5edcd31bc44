"""
Which patterns have series of their own, and their totals: in go the parts of digests, out come numbers by pattern.

What was executed is booked once, to the pattern's own series while it is among the top, else to `other`, and stays
there. Who is among the top is decided while a state is made, from a moment on that is still to come: so whoever reads a
file books it in the same way, whenever that is, and no series falls. A pattern that nobody decided about yet, while
there is room, waits for the next state.

Deliberately not here: every other number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from operator import add
from typing import Final, NamedTuple, TypeVar

from querygauge.export.prometheus_digest import Digest, PatternPart
from querygauge.histogram import EMPTY, Histogram

__all__ = ["SLOT_US", "WINDOW_US", "Generation", "PatternKey", "PatternTotals"]

PatternKey = tuple[str, str]
"""Service and pattern_id."""

SLOT_US: Final = 60_000_000
"""Durations of the last minutes are kept for so long together."""
WINDOW_US: Final = 300_000_000
"""Quantiles are those of so long."""
_MOST_WINDOWS: Final = 2 * WINDOW_US // SLOT_US
# A new state is written within this time from when it was decided, so that no file was booked in another way before.
_NOTICE_US: Final = 20_000_000
_GENERATIONS: Final = 3
_REMEMBERED: Final = 10  # times as many as have series
_HALF_LIFE_US: Final = 1_800_000_000  # of the time that decides who is among the top
_STAYS: Final = 1.25  # who has a series keeps it, unless another takes so much more time
_KNOWN: Final = 20_000
_Key = TypeVar("_Key", PatternKey, str)
_TOTAL: Final = -1  # the last of a pattern's numbers is its nanoseconds


class Generation(NamedTuple):
    """
    Who has series of its own, for what ended from a moment on.

    Attributes:
        since_us: That moment, in microseconds since 1970.
        most: How many may have.
        keys: Who they are.
    """

    since_us: int
    most: int
    keys: set[PatternKey]

    @property
    def has_room(self) -> bool:
        """Whether others may still be given series."""
        return len(self.keys) < self.most


@dataclass(slots=True)
class PatternTotals:
    """
    The totals of patterns.

    Attributes:
        generations: Who has series, oldest first; at least one.
        numbers: By pattern, as those of `PatternPart`; also of some that had series before.
        names: Summary, operation and tables of those.
        other: The same numbers of all others together, by service.
        scores: Nanoseconds by pattern, those of long ago less.
        scored_us: When those were last made less.
        windows: Durations of those with series, by the time at which they ended.
        known: Ids of patterns that were executed, by service.
    """

    generations: list[Generation]
    numbers: dict[PatternKey, list[int]] = field(default_factory=dict)
    names: dict[PatternKey, tuple[str, str, str]] = field(default_factory=dict)
    other: dict[str, list[int]] = field(default_factory=dict)
    scores: dict[PatternKey, float] = field(default_factory=dict)
    scored_us: int = 0
    windows: dict[int, dict[PatternKey, Histogram]] = field(default_factory=dict)
    known: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def empty(cls, most: int) -> "PatternTotals":
        """Those of nothing, where so many may have series."""
        return cls([Generation(0, most, set())])

    def add(self, digest: Digest, *, decides: bool = False) -> None:
        """
        Books what a digest holds.

        Args:
            digest: Of one snapshot.
            decides: Whether a state is made, in which a pattern that is new may be given a series.
        """
        generation = self._generation(digest.ended_us)
        known = self.known.setdefault(digest.service, set())
        for pattern_id, part in digest.patterns.items():
            key = (digest.service, pattern_id)
            if decides:
                self.scores[key] = self.scores.get(key, 0.0) + part.numbers[_TOTAL]
                self._admit(key)
            if len(known) < _KNOWN:
                known.add(pattern_id)
            if key in generation.keys:
                self._book(key, part, digest.ended_us)
            elif decides or not generation.has_room:
                _add(self.other, digest.service, part.numbers)

    def _admit(self, key: PatternKey) -> None:
        for generation in self.generations:
            if generation.has_room:
                generation.keys.add(key)

    def _book(self, key: PatternKey, part: PatternPart, ended_us: int) -> None:
        _add(self.numbers, key, part.numbers)
        self.names[key] = part.names
        if part.durations.count:
            window = self.windows.setdefault(ended_us // SLOT_US, {})
            window[key] = window.get(key, EMPTY).merged(part.durations)
            if len(self.windows) > _MOST_WINDOWS:  # where no tick comes that forgets them
                del self.windows[min(self.windows)]

    def _generation(self, moment_us: int) -> Generation:
        for generation in reversed(self.generations):
            if generation.since_us <= moment_us:
                return generation
        return self.generations[0]

    def shown(self, now_us: int) -> set[PatternKey]:
        """Those that have series now."""
        return self._generation(now_us).keys & self.numbers.keys()

    def lately(self, now_us: int) -> Mapping[PatternKey, Histogram]:
        """Durations of the last five minutes, to within a minute."""
        since = (now_us - WINDOW_US) // SLOT_US
        windows = [window for slot, window in self.windows.items() if since < slot]
        keys = set().union(*windows)
        return {key: _together([window[key] for window in windows if key in window]) for key in keys}

    def decide(self, now_us: int, most: int) -> None:
        """
        Says who has series from now on, and forgets what is of no use any more; for whoever makes a state.

        Args:
            now_us: Microseconds since 1970.
            most: How many may have series.
        """
        self._fade(now_us, most)
        latest = self.generations[-1]
        if latest.since_us <= now_us and (latest.most != most or len(self.scores) > most):
            weights = {key: score * (_STAYS if key in latest.keys else 1.0) for key, score in self.scores.items()}
            top = set(nlargest(most, weights, key=weights.__getitem__))
            if (most, top) != (latest.most, latest.keys):
                self.generations = [*self.generations, Generation(now_us + _NOTICE_US, most, top)][-_GENERATIONS:]
        self._forget(now_us)

    def _fade(self, now_us: int, most: int) -> None:
        less = 0.5 ** (max(0, now_us - self.scored_us) / _HALF_LIFE_US) if self.scored_us else 1.0
        self.scored_us = now_us
        faded = {key: score * less for key, score in self.scores.items()}
        kept = nlargest(most * _REMEMBERED, faded, key=faded.__getitem__)
        self.scores = {key: faded[key] for key in kept}

    def _forget(self, now_us: int) -> None:
        remembered = self.scores.keys() | set().union(*(generation.keys for generation in self.generations))
        for known in (self.numbers, self.names):
            for key in [key for key in known if key not in remembered]:
                del known[key]
        oldest = (now_us - WINDOW_US) // SLOT_US
        self.windows = {slot: window for slot, window in self.windows.items() if slot >= oldest}


def _together(several: list[Histogram]) -> Histogram:
    """All in one, in less time than one after the other."""
    buckets: dict[int, int] = {}
    get = buckets.get
    for each in several:
        for bucket, count in each.buckets.items():
            buckets[bucket] = get(bucket, 0) + count
    return Histogram(
        sum(each.count for each in several),
        sum(each.total_ns for each in several),
        min(each.min_ns for each in several),
        max(each.max_ns for each in several),
        buckets,
    )


def _add(totals: dict[_Key, list[int]], key: _Key, numbers: list[int]) -> None:
    totals[key] = [*map(add, totals[key], numbers)] if key in totals else [*numbers]
