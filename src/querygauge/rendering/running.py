"""
What has not ended, as a section of a report and of a live picture.

In goes what was under way in each process when it was last seen, out come lines; an age is as of that moment, which
stands beside it. Deliberately not here: where it is from, and whether its process still lives.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from querygauge.rendering.formats import duration, number
from querygauge.rendering.names import name_cells, name_columns
from querygauge.rendering.tables import Column, render_table, shortened, visible
from querygauge.values import ProcessRunning, RunningQuery

__all__ = ["render_running"]

_TIME: Final = "%H:%M:%S"
_PROCESS_WIDTH: Final = 12  # the end of a host's name, and the process number
_LEAST_TELLING: Final = ("As of (UTC)", "Process", "Target")
_ORIGIN_INDENT: Final = " " * 12


def render_running(
    windows: Sequence[ProcessRunning],
    *,
    limit: int,
    width: int,
    indent: int = 2,
    text_of: Callable[[RunningQuery], list[str]] = lambda _: [],
) -> list[str]:
    """
    The executions that have run longest, each with its line and scope; nothing if none is slow already.

    Args:
        windows: What was under way, by process.
        limit: Executions at most.
        width: Characters of a line.
        indent: Blanks before each row.
        text_of: Further lines below a row; a report shows the pattern there.
    """
    slow = sorted(((window, query) for window in windows for query in window.queries), key=lambda one: -one[1].age_ms)
    if not slow:
        return []
    count = sum(window.count for window in windows)
    longest = slow[:limit]
    columns = [
        Column("Age"),
        *name_columns(width, with_target=True),
        Column("Process", "left", _PROCESS_WIDTH),
        Column("As of (UTC)", "left"),
    ]
    rows = [
        [
            duration(query.age_ms),
            *name_cells(query, with_target=True),
            window.process,
            window.seen.strftime(_TIME),
        ]
        for window, query in longest
    ]
    head, *lines = render_table(columns, rows, indent=indent, width=width, least_telling=_LEAST_TELLING)
    details = ([*text_of(query), *_origin(query, width)] for _, query in longest)
    return [
        shortened(f"RUNNING NOW ({number(count)} under way; the slow ones, oldest first)", width),
        head,
        *chain.from_iterable([line, *detail] for line, detail in zip(lines, details, strict=True)),
        # How many is unknown: a snapshot tells of the oldest only.
        *(["    and younger ones"] if len(slow) > limit else []),
    ]


def _origin(query: RunningQuery, width: int) -> list[str]:
    """The line that sent it, and what else is known about it."""
    known = "  ".join(_known(query))
    label = "      from  " if query.call_site else _ORIGIN_INDENT
    return textwrap.wrap(
        visible(known), width, initial_indent=label, subsequent_indent=_ORIGIN_INDENT, break_on_hyphens=False
    )


def _known(query: RunningQuery) -> Iterator[str]:
    if query.call_site:
        yield query.call_site
    if query.scope:
        yield f"[{query.scope}]"
    if query.reason:
        yield f"[long hold: {query.reason}]"
