"""
Executions as spans of OpenTelemetry: made when they have ended, with the times they had.

The thread, greenlet or task that sent the statement calls, so the context is the one it was sent in, and its span the
parent. All attributes are given at the beginning, for samplers. Nothing personal is in them: the text is the pattern's,
and the message that of a `Failure`. Deliberately not here: which executions, and sending spans, which the application's
own provider does.
"""

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final

from querygauge.errors import MissingExtraError
from querygauge.export import semconv
from querygauge.export.trace_ids import current_trace_id
from querygauge.interruptions import is_of_host
from querygauge.logs import get_logger
from querygauge.values import LOOP_LAG, OK, Failure, Pattern

try:
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
    from opentelemetry.trace import SpanKind, Status, StatusCode, get_tracer
except ImportError as error:
    raise MissingExtraError("spans need opentelemetry-api: pip install 'querygauge[opentelemetry]'") from error

__all__ = ["Spans"]

log = get_logger(__name__)

_LONGEST_TEXT: Final = 16_384  # characters of a statement; nobody reads the end of a longer one
_KNOWN_LIMIT: Final = 2_000
_CANCELLED: Final = "cancelled"


class Spans:
    """
    Makes the spans of one target; fits `protocols.Trace`.

    Args:
        target: Name of the database.
        from_ns: What takes as long gets a span, without the time for which the event loop was blocked.
        other: Names somebody else who makes spans of the target, in which case there are none of ours.
    """

    def __init__(self, target: str, from_ns: int, other: Callable[[], str | None]) -> None:
        self._target = target
        self._from_ns = from_ns
        self._other = other
        self._told_other: str | None = None
        self._has_failed = False
        self._known: dict[str, dict[str, Any]] = {}
        self._tracer = get_tracer("querygauge", version("querygauge"), schema_url=semconv.SCHEMA_URL)

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
        """The trace that the execution belongs to, with a span of its own if it took long enough."""
        lag_ns = phases[LOOP_LAG] if phases is not None and len(phases) > LOOP_LAG else 0
        if duration_ns - lag_ns < self._from_ns:
            return current_trace_id()
        try:
            if get_value(_SUPPRESS_INSTRUMENTATION_KEY) or self._is_left_to_another():
                return current_trace_id()
            return self._span(pattern, started_ns, duration_ns, outcome, failure, call_site)
        except Exception as error:  # a provider may be anybody's, and the execution is counted in any case
            if is_of_host(error):
                raise
            self._note(error)
            return None

    def _span(
        self,
        pattern: Pattern,
        started_ns: int,
        duration_ns: int,
        outcome: int,
        failure: Failure | None,
        call_site: str | None,
    ) -> str | None:
        attributes = self._attributes_of(pattern)
        if call_site is not None:
            attributes = {**attributes, **dict(semconv.code_attributes(call_site))}
        if outcome != OK:
            code = None if failure is None else failure.code
            error_type = _CANCELLED if failure is None else failure.error_type
            attributes = {**attributes, **dict(semconv.error_attributes(error_type, code))}
        start_ns = time.time_ns() - time.perf_counter_ns() + started_ns
        span = self._tracer.start_span(
            pattern.summary or attributes["db.system.name"],
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=start_ns,
        )
        end_ns = start_ns + duration_ns
        if outcome != OK:
            span.set_status(Status(StatusCode.ERROR, None if failure is None else str(failure)))
            if failure is not None:
                happened = {
                    semconv.EXCEPTION_TYPE: failure.error_type,
                    semconv.EXCEPTION_MESSAGE: failure.message,
                }
                span.add_event("exception", happened, timestamp=end_ns)
        span.end(end_time=end_ns)
        context = span.get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None

    def _attributes_of(self, pattern: Pattern) -> dict[str, Any]:
        known = self._known.get(pattern.id)
        if known is None:
            known = dict(semconv.operation_attributes(pattern, self._target))
            known[semconv.DB_QUERY_TEXT] = pattern.text[:_LONGEST_TEXT]
            if len(self._known) < _KNOWN_LIMIT:
                self._known[pattern.id] = known
        return known

    def _is_left_to_another(self) -> bool:
        other = self._other()
        if other is not None and other != self._told_other:
            self._told_other = other
            log.warning("spans_left_to_another", target=self._target, instrumentation=other)
        return other is not None

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning("span_failed", target=self._target, error=type(error).__name__)
