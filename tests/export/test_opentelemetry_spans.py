"""Executions become spans where somebody wants them: exact, beneath the span that sent them, and once."""

import asyncio
import sys
import threading
from collections.abc import Iterator, MutableMapping
from types import ModuleType
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from capture.test_call_counts import calls_of, unit_of_work
from databases.engines import NewAsyncEngine, NewDatabase, NewEngine
from export.making import SELECT
from querygauge import MissingExtraError, instrument
from querygauge.capture import other_tracing
from querygauge.capture.other_tracing import OtherTracing
from querygauge.export.opentelemetry_spans import Spans
from querygauge.export.trace_ids import current_trace_id
from querygauge.gauge import Instrumentation

Logs = list[MutableMapping[str, Any]]
_EXPORTER = InMemorySpanExporter()
_PROVIDER = TracerProvider()
_PROVIDER.add_span_processor(SimpleSpanProcessor(_EXPORTER))


@pytest.fixture(autouse=True)
def exporter() -> Iterator[InMemorySpanExporter]:
    """What has the spans of the test, from the one provider that a process can have."""
    if trace.get_tracer_provider() is not _PROVIDER:
        trace.set_tracer_provider(_PROVIDER)
    _EXPORTER.clear()
    yield _EXPORTER
    _EXPORTER.clear()


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged meanwhile."""
    with capture_logs() as found:
        yield found


def _warnings(logs: Logs) -> Logs:
    return [said for said in logs if said["log_level"] == "warning"]


def _spans() -> list[ReadableSpan]:
    return [span for span in _EXPORTER.get_finished_spans() if _scope_of(span) == "querygauge"]


def _scope_of(span: ReadableSpan) -> str:
    assert span.instrumentation_scope is not None
    return span.instrumentation_scope.name


def _span() -> ReadableSpan:
    (span,) = _spans()
    return span


def _watch(*targets: Any, **settings: Any) -> Instrumentation:
    return instrument(*targets, **{"store": None, "spans": "all", **settings})


def _send(engine: Engine, statement: str = "SELECT 7 AS n") -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))


def test_a_span_says_what_was_executed(new_engine: NewEngine) -> None:
    """Its name is the summary, its text the pattern, and no value is in it."""
    engine = new_engine("psycopg")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id int, name text)"))
    with _watch(engine, call_sites="all"):
        _send(engine, "SELECT name FROM orders WHERE id = 4711 AND name = 's3cret'")
    span = _span()
    url = engine.url
    expected = {
        "db.system.name": "postgresql",
        "db.namespace": url.database,
        "db.collection.name": "orders",
        "db.operation.name": "SELECT",
        "db.query.summary": "SELECT orders",
        "db.query.text": "SELECT name FROM orders WHERE id = ? AND name = ?",
        "server.address": url.host or "localhost",
        "code.function.name": "_send",
    }
    known = dict(span.attributes or {})
    assert known.pop("code.file.path", "").endswith("test_opentelemetry_spans.py")  # type: ignore[union-attr]
    assert isinstance(known.pop("code.line.number"), int)
    known.pop("server.port", None)
    assert (span.name, span.kind, known) == ("SELECT orders", SpanKind.CLIENT, expected)
    assert (span.status.status_code, span.events) == (StatusCode.UNSET, ())
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


def test_a_span_lasts_as_long_as_the_execution(new_engine: NewEngine) -> None:
    """To the nanosecond, and it began when that did."""
    engine = new_engine("sqlite3")
    with _watch(engine, slow_query_threshold_ms=0) as gauge:
        with trace.get_tracer("test").start_as_current_span("request") as request:
            _send(engine)
        (slow,) = gauge.queries.get_slow_queries()
    span = _span()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == round(slow.duration_ms * 1e6)
    assert isinstance(request, ReadableSpan)
    assert request.start_time is not None
    assert request.end_time is not None
    assert request.start_time < span.start_time < span.end_time < request.end_time
    assert abs(span.start_time / 1e9 - slow.timestamp.timestamp()) < 0.01


def test_a_failure_is_told_without_its_values(new_engine: NewEngine) -> None:
    """The driver's exception and code, and its message as it is kept everywhere."""
    engine = new_engine("psycopg")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE people (email text PRIMARY KEY)"))
        connection.execute(text("INSERT INTO people VALUES ('a@b.example')"))
    with _watch(engine), pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO people VALUES ('a@b.example')"))
    span = _span()
    known = span.attributes or {}
    assert (known["error.type"], known["db.response.status_code"]) == ("UniqueViolation", "23505")
    (event,) = span.events
    assert (event.name, event.timestamp) == ("exception", span.end_time)
    happened = event.attributes or {}
    assert happened["exception.type"] == "UniqueViolation"
    assert "people_pkey" in str(happened["exception.message"])
    assert span.status.status_code is StatusCode.ERROR
    assert "example" not in span.to_json()


async def test_a_cancelled_execution_is_an_error(new_async_engine: NewAsyncEngine) -> None:
    """By the name of what cancelled it."""
    engine = new_async_engine("asyncpg")
    with _watch(engine):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.execute(text("SELECT pg_sleep(60)"))
    span = _spans()[-1]
    assert (span.attributes or {})["error.type"] == "CancelledError"
    assert span.status.status_code is StatusCode.ERROR


def _asked() -> list[tuple[str, int | None]]:
    """What was selected under which name, and the parent of its span; SQLAlchemy asks other things at first."""
    texts = [(str((span.attributes or {})["db.query.text"]), span.parent) for span in _spans()]
    return [(sent[-1], parent and parent.span_id) for sent, parent in texts if sent.startswith("SELECT ? AS")]


def test_the_parent_is_the_span_that_sent_it(sync_engine: Engine) -> None:
    """Of each thread its own; outside of every span there is none."""
    parents: dict[str, int] = {}

    def work(name: str) -> None:
        with trace.get_tracer("test").start_as_current_span(name) as span:
            parents[name] = span.get_span_context().span_id
            _send(sync_engine, f"SELECT 1 AS {name}")

    with _watch(sync_engine):
        threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _send(sync_engine, "SELECT 1 AS c")
    assert dict(_asked()) == {**parents, "c": None}


async def test_the_parent_is_the_span_of_the_task(async_engine: AsyncEngine) -> None:
    """Though the statement runs in a greenlet, and tasks take turns."""
    parents: dict[str, int] = {}

    async def work(name: str) -> None:
        with trace.get_tracer("test").start_as_current_span(name) as span:
            parents[name] = span.get_span_context().span_id
            async with async_engine.connect() as connection:
                for _ in range(3):
                    await connection.execute(text(f"SELECT 1 AS {name}"))
                    await asyncio.sleep(0)

    with _watch(async_engine):
        await asyncio.gather(work("a"), work("b"))
    assert (set(_asked()), len(_asked())) == (set(parents.items()), 6)


@pytest.fixture
def dsn(new_database: NewDatabase) -> str:
    """An empty database, as asyncpg wants it named."""
    return new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)


async def test_asyncpg_alone_has_the_parent_of_the_task(dsn: str) -> None:
    """Of a pool, however the statement is sent."""
    parents: dict[str, int] = {}
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:

        async def work(name: str) -> None:
            with trace.get_tracer("test").start_as_current_span(name) as span:
                parents[name] = span.get_span_context().span_id
                for _ in range(20):
                    await pool.fetch(f"SELECT 1 AS {name}")
                async with pool.acquire() as connection:
                    await connection.execute(f"SELECT 2 AS {name}", timeout=10)

        with _watch(pool):
            await asyncio.gather(work("a"), work("b"))
    assert (set(_asked()), len(_asked())) == (set(parents.items()), 42)


def test_slow_are_those_that_take_long(new_engine: NewEngine) -> None:
    """A fast statement has no span; nor has one that was kept for a lower threshold."""
    engine = new_engine("psycopg")
    with _watch(engine, spans="slow", slow_query_threshold_ms=20, history_threshold_ms=0):
        _send(engine, "SELECT 1")
        _send(engine, "SELECT pg_sleep(0.03)")
    assert [span.name for span in _spans()] == ["SELECT"]
    assert (_span().attributes or {})["db.query.text"] == "SELECT pg_sleep(?)"


def test_a_fast_statement_costs_no_more_where_slow_ones_have_spans(new_engine: NewEngine) -> None:
    """It passes through the same calls."""
    calls = []
    for spans in ("off", "slow"):
        engine = new_engine("sqlite3")
        with _watch(engine, spans=spans):
            calls.append(calls_of(lambda engine=engine: unit_of_work(engine)))  # type: ignore[misc]
    assert calls[0] == calls[1]
    assert _spans() == []


def test_spans_of_all_statements_cost_their_calls(new_engine: NewEngine) -> None:
    """What is added to a unit of work is recording it by a call, and making the span."""
    engine = new_engine("sqlite3")
    with _watch(engine, spans="off"):
        before = calls_of(lambda: unit_of_work(engine))
    with _watch(engine):
        added = calls_of(lambda: unit_of_work(engine)) - before
    recording = {"with_lag": 1, "record": 1}
    asking = {"_is_left_to_another": 1}
    assert added == {**recording, **asking, "__call__": 2, "_span": 1, "_attributes_of": 1}


def test_every_execution_is_counted_as_without_spans(new_engine: NewEngine) -> None:
    """By pattern, rows and repetitions."""
    seen = []
    for spans in ("off", "all"):
        engine = new_engine("sqlite3")
        with _watch(engine, spans=spans, repetition_threshold=3) as gauge:
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE t (a int)"))
                for number in range(20):
                    connection.execute(text("INSERT INTO t VALUES (:a)"), {"a": number})
                for number in range(600):
                    connection.execute(text("SELECT a FROM t WHERE a = :a"), {"a": number}).all()
                connection.execute(text("INSERT INTO t VALUES (:a)"), [{"a": 1}, {"a": 2}])
            stats = gauge.queries.get_query_stats()
            counted = {each.query_pattern: (each.execution_count, each.rows, each.outcomes) for each in stats}
            seen.append((counted, [found.pattern.id for found in gauge.queries.get_repetitions()]))
    assert seen[0] == seen[1]
    assert len(_spans()) == 622


def test_off_is_no_span(new_engine: NewEngine) -> None:
    """It is the default."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None, slow_query_threshold_ms=0):
        _send(engine)
    assert _spans() == []


@pytest.mark.parametrize("spans", ["off", "slow"])
def test_slow_queries_know_their_trace(new_engine: NewEngine, spans: str) -> None:
    """With spans or without: of the span that is under way, or of their own."""
    engine = new_engine("sqlite3")
    with _watch(engine, slow_query_threshold_ms=0, spans=spans) as gauge:
        with trace.get_tracer("test").start_as_current_span("request") as request:
            _send(engine)
        _send(engine, "SELECT 8 AS m")
        inside, outside = sorted(gauge.queries.get_slow_queries(), key=lambda slow: slow.timestamp)
    assert inside.trace_id == f"{request.get_span_context().trace_id:032x}"
    if spans == "slow":
        own = _spans()[-1].get_span_context()
        assert own is not None
        assert outside.trace_id == f"{own.trace_id:032x}"
    else:
        assert outside.trace_id is None


async def test_slow_queries_of_a_task_know_its_trace(async_engine: AsyncEngine) -> None:
    """Of an asynchronous engine, too."""
    with _watch(async_engine, slow_query_threshold_ms=0, spans="off") as gauge:
        with trace.get_tracer("test").start_as_current_span("request") as request:
            async with async_engine.connect() as connection:
                await connection.execute(text("SELECT 7 AS n"))
        traces = {slow.trace_id for slow in gauge.queries.get_slow_queries() if slow.query == "SELECT ? AS n"}
    assert traces == {f"{request.get_span_context().trace_id:032x}"}


def test_a_library_that_is_being_loaded_knows_no_trace_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that is not there; and neither is an error."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", ModuleType("opentelemetry.trace"))
    assert current_trace_id() is None
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert current_trace_id() is None


def test_examples_of_failures_know_their_trace(new_engine: NewEngine) -> None:
    """However fast they failed."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None) as gauge:
        with (
            trace.get_tracer("test").start_as_current_span("request") as request,
            pytest.raises(Exception, match="no such"),
        ):
            _send(engine, "SELECT absent")
        (failed,) = gauge.queries.drain().slow_queries
    assert (failed.is_slow, failed.trace_id) == (False, f"{request.get_span_context().trace_id:032x}")


def test_a_trace_that_nobody_keeps_is_none(new_engine: NewEngine) -> None:
    """An id that leads nowhere is worse than none; and a span beneath it would not be kept either."""
    engine = new_engine("sqlite3")
    context = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT))
    for spans in ("off", "all"):
        with _watch(engine, slow_query_threshold_ms=0, spans=spans) as gauge:
            with trace.use_span(NonRecordingSpan(context)):
                _send(engine)
            (slow,) = gauge.queries.get_slow_queries()
        assert slow.trace_id is None
    assert _spans() == []


def test_a_sampler_knows_what_is_executed() -> None:
    """All attributes are given at the beginning."""
    seen: dict[str, Any] = {}

    class Sampler(TraceIdRatioBased):
        def should_sample(self, *arguments: Any, **keywords: Any) -> Any:
            seen.update(next(each for each in (*arguments, *keywords.values()) if isinstance(each, dict)))
            return super().should_sample(*arguments, **keywords)

    spans = Spans("db:5433/shop", 0, lambda: None)
    spans._tracer = TracerProvider(sampler=ParentBased(Sampler(1.0))).get_tracer("test")
    spans(SELECT, 0, 5, 0, None, "app.py:3 in work", None)
    assert seen["db.query.summary"] == "SELECT orders"
    assert seen["code.line.number"] == 3


def test_engines_that_opentelemetry_watches_have_its_spans(new_engine: NewEngine, logs: Logs) -> None:
    """Ours would be the second, which is said once; an engine beside it has ours."""
    watched, free = new_engine("sqlite3"), new_engine("sqlite3")
    SQLAlchemyInstrumentor().instrument(engine=watched, skip_dep_check=True)
    try:
        with _watch(watched, free, slow_query_threshold_ms=0) as gauge:
            with trace.get_tracer("test").start_as_current_span("request") as request:
                for _ in range(3):
                    _send(watched)
                _send(free)
            traces = {slow.trace_id for slow in gauge.queries.get_slow_queries()}
    finally:
        SQLAlchemyInstrumentor().uninstrument()
    assert len(_spans()) == 1
    assert traces == {f"{request.get_span_context().trace_id:032x}"}
    told = [said["instrumentation"] for said in logs if said["event"] == "spans_left_to_another"]
    assert told == ["opentelemetry.instrumentation.sqlalchemy"]


async def test_asyncpg_that_opentelemetry_watches_has_its_spans(dsn: str, logs: Logs) -> None:
    """Alone, and beneath an engine."""
    AsyncPGInstrumentor().instrument(skip_dep_check=True)
    try:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            with _watch(pool):
                await pool.fetch("SELECT 1 AS a")
    finally:
        AsyncPGInstrumentor().uninstrument()
    assert _spans() == []
    assert [said["instrumentation"] for said in _warnings(logs)] == ["opentelemetry.instrumentation.asyncpg"]
    assert OtherTracing("asyncpg")() is None


def test_what_others_begin_later_is_noticed(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seconds later."""
    engine = new_engine("sqlite3")
    other = OtherTracing("pysqlite", engine)
    assert other() is None

    def before(*_arguments: Any) -> None:
        pass

    before.__module__ = "ddtrace.contrib.internal.sqlalchemy.engine"
    event.listen(engine, "before_cursor_execute", before)
    assert other() is None
    monkeypatch.setattr(other_tracing, "_AGAIN_NS", 0)
    assert other() == "ddtrace.contrib.internal.sqlalchemy"


@pytest.mark.parametrize("mark", ["_datadog_patch", "__datadog_patch"])
def test_a_driver_that_datadog_has_patched_makes_spans(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """Its mark on the module tells; there are two."""
    monkeypatch.setattr(asyncpg, mark, True, raising=False)
    assert OtherTracing("asyncpg")() == "ddtrace.contrib.asyncpg"
    assert OtherTracing("psycopg")() is None


def test_where_spans_are_suppressed_there_are_none(new_engine: NewEngine) -> None:
    """As in an exporter that writes to a database."""
    engine = new_engine("sqlite3")
    with _watch(engine) as gauge:
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        _send(engine)
        detach(token)
        assert gauge.queries.get_query_stats()[0].execution_count == 1
    assert _spans() == []


def test_a_provider_that_fails_costs_no_execution(
    new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """It is counted, and the failure is said once, without its words."""
    engine = new_engine("sqlite3")

    def fails(*_arguments: Any, **_keywords: Any) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr(Tracer, "start_span", fails)
    with _watch(engine) as gauge:
        for _ in range(3):
            _send(engine)
        assert gauge.queries.get_query_stats()[0].execution_count == 3
    (said,) = _warnings(logs)
    assert (said["event"], said["error"]) == ("span_failed", "ZeroDivisionError")
    assert "s3cret" not in str(said)


def test_without_the_library_it_is_said_at_once(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user is, with what to install; the engine is left as it was found."""
    engine = new_engine("sqlite3")
    monkeypatch.delitem(sys.modules, "querygauge.export.opentelemetry_spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    before = dict(vars(engine.dialect))
    with pytest.raises(MissingExtraError, match=r"pip install 'querygauge\[opentelemetry\]'"):
        _watch(engine, spans="slow")
    assert vars(engine.dialect) == before
