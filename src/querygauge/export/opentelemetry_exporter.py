"""
Accumulations on their way: in goes what is to be sent, out comes what was delivered, and why the rest was not.

Where to, with which headers, how long to wait and which temporality is what OpenTelemetry's own variables
(`OTEL_EXPORTER_OTLP_…`) say. Nothing that is told of a failure has a secret: of an address the origin, of an answer its
number, of an error its name. Deliberately not here: trying again, which is the next tick's.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final, Literal

from querygauge.errors import MissingExtraError, SettingsError
from querygauge.export.accumulation import Accumulation
from querygauge.export.endpoint import PROTOCOLS, protocol

try:
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
    from opentelemetry.sdk.metrics import Counter
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        ConsoleMetricExporter,
        MetricExporter,
        MetricExportResult,
    )

    from querygauge.export.opentelemetry_data import Form, metrics_data
except ImportError as error:
    raise MissingExtraError(
        "the OpenTelemetry export needs opentelemetry-sdk: pip install 'querygauge[opentelemetry]'"
    ) from error

__all__ = ["Sender", "exporter_of"]

_LOGGER: Final = "opentelemetry.exporter.otlp"
# One request has so many points at most, unless one process has more; a receiver over gRPC takes 4 MB.
_POINTS: Final = 5_000
_LONGEST_S: Final = 20.0  # what has not begun by then is left to the next tick
_STATUSES: Final[Mapping[object, HTTPStatus]] = {
    told: status for status in HTTPStatus for told in (int(status), status.phrase)
}


def exporter_of(kind: Literal["otlp", "console"]) -> MetricExporter:
    """
    The exporter that the variables ask for.

    Raises:
        SettingsError: If a variable is wrong.
        MissingExtraError: If what sends over gRPC is asked for, and not installed.
    """
    if kind == "console":
        return ConsoleMetricExporter()
    spoken = protocol()
    if spoken not in PROTOCOLS:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL must be one of {', '.join(PROTOCOLS)}; got {spoken!r}")
    name = spoken.partition("/")[0]
    try:
        module = import_module(f"opentelemetry.exporter.otlp.proto.{name}.metric_exporter")
        exporter: MetricExporter = module.OTLPMetricExporter()
    except ImportError as error:
        package = f"opentelemetry-exporter-otlp-proto-{name}"
        raise MissingExtraError(f"OTLP over {spoken} needs {package}: pip install {package}") from error
    except (ValueError, OSError) as error:  # a certificate that is not there, a time that is no number
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_… must be settings of an exporter; got {type(error).__name__}"
        ) from None
    return exporter


class Sender:
    """
    Sends through one exporter, from one thread.

    Attributes:
        delivered: What has arrived so far; it grows.
        error: Why not everything did; None while nothing failed.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        self.delivered: list[Accumulation] = []
        self.error: str | None = None
        self._exporter = exporter

    @property
    def is_delta(self) -> bool:
        """Whether the exporter wants counts since the last time."""
        preferred = self._exporter._preferred_temporality or {}  # noqa: SLF001  # as the readers of its library do
        return preferred.get(Counter) is AggregationTemporality.DELTA

    def send(self, accumulations: Sequence[Accumulation], *, is_explicit: bool) -> None:
        """Sends all of it, or up to what is not taken, and lets go of the exporter; does not raise."""
        form = Form(self.is_delta, is_explicit)
        deadline = time.monotonic() + _LONGEST_S
        with _heard() as said, _unobserved():
            try:
                for together in _requests(accumulations):
                    if time.monotonic() > deadline:
                        self.error = "took too long; the rest is sent next time"
                        break
                    result = self._exporter.export(metrics_data(together, form))
                    if result is not MetricExportResult.SUCCESS:
                        self.error = said.reason()
                        break
                    self.delivered += together
                self._exporter.shutdown()
            except Exception as error:  # noqa: BLE001  # an exporter may be anybody's
                self.error = _name_of(error)


def _requests(accumulations: Sequence[Accumulation]) -> Iterator[list[Accumulation]]:
    together: list[Accumulation] = []
    points = 0
    for each in accumulations:
        more = 3 * len(each.operations) + len(each.failures) + 12 * len(each.pools)
        if together and points + more > _POINTS:
            yield together
            together, points = [], 0
        together.append(each)
        points += more
    if together:
        yield together


@contextmanager
def _unobserved() -> Iterator[None]:
    """Keeps instrumentations of this process, as of HTTP, from making telemetry of sending telemetry."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        detach(token)


class _Heard(logging.Handler):
    """Listens to what exporters log, of which they tell nobody else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self._reason = next(filter(None, map(_reason_in, arguments)), self._reason)

    def reason(self) -> str:
        """Why it failed, as far as somebody said so."""
        return self._reason or "did not take it"


def _reason_in(argument: Any) -> str | None:
    if isinstance(argument, BaseException):
        return _name_of(argument)
    if type(argument).__name__ == "StatusCode":  # gRPC's own, without loading it
        return f"answered {argument.name}"
    status = _STATUSES.get(argument) if isinstance(argument, int | str) else None
    return None if status is None else f"answered {status.value} {status.phrase}"


def _name_of(error: BaseException) -> str:
    """What went wrong first; texts of errors quote addresses, and those may hold secrets."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"failed with {type(error).__name__}"


@contextmanager
def _heard() -> Iterator[_Heard]:
    """Takes over what exporters log meanwhile: with each try the same, and with addresses."""
    logger, heard = logging.getLogger(_LOGGER), _Heard()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        yield heard
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagates
