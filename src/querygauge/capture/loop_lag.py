"""
How long an event loop was blocked while a query ran: a timer that comes late tells.

The timer runs only on loops that use a database now, and ends by itself a second after the last use. In goes the span
of a query, out come nanoseconds; an estimate that is never too high, and too low by up to one beat for each time the
loop was blocked. Deliberately not here: what is made of it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary, ref

from querygauge.capture.guard import Guard
from querygauge.values import LOOP_LAG

__all__ = ["BEAT_S", "GUARD", "NOTICED_NS", "LoopLag", "database_loops", "with_lag"]

BEAT_S: Final = 0.01
"""Seconds between two beats: a hundred timers a second cost a thousandth of a core."""

GUARD: Final = Guard("event loop")
"""Counts what failed in a timer."""

_NS_PER_S: Final = 1_000_000_000
_BEAT_NS: Final = int(BEAT_S * _NS_PER_S)
NOTICED_NS: Final = 2 * _BEAT_NS
"""A shorter query cannot be told to have waited for its loop."""
_ON_TIME_NS: Final = 1_000_000  # timers are late by so much on a loop that nobody blocks
_BLOCKS_KEPT: Final = 1_000
_BEATS_WITHOUT_USE: Final = int(1 / BEAT_S)


class _Heart:
    """
    The timer of one loop.

    Attributes:
        is_beating: Whether the timer is set.
        is_wanted: Set by whoever uses the loop's database; taken back with every second.
    """

    __slots__ = ("_beats", "_blocks", "_due_ns", "is_beating", "is_wanted", "loop_of")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop_of = ref(loop)
        self.is_beating = self.is_wanted = False
        self._beats = 0
        self._due_ns = 0
        self._blocks: deque[tuple[int, int]] = deque(maxlen=_BLOCKS_KEPT)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sets the timer."""
        self.is_beating = True
        self._set(loop)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_ns = time.perf_counter_ns() + _BEAT_NS
        loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        try:
            self._take_beat()
        except Exception as error:  # noqa: BLE001  # it would arrive at what the host does about its loop's errors
            self.is_beating = False
            GUARD.caught("beat", error)

    def _take_beat(self) -> None:
        now_ns = time.perf_counter_ns()
        if now_ns - self._due_ns > _ON_TIME_NS:
            self._blocks.append((self._due_ns, now_ns))
        self._beats += 1
        if self._beats >= _BEATS_WITHOUT_USE:
            self._beats = 0
            self.is_beating, self.is_wanted = self.is_wanted, False
        loop = self.loop_of()
        if loop is not None and self.is_beating:
            self._set(loop)

    def blocked_ns(self, started_ns: int, ended_ns: int) -> int:
        """How long the loop was blocked between two moments, of which the second is now."""
        blocked = 0
        if self.is_beating and ended_ns - self._due_ns > _ON_TIME_NS:
            # The timer is due and could not come yet: whoever asks is the first to run after the block.
            blocked += ended_ns - max(started_ns, self._due_ns)
        for block_started_ns, block_ended_ns in reversed(self._blocks):
            if block_ended_ns <= started_ns:
                break
            blocked += block_ended_ns - max(started_ns, block_started_ns)
        return blocked


_hearts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Heart] = WeakKeyDictionary()


def database_loops() -> list[asyncio.AbstractEventLoop]:
    """The event loops on which somebody has used a database; for any thread."""
    known = [loop_of() for loop_of in _hearts.keyrefs()]
    return [loop for loop in known if loop is not None and not loop.is_closed()]


class LoopLag:
    """What one target knows of the loops that use it; both methods are for code that runs on one."""

    def __init__(self) -> None:
        self._heart: _Heart | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that used the target last; None if none did, or it is gone."""
        return None if self._heart is None else self._heart.loop_of()

    def touch(self) -> None:
        """The running loop uses the target now."""
        loop = asyncio.get_running_loop()
        heart = self._heart
        if heart is None or heart.loop_of() is not loop:
            heart = self._heart = _hearts.get(loop) or _hearts.setdefault(loop, _Heart(loop))
        heart.is_wanted = True
        if not heart.is_beating:
            heart.begin(loop)

    def during(self, started_ns: int, ended_ns: int) -> int:
        """
        Nanoseconds for which the running loop was blocked.

        Args:
            started_ns: When the query began, on `perf_counter_ns`.
            ended_ns: Now.
        """
        heart = _hearts.get(asyncio.get_running_loop())
        return 0 if heart is None else heart.blocked_ns(started_ns, ended_ns)


def with_lag(
    phases: Sequence[int] | None, lag: LoopLag | None, started_ns: int, duration_ns: int
) -> Sequence[int] | None:
    """
    The phases of an execution that ends now, with how long its loop was blocked meanwhile.

    Args:
        phases: What else is known of them.
        lag: Of the target; None if it is synchronous.
        started_ns: When the execution began.
        duration_ns: How long it took; below `NOTICED_NS` nobody asks.
    """
    if lag is None or duration_ns < NOTICED_NS:
        return phases
    blocked_ns = lag.during(started_ns, started_ns + duration_ns)
    if not blocked_ns:
        return phases
    known = (phases or ())[:LOOP_LAG]
    return [*known, *[0] * (LOOP_LAG - len(known)), blocked_ns]
