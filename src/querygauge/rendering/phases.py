"""
Where the time of some queries went: in go their statistics, out come lines of a table.

Deliberately not here: the page around it.
"""

from collections.abc import Sequence
from typing import Final

from querygauge.rendering.formats import duration, percent
from querygauge.rendering.tables import Column, render_table
from querygauge.values import QueryStats

__all__ = ["render_phases"]

_NAMES: Final = {
    "pool_wait": "Waiting for a connection",
    "connect": "Opening a connection",
    "begin": "BEGIN",
    "prepare": "Preparing",
    "execute": "Executing, transferring rows",
    "fetch": "Fetching a cursor's rows",
    "stream": "Fetching a stream's rows",
    "commit": "COMMIT",
    "loop_lag": "of these, event loop blocked",
}


def render_phases(stats: Sequence[QueryStats], *, width: int) -> list[str]:
    """
    One line per phase that took any time, with its share of all of them; none if nothing but executing is known.

    What the event loop was blocked for lies within the other phases, so it has a line and is in no sum.
    """
    times = dict.fromkeys(_NAMES, 0.0)
    for entry in stats:
        for phase, spent_ms in entry.phases_ms().items():
            times[phase] += spent_ms
    if sum(1 for spent_ms in times.values() if spent_ms) < 2:  # noqa: PLR2004  # executing alone tells nothing new
        return []
    executions = sum(entry.execution_count for entry in stats)
    total_ms = sum(times.values()) - times["loop_lag"]
    rows = [
        [name, duration(times[phase]), percent(100.0 * times[phase] / total_ms), duration(times[phase] / executions)]
        for phase, name in _NAMES.items()
        if times[phase]
    ]
    return render_table([Column("Phase", "left"), *map(Column, ("Time", "Share", "Per execution"))], rows, width=width)
