"""Receivers of OTLP on this machine, over HTTP and over gRPC, that keep what came as protobuf has it."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Receiver", "Series", "grpc_receiver", "http_receiver", "series_of"]

Series = tuple[tuple[tuple[str, Any], ...], tuple[tuple[str, Any], ...]]
"""The attributes of a resource and of a point."""


@dataclass
class Receiver:
    """
    What it answers, and what came.

    Attributes:
        url: Where it is.
        status: What it answers over HTTP.
        metrics: Requests with metrics that were answered well.
        headers: Of each request, whatever came of it.
        goes_on: Clear while it takes nothing in, and lets everybody wait.
        answers: Clear while it takes everything in, and answers nobody.
        refused: How many requests were answered badly.
    """

    url: str = ""
    status: int = 200
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    goes_on: Event = field(default_factory=Event)
    answers: Event = field(default_factory=Event)
    refused: int = 0
    _came: Condition = field(default_factory=Condition)

    def __post_init__(self) -> None:
        self.goes_on.set()
        self.answers.set()

    def came(self, headers: dict[str, str]) -> None:
        """Takes note of a request."""
        with self._came:
            self.headers.append(headers)
            self._came.notify_all()

    def took(self, request: ExportMetricsServiceRequest) -> None:
        """Keeps a request with metrics."""
        with self._came:
            self.metrics.append(request)
            self._came.notify_all()

    def wait_for_metrics(self, count: int = 1) -> None:
        """Returns once so many requests with metrics were taken, answered or not."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.metrics) >= count, 60)

    def wait_for_request(self, count: int = 1) -> None:
        """Returns once so many requests have come, answered or not."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.headers) >= count, 60)


@contextmanager
def http_receiver(port: int = 0) -> Iterator[Receiver]:
    """OTLP over HTTP with protobuf bodies."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.came(dict(self.headers.items()))
            assert receiver.goes_on.wait(60)
            status = receiver.status
            if status == 200:
                plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                if self.path.endswith("/v1/traces"):
                    receiver.traces.append(ExportTraceServiceRequest.FromString(plain))
                else:
                    receiver.took(ExportMetricsServiceRequest.FromString(plain))
                    assert receiver.answers.wait(60)
            else:
                receiver.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            """Whoever waited for an answer may be gone by now."""

    server = Server(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.goes_on.set()
        receiver.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_receiver() -> Iterator[Receiver]:
    """OTLP over gRPC."""
    receiver = Receiver()

    class Service(MetricsServiceServicer):
        def Export(  # noqa: N802  # the name is that of the service
            self, request: ExportMetricsServiceRequest, context: Any
        ) -> ExportMetricsServiceResponse:
            receiver.came({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
            receiver.took(request)
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_MetricsServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
    receiver.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


def series_of(requests: list[ExportMetricsServiceRequest], name: str) -> dict[Series, Any]:
    """The points of a metric by series; the last one of each."""
    found: dict[Series, Any] = {}
    for resource, metric in _metrics(requests):
        if metric.name == name:
            data: Any = getattr(metric, metric.WhichOneof("data"))
            for point in data.data_points:
                found[resource, _attributes(point.attributes)] = point
    return found


def _metrics(requests: list[ExportMetricsServiceRequest]) -> Iterator[tuple[tuple[tuple[str, Any], ...], Any]]:
    for request in requests:
        for resource in request.resource_metrics:
            known = _attributes(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    yield known, metric


def _attributes(found: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((each.key, getattr(each.value, each.value.WhichOneof("value"))) for each in found))
