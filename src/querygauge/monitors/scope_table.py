"""
What the units of work of each scope did: those of the current window, and those of all windows.

In go executions and the ends of units, out come `ScopeStats`. What the fold counts of a unit rides on the unit itself,
and is added to its scope when the unit ends or somebody reads. Deliberately not here: the lock, which the recorder has,
and single patterns, which the query table counts by scope.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from querygauge.protocols import Scope
from querygauge.values import OK, OTHER_SCOPES, OTHER_VALUE, OUTCOMES, OutcomeCounts, ScopeLabel, ScopeStats

__all__ = ["ScopeCounters", "ScopeTable", "UnitCounts", "merged"]

_NS_PER_MS: Final = 1e6


class UnitCounts:
    """
    What one unit executed within a window and its scope does not have yet; the fold adds to the attributes itself.

    Attributes:
        executions: How many.
        duration_ns: How long they took.
        repeated: Those that were not the first of their pattern within the unit.
        scope: The counters of its scope.
    """

    __slots__ = ("duration_ns", "executions", "repeated", "scope")

    def __init__(self, scope: "ScopeCounters") -> None:
        self.executions = self.duration_ns = self.repeated = 0
        self.scope = scope


class ScopeCounters:
    """
    What one scope did within a window.

    Attributes:
        label: What it is counted under.
        name: That of the label.
        patterns: Counters of what it executed, by pattern; belongs to the fold.
        outcomes: Its executions by how they ended, without those that ended well; likewise.
    """

    __slots__ = (
        "duration_ns", "executions", "label", "max_executions", "max_ns", "name", "outcomes", "patterns", "repeated",
        "unit_ns", "units",
    )  # fmt: skip

    def __init__(self, label: ScopeLabel, patterns: Any) -> None:
        self.label = label
        self.name = label.name
        self.patterns = patterns
        self.outcomes = [0] * len(OUTCOMES)
        self.executions = self.duration_ns = self.repeated = self.units = self.unit_ns = 0
        self.max_executions = self.max_ns = 0

    def frozen(self) -> ScopeStats:
        """The counts so far."""
        failed = self.outcomes[OK + 1 :]
        return ScopeStats(
            self.label.name,
            dict(self.label.tags),
            self.units,
            self.unit_ns / _NS_PER_MS,
            OutcomeCounts(self.executions - sum(failed), *failed),
            self.repeated,
            self.duration_ns / _NS_PER_MS,
            self.max_executions,
            self.max_ns / _NS_PER_MS,
        )


class ScopeTable:
    """
    The counters of all scopes; whoever holds it serialises the calls.

    Distinct scopes are bounded. Beyond the limit the tags of a scope go first, each to `OTHER_VALUE`, so that its name
    is still told; then the name.

    Attributes:
        totals: What was drained, by label; values are never changed, only replaced.
        window_key: Under which the units keep their counts of this window.
    """

    def __init__(self, max_scopes: int, patterns_of: Callable[[ScopeLabel], Any]) -> None:
        """
        Makes an empty table.

        Args:
            max_scopes: Distinct labels that are counted apart.
            patterns_of: Gives where the patterns of a scope are counted.
        """
        self._max_scopes = max_scopes
        self._patterns_of = patterns_of
        self.window_key = object()
        self.totals: dict[ScopeLabel, ScopeStats] = {}
        self._under_way: dict[UnitCounts, Scope] = {}
        self.clear()

    def clear(self) -> None:
        """Forgets everything, and what the units under way had executed."""
        self._last_us: dict[ScopeLabel, int] = {}
        self._known: set[ScopeLabel] = set()  # labels that are counted apart
        self._unit_key = object()  # under which the units keep what they had in all windows
        self._begin_window({})

    def _begin_window(self, totals: dict[ScopeLabel, ScopeStats]) -> None:
        over, under_way, window_key = self.window_key, self._under_way, object()
        self.totals, self.window_key = totals, window_key
        self._window: dict[ScopeLabel, ScopeCounters] = {}
        self._under_way = {}
        for scope in under_way.values():
            scope.tallies.pop(over, None)  # a unit may last for many windows

    def enter(self, scope: Scope, label: ScopeLabel) -> UnitCounts:
        """Where to count what a unit executes in this window; the unit keeps it, if the label is its own."""
        counts = UnitCounts(self._window.get(label) or self._counters_of(label))
        if scope.label is not None:
            scope.tallies[self.window_key] = counts
        self._under_way[counts] = scope
        return counts

    def end(self, scope: Scope, label: ScopeLabel, duration_ns: int) -> None:
        """Counts a unit that has ended after so long."""
        counters = self._window.get(label) or self._counters_of(label)
        counts = scope.tallies.get(self.window_key)
        if counts is not None:
            self._settle(counts, scope)
            del scope.tallies[self.window_key], self._under_way[counts]
        counters.units += 1
        counters.unit_ns += duration_ns

    def _counters_of(self, label: ScopeLabel) -> ScopeCounters:
        label = self.told_apart(label)
        found = self._window.get(label)
        if found is None:
            found = self._window[label] = ScopeCounters(label, self._patterns_of(label))
        return found

    def _settle(self, counts: UnitCounts, scope: Scope) -> None:
        """Adds what a unit executed to its scope."""
        before, before_ns = scope.tallies.get(self._unit_key, (0, 0))
        # From here on nothing is called that a signal handler could interrupt; see the fold.
        counters = counts.scope
        in_unit, in_unit_ns = before + counts.executions, before_ns + counts.duration_ns
        scope.tallies[self._unit_key] = in_unit, in_unit_ns
        counters.executions += counts.executions
        counters.duration_ns += counts.duration_ns
        counters.repeated += counts.repeated
        if in_unit > counters.max_executions:  # noqa: PLR1730  # max() is a call
            counters.max_executions = in_unit
        if in_unit_ns > counters.max_ns:  # noqa: PLR1730  # likewise
            counters.max_ns = in_unit_ns
        counts.executions = counts.duration_ns = counts.repeated = 0

    def told_apart(self, label: ScopeLabel) -> ScopeLabel:
        """What a scope is counted under: its own label, or that of those it is counted with."""
        if label in self._known:
            return label
        without_values = ScopeLabel(label.name, tuple((key, OTHER_VALUE) for key, _ in label.tags))
        for candidate, limit in ((label, self._max_scopes), (without_values, 2 * self._max_scopes)):
            if candidate in self._known or len(self._known) < limit:
                self._known.add(candidate)
                return candidate
            if not label.tags:
                break
        return OTHER_SCOPES

    def frozen_window(self) -> dict[ScopeLabel, ScopeStats]:
        """The window as values."""
        for counts, scope in self._under_way.items():
            self._settle(counts, scope)
        return {label: counters.frozen() for label, counters in self._window.items()}

    def drain(self, now_us: int) -> tuple[ScopeStats, ...]:
        """The window as values, which move into the totals."""
        drained = self.frozen_window()
        self._last_us.update(dict.fromkeys(drained, now_us))
        self._begin_window(merged(self.totals, drained))
        return tuple(drained.values())

    def drop_unseen_since(self, epoch_us: int) -> None:
        """Forgets scopes that were last drained before that."""
        self._last_us = {label: last_us for label, last_us in self._last_us.items() if last_us >= epoch_us}
        self.totals = {label: stats for label, stats in self.totals.items() if label in self._last_us}
        self._known = {*self.totals, *self._window}


def merged(
    totals: Mapping[ScopeLabel, ScopeStats], window: Mapping[ScopeLabel, ScopeStats]
) -> dict[ScopeLabel, ScopeStats]:
    """Both together, by label; neither is changed."""
    together = dict(totals)
    for label, stats in window.items():
        before = together.get(label)
        together[label] = stats if before is None else before.merged(stats)
    return together
