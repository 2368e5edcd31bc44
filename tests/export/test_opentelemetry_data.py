"""What a receiver of OTLP gets is what the snapshots hold."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExportResult

from export.making import MS, busy, errors, of, pool, stats
from export.receivers import Receiver, grpc_receiver, http_receiver, series_of
from querygauge.clock import microseconds_of
from querygauge.export.backlog import Backlog
from querygauge.export.opentelemetry_exporter import Sender, exporter_of
from querygauge.export.semconv import METRICS
from querygauge.histogram import Histogram
from querygauge.values import Pattern, Snapshot

Receiving = Callable[[], AbstractContextManager[Receiver]]
_S = 1e9


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """One that the variables name."""
    receiving: Receiving = {"http/protobuf": http_receiver, "grpc": grpc_receiver}[request.param]
    with receiving() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
        yield found


def sent(*snapshots: Snapshot, backlog: Backlog | None = None, is_explicit: bool = False, most: int = 100) -> Backlog:
    """Sends what there is to be sent; what is left of it."""
    sender = Sender(exporter_of("otlp"))
    backlog = backlog or Backlog(sender.is_delta)
    backlog, batch = backlog.with_snapshots(snapshots, most).ready()
    sender.send(batch, is_explicit=is_explicit)
    assert (sender.error, len(sender.delivered)) == (None, len(batch))
    return backlog.delivered(sender.delivered)


def _only(receiver: Receiver, name: str) -> Any:
    (point,) = series_of(receiver.metrics, name).values()
    return point


def _buckets(point: Any) -> dict[int, int]:
    """By the number we give them, which is that of the upper end."""
    return {
        point.positive.offset + place + 1: count for place, count in enumerate(point.positive.bucket_counts) if count
    }


def _assert_exact(point: Any, durations: Histogram) -> None:
    assert (point.count, point.sum) == (durations.count, durations.total_ns / _S)
    assert (point.min, point.max) == (durations.min_ns / _S, durations.max_ns / _S)
    assert (point.scale, point.zero_count, len(point.negative.bucket_counts)) == (durations.scale, 0, 0)
    assert _buckets(point) == durations.buckets


_SPREAD = [1, 999, 250_000, 1 * MS, 2 * MS, 2 * MS, 5 * MS, 1_000 * MS, 3_600_000 * MS]


def test_exponential_histograms_have_our_buckets(receiver: Receiver) -> None:
    """Count, sum, minimum, maximum and every bucket, from nanoseconds to hours."""
    sent(busy(stats(_SPREAD)))
    _assert_exact(_only(receiver, "db.client.operation.duration"), Histogram.of(_SPREAD))


def test_a_bucket_holds_what_its_bounds_say(receiver: Receiver) -> None:
    """OpenTelemetry's bucket i has what is above base**i and up to base**(i+1); the base is 2**(2**-scale)."""
    sent(busy(stats([3 * MS])))
    point = _only(receiver, "db.client.operation.duration")
    base = 2 ** (2**-point.scale)
    assert base**point.positive.offset < 0.003 <= base ** (point.positive.offset + 1)
    assert list(point.positive.bucket_counts) == [1]


def test_explicit_histograms_have_the_boundaries_of_the_conventions(receiver: Receiver) -> None:
    """What lies clear of a boundary is where it belongs."""
    durations = [MS // 2, 3 * MS, 3 * MS, 7 * MS, 20 * MS, 700 * MS, 4_000 * MS, 60_000 * MS]
    sent(busy(stats(durations)), is_explicit=True)
    point = _only(receiver, "db.client.operation.duration")
    bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
    expected = [0] * 10
    for duration in durations:
        expected[bisect_left(bounds, duration / _S)] += 1
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == (bounds, expected)
    assert (point.count, point.sum) == (8, math.fsum(durations) / _S)
    assert (point.min, point.max) == (0.0005, 60.0)


def test_a_bucket_over_a_boundary_counts_for_the_slower(receiver: Receiver) -> None:
    """Whatever an explicit bucket holds took no longer than it says, though what took a little less may be above."""
    within, above = 4_980_000, 5_010_000  # one of our buckets has both, and 5 ms between them
    assert len(Histogram.of([within, above]).buckets) == 1
    sent(busy(stats([within, above])), is_explicit=True)
    assert list(_only(receiver, "db.client.operation.duration").bucket_counts)[:3] == [0, 0, 2]


def test_what_took_a_boundary_is_within_it(receiver: Receiver) -> None:
    """The longest is known exactly."""
    sent(busy(stats([4 * MS, 5 * MS])), is_explicit=True)
    assert list(_only(receiver, "db.client.operation.duration").bucket_counts)[:3] == [0, 2, 0]


def test_times_are_those_of_what_was_measured(receiver: Receiver) -> None:
    """From the start of the first snapshot to the end of the last, in nanoseconds."""
    first, second = busy(stats([MS]), minutes=1), busy(stats([MS]), minutes=2)
    sent(first, second)
    point = _only(receiver, "db.client.operation.duration")
    assert point.start_time_unix_nano == 1_000 * microseconds_of(first.started)
    assert point.time_unix_nano == 1_000 * microseconds_of(second.ended)


def test_totals_rise(receiver: Receiver) -> None:
    """Cumulative: each time all since the process is known, and a process without news is not told of."""
    backlog = sent(busy(stats([MS]), minutes=1))
    backlog = sent(busy(stats([2 * MS]), minutes=2), backlog=backlog)
    sent(backlog=backlog)
    durations = [_only_of(request, "db.client.operation.duration") for request in receiver.metrics]
    assert [point.count for point in durations] == [1, 2]
    assert len({point.start_time_unix_nano for point in durations}) == 1
    _assert_exact(durations[-1], Histogram.of([MS, 2 * MS]))
    assert _temporality(receiver, "db.client.operation.duration") == {metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE}


def test_deltas_add_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tells what the one before did not, and begins where that ended."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    backlog = sent(busy(stats([MS], rows=5), failed=[errors(2)], pools=[pool(timeouts=3)], minutes=1))
    backlog = sent(
        busy(stats([2 * MS], rows=1), failed=[errors(1)], pools=[pool(timeouts=0)], minutes=2), backlog=backlog
    )
    sent(backlog=backlog)
    assert len(receiver.metrics) == 2
    durations = [_only_of(request, "db.client.operation.duration") for request in receiver.metrics]
    _assert_exact(durations[0], Histogram.of([MS]))
    _assert_exact(durations[1], Histogram.of([2 * MS]))
    assert durations[0].time_unix_nano == durations[1].start_time_unix_nano
    assert [_only_of(request, "querygauge.client.operation.failures").as_int for request in receiver.metrics] == [2, 1]
    assert [_only_of(request, "db.client.response.returned_rows").sum for request in receiver.metrics] == [5, 1]
    assert _only_of(receiver.metrics[0], "db.client.connection.timeouts").as_int == 3
    assert not series_of(receiver.metrics[1:], "db.client.connection.timeouts")
    assert _temporality(receiver, "db.client.operation.duration") == {metrics_pb2.AGGREGATION_TEMPORALITY_DELTA}


def test_how_many_there_are_is_no_delta(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes up and down is told whole, since the process is known."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    first = busy(pools=[pool(used=2)], minutes=1)
    sent(busy(pools=[pool(used=5)], minutes=2), backlog=sent(first))
    points = [_only_of(request, "db.client.connection.max") for request in receiver.metrics]
    assert [point.as_int for point in points] == [15, 15]
    assert {point.start_time_unix_nano for point in points} == {1_000 * microseconds_of(first.started)}
    used = [
        point.as_int
        for request in receiver.metrics
        for (_, series), point in series_of([request], "db.client.connection.count").items()
        if ("db.client.connection.state", "used") in series
    ]
    assert used == [2, 5]
    assert _temporality(receiver, "db.client.connection.count") == {metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE}


def test_each_process_is_a_resource(receiver: Receiver) -> None:
    """Whose numbers are its own."""
    sent(
        busy(stats([MS]), process="web:1"),
        busy(stats([MS, MS]), process="web:2"),
        busy(stats([MS]), process="job:7", service="jobs"),
    )
    counts = {}
    for (resource, _), point in series_of(receiver.metrics, "db.client.operation.duration").items():
        known: dict[str, Any] = dict(resource)
        assert f"{known['host.name']}:{known['process.pid']}" == known["service.instance.id"]
        counts[known["service.name"], known["service.instance.id"]] = point.count
    assert counts == {("shop", "web:1"): 1, ("shop", "web:2"): 2, ("jobs", "job:7"): 1}


def test_what_is_known_of_the_machine_is_told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the variables those count that do not name the process."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,service.name=another")
    sent(busy(stats([MS])))
    ((resource, _),) = series_of(receiver.metrics, "db.client.operation.duration")
    known = dict(resource)
    assert (known["deployment.environment.name"], known["service.name"]) == ("staging", "shop")


def test_a_series_is_known_by_what_is_executed(receiver: Receiver) -> None:
    """Patterns that are called the same are one."""
    sent(busy(stats([MS]), stats([MS], target="db:5433/stock"), stats([MS], of(2), target="files")))
    found = {series for _, series in series_of(receiver.metrics, "db.client.operation.duration")}
    orders = {
        "db.collection.name": "orders",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT orders",
        "db.system.name": "postgresql",
        "server.address": "db",
        "server.port": 5433,
    }
    files = {
        "db.collection.name": "t2",
        "db.namespace": "files",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT t2",
        "db.system.name": "sqlite",
    }
    each: list[dict[str, Any]] = [{**orders, "db.namespace": "shop"}, {**orders, "db.namespace": "stock"}, files]
    assert found == {tuple(sorted(known.items())) for known in each}


def test_failures_are_counted_by_what_the_database_said(receiver: Receiver) -> None:
    """The duration has failed executions too, as it has no word for how they ended."""
    sent(busy(stats([MS] * 5), failed=[errors(2), errors(1, sqlstate="23503")]))
    counts = {
        dict(series)["db.response.status_code"]: point.as_int
        for (_, series), point in series_of(receiver.metrics, "querygauge.client.operation.failures").items()
    }
    assert counts == {"23505": 2, "23503": 1}
    (_, series), *_ = series_of(receiver.metrics, "querygauge.client.operation.failures")
    assert dict(series)["error.type"] == "UniqueViolation"


def test_rows_have_a_count_and_a_sum(receiver: Receiver) -> None:
    """How they spread nobody knows, so there is neither a bucket nor a minimum; a change returns none."""
    delete = Pattern("9", "DELETE FROM t", "DELETE t", "DELETE", ("t",), "sqlite")
    sent(busy(stats([MS] * 3, rows=70), stats([MS], delete, rows=5)))
    point = _only(receiver, "db.client.response.returned_rows")
    assert (point.count, point.sum) == (3, 70)
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([], [])
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_pools_are_told_by_name(receiver: Receiver) -> None:
    """How many connections, how long they took; no limit has no point."""
    waits = [MS, 3 * MS]
    sent(busy(pools=[pool("shop", used=2, idle=3, waits_ns=waits, timeouts=6), pool("stock", used=0, idle=1)]))

    def told(name: str) -> dict[tuple[Any, ...], int]:
        points = series_of(receiver.metrics, name).items()
        return {tuple(value for _, value in series): point.as_int for (_, series), point in points}

    assert told("db.client.connection.count") == {
        ("shop", "used"): 2,
        ("shop", "idle"): 3,
        ("stock", "used"): 0,
        ("stock", "idle"): 1,
    }
    assert told("db.client.connection.max") == {("shop",): 15, ("stock",): 15}
    assert told("db.client.connection.idle.min") == {("shop",): 0, ("stock",): 0}
    assert told("db.client.connection.idle.max") == {}
    assert told("db.client.connection.pending_requests") == {("shop",): 4, ("stock",): 4}
    assert told("db.client.connection.timeouts") == {("shop",): 6, ("stock",): 0}
    _assert_exact(_only(receiver, "db.client.connection.wait_time"), Histogram.of(waits))


def test_what_is_beyond_the_limit_is_told_together(receiver: Receiver) -> None:
    """Those that took most time are told apart, and nothing is lost."""
    sent(busy(stats([5 * MS], of(1)), stats([9 * MS], of(2)), stats([1 * MS], of(3)), stats([2 * MS], of(4))), most=2)
    found = {
        dict(series).get("db.query.summary") or dict(series)["otel.metric.overflow"]: point
        for (_, series), point in series_of(receiver.metrics, "db.client.operation.duration").items()
    }
    assert set(found) == {"SELECT t1", "SELECT t2", True}
    _assert_exact(found[True], Histogram.of([1 * MS, 2 * MS]))


def test_names_units_and_kinds_are_those_of_the_conventions(receiver: Receiver) -> None:
    """Of every metric that is exported, and no other is."""
    window = pool(waits_ns=[MS])
    created = replace(window.metrics, create=Histogram.of([MS]))
    limited = replace(window, state=replace(window.state, idle_max=5), metrics=created)
    sent(busy(stats([MS]), failed=[errors(1)], pools=[limited]))
    kinds: dict[str, str] = {"histogram": "exponential_histogram", "counter": "sum", "updowncounter": "sum"}
    expected = {
        each.name: (each.unit, each.description, kinds[each.instrument], each.instrument == "counter")
        for each in METRICS
    }
    # There is no boundary between rows that nobody knows.
    expected["db.client.response.returned_rows"] = (
        *expected["db.client.response.returned_rows"][:2],
        "histogram",
        False,
    )
    (request,) = receiver.metrics
    (scope,) = request.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.schema_url) == ("querygauge", "https://opentelemetry.io/schemas/1.44.0")
    assert {
        metric.name: (metric.unit, metric.description, metric.WhichOneof("data"), metric.sum.is_monotonic)
        for metric in scope.metrics
    } == expected


def test_headers_are_sent(receiver: Receiver) -> None:
    """Those that the variables name."""
    sent(busy(stats([MS])))
    (headers,) = receiver.headers
    assert {name.lower(): value for name, value in headers.items()}["authorization"] == "Bearer s3cret"


def test_any_exporter_will_do_and_nobody_observes_it() -> None:
    """Instrumentations of HTTP in the collector's process look at the context, and make nothing of it."""
    seen = []

    class Exporter(ConsoleMetricExporter):
        def export(self, *_arguments: Any, **_keywords: Any) -> MetricExportResult:
            seen.append(get_value(_SUPPRESS_INSTRUMENTATION_KEY))
            return MetricExportResult.SUCCESS

    _, batch = Backlog(is_delta=False).with_snapshots([busy(stats([MS]))], 100).ready()
    Sender(Exporter()).send(batch, is_explicit=False)
    assert (seen, get_value(_SUPPRESS_INSTRUMENTATION_KEY)) == ([True], None)


def _only_of(request: Any, name: str) -> Any:
    (point,) = series_of([request], name).values()
    return point


def _temporality(receiver: Receiver, name: str) -> set[int]:
    return {
        getattr(metric, metric.WhichOneof("data")).aggregation_temporality
        for request in receiver.metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
    }
