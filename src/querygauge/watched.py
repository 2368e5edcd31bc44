"""
The targets of one gauge and the monitors of their pools: who joins, who leaves, and what stays of those that are gone.

In go targets under their names; out come attachments to poll and to end, and windows of the pools to store.
Deliberately not here: what is attached (`attachments`), and when anything is taken to the store (`gauge`).
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from querygauge.attachments import Attachment, Monitors, attachment_of, has_pool, identity_of
from querygauge.capture.guard import Guard
from querygauge.logs import get_logger
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.monitors.query_monitor import QueryMonitor
from querygauge.monitors.window_check import fault_of
from querygauge.patterns.cache import PatternCache
from querygauge.protocols import Clock
from querygauge.settings import Settings
from querygauge.values import PoolWindow, RunningState

__all__ = ["Watched"]

log = get_logger(__name__)


class Watched:
    """
    Who is measured.

    Args:
        queries: Takes the statements of all targets.
        settings: In force.
        new_pool: Makes the monitor of a pool of that name.
        is_lasting: Whether targets come and go, so that what is known of one that went is forgotten in the end.

    Attributes:
        pools: The monitors of the pools, by name.
        targets: Names of the databases.
    """

    def __init__(
        self,
        queries: QueryMonitor,
        settings: Settings,
        new_pool: Callable[[str], ConnectionPoolMonitor],
        *,
        is_lasting: bool,
    ) -> None:
        self.pools: dict[str, ConnectionPoolMonitor] = {}
        self.targets: list[str] = []
        self._queries = queries
        self._settings = settings
        self._new_pool = new_pool
        self._is_lasting = is_lasting
        self._attached: dict[int, Attachment] = {}
        self._by_name: dict[str, Attachment] = {}
        self._patterns: dict[str, PatternCache] = {}
        self._looked_up_before: dict[str, int] = {}  # by a parent process
        self._guards: dict[Guard, int] = {}  # of more than one target, with what they had caught before
        self._by_hook_before: Counter[str] = Counter()  # the same by hook
        self._failures_of_gone = self._alerts_dropped_of_gone = 0
        self._by_hook_of_gone: Counter[str] = Counter()
        self._compiled_of_gone: dict[str, Counter[str]] = {}
        self._lock = threading.RLock()  # while somebody joins or leaves

    def after_fork_in_child(self) -> None:
        """Makes the lock anew, and leaves to the parent what the parent counted."""
        self._lock = threading.RLock()
        self._failures_of_gone = self._alerts_dropped_of_gone = 0
        self._by_hook_of_gone.clear()
        self._compiled_of_gone.clear()
        self._guards = dict.fromkeys(self._guards, 0)
        self._by_hook_before.clear()
        self._looked_up_before = self._looked_up()

    def attached(self) -> tuple[Attachment, ...]:
        """Everybody who is measured, in the order they joined."""
        return tuple(self._attached.values())

    def attached_pools(self) -> list[ConnectionPoolMonitor]:
        """The monitors of their pools."""
        return [attached.pool for attached in self.attached() if attached.pool is not None]

    def join(self, target: Any, name: str, pool_name: str) -> Attachment | None:
        """
        Begins to measure one target; None if measuring is switched off.

        Args:
            target: An engine that is no copy, an asyncpg pool or connection.
            name: Of its database.
            pool_name: Of its pool. The statistics of a pool that is gone go on under its name.
        """
        with self._lock:
            pool = (self.pools.get(pool_name) or self._new_pool(pool_name)) if has_pool(target) else None
            joined = None
            if self._settings.enabled:
                monitors = Monitors(name, self._queries, self._settings, self._patterns)
                joined = self._add(target, attachment_of(target, pool, monitors), pool_name)
            if pool is not None:
                self.pools[pool_name] = pool
            if name not in self.targets:
                self.targets.append(name)
            return joined

    def _add(self, target: Any, attachment: Attachment, pool_name: str) -> Attachment:
        identity = identity_of(target)
        self._remove(identity)  # whoever had that identity before is gone
        self._attached[identity] = attachment
        # Where targets come and go, single connections go by the name of their database, however many there are.
        if attachment.pool is not None or not self._is_lasting:
            self._by_name[pool_name] = attachment
        return attachment

    def _remove(self, identity: int) -> Attachment | None:
        attached = self._attached.pop(identity, None)
        if attached is not None:
            self._failures_of_gone += attached.guard.failures
            self._by_hook_of_gone.update(attached.guard.by_hook)
            _add_compiled(self._compiled_of_gone, attached)
        return attached

    def leave(self, target: Any) -> None:
        """Measures one target no longer; what was counted of it stays for the next window."""
        with self._lock:
            attached = self._remove(identity_of(target))
            self._by_name = {name: named for name, named in self._by_name.items() if named is not attached}
        if attached is not None:
            attached.detach()

    def has(self, target: Any) -> bool:
        """Whether this very target is measured."""
        attached = self._attached.get(identity_of(target))
        return attached is not None and attached.is_of(target)

    def uses(self, name: str) -> bool:
        """Whether a target that is not gone goes by that name."""
        named = self._by_name.get(name)
        if named is None:
            return name in self.targets and not self._settings.enabled
        return not named.is_gone()

    def are_gone(self) -> bool:
        """Whether nobody can use any of them any more."""
        return all(attached.is_gone() for attached in self.attached())

    def let_go(self) -> None:
        """Removes those that are gone; the monitors of their pools stay for the next window."""
        with self._lock:
            for identity in [key for key, attached in self._attached.items() if attached.is_gone()]:
                self._remove(identity)

    def drain_pools(self, *, keeps_idle: bool) -> tuple[PoolWindow, ...]:
        """What the pools did since the last call; where targets come and go, those without one are then forgotten."""
        with self._lock:
            pools = dict(self.pools)
            kept = {id(pool) for pool in self.attached_pools()}
            gone = [name for name, pool in pools.items() if self._is_lasting and id(pool) not in kept]
            for name in gone:
                del self.pools[name]
                self._by_name.pop(name, None)
            if gone:
                self.targets = list(dict.fromkeys(attached.name for attached in self.attached()))
        for name in gone:
            pools[name].stop_delivery()
            self._alerts_dropped_of_gone += pools[name].alerts_dropped
        return tuple(filter(_is_possible, (pool.drain(keeps_idle=keeps_idle) for pool in pools.values())))

    def running(self, clock: Clock, threshold_ns: int, limit: int | None = None) -> tuple[RunningState, ...]:
        """
        What runs now, one for each target, be it nothing.

        Args:
            clock: Where the time comes from.
            threshold_ns: From this age on an execution is told about, and not only counted.
            limit: How many of a target are told about at most, the oldest; None is all.
        """
        states = {name: RunningState(name) for name in tuple(self.targets)}
        for attached in self.attached():
            state = attached.running.state(clock, threshold_ns, limit)
            known = states.get(state.target)
            merged = state if known is None else known.merged(state)
            states[state.target] = replace(merged, queries=merged.queries[:limit])
        return tuple(states.values())

    def count_failures_of(self, guard: Guard) -> None:
        """Counts what `guard` catches from now on among the failures."""
        self._guards[guard] = guard.failures
        self._by_hook_before.update(guard.by_hook)

    @property
    def failures(self) -> int:
        """Exceptions caught inside hooks."""
        shared = sum(guard.failures - before for guard, before in self._guards.items())
        return self._failures_of_gone + shared + sum(attached.guard.failures for attached in self.attached())

    @property
    def failures_by_hook(self) -> dict[str, int]:
        """The same by the hook in which they were raised."""
        found = Counter(self._by_hook_of_gone)
        for guard in (*self._guards, *(attached.guard for attached in self.attached())):
            found.update(dict(guard.by_hook))
        found.subtract(self._by_hook_before)
        return dict(+found)

    @property
    def compiled_cache(self) -> dict[str, dict[str, int]]:
        """Statements that SQLAlchemy had to compile, by target and by whether they were kept: `miss`, `uncached`."""
        found = {name: Counter(counts) for name, counts in tuple(self._compiled_of_gone.items())}
        for attached in self.attached():
            _add_compiled(found, attached)
        return {name: dict(counts) for name, counts in found.items()}

    @property
    def pattern_cache(self) -> dict[str, int]:
        """Statements whose text the caches of patterns did not remember, and texts that others pushed out of them."""
        before = self._looked_up_before
        return {name: max(0, number - before.get(name, 0)) for name, number in self._looked_up().items()}

    def _looked_up(self) -> dict[str, int]:
        own = (attached.patterns for attached in self.attached())
        caches = {id(cache): cache for cache in (*tuple(self._patterns.values()), *own)}.values()
        return {
            "miss": sum(cache.misses for cache in caches),
            "evicted": sum(cache.evictions for cache in caches),
        }

    @property
    def alerts_dropped(self) -> int:
        """Alerts of pools that no handler saw."""
        return self._alerts_dropped_of_gone + sum(pool.alerts_dropped for pool in tuple(self.pools.values()))


def _add_compiled(found: dict[str, Counter[str]], attached: Attachment) -> None:
    if attached.compiled is not None:
        found.setdefault(attached.name, Counter()).update(attached.compiled.counts())


def _is_possible(window: PoolWindow) -> bool:
    """Whether the store can take a window; one that it cannot costs itself, and not the statements beside it."""
    fault = fault_of(window)
    if fault is not None:
        log.warning("pool_window_left_out", pool=window.pool, error=fault)
    return fault is None
