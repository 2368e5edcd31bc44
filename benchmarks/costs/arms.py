"""
Who watches the statements: nobody, an empty listener, querygauge, and four tracing products set up as their makers say.

Each product has a span open around the work, as a request would have one, takes every trace, and hands its spans to
something that throws them away, so that no network and no server is measured. Those for SQLAlchemy that do not yet
name its version are told to go on.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from sqlalchemy import Engine, event

import querygauge

__all__ = ["ARMS", "BARE", "PAIR", "Watch", "version_of"]

BARE: Final = "bare"
PAIR: Final = "empty listener"


def _nothing(_target: Any) -> None:
    """Leaves it as it is."""


@dataclass(frozen=True)
class Watch:
    """
    How one of them begins.

    Attributes:
        attach: Takes the engine, or asyncpg's pool, once it is made.
        on_connection: Takes asyncpg's connection.
        around: What each round of the work is done in.
    """

    attach: Callable[[Any], object] = _nothing
    on_connection: Callable[[Any], object] = _nothing
    around: Callable[[], AbstractContextManager[object]] = nullcontext


def _empty() -> Watch:
    """A pair of listeners on an engine; asyncpg's own is its query logger."""

    def listen(target: Any) -> None:
        if isinstance(target, Engine):
            event.listen(target, "before_cursor_execute", lambda *_: None)
            event.listen(target, "after_cursor_execute", lambda *_: None)

    return Watch(listen, lambda connection: connection.add_query_logger(lambda _: None))


def _querygauge() -> Watch:
    return Watch(lambda target: querygauge.instrument(target, store=None))


def _querygauge_spans() -> Watch:
    """A span of each statement."""
    around = _around_a_span()
    return Watch(lambda target: querygauge.instrument(target, store=None, spans="all"), around=around)


def _querygauge_slow_spans() -> Watch:
    """Spans of slow statements, of which there are none."""
    around = _around_a_span()
    return Watch(lambda target: querygauge.instrument(target, store=None, spans="slow"), around=around)


def _querygauge_durations() -> Watch:
    """Each statement in the histogram of a provider of the application."""
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    return Watch(lambda target: querygauge.instrument(target, store=None, opentelemetry_durations=True))


def _opentelemetry() -> Watch:
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    around = _around_a_span()
    AsyncPGInstrumentor().instrument()

    def attach(target: Any) -> None:
        if isinstance(target, Engine):
            SQLAlchemyInstrumentor().instrument(engine=target, skip_dep_check=True)

    return Watch(attach, around=around)


def _around_a_span() -> Callable[[], AbstractContextManager[object]]:
    """Begins a span of a request; from now on spans are made, and thrown away."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        """Throws spans away."""

        def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002  # as it is called
            """As `SpanExporter.export`."""
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("benchmark")
    return lambda: tracer.start_as_current_span("request")


def _logfire() -> Watch:
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    logfire.instrument_asyncpg()

    def attach(target: Any) -> None:
        if isinstance(target, Engine):
            logfire.instrument_sqlalchemy(target, skip_dep_check=True)

    return Watch(attach, around=lambda: logfire.span("request"))


def _sentry() -> Watch:
    import sentry_sdk
    from sentry_sdk.integrations.asyncpg import AsyncPGIntegration
    from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration
    from sentry_sdk.transport import Transport

    class Discard(Transport):
        """Throws transactions away."""

        def capture_envelope(self, envelope: object) -> None:
            """As `Transport.capture_envelope`."""

    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1",
        transport=Discard,
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[SqlalchemyIntegration(), AsyncPGIntegration()],
    )
    return Watch(around=lambda: sentry_sdk.start_transaction(op="http.server", name="request"))


def _datadog() -> Watch:
    os.environ |= {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_TRACE_STARTUP_LOGS": "false"}
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer

    class Discard(TraceFilter):
        """Throws traces away."""

        def process_trace(self, trace: object) -> None:
            """As `TraceFilter.process_trace`."""

    tracer.configure(trace_processors=[Discard()])
    ddtrace.patch(sqlalchemy=True, asyncpg=True)
    return Watch(around=lambda: tracer.trace("request"))


ARMS: Final[dict[str, Callable[[], Watch]]] = {
    BARE: Watch,
    "bare again": Watch,
    PAIR: _empty,
    "querygauge": _querygauge,
    "with slow spans": _querygauge_slow_spans,
    "with durations": _querygauge_durations,
    "with all spans": _querygauge_spans,
    "OpenTelemetry": _opentelemetry,
    "Sentry": _sentry,
    "Datadog": _datadog,
    "Logfire": _logfire,
}
_PACKAGES: Final = {
    "querygauge": "querygauge",
    "with slow spans": "querygauge",
    "with durations": "querygauge",
    "with all spans": "querygauge",
    "OpenTelemetry": "opentelemetry-instrumentation-sqlalchemy",
    "Sentry": "sentry-sdk",
    "Datadog": "ddtrace",
    "Logfire": "logfire",
}


def version_of(arm: str) -> str | None:
    """The version of what measures, `` if there is nothing to have one; None if it is not installed."""
    if arm not in _PACKAGES:
        return ""
    try:
        return version(_PACKAGES[arm])
    except PackageNotFoundError:
        return None
