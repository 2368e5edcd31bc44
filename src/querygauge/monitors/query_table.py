"""
Executions, one by one, to counters per pattern, target and scope: those of the window under way, and those of all.

In go primitives, out come `QueryStats`. The window is mutable and small; what was drained is kept packed and never
changed, so whoever reads it needs no lock while merging. Deliberately not here: the lock, and the clock; the recorder
has both.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from querygauge.clock import datetime_of
from querygauge.monitors.durations import Durations
from querygauge.monitors.kept_stats import KeptStats
from querygauge.patterns.cache import OTHER
from querygauge.values import (
    LINES_LIMIT,
    OTHER_SCOPES,
    PHASES,
    OutcomeCounts,
    Pattern,
    PhaseTimes,
    QueryStats,
    ScopeLabel,
)

__all__ = ["UNSETTLED", "Counters", "Key", "Place", "QueryTable", "merged"]

UNSETTLED: Final = 64
"""Durations of one pattern that wait to be sorted into buckets."""

Key = tuple[str, str]
"""Target and pattern id."""
Place = tuple[ScopeLabel | None, str, str]
"""Scope, target and pattern id: what is counted apart."""

_NS_PER_US: Final = 1_000
_SCOPES_PER_PATTERN: Final = 2  # on average; beyond it the executions of further ones are counted as of other scopes


class Counters(Durations):
    """
    What one pattern did on one target in one scope within a window.

    The fold adds to the attributes itself: a call per execution would cost as much as the adding. For the same reason
    moments stay on the monotonic clock, what most executions have in common is not counted but worked out, and
    durations wait until there are several to be sorted into buckets at once.

    Attributes:
        outcomes: Executions by how they ended, without those that ended well.
        lines: Executions by the line that sent them, of those for which it was looked for.
        phases: Nanoseconds by phase, in the order of `values.PHASES`.
        rows_unknown: Executions whose rows the driver did not tell.
        unit_key: What the pattern is counted under within a unit; None if it cannot be a repetition.
    """

    __slots__ = (
        "_label", "_pattern", "_target", "first_ns", "last_ns", "lines", "outcomes", "phases", "rows", "rows_unknown",
        "slow", "unit_key",
    )  # fmt: skip

    def __init__(self, label: ScopeLabel | None, target: str, pattern: Pattern, started_ns: int) -> None:
        super().__init__()
        self._label = label
        self._target = target
        self._pattern = pattern
        self.outcomes = [0, 0, 0, 0]
        self.slow = self.rows = self.rows_unknown = 0
        self.first_ns = self.last_ns = started_ns
        self.lines: dict[str, int] = {}
        self.phases = [0] * len(PHASES)
        is_repeatable = pattern.category == "query" and pattern.id != OTHER.id
        self.unit_key = f"{target} {pattern.id}" if is_repeatable else None

    def add_row(
        self, started_ns: Sequence[int], durations_ns: Sequence[int], rows: Sequence[int], line: str | None
    ) -> None:
        """
        Adds executions that ended well and were not slow.

        Args:
            started_ns: When each began.
            durations_ns: How long each took.
            rows: Rows of each; negative if unknown.
            line: The one that sent them; None if nobody looked for it.
        """
        if len(self.durations) >= UNSETTLED:
            self.settle()
        first_ns, last_ns = min(self.first_ns, *started_ns), max(self.last_ns, *started_ns)
        known = rows if min(rows) >= 0 else [number for number in rows if number >= 0]
        returned, unknown, times = sum(known), len(rows) - len(known), len(durations_ns)
        lines, has_room = self.lines, len(self.lines) < LINES_LIMIT
        # From here on nothing is called that a signal handler could interrupt; see the fold.
        if line is not None:
            if line in lines:
                lines[line] += times
            elif has_room:  # those of lines beyond the limit are counted for none
                lines[line] = times
        self.first_ns, self.last_ns = first_ns, last_ns
        self.rows += returned
        self.rows_unknown += unknown
        self.durations += durations_ns

    @property
    def execution_count(self) -> int:
        """Executions so far."""
        return self._buckets.total() + len(self.durations)

    def frozen(self, offset_us: int, tags: Mapping[str, str]) -> QueryStats:
        """
        The counts so far.

        Args:
            offset_us: What a monotonic moment lacks, in microseconds, to one of the epoch.
            tags: Of the scope; one mapping for all of its patterns.
        """
        durations = self.histogram()
        count = durations.count
        return QueryStats(
            self._pattern,
            self._target,
            OutcomeCounts(count - sum(self.outcomes), *self.outcomes[1:]),
            self.slow,
            self.rows,
            count - self.rows_unknown,
            durations,
            datetime_of(offset_us + self.first_ns // _NS_PER_US),
            datetime_of(offset_us + self.last_ns // _NS_PER_US),
            PhaseTimes(*self.phases),
            dict(self.lines),
            None if self._label is None else self._label.name,
            tags,
        )


class QueryTable:
    """
    The counters of all patterns; whoever holds it serialises the calls.

    Distinct patterns are bounded: beyond the limit an execution counts under `OTHER`, so that totals stay right. So is
    in how many scopes they are told apart: beyond that it counts under `OTHER_SCOPES`.

    Attributes:
        windows: Counters since the last `drain()`, by scope; None is outside of every scope.
        totals: What was drained, by place; values are never changed, only replaced.
        outcomes: Executions drained so far by how they ended; those of dropped patterns stay.
        slow_count: Slow executions drained so far.
        forgotten_ns: Time of the executions of dropped patterns, by target; replaced like the totals.
    """

    def __init__(self, max_patterns: int) -> None:
        self._max_patterns = max_patterns
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.windows: dict[ScopeLabel | None, dict[Key, Counters]] = {None: {}}
        self.totals: dict[Place, KeptStats] = {}
        self.outcomes = OutcomeCounts()
        self.slow_count = 0
        self.forgotten_ns: Mapping[str, int] = {}
        self._patterns: dict[Key, Pattern] = {}  # those that are counted apart
        self._places: set[Place] = set()  # and the scopes in which they are

    def window_of(self, label: ScopeLabel | None) -> dict[Key, Counters]:
        """The counters of one scope, to look into before `open`."""
        return self.windows.setdefault(label, {})

    def open(self, label: ScopeLabel | None, target: str, pattern: Pattern, started_ns: int) -> Counters:
        """The counters for an execution whose window does not have its pattern: new ones, or those of others."""
        key = (target, pattern.id)
        if pattern.id != OTHER.id and key not in self._patterns and len(self._patterns) >= self._max_patterns:
            pattern, key = OTHER, (target, OTHER.id)
        if pattern.id != OTHER.id:
            # Of patterns that left the cache and came back there are several objects; one is kept for all scopes.
            pattern = self._patterns.setdefault(key, pattern)
        if label is not None:
            label = self._told_apart(label, key)
        window = self.windows.setdefault(label, {})
        counters = window.get(key)
        if counters is None:
            counters = window[key] = Counters(label, target, pattern, started_ns)
        return counters

    def _told_apart(self, label: ScopeLabel, key: Key) -> ScopeLabel:
        place = (label, *key)
        if place not in self._places:
            if len(self._places) >= _SCOPES_PER_PATTERN * self._max_patterns:
                return OTHER_SCOPES
            self._places.add(place)
        return label

    def find(self, label: ScopeLabel | None, target: str, pattern: Pattern) -> Counters | None:
        """The counters that have an execution of this window; None if it has none."""
        for scope in (label, OTHER_SCOPES):
            window = self.windows.get(scope, _NOTHING)
            counters = window.get((target, pattern.id)) or window.get((target, OTHER.id))
            if counters is not None:
                return counters
        return None

    def frozen_window(self, offset_us: int) -> dict[Place, QueryStats]:
        """The window as values; `offset_us` as for `Counters.frozen`."""
        tags = {label: {} if label is None else dict(label.tags) for label in self.windows}
        return {
            (label, *key): counters.frozen(offset_us, tags[label])
            for label, window in self.windows.items()
            for key, counters in window.items()
            if counters.execution_count  # none if the only one could not be counted
        }

    def drain(self, offset_us: int) -> tuple[QueryStats, ...]:
        """The window as values, which move into the totals; `offset_us` as for `Counters.frozen`."""
        drained = self.frozen_window(offset_us)
        together = dict(self.totals)
        for place, stats in drained.items():
            # One after the other, so that no more than one of thousands is unpacked: what a flush takes for a moment
            # is never given back, as something that stays comes to lie in the midst of it.
            before = together.get(place)
            together[place] = KeptStats(stats if before is None else before.stats().merged(stats))
        outcomes, slow_count = self.overall(drained.values())
        self.windows, self.totals = {None: {}}, together
        self.outcomes, self.slow_count = outcomes, slow_count
        return tuple(drained.values())

    def overall(self, window: Iterable[QueryStats]) -> tuple[OutcomeCounts, int]:
        """Executions by how they ended and slow ones, those drained and those of `window` together."""
        outcomes, slow_count = self.outcomes, self.slow_count
        for stats in window:
            outcomes = outcomes.merged(stats.outcomes)
            slow_count += stats.slow_count
        return outcomes, slow_count

    def folded_counts(self) -> tuple[int, int]:
        """Executions counted under `OTHER`, and those counted under other scopes, drained or not."""
        patterns = scopes = 0
        for (label, _, pattern_id), count in self._counts_if_folded():
            patterns += count if pattern_id == OTHER.id else 0
            scopes += count if label is not None and label.is_folded else 0
        return patterns, scopes

    def _counts_if_folded(self) -> Iterator[tuple[Place, int]]:
        for place, kept in self.totals.items():
            if _is_folded(place):
                yield place, kept.stats().execution_count
        for label, window in self.windows.items():
            for key, counters in window.items():
                if _is_folded(place := (label, *key)):
                    yield place, counters.execution_count

    def drop_unseen_since(self, epoch_us: int) -> frozenset[Key]:
        """
        Forgets what was last seen before that, unless the window has numbers of it.

        Returns:
            The patterns of which nothing is left.
        """
        unseen = {
            place
            for place, kept in self.totals.items()
            if kept.last_us < epoch_us and place[1:] not in self.windows.get(place[0], _NOTHING)
        }
        unseen = {place for place in unseen if place[2] != OTHER.id}
        if not unseen:
            return frozenset()
        forgotten_ns = Counter(self.forgotten_ns)
        for place in unseen:
            forgotten_ns[place[1]] += self.totals[place].stats().durations.total_ns
        self.forgotten_ns = forgotten_ns
        self.totals = {place: kept for place, kept in self.totals.items() if place not in unseen}
        known = {*self.totals, *((label, *key) for label, window in self.windows.items() for key in window)}
        self._places = {place for place in known if place[0] not in {None, OTHER_SCOPES}}
        gone = self._patterns.keys() - {place[1:] for place in known}
        for key in gone:
            del self._patterns[key]
        return frozenset(gone)


_NOTHING: Final[Mapping[Key, Counters]] = {}


def _is_folded(place: Place) -> bool:
    """Whether it is one of those under which others are counted together."""
    label, _, pattern_id = place
    return pattern_id == OTHER.id or (label is not None and label.is_folded)


def merged(totals: Mapping[Place, KeptStats], window: Mapping[Place, QueryStats]) -> dict[Place, QueryStats]:
    """Both together as values, by place; neither is changed."""
    together = {place: kept.stats() for place, kept in totals.items()}
    for place, stats in window.items():
        before = together.get(place)
        together[place] = stats if before is None else before.merged(stats)
    return together
