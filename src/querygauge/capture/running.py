"""
What runs on one target at this moment: in go the checkouts that the hooks write to, out comes a `RunningState`.

Nothing is done for it while a statement runs but what is done anyway. Who asks pays: the pattern is worked out then,
and the line that sent the statement is looked for from outside, on the stacks of all threads or tasks. A statement may
end meanwhile; then it is left out. Where its stack is not found, the line that checked the connection out stands in.

Deliberately not here: how stacks are found.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

from querygauge.capture.asyncpg_connection import ConnectionStatements
from querygauge.capture.call_site import CallSiteFinder
from querygauge.capture.guard import Guard
from querygauge.capture.scope import CURRENT
from querygauge.capture.sqlalchemy_engine import Statements
from querygauge.capture.stacks import Stack, stacks_of_tasks, stacks_of_threads
from querygauge.checkout import CALL_SITE, KNOWN, RUNNING, SINCE, Checkout
from querygauge.clock import datetime_of
from querygauge.forking import survive_forks
from querygauge.protocols import Clock
from querygauge.values import Pattern, RunningQuery, RunningState

__all__ = ["Running"]

_NS_PER_MS: Final = 1e6
_NS_PER_US: Final = 1_000
# As code objects know them, which may have been compiled elsewhere.
_ENGINE_HOOKS: Final = Statements.attach.__code__.co_filename
_CONNECTION_HOOKS: Final = ConnectionStatements.attach.__code__.co_filename


class _UnderWay:
    """One execution under way, and what is found about it."""

    __slots__ = ("call_site", "checkout", "context", "note", "scope", "started_ns", "statement")

    def __init__(self, checkout: Checkout, note: tuple[int, str]) -> None:
        self.checkout = checkout
        self.note = note
        self.started_ns, self.statement = note
        site = checkout[CALL_SITE]
        self.call_site = None if site is None else str(site)
        self.scope: str | None = None
        self.context: Any = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended since, and another may have begun."""
        return self.checkout[RUNNING] is not self.note


class Running:
    """
    Tells what runs on one target.

    Args:
        target: Name of the database.
        held: Its checkouts.
        pattern_of: The pattern of a statement, given SQLAlchemy's context of its execution or None.
        call_sites: Finds lines; None if nobody wants them.
        loops: The event loops that may use the target; None if threads do.
        guard: Counts what fails.
    """

    def __init__(
        self,
        target: str,
        *,
        held: Mapping[Any, Checkout],
        pattern_of: Callable[[str, Any], Pattern],
        call_sites: CallSiteFinder | None,
        loops: Callable[[], Iterable[asyncio.AbstractEventLoop]] | None,
        guard: Guard,
    ) -> None:
        self._target = target
        self._held = held
        self._pattern_of = pattern_of
        self._call_sites = call_sites
        self._loops = loops
        self._guard = guard
        self._is_over = False
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """What ran in the parent goes on there."""
        for checkout in self._held.values():
            checkout[RUNNING] = None

    def end(self) -> None:
        """The hooks are gone, and nobody will tell that a statement has ended."""
        self._is_over = True

    def state(self, clock: Clock, threshold_ns: int, limit: int | None = None) -> RunningState:
        """
        What runs now, for any thread; does not raise.

        Args:
            clock: Where the time comes from.
            threshold_ns: From this age on an execution is told about, and not only counted.
            limit: How many are told about at most, the oldest; None is all.
        """
        try:
            return RunningState(self._target) if self._is_over else self._state(clock, threshold_ns, limit)
        except Exception as error:  # noqa: BLE001  # whoever looks must not lose everything else that is to be seen
            self._guard.caught("running", error)
            return RunningState(self._target)

    def _state(self, clock: Clock, threshold_ns: int, limit: int | None) -> RunningState:
        under_way = sorted(self._under_way(), key=lambda one: one.started_ns)
        if not under_way:
            return RunningState(self._target)
        now_ns, now_us = clock.monotonic_ns(), clock.now_us()
        oldest_ms = max(0, now_ns - under_way[0].started_ns) / _NS_PER_MS
        long = [one for one in under_way if now_ns - one.started_ns >= threshold_ns][:limit]
        if long:
            self._look_for(long)
        queries = tuple(self._query(one, now_ns, now_us) for one in long if not one.has_ended)
        return RunningState(self._target, len(under_way), oldest_ms, queries)

    def _under_way(self) -> Iterator[_UnderWay]:
        for checkout in list(self._held.values()):
            note = checkout[RUNNING]
            if note is not None:
                yield _UnderWay(checkout, note)

    def _query(self, one: _UnderWay, now_ns: int, now_us: int) -> RunningQuery:
        age_ns = max(0, now_ns - one.started_ns)
        reason = one.checkout[KNOWN]
        return RunningQuery(
            self._pattern_of(one.statement, one.context),
            self._target,
            age_ns / _NS_PER_MS,
            datetime_of(now_us - age_ns // _NS_PER_US),
            max(0, now_ns - one.checkout[SINCE]) / _NS_PER_MS,
            one.call_site,
            one.scope,
            reason if isinstance(reason, str) else None,
        )

    def _look_for(self, long: list[_UnderWay]) -> None:
        """Finds out what only the stacks of those know that sent the statements."""
        missing = {id(one.checkout): one for one in long}
        try:
            for stack in stacks_of_threads() if self._loops is None else stacks_of_tasks(self._loops()):
                self._look_at(stack, missing)
                if not missing:
                    return
        except Exception:  # noqa: BLE001, S110  # what changes while it is read, or may not be: the rest is not found
            pass

    def _look_at(self, stack: Stack, missing: dict[int, _UnderWay]) -> None:
        frames = list(stack.frames)
        for place, frame in enumerate(frames, 1):
            checkout, context = self._noted_in(frame)
            one = missing.pop(id(checkout), None)
            if one is None:
                continue
            one.context = context
            if self._call_sites is not None:
                one.call_site = self._call_sites.among(frames[place:], otherwise=one.call_site)
            scope = None if stack.context is None else stack.context.get(CURRENT)
            label = None if scope is None or scope.is_over else scope.find_label()
            one.scope = None if label is None else label.name

    def _noted_in(self, frame: FrameType) -> tuple[Checkout | None, Any]:
        """The checkout on which a hook has a statement under way, and SQLAlchemy's context of it; by its variables."""
        filename = frame.f_code.co_filename
        if filename == _ENGINE_HOOKS:
            variables = frame.f_locals
            return variables.get("holder"), variables.get("context")
        if filename == _CONNECTION_HOOKS:
            session = frame.f_locals.get("session")
            return (None if session is None else self._held.get(session.key)), None
        return None, None
