"""
The numbers of a process in the `MeterProvider` that its application has: instruments that are asked when it collects.

In goes a gauge, out come its pools as they are at that moment, and counts of its statements as of the last flush. No
statement calls OpenTelemetry for it. Deliberately not here: histograms, which a provider takes one value at a time only
(`opentelemetry_durations`), and what the collector sends, which needs no provider.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from querygauge.errors import MissingExtraError
from querygauge.export import semconv
from querygauge.export.accumulation import Accumulation, Operations, PoolState
from querygauge.export.names import readable
from querygauge.export.semconv import POOL_NAME, STATE, Attributes, MetricName
from querygauge.forking import survive_forks
from querygauge.protocols import SnapshotSink
from querygauge.settings import Settings
from querygauge.values import PoolMetrics, PoolSnapshot, Snapshot

try:
    from opentelemetry.metrics import (
        CallbackOptions,
        Meter,
        MeterProvider,
        Observation,
        get_meter_provider,
    )
except ImportError as error:
    raise MissingExtraError("observing needs opentelemetry-api: pip install 'querygauge[opentelemetry]'") from error

__all__ = ["observe"]

_NS_PER_S: Final = 1e9

_Values = Iterable[tuple[Attributes, int | float | None]]


class _Pool(Protocol):
    def get_current_snapshot(self) -> PoolSnapshot: ...

    def get_metrics(self) -> PoolMetrics: ...


class _Gauge(Protocol):
    @property
    def is_closed(self) -> bool: ...

    @property
    def pools(self) -> Mapping[str, _Pool]: ...

    settings: Settings

    def also_write(self, sink: SnapshotSink) -> None: ...


def observe(gauge: _Gauge, meter_provider: MeterProvider | None = None) -> None:
    """
    Has a provider tell of what a gauge measures; of its pools until it is closed. Once more is as good as once.

    Args:
        gauge: What `instrument()` gave.
        meter_provider: Of the application; by default the one that is set for the process.
    """
    provider = get_meter_provider() if meter_provider is None else meter_provider
    observed = _observed.get(provider)
    if observed is None:
        observed = _observed[provider] = _Observed(
            provider.get_meter("querygauge", version("querygauge"), semconv.SCHEMA_URL)
        )
    observed.add(gauge)


class _Sums:
    """What some gauges of this process have counted so far; fits `protocols.SnapshotSink`."""

    dropped = 0

    def __init__(self) -> None:
        self.series = 0
        self.accumulation: Accumulation | None = None
        self._lock = threading.Lock()
        survive_forks(self)

    def write(self, snapshot: Snapshot) -> None:
        """Adds a snapshot; where it is flushed, which is seldom on a thread of the host."""
        with self._lock:
            before = self.accumulation or Accumulation.beginning(snapshot)
            self.accumulation = before.with_snapshot(snapshot, self.series)

    def after_fork_in_child(self) -> None:
        """Leaves to the parent what the parent counted."""
        self._lock = threading.Lock()
        self.accumulation = None


class _Observed:
    """The gauges of one provider, and its instruments."""

    def __init__(self, meter: Meter) -> None:
        self._gauges: WeakSet[_Gauge] = WeakSet()
        self._sums = _Sums()
        counted: tuple[tuple[MetricName, Callable[[], _Values]], ...] = (
            (semconv.OPERATIONS, self._operations),
            (semconv.OPERATION_TIME, self._operation_times),
            (semconv.OPERATION_FAILURES, self._failures),
            (semconv.CONNECTION_TIMEOUTS, self._timeouts),
        )
        for metric, values in counted:
            meter.create_observable_counter(metric.name, [_asked(values)], metric.unit, metric.description)
        read: tuple[tuple[MetricName, Callable[[], _Values]], ...] = (
            (semconv.CONNECTION_COUNT, self._connections),
            (semconv.CONNECTION_IDLE_MAX, lambda: self._of_pools(lambda state: state.idle_max)),
            (semconv.CONNECTION_IDLE_MIN, lambda: self._of_pools(lambda state: state.idle_min)),
            (semconv.CONNECTION_MAX, lambda: self._of_pools(lambda state: state.most)),
            (semconv.CONNECTION_PENDING_REQUESTS, lambda: self._of_pools(lambda state: state.pending)),
        )
        for metric, values in read:
            meter.create_observable_up_down_counter(metric.name, [_asked(values)], metric.unit, metric.description)

    def add(self, gauge: _Gauge) -> None:
        """Tells of a gauge from now on."""
        if gauge not in self._gauges:
            self._gauges.add(gauge)
            self._sums.series = max(self._sums.series, gauge.settings.opentelemetry_series)
            gauge.also_write(self._sums)

    def _pools(self) -> Iterator[tuple[str, _Pool]]:
        for gauge in list(self._gauges):
            if not gauge.is_closed:
                yield from [(readable(name), pool) for name, pool in list(gauge.pools.items())]

    def _of_pools(self, told: Callable[[PoolState], int | None]) -> _Values:
        for name, pool in self._pools():
            yield ((POOL_NAME, name),), told(PoolState.of(pool.get_current_snapshot()))

    def _connections(self) -> _Values:
        for name, pool in self._pools():
            state = PoolState.of(pool.get_current_snapshot())
            yield ((POOL_NAME, name), (STATE, "used")), state.used
            yield ((POOL_NAME, name), (STATE, "idle")), state.idle

    def _timeouts(self) -> _Values:
        for name, pool in self._pools():
            yield ((POOL_NAME, name),), pool.get_metrics().total_timeouts

    def _executed(self) -> Iterator[tuple[Attributes, Operations]]:
        counted = self._sums.accumulation
        return iter(() if counted is None else counted.operations.items())

    def _operations(self) -> _Values:
        return ((series, each.durations.count) for series, each in self._executed())

    def _operation_times(self) -> _Values:
        return ((series, each.durations.total_ns / _NS_PER_S) for series, each in self._executed())

    def _failures(self) -> _Values:
        counted = self._sums.accumulation
        return () if counted is None else counted.failures.items()


_observed: WeakKeyDictionary[MeterProvider, _Observed] = WeakKeyDictionary()


def _asked(values: Callable[[], _Values]) -> Callable[[CallbackOptions], Iterator[Observation]]:
    """What an instrument is asked by; two gauges with one series have it together."""

    def ask(_options: CallbackOptions) -> Iterator[Observation]:
        told: dict[Attributes, int | float] = {}
        for series, value in values():
            if value is not None:
                told[series] = told.get(series, 0) + value
        for series, value in told.items():
            yield Observation(value, dict(series))

    return ask
