"""The state of a store as one short page."""

import textwrap
from collections.abc import Sequence

from querygauge.rendering.formats import duration, number, percent, size
from querygauge.rendering.tables import visible
from querygauge.values.answers.status import StoreStatus

__all__ = ["render_status"]


def render_status(status: StoreStatus, *, width: int) -> str:
    """Whether it is well, what it holds, and what somebody should see to."""
    executions = status.executions
    counts = {
        "Last hour": executions.recent_1h,
        "Last day": executions.daily,
        "Last week": executions.weekly,
        "In all": executions.total,
    }
    digits = max(len(number(count)) for count in counts.values())
    notes = {"Last day": _performance(status)}
    lines = [
        f"  {name:<10}  {number(count):>{digits}}  {notes.get(name, '')}".rstrip() for name, count in counts.items()
    ]
    database = f"{visible(status.database.path)}, {size(1e6 * status.database.size_mb)}"
    parts = [
        [f"STORE {status.status}", database],
        ["EXECUTIONS", *lines],
        _listed("ERRORS", status.errors, width),
        _listed("WARNINGS", status.warnings, width),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _performance(status: StoreStatus) -> str:
    rate, average = status.performance.daily_success_rate, status.performance.avg_duration_ms
    told = [] if rate is None else [f"{percent(rate)} succeeded"]
    return ", ".join([*told, *([] if average is None else [f"{duration(average)} on average"])])


def _listed(title: str, sentences: Sequence[str], width: int) -> list[str]:
    lines = [
        line
        for sentence in sentences
        for line in textwrap.wrap(visible(sentence), width, initial_indent="  - ", subsequent_indent="    ")
    ]
    return [title, *lines] if lines else []
