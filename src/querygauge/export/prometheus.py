"""
Prometheus: a collector for any registry of `prometheus_client`, and `/metrics` for ASGI and WSGI applications.

In goes a store, out comes the exposition that `prometheus_client` writes. Every process serves the numbers of all
processes that write to the store. Deliberately not here: what is served.
"""

import asyncio
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from querygauge.errors import MissingExtraError, SettingsError
from querygauge.export.prometheus_families import FAMILIES, Family, family
from querygauge.export.prometheus_reading import TotalsReader
from querygauge.export.prometheus_samples import Series
from querygauge.forking import survive_forks
from querygauge.logs import get_logger
from querygauge.settings import load_settings
from querygauge.storage.paths import Location, StorePaths, paths_of

try:
    import prometheus_client
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
except ImportError as error:
    raise MissingExtraError(
        "the Prometheus exporter needs prometheus-client: pip install 'querygauge[prometheus]'"
    ) from error

__all__ = ["MetricsServer", "QueryGaugeCollector", "asgi_app", "wsgi_app"]

log = get_logger(__name__)

_WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_ASGIApp = Callable[[Any, Any, Any], Any]
_HTTP: Final = "http"
_READ_AHEAD_S: Final = 2.0
_WEB_NAMES: Final = {b"accept": "HTTP_ACCEPT", b"accept-encoding": "HTTP_ACCEPT_ENCODING"}


class QueryGaugeCollector:
    """
    The numbers of a store, for a `CollectorRegistry`.

    Making it subscribes to the store: where nobody did before, counters begin there, with what waits to be folded. A
    scrape needs no lock of the store and no database, and whatever fails is logged and left out.

    Args:
        store: A store's directory, or that of many machines; by default the one the settings name. It need not be there
            yet. Of a store of many machines the numbers are those of this machine.

    Raises:
        SettingsError: If it is no location of a store, or the settings switch it off.
    """

    def __init__(self, store: Location | None = None) -> None:
        self._paths = _store_paths(store)
        self._reader = TotalsReader(self._paths)
        self._has_failed = False
        self._build_info = _build_info()  # looking for versions takes milliseconds
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self._reader = TotalsReader(self._paths)

    def describe(self) -> Iterator[Metric]:
        """The families without values: a registry asks for their names, and must read no store for it."""
        return map(_metric, FAMILIES)

    def collect(self) -> list[Metric]:
        """The families that have anything to tell."""
        try:
            served = [_filled(series) for series in self._reader.series()]
        except Exception as error:
            # In a host this is its own thread, and every other metric of its registry would be lost with ours.
            if not self._has_failed:
                self._has_failed = True
                log.exception("metrics_not_served", store=self._paths.name, error=type(error).__name__)
            served = []
        return [*served, self._build_info]

    def refresh(self) -> None:
        """Reads what is new ahead of the next scrape; raises nothing."""
        self._reader.refresh()


def _store_paths(store: Location | None) -> StorePaths:
    settings = load_settings({})
    location = settings.store if store is None else store
    if location is None:
        raise SettingsError("store is switched off in the settings here; name its directory")
    return paths_of(location, settings.spool, settings.data_path)


def _metric(of: Family) -> Metric:
    if of.kind == "counter":
        return CounterMetricFamily(of.name, of.help, labels=of.labels, unit=of.unit)
    if of.kind == "gauge":
        return GaugeMetricFamily(of.name, of.help, labels=of.labels, unit=of.unit)
    return HistogramMetricFamily(of.name, of.help, labels=of.labels, unit=of.unit)


def _filled(series: Series) -> Metric:
    metric: Any = _metric(series.family)
    bounds = [*map(repr, series.family.bounds), "+Inf"]
    for labels, value in series.values.items():
        if isinstance(value, list):
            *counts, seconds = value
            metric.add_metric(labels, _cumulative(bounds, counts), seconds)
        else:
            metric.add_metric(labels, value)
    filled: Metric = metric
    return filled


def _cumulative(bounds: list[str], counts: list[float]) -> list[tuple[str, float]]:
    total, found = 0.0, []
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        found.append((bound, total))
    return found


def _build_info() -> Metric:
    versions = (_version("querygauge"), platform.python_version(), _version("sqlalchemy"))
    return _filled(Series(family("build_info"), {versions: 1.0}))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from its source
        return ""


def wsgi_app(store: Location | None = None) -> _WSGIApp:
    """
    A WSGI application that serves the numbers of a store, to be mounted at `/metrics`.

    Args:
        store: As for `QueryGaugeCollector`.
    """
    return _wsgi_app(QueryGaugeCollector(store))


def _wsgi_app(collector: QueryGaugeCollector) -> _WSGIApp:
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    served: _WSGIApp = prometheus_client.make_wsgi_app(registry)
    return served


def asgi_app(store: Location | None = None) -> _ASGIApp:
    """
    An ASGI application that serves the numbers of a store, to be mounted at `/metrics`.

    A scrape runs in a thread, so that the event loop goes on.

    Args:
        store: As for `QueryGaugeCollector`.
    """
    served = wsgi_app(store)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != _HTTP:
            return
        await receive()
        status, headers, body = await _in_thread(lambda: _answer(served, scope))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _in_thread(work: Callable[[], Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # another library's loop, whose threads are not known here
        return work()
    return await asyncio.to_thread(work)


def _answer(served: _WSGIApp, scope: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What the WSGI application answers to an ASGI request."""
    environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        **{
            _WEB_NAMES[name.lower()]: value.decode("latin-1")
            for name, value in scope["headers"]
            if name.lower() in _WEB_NAMES
        },
    }
    answered: list[Any] = []
    body = b"".join(served(environ, lambda status, headers: answered.extend((status, headers))))
    status, headers = answered
    return int(status.split(" ")[0]), [(name.encode(), value.encode()) for name, value in headers], body


class MetricsServer:
    """
    Serves the numbers of a store over HTTP, in threads of its own.

    Args:
        store: As for `QueryGaugeCollector`.
        host: Address to listen at.
        port: Port to listen at; 0 is any that is free.

    Attributes:
        port: Where it listens.

    Raises:
        SettingsError: If nobody can listen there.
    """

    def __init__(self, store: Location | None, host: str, port: int) -> None:
        self._collector = QueryGaugeCollector(store)
        registry = prometheus_client.CollectorRegistry()
        registry.register(self._collector)
        try:
            self._server, self._thread = prometheus_client.start_http_server(port, host, registry)
        except OSError as error:
            reason = error.strerror or error
            raise SettingsError(f"metrics-port must be one to listen at; got {host}:{port}: {reason}") from error
        self.port: int = self._server.server_port
        self._ended = threading.Event()
        self._reading = threading.Thread(target=self._read_ahead, name="querygauge-metrics", daemon=True)
        self._reading.start()

    def _read_ahead(self) -> None:
        """Reads what is new as it comes, so that a scrape finds it read."""
        while True:
            self._collector.refresh()
            if self._ended.wait(_READ_AHEAD_S):
                return

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._reading.join()
