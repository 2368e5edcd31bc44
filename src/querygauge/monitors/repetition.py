"""
The same query from the same line, again and again within one unit of work: what an N+1 looks like from below.

In goes every execution that belongs to a unit (a named scope, else one checkout), out come `Repetition` findings,
those of the current window and those of all windows. The counts per unit ride on the unit itself and end with it.
Deliberately not here: the lock (the recorder has it), and why a query is repeated.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from querygauge.protocols import Unit
from querygauge.values import Pattern, Repetition

__all__ = ["Finding", "RepetitionTable", "fix_for", "merged"]

Finding = tuple[str, str, str | None]
"""Target, pattern id and call site."""

_FINDINGS_LIMIT: Final = 1_000  # distinct findings kept; a program has fewer lines that send SQL in loops
_UNIT_LIMIT: Final = 2_000  # patterns and lines counted within one unit, which may live as long as a batch job
_NS_PER_MS: Final = 1e6
# Places in a tally, which a unit keeps for each of its patterns and lines: executions, their time, and their finding.
_COUNT: Final = 0
_NS: Final = 1
_FOUND: Final = 2

_MANY_AT_ONCE: Final = "send all rows in one executemany instead of one statement each"
_FIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SELECT": "load them at once: selectinload() or joinedload() for a relationship, else one query with IN",
        "INSERT": _MANY_AT_ONCE,
        "UPDATE": _MANY_AT_ONCE,
        "DELETE": _MANY_AT_ONCE,
    }
)
_DEFAULT_FIX: Final = "send it once before the loop, or all of them as one statement"


def fix_for(operation: str) -> str:
    """What to change about a repeated statement of this operation, in one sentence."""
    return _FIXES.get(operation, _DEFAULT_FIX)


class RepetitionTable:
    """
    Findings by target, pattern and call site; whoever holds it serialises the calls.

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
        """Forgets every finding; what units have counted so far stays with them."""
        self._close_window()
        self.totals: dict[Finding, Repetition] = {}
        self.dropped = 0
        self._distinct = 0

    def add(
        self,
        target: str,
        pattern: Pattern,
        call_site: str | None,
        unit: Unit,
        duration_ns: int,
        unit_key: str,
        scope: str | None,
    ) -> None:
        """
        Counts one execution within its unit, and in the finding once the threshold is reached.

        Args:
            target: Name of the database.
            pattern: What was executed.
            call_site: The sending line.
            unit: What it is repeated within.
            duration_ns: How long it took.
            unit_key: What the unit counts it under.
            scope: Name of the scope it belongs to.
        """
        repeats = unit.repeats
        tally = repeats.get((unit_key, call_site))
        if tally is None:
            if len(repeats) >= _UNIT_LIMIT:
                return
            # A line is looked for from the second execution on; the first one belongs to the first line that is known.
            first = repeats.get((unit_key, None)) if call_site is not None else None
            if first is None or first[_COUNT] != 1:
                repeats[unit_key, call_site] = [1, duration_ns, None]
                return
            tally = repeats[unit_key, call_site] = repeats.pop((unit_key, None))
        count = tally[_COUNT] = tally[_COUNT] + 1
        tally[_NS] += duration_ns
        found = tally[_FOUND]
        if found is not None and found.is_open:
            found.executions += 1
            found.total_ns += duration_ns
            found.scope = scope
            if count > found.max:  # noqa: PLR1730  # this runs with every repeated statement, and max() is a call
                found.max = count
        elif count >= self._threshold:
            self._find(target, pattern, call_site, duration_ns, tally, scope)

    def _find(
        self,
        target: str,
        pattern: Pattern,
        call_site: str | None,
        duration_ns: int,
        tally: list[Any],
        scope: str | None,
    ) -> None:
        """Enters a tally into its finding in this window, all of it if it has just reached the threshold."""
        found = tally[_FOUND] = self._counts(target, pattern, call_site)
        if found is None:
            self.dropped += 1
            return
        is_new = tally[_COUNT] == self._threshold
        found.scope = scope
        found.scopes += is_new
        found.executions += tally[_COUNT] if is_new else 1
        found.total_ns += tally[_NS] if is_new else duration_ns
        found.max = max(found.max, tally[_COUNT])

    def _counts(self, target: str, pattern: Pattern, call_site: str | None) -> "_Counts | None":
        key = (target, pattern.id, call_site)
        counts = self.window.get(key)
        if counts is None and (key in self.totals or self._distinct < _FINDINGS_LIMIT):
            self._distinct += key not in self.totals
            counts = self.window[key] = _Counts(pattern, target, call_site)
        return counts

    def frozen_window(self) -> dict[Finding, Repetition]:
        """The window as values."""
        return {key: counts.frozen() for key, counts in self.window.items()}

    def drain(self) -> tuple[Repetition, ...]:
        """The window as values, which move into the totals."""
        drained = self.frozen_window()
        self._close_window()
        self.totals = merged(self.totals, drained)
        return tuple(drained.values())

    def _close_window(self) -> None:
        for counts in self.window.values():
            counts.is_open = False
        self.window = {}

    def drop(self, patterns: Iterable[tuple[str, str]]) -> None:
        """Forgets the findings about these targets and pattern ids, unless the window has more of them."""
        gone = frozenset(patterns)
        kept = {key: finding for key, finding in self.totals.items() if key[:2] not in gone or key in self.window}
        self._distinct -= len(self.totals) - len(kept)
        self.totals = kept


class _Counts:
    """
    One finding within a window.

    Attributes:
        is_open: Whether the window goes on.
    """

    __slots__ = ("_call_site", "_pattern", "_target", "executions", "is_open", "max", "scope", "scopes", "total_ns")

    def __init__(self, pattern: Pattern, target: str, call_site: str | None) -> None:
        self._pattern = pattern
        self._target = target
        self._call_site = call_site
        self.scope: str | None = None
        self.scopes = self.executions = self.max = self.total_ns = 0
        self.is_open = True

    def frozen(self) -> Repetition:
        return Repetition(
            self._pattern,
            self._target,
            self._call_site,
            self.scope,
            self.scopes,
            self.executions,
            self.max,
            self.total_ns / _NS_PER_MS,
            fix_for(self._pattern.operation),
        )


def merged(totals: Mapping[Finding, Repetition], window: Mapping[Finding, Repetition]) -> dict[Finding, Repetition]:
    """Both together, by key; neither is changed."""
    together = dict(totals)
    for key, later in window.items():
        before = together.get(key)
        together[key] = later if before is None else _both(before, later)
    return together


def _both(before: Repetition, later: Repetition) -> Repetition:
    return Repetition(
        later.pattern,
        later.target,
        later.call_site,
        later.scope,
        before.scopes_count + later.scopes_count,
        before.execution_count + later.execution_count,
        max(before.max_per_scope, later.max_per_scope),
        before.total_duration_ms + later.total_duration_ms,
        later.fix,
    )
