"""
The trace that an execution belongs to: in goes nothing but the context it ran in, out comes the id.

OpenTelemetry is not loaded for it: who has no use for it has no trace. Deliberately not here: making spans.
"""

import sys
from typing import Any

__all__ = ["current_trace_id"]


def current_trace_id(*_execution: Any) -> str | None:
    """Id of the trace under way, 32 hex digits; None if there is none, or nobody keeps it. Fits `protocols.Trace`."""
    # Somebody may be about to load it in another thread.
    current_span = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if current_span is None:
        return None
    context = current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid and context.trace_flags.sampled else None
