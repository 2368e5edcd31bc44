"""
The same query from the same line, again and again within one unit of work: what an N+1 looks like from below.

In goes every execution that belongs to a unit (a named scope, else one checkout), out come `Repetition` findings,
those of the current window and those of all windows. The counts per unit ride on the unit itself and end with it, as
the evidence does, which says why a query is repeated; where that is in the nature of the thing, there is no finding.
Deliberately not here: the lock (the recorder has it), and looking at executions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from querygauge.protocols import Evidence, Unit
from querygauge.values import Pattern, Repetition
from querygauge.values.repetitions import Cause

__all__ = ["COUNT", "NEXT", "NS", "Finding", "RepetitionTable", "merged"]

Finding = tuple[str, str, str | None, str | None]
"""Target, pattern id, call site and name of the scope."""

_FINDINGS_LIMIT: Final = 1_000  # distinct findings kept; a program has few lines that send SQL in loops, in few scopes
_UNIT_LIMIT: Final = 2_000  # patterns and lines counted within one unit, which may live as long as a batch job
_NS_PER_MS: Final = 1e6
_UNSETTLED: Final = 16  # tallies of a finding that wait to be added to it
# Places in a tally, which a unit keeps for each of its patterns and lines: executions, their time, the executions from
# which on there is more to do than to count, their finding, and what of it all is in findings already.
COUNT: Final = 0
NS: Final = 1
NEXT: Final = 2
_FOUND: Final = 3
_TAKEN: Final = 4
_SURE: Final = 4  # of so many executions one is due until an innocent tally is asked again
_WAITS: Final = 2**30 - 1  # in a finding, which will ask; the largest number that Python compares by the fast way
_NO_EVIDENCE: Final = (0, 0, 0, 0, 0, 0)
_NOTHING: Final = (0, 0, *_NO_EVIDENCE)


class RepetitionTable:
    """
    Findings by target, pattern, call site and scope; whoever holds it serialises the calls.

    Attributes:
        window: What was found since the last `drain()`.
        totals: What was drained, by key; values are never changed, only replaced.
        dropped: Executions of findings for which there was no more room.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self.window: dict[Finding, _Counts] = {}
        self.clear()

    def clear(self) -> None:
        """Forgets every finding, and what the units under way have in them."""
        self.frozen_window()  # so that no later finding has what was before
        self.window = {}
        self._window_key = object()
        self._totals_key = object()
        self.totals: dict[Finding, Repetition] = {}
        self.dropped = 0
        self._distinct = 0

    def tally(
        self,
        target: str,
        pattern: Pattern,
        call_site: str | None,
        unit: Unit,
        unit_key: str,
        scope: str | None,
        times: int,
        tally: list[Any] | None,
    ) -> list[Any] | None:
        """
        Where to count executions within their unit; with those that reach the threshold it enters a finding.

        Args:
            target: Name of the database.
            pattern: What was executed.
            call_site: The sending line.
            unit: What it is repeated within.
            unit_key: What the unit counts it under.
            scope: Name of the scope it belongs to.
            times: How many are to be counted, by whoever asks.
            tally: The one that the unit has under this key and line, if it has one.

        Returns:
            To its `COUNT` and `NS` they are to be added; None if the unit has too many already.
        """
        # This runs with every repeated statement: what can be done once for many of them waits until somebody asks.
        if tally is None:
            repeats = unit.repeats
            known = len(repeats)
            if known >= _UNIT_LIMIT:
                return None
            # A line is looked for from the second execution on; the first one belongs to the first line that is known.
            first = repeats.get((unit_key, None)) if call_site is not None else None
            if first is None or first[COUNT] != 1 or (known > 1 and _has_line(repeats, unit_key)):
                tally = repeats[unit_key, call_site] = [0, 0, 0, None, _NOTHING]
            else:
                tally = repeats[unit_key, call_site] = first
                del repeats[unit_key, None]
            tally[NEXT] = self._threshold
        if tally[COUNT] + times >= tally[NEXT]:
            self._find(target, pattern, call_site, unit, tally, scope, times)
        return tally

    def _find(
        self,
        target: str,
        pattern: Pattern,
        call_site: str | None,
        unit: Unit,
        tally: list[Any],
        scope: str | None,
        times: int,
    ) -> None:
        """Enters a tally into its finding in this window, all of it if it is in none yet."""
        evidence = unit.evidence.get(call_site)
        if tally[_FOUND] is not None and tally[_FOUND].totals_key is not self._totals_key:  # of before `clear()`
            seen = _NO_EVIDENCE if evidence is None else evidence.counts()
            tally[:] = [0, 0, self._threshold, None, (0, 0, *seen)]
        count, found = tally[COUNT] + times, tally[_FOUND]
        if count < self._threshold:
            tally[NEXT] = self._threshold
            return
        if found is None and evidence is not None and evidence.is_innocent(self._threshold):
            tally[NEXT] = count + max(1, count // _SURE)
            return
        is_new = found is None
        if found is None or found.window_key is not self._window_key:
            found = self._counts(target, pattern, call_site, scope)
            if found is None:
                self.dropped += times
                return
        found.make_room()
        found.scopes += is_new
        tally[_FOUND] = found
        tally[NEXT] = _WAITS
        found.waiting += ((evidence, tally),)

    def _counts(self, target: str, pattern: Pattern, call_site: str | None, scope: str | None) -> "_Counts | None":
        key = (target, pattern.id, call_site, scope)
        counts = self.window.get(key)
        if counts is None and (key in self.totals or self._distinct < _FINDINGS_LIMIT):
            counts = _Counts(pattern, target, call_site, scope, self._window_key, self._totals_key)
            self.window[key] = counts
            self._distinct += key not in self.totals
        return counts

    def frozen_window(self) -> dict[Finding, Repetition]:
        """The window as values."""
        return {key: counts.frozen() for key, counts in self.window.items()}

    def drain(self) -> tuple[Repetition, ...]:
        """The window as values, which move into the totals."""
        drained = self.frozen_window()
        totals, window_key = merged(self.totals, drained), object()
        self.totals, self.window, self._window_key = totals, {}, window_key
        return tuple(drained.values())

    def drop(self, patterns: Iterable[tuple[str, str]]) -> None:
        """Forgets the findings about these targets and pattern ids, unless the window has more of them."""
        gone = frozenset(patterns)
        kept = {key: finding for key, finding in self.totals.items() if key[:2] not in gone or key in self.window}
        lost = len(self.totals) - len(kept)
        self._distinct -= lost
        self.totals = kept


class _Counts:
    """
    One finding within a window.

    Attributes:
        window_key: Which window.
        totals_key: Since which `clear()`.
        waiting: Tallies with their evidence that are to be added, as soon as several of them are there.
    """

    __slots__ = (
        "_call_site", "_pattern", "_scope", "_target", "attribute", "cause", "compared", "executions", "max", "origins",
        "overlaps", "parallel", "parameters", "parents", "scopes", "tasks", "total_ns", "totals_key",
        "waiting", "window_key",
    )  # fmt: skip

    def __init__(
        self,
        pattern: Pattern,
        target: str,
        call_site: str | None,
        scope: str | None,
        window_key: object,
        totals_key: object,
    ) -> None:
        self._pattern = pattern
        self._target = target
        self._call_site = call_site
        self.window_key = window_key
        self.totals_key = totals_key
        self.waiting: list[tuple[Evidence | None, list[Any]]] = []
        self._scope = scope
        self.scopes = self.executions = self.max = self.total_ns = 0
        self.compared = self.parameters = self.parents = self.origins = self.tasks = self.overlaps = self.parallel = 0
        self.cause: Cause | None = None
        self.attribute: str | None = None

    def make_room(self) -> None:
        """Adds what waits, if it is enough."""
        if len(self.waiting) >= _UNSETTLED:
            self._settle()

    def _settle(self) -> None:
        """Adds what is in no finding yet."""
        for evidence, tally in self.waiting:
            counts, tasks = (_NO_EVIDENCE, 0) if evidence is None else (evidence.counts(), evidence.tasks)
            # Nothing is called from here to the end of the round, which is done again if the next one is interrupted.
            count, total_ns, taken = tally[COUNT], tally[NS], tally[_TAKEN]
            self.executions += count - taken[0]
            self.total_ns += total_ns - taken[1]
            self.compared += counts[0] - taken[2]
            self.parameters += counts[1] - taken[3]
            self.parents += counts[2] - taken[4]
            self.origins += counts[3] - taken[5]
            self.overlaps += counts[4] - taken[6]
            self.parallel += counts[5] - taken[7]
            if count > self.max:  # noqa: PLR1730  # max() is a call
                self.max = count
            if tasks > self.tasks:  # noqa: PLR1730  # likewise
                self.tasks = tasks
            if evidence is not None:
                self.cause, self.attribute = evidence.cause or self.cause, evidence.attribute or self.attribute
            tally[_TAKEN] = (count, total_ns, *counts)
            tally[NEXT] = 0
        del self.waiting[:]

    def frozen(self) -> Repetition:
        self._settle()
        return Repetition(
            pattern=self._pattern,
            target=self._target,
            call_site=self._call_site,
            scope=self._scope,
            scopes_count=self.scopes,
            execution_count=self.executions,
            max_per_scope=self.max,
            total_duration_ms=self.total_ns / _NS_PER_MS,
            compared_count=self.compared,
            parameters_count=self.parameters,
            parents_count=self.parents,
            origins_count=self.origins,
            tasks_count=self.tasks,
            overlap_count=self.overlaps,
            parallel_scopes_count=max(self.parallel, 0),
            cause=self.cause,
            attribute=self.attribute,
        )


def _has_line(repeats: Iterable[tuple[str, str | None]], unit_key: str) -> bool:
    """Whether a line of that pattern is known."""
    return any(key == unit_key and line is not None for key, line in repeats)


def merged(totals: Mapping[Finding, Repetition], window: Mapping[Finding, Repetition]) -> dict[Finding, Repetition]:
    """Both together, by key; neither is changed."""
    together = dict(totals)
    for key, later in window.items():
        before = together.get(key)
        together[key] = later if before is None else _both(before, later)
    return together


def _both(before: Repetition, later: Repetition) -> Repetition:
    return replace(
        later,
        scopes_count=before.scopes_count + later.scopes_count,
        execution_count=before.execution_count + later.execution_count,
        max_per_scope=max(before.max_per_scope, later.max_per_scope),
        total_duration_ms=before.total_duration_ms + later.total_duration_ms,
        compared_count=before.compared_count + later.compared_count,
        parameters_count=before.parameters_count + later.parameters_count,
        parents_count=before.parents_count + later.parents_count,
        origins_count=before.origins_count + later.origins_count,
        tasks_count=max(before.tasks_count, later.tasks_count),
        overlap_count=before.overlap_count + later.overlap_count,
        parallel_scopes_count=before.parallel_scopes_count + later.parallel_scopes_count,
        cause=later.cause or before.cause,
        attribute=later.attribute or before.attribute,
    )
