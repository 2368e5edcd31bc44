"""An application's own provider tells of pools and statements, asked when it collects."""

import os
from collections.abc import Iterator, MutableMapping
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy import Engine, exc, text
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from capture.test_call_counts import calls_of, unit_of_work
from databases.engines import NewDatabase, NewEngine
from querygauge import instrument
from querygauge.export import semconv
from querygauge.export.opentelemetry import observe
from querygauge.gauge import Instrumentation

Told = dict[tuple[Any, ...], Any]


class Reading:
    """A provider of the test's own, and what it tells."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def metrics(self) -> dict[str, Any]:
        """By name, as of now."""
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return {
            metric.name: metric
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def told(self, name: str) -> Told:
        """The values of a metric by those of its attributes."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return {tuple((point.attributes or {}).values()): point.value for point in points}


@pytest.fixture
def reading() -> Iterator[Reading]:
    """One for each test."""
    found = Reading()
    yield found
    found.provider.shutdown()


def _send(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_pools_are_told_as_they_are(new_engine: NewEngine, reading: Reading) -> None:
    """At the moment somebody asks, whether a flush was due or not."""
    engine = new_engine("psycopg", pool_size=1, max_overflow=0, pool_timeout=0.01)
    with instrument(engine, store=None, name="shop") as gauge:
        observe(gauge, reading.provider)
        with engine.connect():
            with pytest.raises(exc.TimeoutError):
                engine.connect()
            assert reading.told("db.client.connection.count") == {("shop", "used"): 1, ("shop", "idle"): 0}
        assert reading.told("db.client.connection.count") == {("shop", "used"): 0, ("shop", "idle"): 1}
        assert reading.told("db.client.connection.max") == {("shop",): 1}
        assert reading.told("db.client.connection.idle.max") == {("shop",): 1}
        assert reading.told("db.client.connection.idle.min") == {("shop",): 0}
        assert reading.told("db.client.connection.pending_requests") == {("shop",): 0}
        assert reading.told("db.client.connection.timeouts") == {("shop",): 1}


def test_a_pool_may_be_called_anything(new_engine: NewEngine, reading: Reading) -> None:
    """By bytes that are no UTF-8, too; an exporter drops an attribute that it cannot send."""
    with instrument(new_engine("sqlite3"), store=None, name="caf\udce9") as gauge:
        observe(gauge, reading.provider)
        assert reading.told("db.client.connection.pending_requests") == {("caf?",): 0}


def test_statements_are_told_as_of_the_last_flush(new_engine: NewEngine, reading: Reading) -> None:
    """Counts, time and failures; together they are what the gauge has."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None, name="shop") as gauge:
        observe(gauge, reading.provider)
        _send(engine, "CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)", "SELECT a FROM t")
        with pytest.raises(IntegrityError):
            _send(engine, "INSERT INTO t VALUES (1)")
        assert reading.told("querygauge.client.operations") == {}
        gauge.flush()
        _send(engine, "SELECT a FROM t")
        gauge.flush()
        counts = reading.told("querygauge.client.operations")
        times = reading.told("querygauge.client.operation.time")
        stats = {each.pattern.summary: each for each in gauge.queries.get_query_stats()}
        ((series, failures),) = reading.told("querygauge.client.operation.failures").items()
    operations = {names[3]: count for names, count in counts.items()}
    assert operations == {"CREATE TABLE t": 1, "INSERT t": 2, "SELECT t": 2}
    assert {names[3]: round(1e9 * spent_s) for names, spent_s in times.items()} == {
        summary: each.durations.total_ns for summary, each in stats.items()
    }
    assert failures == 1
    assert "IntegrityError" in series


def test_counts_are_bounded(new_engine: NewEngine, reading: Reading) -> None:
    """What is beyond is told together."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None, opentelemetry_series=2) as gauge:
        observe(gauge, reading.provider)
        _send(engine, *(f"CREATE TABLE t{name} (a int)" for name in "abcd"))
        gauge.flush()
        counts = reading.told("querygauge.client.operations")
    assert (counts[True,], len(counts)) == (2, 3)


def test_once_more_is_as_good_as_once(new_engine: NewEngine, reading: Reading) -> None:
    """And two gauges of one provider are told together."""
    first, second = new_engine("sqlite3"), new_engine("sqlite3")
    with instrument(first, store=None, name="a") as one, instrument(second, store=None, name="b") as other:
        for gauge in (one, other, one):
            observe(gauge, reading.provider)
        for engine in (first, second):
            _send(engine, "SELECT 1 AS n")
        one.flush()
        other.flush()
        assert sum(reading.told("querygauge.client.operations").values()) == 2
        assert {series[0] for series in reading.told("db.client.connection.count")} == {"a", "b"}


def test_of_a_gauge_that_is_closed_the_counts_stay(new_engine: NewEngine, reading: Reading) -> None:
    """With its last flush; its pool is nobody's concern any more."""
    engine = new_engine("sqlite3")
    gauge = instrument(engine, store=None)
    observe(gauge, reading.provider)
    _send(engine, "SELECT 1 AS n")
    gauge.close()
    assert reading.told("db.client.connection.count") == {}
    assert list(reading.told("querygauge.client.operations").values()) == [1]


def test_it_tells_what_it_says_it_tells(new_engine: NewEngine, reading: Reading) -> None:
    """By the names, units and descriptions of the conventions."""
    engine = new_engine("psycopg", pool_size=1, max_overflow=0)
    with instrument(engine, store=None) as gauge:
        observe(gauge, reading.provider)
        with pytest.raises(Exception, match="absent"):
            _send(engine, "SELECT absent")
        gauge.flush()
        found = reading.metrics()
    assert {name: (metric.unit, metric.description, metric.data.is_monotonic) for name, metric in found.items()} == {
        each.name: (each.unit, each.description, each.instrument == "counter") for each in semconv.OBSERVED
    }


def test_no_statement_calls_it(new_engine: NewEngine, reading: Reading) -> None:
    """A unit of work passes through the same calls, observed or not."""
    calls = []
    for is_observed in (False, True):
        engine = new_engine("sqlite3")
        with instrument(engine, store=None) as gauge:
            if is_observed:
                observe(gauge, reading.provider)
            calls.append(calls_of(lambda engine=engine: unit_of_work(engine)))  # type: ignore[misc]
    assert calls[0] == calls[1]


def test_a_forked_worker_tells_what_it_counted_itself(new_engine: NewEngine, reading: Reading) -> None:
    """The parent has its own."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None) as gauge:
        observe(gauge, reading.provider)
        _send(engine, "SELECT 1 AS n", "SELECT 1 AS n")
        gauge.flush()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _send(engine, "SELECT 1 AS n")
            gauge.flush()
            os.write(writer, repr(list(reading.told("querygauge.client.operations").values())).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 100) == b"[1]"
        os.close(reader)
        os.close(writer)
        assert list(reading.told("querygauge.client.operations").values()) == [2]


@pytest.fixture(scope="module")
def whole() -> Reading:
    """The provider of the process, of which there can be one."""
    found = Reading()
    metrics.set_meter_provider(found.provider)
    return found


def _watch(target: Any, **settings: Any) -> Instrumentation:
    return instrument(target, **{"store": None, "opentelemetry_durations": True, **settings})


def _durations(whole: Reading, target: str) -> dict[str, Any]:
    points = whole.metrics()[semconv.OPERATION_DURATION.name].data.data_points
    return {
        point.attributes["db.query.summary"] + point.attributes.get("error.type", ""): point
        for point in points
        if point.attributes.get("db.namespace") == target
    }


def test_durations_are_recorded_one_by_one(new_engine: NewEngine, whole: Reading) -> None:
    """In the boundaries of the conventions, and what failed apart; the sums are those of the gauge."""
    engine = new_engine("sqlite3")
    with _watch(engine, name="durations") as gauge:
        _send(engine, "CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        for _ in range(300):
            _send(engine, "SELECT a FROM t")
        with pytest.raises(IntegrityError):
            _send(engine, "INSERT INTO t VALUES (1)")
        stats = {each.pattern.summary: each for each in gauge.queries.get_query_stats()}
    points = _durations(whole, "durations")
    assert {name: point.count for name, point in points.items()} == {
        "CREATE TABLE t": 1,
        "INSERT t": 1,
        "INSERT tIntegrityError": 1,
        "SELECT t": 300,
    }
    assert stats["SELECT t"].execution_count == 300
    selected = points["SELECT t"]
    assert selected.sum == pytest.approx(stats["SELECT t"].durations.total_ns / 1e9)
    assert tuple(selected.explicit_bounds) == semconv.OPERATION_DURATION.boundaries


async def test_durations_of_asyncpg_are_recorded(new_database: NewDatabase, whole: Reading) -> None:
    """Of statements that are sent again and again, too."""
    dsn = new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    with _watch(connection, name="alone"):
        for _ in range(300):
            await connection.fetch("SELECT 1 AS n")
    await connection.close()
    assert _durations(whole, "alone")["SELECT"].count == 300


def test_durations_have_exemplars_of_traces(new_engine: NewEngine, whole: Reading) -> None:
    """As the statement calls in its context."""
    engine = new_engine("sqlite3")
    context = trace.SpanContext(7, 9, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    with _watch(engine, name="exemplars"), trace.use_span(trace.NonRecordingSpan(context)):
        _send(engine, "SELECT 1 AS n")
    (exemplar,) = _durations(whole, "exemplars")["SELECT"].exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (7, 9)


def test_durations_are_bounded(new_engine: NewEngine, whole: Reading) -> None:
    """What is beyond is told together."""
    engine = new_engine("sqlite3")
    with _watch(engine, name="bounded", opentelemetry_series=1):
        _send(engine, "CREATE TABLE a (a int)", "CREATE TABLE b (a int)", "CREATE TABLE c (a int)")
    assert set(_durations(whole, "bounded")) == {"CREATE TABLE a"}
    points = whole.metrics()[semconv.OPERATION_DURATION.name].data.data_points
    assert [point.count for point in points if point.attributes == {"otel.metric.overflow": True}] == [2]


def test_slow_queries_know_their_trace_still(new_engine: NewEngine, whole: Reading) -> None:
    """Though every execution is told of."""
    engine = new_engine("sqlite3")
    context = trace.SpanContext(7, 9, is_remote=False, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
    with _watch(engine, slow_query_threshold_ms=0) as gauge, trace.use_span(trace.NonRecordingSpan(context)):
        _send(engine, "SELECT 1 AS n")
        (slow,) = gauge.queries.get_slow_queries()
    assert slow.trace_id == f"{7:032x}"


def test_a_provider_that_fails_costs_no_execution(
    new_engine: NewEngine, whole: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and the failure is said once."""

    def fails(*_arguments: Any, **_keywords: Any) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(type(whole.provider.get_meter("test").create_histogram("test")), "record", fails)
    logs: list[MutableMapping[str, Any]]
    engine = new_engine("sqlite3")
    with capture_logs() as logs, _watch(engine) as gauge:
        _send(engine, "SELECT 1 AS n", "SELECT 1 AS n")
        assert gauge.queries.get_query_stats()[0].execution_count == 2
    failed = [said["error"] for said in logs if said["event"] == "duration_not_recorded"]
    assert failed == ["ZeroDivisionError"]
