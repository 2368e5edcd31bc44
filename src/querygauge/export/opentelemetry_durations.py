"""
Every execution into the histogram of durations that the application's own `MeterProvider` keeps.

It takes one value at a time, so this is a call of OpenTelemetry's with every statement. It is for whoever wants the
histogram there, with exemplars of its traces, and not from the collector, which has it for nothing. Deliberately not
here: spans.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from querygauge.errors import MissingExtraError
from querygauge.export import semconv
from querygauge.export.semconv import OPERATION_DURATION, OVERFLOW
from querygauge.interruptions import is_of_host
from querygauge.logs import get_logger
from querygauge.protocols import Trace
from querygauge.values import OK, Failure, Pattern

try:
    from opentelemetry.metrics import get_meter
except ImportError as error:
    raise MissingExtraError(
        "recording durations needs opentelemetry-api: pip install 'querygauge[opentelemetry]'"
    ) from error

__all__ = ["Durations"]

log = get_logger(__name__)

_NS_PER_S: Final = 1e9
_CANCELLED: Final = "cancelled"


class Durations:
    """
    Records the executions of one target; fits `protocols.Trace`.

    Args:
        target: Name of the database.
        series: Patterns that are told apart.
        trace: Is asked for the trace of what took as long as `traced_ns`, and of what failed.
        traced_ns: In nanoseconds.
    """

    def __init__(self, target: str, series: int, trace: Trace, traced_ns: int) -> None:
        self._target = target
        self._series = series
        self._trace = trace
        self._traced_ns = traced_ns
        self._known: dict[str, dict[str, str | int | bool]] = {}
        self._has_failed = False
        meter = get_meter("querygauge", version("querygauge"), schema_url=semconv.SCHEMA_URL)
        self._record = meter.create_histogram(
            OPERATION_DURATION.name,
            OPERATION_DURATION.unit,
            OPERATION_DURATION.description,
            explicit_bucket_boundaries_advisory=OPERATION_DURATION.boundaries,
        ).record

    def __call__(
        self,
        pattern: Pattern,
        started_ns: int,
        duration_ns: int,
        outcome: int,
        failure: Failure | None,
        call_site: str | None,
        phases: Sequence[int] | None,
        /,
    ) -> str | None:
        """Records the execution, and gives its trace if it is worth one."""
        try:
            attributes = self._known.get(pattern.id) or self._attributes_of(pattern)
            if outcome != OK:
                told = (_CANCELLED, None) if failure is None else (failure.error_type, failure.code)
                attributes = {**attributes, **dict(semconv.error_attributes(*told))}
            self._record(duration_ns / _NS_PER_S, attributes)
        except Exception as error:  # a provider may be anybody's, and the execution is counted in any case
            if is_of_host(error):
                raise
            self._note(error)
        if duration_ns < self._traced_ns and not outcome:
            return None
        return self._trace(pattern, started_ns, duration_ns, outcome, failure, call_site, phases)

    def _attributes_of(self, pattern: Pattern) -> dict[str, str | int | bool]:
        if len(self._known) >= self._series:
            return dict(OVERFLOW)
        known = self._known[pattern.id] = dict(semconv.operation_attributes(pattern, self._target))
        return known

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning("duration_not_recorded", target=self._target, error=type(error).__name__)
