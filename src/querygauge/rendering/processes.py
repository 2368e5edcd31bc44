"""
What the processes took of their machines, as a table.

In go windows of processes, out come lines. Deliberately not here: where the numbers are from.
"""

from collections.abc import Sequence
from typing import Final

from querygauge.rendering.formats import duration, number, percent, size
from querygauge.rendering.tables import Column, render_table
from querygauge.values import ProcessWindow

__all__ = ["render_processes"]

_UNKNOWN: Final = "-"
_NAME_WIDTH: Final = 12  # the end of a host's name, and the process number
_MS_PER_S: Final = 1e3
_TITLES: Final = "CPU", "Of a core", "Memory", "Limit", "Of limit"
_LEAST_TELLING: Final = ("Of limit", "Limit", "CPU")


def render_processes(windows: Sequence[ProcessWindow], *, limit: int, width: int) -> list[str]:
    """The processes that took the most CPU time, one line each, and how many more there were."""
    if all(window.cpu_s is None and window.memory_bytes is None for window in windows):
        return []
    most = sorted(windows, key=lambda window: -(window.cpu_s or 0.0))[:limit]
    columns = [Column("Process", "left", _NAME_WIDTH), *map(Column, _TITLES)]
    lines = render_table(columns, [_row(window) for window in most], width=width, least_telling=_LEAST_TELLING)
    left = len(windows) - len(most)
    return ["PROCESSES", *lines, *([f"    and {number(left)} more"] if left else [])]


def _row(window: ProcessWindow) -> list[str]:
    return [
        window.process,
        _UNKNOWN if window.cpu_s is None else duration(window.cpu_s * _MS_PER_S),
        _UNKNOWN if window.cpu_percent is None else percent(window.cpu_percent),
        *(_UNKNOWN if count is None else size(count) for count in (window.memory_bytes, window.memory_limit_bytes)),
        _UNKNOWN if window.memory_percent is None else percent(window.memory_percent),
    ]
