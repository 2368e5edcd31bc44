"""
Executions that are kept one by one: for the history, slow ones for whoever is told, some of those that failed.

In go executions as the queue has them, out come `SlowQuery` values. Deliberately not here: the lock, which the recorder
has, and counting.
"""

import itertools
from collections import deque
from typing import Any, Final, NamedTuple

from querygauge.clock import datetime_of
from querygauge.values import ERROR, OUTCOMES, TIMEOUT, Failure, Pattern, ScopeLabel, SlowQuery

__all__ = ["Kept", "KeptExecutions", "slow_query_of"]

_PENDING_LIMIT: Final = 1_000  # slow executions between two polls; beyond it they are counted only
_FAILED_LIMIT: Final = 1_000  # failed executions that were not slow, in one window; they are counted in any case
_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1e6
_FAILED: Final = frozenset({ERROR, TIMEOUT})


class Kept(NamedTuple):
    """One execution, as it is kept: a fraction of what a `SlowQuery` takes."""

    target: str
    pattern: Pattern
    started_us: int
    duration_ns: int
    rows: int
    outcome: int
    failure: Failure | None
    call_site: str | None
    scope: ScopeLabel | None
    literals: tuple[str, Any] | None
    trace_id: str | None
    lag_ns: int

    @property
    def counted_ns(self) -> int:
        """What it took without a blocked event loop, for which a query is not slow."""
        return self.duration_ns - self.lag_ns


class KeptExecutions:
    """
    Those that took long enough; whoever holds it serialises the calls.

    Attributes:
        from_ns: What takes as long as this is to be kept.
        history_dropped: Executions the bounded history pushed out.
        pending_dropped: Slow executions that came too fast to be handed out one by one.
    """

    def __init__(self, slow_ns: int, history_ns: int, max_history_size: int) -> None:
        self.from_ns = min(slow_ns, history_ns)
        self._slow_ns = slow_ns
        self._history_ns = history_ns
        self._max_history_size = max_history_size
        self._history: deque[Kept] = deque(maxlen=max_history_size)
        self._failed: list[Kept] = []
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._history.clear()
        self._failed.clear()
        self._pending: list[Kept] = []
        self._undrained = 0  # how many of the history no window has had
        self._unhanded = 0  # slow executions since the last `take_slow()` that `_pending` had no room for
        self.history_dropped = 0
        self.pending_dropped = 0

    def keep(self, executions: list[tuple[int, ScopeLabel | None, int, tuple[Any, ...]]], offset_us: int) -> None:
        """
        Keeps executions, and empties the list; their units and scopes are let go, with all they have counted.

        Args:
            executions: Start, scope, nanoseconds of it that are the event loop's, and what is queued.
            offset_us: What a start lacks, in microseconds, to the epoch.
        """
        kept = [_kept(offset_us, *execution) for execution in executions]
        history = [one for one in kept if one.counted_ns >= self._history_ns]
        slow = [one for one in kept if one.counted_ns >= self._slow_ns]
        failed = [one for one in kept if one.outcome in _FAILED and one.counted_ns < self._history_ns]
        failed = [*self._failed, *failed][:_FAILED_LIMIT]
        pushed_out = max(0, len(self._history) + len(history) - self._max_history_size)
        undrained = min(self._undrained + len(history), self._max_history_size)
        pending = [*self._pending, *slow][:_PENDING_LIMIT]
        unhanded = len(self._pending) + len(slow) - len(pending)
        # From here on nothing is called that a signal handler could interrupt; see the fold.
        self.history_dropped += pushed_out
        self._history += history
        self._undrained = undrained
        self._failed = failed
        self._pending = pending
        self._unhanded += unhanded
        self.pending_dropped += unhanded
        del executions[:]

    def drain(self) -> tuple[list[Kept], list[Kept]]:
        """Those of the history that came since the last call, oldest first, and failed ones that did not take long."""
        drained = list(itertools.islice(self._history, len(self._history) - self._undrained, None))
        failed, self._failed = self._failed, []
        self._undrained = 0
        return drained, failed

    def history(self) -> list[Kept]:
        """Those of the history, oldest first."""
        return list(self._history)

    def take_slow(self) -> tuple[list[Kept], int]:
        """Slow ones since the last call, oldest first, and how many more there were."""
        pending, self._pending = self._pending, []
        unhanded, self._unhanded = self._unhanded, 0
        return pending, unhanded


def _kept(offset_us: int, started_ns: int, scope: ScopeLabel | None, lag_ns: int, execution: tuple[Any, ...]) -> Kept:
    target, pattern, _, duration_ns, rows, outcome, failure, call_site, _, literals, _, trace_id, _ = execution
    return Kept(
        target, pattern, offset_us + started_ns // _NS_PER_US, duration_ns, rows, outcome, failure, call_site, scope,
        literals, trace_id, lag_ns,
    )  # fmt: skip


def slow_query_of(kept: Kept, *, is_slow: bool = True) -> SlowQuery:
    """One that is kept, as a value; `is_slow` tells whether for the time it took."""
    statement, parameters = (kept.pattern.text, None) if kept.literals is None else kept.literals
    return SlowQuery(
        query=statement,
        pattern_id=kept.pattern.id,
        summary=kept.pattern.summary,
        target=kept.target,
        duration_ms=kept.duration_ns / _NS_PER_MS,
        timestamp=datetime_of(kept.started_us),
        outcome=OUTCOMES[kept.outcome],
        rows=None if kept.rows < 0 else kept.rows,
        parameters=parameters,
        call_site=kept.call_site,
        error=kept.failure,
        trace_id=kept.trace_id,
        scope=kept.scope and kept.scope.name,
        loop_lag_ms=kept.lag_ns / _NS_PER_MS,
        operation=kept.pattern.operation,
        tags={} if kept.scope is None else dict(kept.scope.tags),
        is_slow=is_slow,
    )
