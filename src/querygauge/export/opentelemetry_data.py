"""
What processes did → what OpenTelemetry's exporters take: one resource per process, one metric per name.

Numbers are those of the snapshots: counts, sums, minima, maxima, and the buckets, which are OpenTelemetry's own at
scale 5. Times are the start and the end of what was measured, not those of sending. Deliberately not here: sending.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    DataT,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as ExplicitHistogram
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from querygauge.export import semconv
from querygauge.export.accumulation import Accumulation, Operations, PoolState
from querygauge.export.semconv import Attributes, MetricName
from querygauge.histogram import Histogram

__all__ = ["Form", "metrics_data"]

_NS_PER_US: Final = 1_000
_NS_PER_S: Final = 1e9
_NO_BUCKETS: Final = Buckets(0, ())
_SCOPE: Final = InstrumentationScope("querygauge", version("querygauge"), semconv.SCHEMA_URL)


class Form(NamedTuple):
    """
    How numbers are told.

    Attributes:
        is_delta: Whether counts are those since the last time, and not those since the process began.
        is_explicit: Whether histograms have the buckets that the conventions name, and not those they were counted in.
    """

    is_delta: bool = False
    is_explicit: bool = False


def metrics_data(accumulations: Iterable[Accumulation], form: Form) -> MetricsData:
    """
    What some processes did, as an exporter takes it.

    An explicit bucket has what took no longer than its upper end; where one of ours reaches beyond that, all of it
    counts for the next. So of executions up to 2.2 % shorter than a boundary some count as longer, none as shorter.

    Raises:
        ValueError: If a variable that says what is known of the machine, such as `OTEL_RESOURCE_ATTRIBUTES`, is wrong.
    """
    machine = Resource.create()
    return MetricsData([_resource_metrics(each, machine, form) for each in accumulations])


def _resource_metrics(accumulation: Accumulation, machine: Resource, form: Form) -> ResourceMetrics:
    host, _, number = accumulation.process.rpartition(":")
    known: dict[str, str | int] = {
        "service.name": accumulation.service,
        "service.instance.id": accumulation.process,
        "host.name": host,
    }
    if number.isdecimal():
        known["process.pid"] = int(number)
    resource = machine.merge(Resource(known, semconv.SCHEMA_URL))
    metrics = list(_metrics(_Points(accumulation, form)))
    return ResourceMetrics(resource, [ScopeMetrics(_SCOPE, metrics, semconv.SCHEMA_URL)], semconv.SCHEMA_URL)


class _Points:
    """The points of one process."""

    def __init__(self, accumulation: Accumulation, form: Form) -> None:
        self.of = accumulation
        self.form = form
        self.temporality = AggregationTemporality.DELTA if form.is_delta else AggregationTemporality.CUMULATIVE
        self.end_ns = _NS_PER_US * accumulation.ended_us

    def start_ns(self, operations: Operations | None = None) -> int:
        """Since when is counted what a point tells."""
        is_of_all = operations is None or self.form.is_delta
        return _NS_PER_US * (self.of.started_us if is_of_all or operations is None else operations.since_us)

    def histogram(self, metric: MetricName, found: Iterable[tuple[Attributes, int, Histogram]]) -> DataT:
        """A histogram of each series that has any."""
        series = [(dict(attributes), start_ns, each) for attributes, start_ns, each in found if each.count]
        if self.form.is_explicit:
            points = [_explicit(known, start, self.end_ns, each, metric.boundaries) for known, start, each in series]
            return ExplicitHistogram(points, self.temporality)
        return ExponentialHistogram(
            [_exponential(known, start, self.end_ns, each) for known, start, each in series], self.temporality
        )

    def counter(self, found: Iterable[tuple[Attributes, int]]) -> DataT:
        """What only rises; of what did not, a delta tells nothing."""
        points = [self._number(series, count) for series, count in found if count or not self.form.is_delta]
        return Sum(points, self.temporality, is_monotonic=True)

    def _number(self, series: Attributes, value: int) -> NumberDataPoint:
        return NumberDataPoint(dict(series), self.start_ns(), self.end_ns, value)

    def state(self, found: Iterable[tuple[Attributes, int | None]]) -> DataT:
        """How much there is now, as a sum since the process began whatever the form; no limit has no point."""
        since_ns = _NS_PER_US * self.of.known_us
        points = [
            NumberDataPoint(dict(series), since_ns, self.end_ns, value) for series, value in found if value is not None
        ]
        return Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=False)


def _metrics(points: _Points) -> Iterator[Metric]:
    for metric, data in _told(points):
        if data.data_points:
            yield Metric(metric.name, metric.description, metric.unit, data)


def _told(points: _Points) -> Iterator[tuple[MetricName, DataT]]:
    known = points.of
    operations = known.operations.items()
    durations = ((series, points.start_ns(each), each.durations) for series, each in operations)
    yield semconv.OPERATION_DURATION, points.histogram(semconv.OPERATION_DURATION, durations)
    rows = [_rows(series, points, each) for series, each in operations if each.rows_known]
    yield semconv.RETURNED_ROWS, ExplicitHistogram(rows, points.temporality)
    yield semconv.OPERATION_FAILURES, points.counter(known.failures.items())
    pools = known.pools.items()
    states = [(series, totals.state) for series, totals in pools if known.has(totals)]
    yield from ((metric, points.state(found)) for metric, found in _pool_states(states))
    yield semconv.CONNECTION_TIMEOUTS, points.counter((series, totals.timeouts) for series, totals in pools)
    start_ns = points.start_ns()
    for metric, times in (
        (semconv.CONNECTION_CREATE_TIME, [(series, start_ns, totals.create) for series, totals in pools]),
        (semconv.CONNECTION_WAIT_TIME, [(series, start_ns, totals.wait) for series, totals in pools]),
        (semconv.CONNECTION_USE_TIME, [(series, start_ns, totals.use) for series, totals in pools]),
    ):
        yield metric, points.histogram(metric, times)


def _pool_states(
    states: Sequence[tuple[Attributes, PoolState]],
) -> Iterator[tuple[MetricName, Iterable[tuple[Attributes, int | None]]]]:
    counts = [
        ((*series, (semconv.STATE, name)), count)
        for series, state in states
        for name, count in (("used", state.used), ("idle", state.idle))
    ]
    yield semconv.CONNECTION_COUNT, counts
    yield semconv.CONNECTION_IDLE_MAX, [(series, state.idle_max) for series, state in states]
    yield semconv.CONNECTION_IDLE_MIN, [(series, state.idle_min) for series, state in states]
    yield semconv.CONNECTION_MAX, [(series, state.most) for series, state in states]
    yield semconv.CONNECTION_PENDING_REQUESTS, [(series, state.pending) for series, state in states]


def _rows(series: Attributes, points: _Points, operations: Operations) -> HistogramDataPoint:
    """Of rows only the count and the sum are known, which a histogram without buckets tells."""
    unknown: Any = None  # left out of what is sent
    return HistogramDataPoint(
        attributes=dict(series),
        start_time_unix_nano=points.start_ns(operations),
        time_unix_nano=points.end_ns,
        count=operations.rows_known,
        sum=operations.rows,
        bucket_counts=(),
        explicit_bounds=(),
        min=unknown,
        max=unknown,
    )


def _exponential(
    known: dict[str, str | int | bool], start_ns: int, end_ns: int, histogram: Histogram
) -> ExponentialHistogramDataPoint:
    first, last = min(histogram.buckets), max(histogram.buckets)
    counts = [histogram.buckets.get(bucket, 0) for bucket in range(first, last + 1)]
    return ExponentialHistogramDataPoint(
        attributes=known,
        start_time_unix_nano=start_ns,
        time_unix_nano=end_ns,
        count=histogram.count,
        sum=histogram.total_ns / _NS_PER_S,
        scale=histogram.scale,
        zero_count=0,
        positive=Buckets(first - 1, counts),  # ours are numbered by their upper end, OpenTelemetry's by the lower
        negative=_NO_BUCKETS,
        flags=0,
        min=histogram.min_ns / _NS_PER_S,
        max=histogram.max_ns / _NS_PER_S,
    )


def _explicit(
    known: dict[str, str | int | bool],
    start_ns: int,
    end_ns: int,
    histogram: Histogram,
    boundaries: tuple[float, ...],
) -> HistogramDataPoint:
    counts = [0] * (len(boundaries) + 1)
    longest_s = histogram.max_ns / _NS_PER_S
    for bucket, count in histogram.buckets.items():
        upper_s = min(2.0 ** (bucket / 2**histogram.scale), longest_s)
        counts[bisect_left(boundaries, upper_s)] += count
    return HistogramDataPoint(
        attributes=known,
        start_time_unix_nano=start_ns,
        time_unix_nano=end_ns,
        count=histogram.count,
        sum=histogram.total_ns / _NS_PER_S,
        bucket_counts=counts,
        explicit_bounds=boundaries,
        min=histogram.min_ns / _NS_PER_S,
        max=longest_s,
    )
