"""
What one process did, added up over its snapshots, by the series that are exported.

In go snapshots, out come the totals of a span of time: exact, as histograms merge exactly, and bounded, since only so
many series are told apart; what is beyond is counted together. Pure. Deliberately not here: OpenTelemetry, and files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.export.semconv import (
    OVERFLOW,
    POOL_NAME,
    Attributes,
    error_attributes,
    operation_attributes,
    returns_rows,
)
from querygauge.histogram import EMPTY, Histogram
from querygauge.values import PoolSnapshot, PoolWindow, Snapshot

__all__ = ["Accumulation", "Operations", "PoolState", "PoolTotals"]

_IDLE_US: Final = 3_600_000_000  # a series that has told nothing new for so long makes room for another
_GONE_US: Final = 180_000_000  # a process tells of each pool once a minute, whatever happens


@dataclass(frozen=True, slots=True)
class Operations:
    """
    The executions of one series.

    Attributes:
        since_us: Since when they are counted, in microseconds since 1970.
        until_us: Until when.
        durations: Of all of them.
        rows: Rows they returned, as far as the driver told.
        rows_known: Executions of which it told.
    """

    since_us: int
    until_us: int
    durations: Histogram = EMPTY
    rows: int = 0
    rows_known: int = 0

    def merged(self, later: "Operations") -> "Operations":
        """Both together."""
        return Operations(
            self.since_us,
            max(self.until_us, later.until_us),
            self.durations.merged(later.durations),
            self.rows + later.rows,
            self.rows_known + later.rows_known,
        )


@dataclass(frozen=True, slots=True)
class PoolState:
    """
    How many connections there are at one moment, and may be; None is no limit.

    Attributes:
        used: Checked out.
        idle: Open and not checked out.
        pending: Callers waiting.
        most: Connections there may be.
        idle_max: Idle ones that are kept at most.
        idle_min: Idle ones that are kept at least.
    """

    used: int
    idle: int
    pending: int
    most: int | None
    idle_max: int | None
    idle_min: int

    @classmethod
    def of(cls, state: PoolSnapshot) -> "PoolState":
        """The state of a pool."""
        return cls(
            state.active_connections,
            state.idle_connections,
            state.waiting_count,
            state.max_connections or None,
            state.idle_max,
            state.idle_min,
        )

    def merged(self, other: "PoolState") -> "PoolState":
        """Two pools that are not told apart."""
        return PoolState(
            self.used + other.used,
            self.idle + other.idle,
            self.pending + other.pending,
            None if self.most is None or other.most is None else self.most + other.most,
            None if self.idle_max is None or other.idle_max is None else self.idle_max + other.idle_max,
            self.idle_min + other.idle_min,
        )


@dataclass(frozen=True, slots=True)
class PoolTotals:
    """
    What one pool did, and how it was when it was last seen.

    Attributes:
        state: Then.
        seen_us: When, in microseconds since 1970.
        timeouts: Requests that ended in a timeout.
        create: Time to open a connection.
        wait: Time to obtain one.
        use: Time one was checked out.
    """

    state: PoolState
    seen_us: int
    timeouts: int = 0
    create: Histogram = EMPTY
    wait: Histogram = EMPTY
    use: Histogram = EMPTY

    @classmethod
    def of(cls, window: PoolWindow, seen_us: int) -> "PoolTotals":
        """What a pool did in one snapshot."""
        metrics, state = window.metrics, PoolState.of(window.state)
        return cls(state, seen_us, metrics.total_timeouts, metrics.create, metrics.wait, metrics.use)

    def merged(self, later: "PoolTotals", state: PoolState) -> "PoolTotals":
        """Both together, in that state."""
        return PoolTotals(
            state,
            max(self.seen_us, later.seen_us),
            self.timeouts + later.timeouts,
            self.create.merged(later.create),
            self.wait.merged(later.wait),
            self.use.merged(later.use),
        )


@dataclass(frozen=True, slots=True)
class Accumulation:
    """
    What one process did over a span of time.

    Attributes:
        service: Name of the application.
        process: `host:pid`.
        known_us: Since when the process is known, in microseconds since 1970.
        started_us: Start of the span.
        ended_us: End of the span, which is that of the last snapshot.
        operations: Executions by series.
        failures: Executions that failed by series.
        pools: By series.
    """

    service: str
    process: str
    known_us: int
    started_us: int
    ended_us: int
    operations: Mapping[Attributes, Operations] = field(default_factory=dict)
    failures: Mapping[Attributes, int] = field(default_factory=dict)
    pools: Mapping[Attributes, PoolTotals] = field(default_factory=dict)

    @classmethod
    def beginning(cls, snapshot: Snapshot) -> "Accumulation":
        """An empty one, at the start of a snapshot."""
        at_us = microseconds_of(snapshot.started)
        return cls(snapshot.service, snapshot.process, at_us, at_us, at_us)

    def with_snapshot(self, snapshot: Snapshot, most: int, sent_us: int | None = None) -> "Accumulation":
        """
        This and a snapshot of the same process.

        Args:
            snapshot: What it did next.
            most: Series of each metric that are told apart; those that took most time come first.
            sent_us: Until when all was sent: what is older and told nothing for an hour may make room. None if nothing
                may.
        """
        operations = dict(self.operations)
        executed = _executed(snapshot)
        # Later than before, even if somebody set the clock back: points whose time does not move on are refused.
        ended_us = max(self.ended_us + 1, microseconds_of(snapshot.ended))
        if sent_us is not None and len(operations) + len(executed.keys() - operations.keys()) > most:
            operations = {series: each for series, each in operations.items() if _is_lively(each, self, sent_us)}
        _add_operations(operations, executed, most)
        failures = dict(self.failures)
        for series, count in _failed(snapshot, operations.keys()):
            _add_count(failures, series, count, most)
        # A process may have several gauges, each with snapshots of its own.
        is_first = self.started_us == self.known_us
        known_us = min(self.known_us, microseconds_of(snapshot.started)) if is_first else self.known_us
        return replace(
            self,
            known_us=known_us,
            started_us=known_us if is_first else self.started_us,
            ended_us=ended_us,
            operations=operations,
            failures=failures,
            pools=_with_pools(self.pools, snapshot.pools, most, ended_us),
        )

    def merged(self, later: "Accumulation") -> "Accumulation":
        """This and what the same process did next, with as many series as there are."""
        operations, pools = dict(self.operations), dict(self.pools)
        for series, each in later.operations.items():
            operations[series] = operations[series].merged(each) if series in operations else each
        for series, totals in later.pools.items():
            pools[series] = pools[series].merged(totals, totals.state) if series in pools else totals
        failures = {
            series: self.failures.get(series, 0) + later.failures.get(series, 0)
            for series in {**self.failures, **later.failures}
        }
        ended_us = max(self.ended_us, later.ended_us)
        return replace(self, ended_us=ended_us, operations=operations, failures=failures, pools=pools)

    def emptied(self) -> "Accumulation":
        """The same process with nothing counted, at the end of the span; its pools stay as they were left."""
        pools = {
            series: PoolTotals(totals.state, totals.seen_us)
            for series, totals in self.pools.items()
            if self.has(totals)
        }
        return Accumulation(self.service, self.process, self.known_us, self.ended_us, self.ended_us, pools=pools)

    def has(self, pool: PoolTotals) -> bool:
        """Whether a pool was there at the end, and is not gone."""
        return pool.seen_us > self.ended_us - _GONE_US

    @property
    def is_empty(self) -> bool:
        """Whether it tells of no moment after its beginning."""
        return self.ended_us <= self.started_us


def _executed(snapshot: Snapshot) -> dict[Attributes, Operations]:
    """The executions of a snapshot by series; patterns that are called the same are one."""
    since_us, until_us = microseconds_of(snapshot.started), microseconds_of(snapshot.ended)
    found: dict[Attributes, Operations] = {}
    for stats in snapshot.queries:
        rows, known = (stats.rows, stats.rows_known_count) if returns_rows(stats.pattern) else (0, 0)
        each = Operations(since_us, max(since_us, until_us), stats.durations, rows, known)
        series = operation_attributes(stats.pattern, stats.target)
        before = found.get(series)
        found[series] = each if before is None else before.merged(each)
    return found


def _failed(snapshot: Snapshot, known: Iterable[Attributes]) -> Iterable[tuple[Attributes, int]]:
    """Failures by series; those of what is not told apart are not either, but for the error."""
    told_apart = set(known)
    for errors in snapshot.errors:
        series = operation_attributes(errors.pattern, errors.target)
        if series not in told_apart:
            series = OVERFLOW
        yield tuple(sorted((*series, *error_attributes(errors.error_type, errors.sqlstate)))), errors.count


def _is_lively(operations: Operations, accumulation: Accumulation, sent_us: int) -> bool:
    return operations.until_us > min(sent_us, accumulation.ended_us - _IDLE_US)


def _add_operations(known: dict[Attributes, Operations], more: Mapping[Attributes, Operations], most: int) -> None:
    for series, each in sorted(more.items(), key=lambda item: -item[1].durations.total_ns):
        counted_as = series if _is_told_apart(known, series, most) else OVERFLOW
        before = known.get(counted_as)
        known[counted_as] = each if before is None else before.merged(each)


def _add_count(known: dict[Attributes, int], series: Attributes, count: int, most: int) -> None:
    counted_as = series if _is_told_apart(known, series, most) else OVERFLOW
    known[counted_as] = known.get(counted_as, 0) + count


def _is_told_apart(known: Mapping[Attributes, object], series: Attributes, most: int) -> bool:
    return series in known or len(known) - (OVERFLOW in known) < most


def _with_pools(
    known: Mapping[Attributes, PoolTotals], windows: Iterable[PoolWindow], most: int, seen_us: int
) -> dict[Attributes, PoolTotals]:
    """What pools did so far and in a snapshot."""
    pools, told = dict(known), set[Attributes]()
    for window in windows:
        series: Attributes = ((POOL_NAME, window.pool),)
        if not _is_told_apart(pools, series, most):
            series = OVERFLOW
        totals = PoolTotals.of(window, seen_us)
        before = pools.get(series)
        if before is not None:
            # Within one snapshot there are several pools of one series only if they are not told apart.
            state = before.state.merged(totals.state) if series in told else totals.state
            totals = before.merged(totals, state)
        pools[series] = totals
        told.add(series)
    return pools
