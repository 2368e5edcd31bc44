"""
The queries of the last minutes, and what has not ended, refreshed while somebody watches.

Comes in: a store, read anew for every picture, so that waiting snapshots are folded first; goes out: two tables on a
terminal, or plain text once. Deliberately not here: any history beyond the window.
"""

import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.names import name_cells, name_columns
from querygauge.rendering.ranking import ranked
from querygauge.rendering.running import render_running
from querygauge.rendering.statements import one_line
from querygauge.rendering.tables import Column, render_table, visible
from querygauge.storage.opening import open_store
from querygauge.storage.paths import Location
from querygauge.storage.ranges import parse_range
from querygauge.surfaces.console import page_width
from querygauge.values import OutcomeCounts, ProcessRunning, QueryStats, RunningQuery

__all__ = ["Picture", "View", "picture_of", "render_picture", "watch"]

_TITLES: Final = ("Total", "Share", "Exec/s", "Avg", "P95", "Executions", "Errors")
# Left out of a narrow terminal in this order, except for what the queries are ordered by.
_LEAST_TELLING: Final = ("Share", "Exec/s", "P95", "Errors", "Executions", "Avg")
_MEASURES: Final = {
    "avg_duration": "Avg",
    "total_duration": "Total",
    "p95": "P95",
    "execution_count": "Executions",
    "error_rate": "Errors",
}
_LINES_AROUND: Final = 7  # of a terminal: two above the table, which may be folded, its titles, two below
_MOST_RUNNING: Final = 5
_TEXT_INDENT: Final = "     "
_MIN_SPAN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """
    What `top` shows at one moment.

    Attributes:
        title: Service, span and moment.
        totals: Everything together, in one line.
        rows: One per query, as text, in the order of the columns.
        hidden: Queries for which there was no room.
        order_by: What the rows are ordered by, one of `ranking.ORDERS`.
        with_target: Whether the last cell of a row is its target.
        running: What had not ended when it was last seen, as lines; empty if nothing is slow.
    """

    title: str
    totals: str
    rows: tuple[tuple[str, ...], ...]
    hidden: int
    order_by: str
    with_target: bool
    running: tuple[str, ...] = ()

    def table(self, width: int) -> list[str]:
        """The titles of the columns that fit in a width, and a line for each query."""
        if not self.rows:
            return ["no queries in this span"]
        columns = [*map(Column, _TITLES), *name_columns(width, with_target=self.with_target)]
        least_telling = [title for title in _LEAST_TELLING if title != _MEASURES.get(self.order_by)]
        return render_table(columns, self.rows, indent=0, width=width, least_telling=least_telling)


def picture_of(
    stats: Sequence[QueryStats], since: datetime, now: datetime, *, service: str | None, order_by: str, limit: int
) -> Picture:
    """
    The picture of what was executed between two moments.

    Args:
        stats: Statistics of the span.
        since: Its start; rates count from the first execution if that was later.
        now: Its end.
        service: The service shown; None is all of them.
        order_by: One of `ranking.ORDERS`.
        limit: Queries at most.
    """
    started = max([since, min((entry.first_seen for entry in stats), default=since)])
    span_s = max((now - started).total_seconds(), _MIN_SPAN_S)
    queries = [entry for entry in stats if entry.pattern.category == "query"]
    total_ms = sum(entry.total_duration_ms for entry in stats)
    top = ranked(queries, order_by, limit)
    with_target = len({entry.target for entry in queries}) > 1
    return Picture(
        title=f"{visible(service or 'all services')}, last {span_s / 60:.1f} min, {now:%H:%M:%S} UTC",
        totals=_totals(stats, span_s, total_ms),
        rows=tuple(_row(entry, span_s, total_ms, with_target=with_target) for entry in top),
        hidden=len(queries) - len(top),
        order_by=order_by,
        with_target=with_target,
    )


def _totals(stats: Sequence[QueryStats], span_s: float, total_ms: float) -> str:
    outcomes = OutcomeCounts()
    for entry in stats:
        outcomes = outcomes.merged(entry.outcomes)
    patterns = len({entry.pattern_id for entry in stats})
    return (
        f"{_rate(outcomes.total / span_s)} executions/s, {number(outcomes.total)} in all, {duration(total_ms)},"
        f" {number(patterns)} patterns, {number(outcomes.failed)} errors ({percent(outcomes.error_rate)})"
    )


def _row(entry: QueryStats, span_s: float, total_ms: float, *, with_target: bool) -> tuple[str, ...]:
    return (
        duration(entry.total_duration_ms),
        percent(100.0 * entry.total_duration_ms / total_ms if total_ms else 0.0),
        _rate(entry.execution_count / span_s),
        duration(entry.avg_duration_ms),
        duration(entry.p95_duration_ms),
        number(entry.execution_count),
        number(entry.error_count),
        *name_cells(entry, with_target=with_target),
    )


def _rate(per_second: float) -> str:
    return f"{per_second:,.1f}" if per_second >= 0.1 or not per_second else f"{per_second:.3f}"  # noqa: PLR2004


def render_picture(picture: Picture, width: int = 100) -> str:
    """A picture as plain text of a width."""
    heading = [line for text in (picture.title, picture.totals) for line in textwrap.wrap(text, width)]
    more = [f"and {number(picture.hidden)} more queries"] if picture.hidden else []
    running = [*picture.running, ""] if picture.running else []
    return "\n".join([*heading, "", *running, *picture.table(width), *more])


@dataclass(frozen=True, slots=True)
class View:
    """
    What to look at.

    Attributes:
        store: Where it is.
        window: How far back, such as `5m`; minutes are whole, because the store keeps them so.
        service: The service to show; None is all of them.
        order_by: One of `ranking.ORDERS`.
        limit: Queries at most.
    """

    store: Location
    window: str
    service: str | None
    order_by: str
    limit: int

    def picture(self, width: int, height: int | None = None) -> Picture:
        """The picture of this moment, as wide as a page, and no higher than a terminal."""
        now = datetime.now(UTC)
        since = (now - parse_range(self.window)).replace(second=0, microsecond=0)
        store = open_store(self.store)
        stats = store.query_stats(since, service=self.service)
        room = None if height is None else height - _LINES_AROUND
        running = _running(store.running(now, self.service), width, room)
        limit = self.limit if room is None else max(1, min(self.limit, room - len(running) - 1))
        picture = picture_of(stats, since, now, service=self.service, order_by=self.order_by, limit=limit)
        return replace(picture, running=tuple(running))


def _running(windows: Sequence[ProcessRunning], width: int, room: int | None) -> list[str]:
    """As much of what runs as half of the room takes, and one query at least."""
    lines: list[str] = []
    for limit in range(_MOST_RUNNING, 0, -1):
        lines = render_running(windows, limit=limit, width=width, indent=0, text_of=_text_once(width))
        if room is None or len(lines) <= room // 2:
            break
    return lines


def _text_once(width: int) -> Callable[[RunningQuery], list[str]]:
    """Gives the text of a pattern on one line, the first time it is asked for."""
    shown: set[str] = set()

    def text_of(query: RunningQuery) -> list[str]:
        if query.pattern_id in shown:
            return []
        shown.add(query.pattern_id)
        return [_TEXT_INDENT + one_line(query.query_pattern, width - len(_TEXT_INDENT))]

    return text_of


def watch(view: View, console: Console, *, interval_s: float, once: bool) -> None:
    """
    Shows the last minutes of a store until interrupted, or once where no terminal watches.

    Args:
        view: What to look at.
        console: Where to show it.
        interval_s: Seconds between two pictures.
        once: Whether one picture is enough.

    Raises:
        StoreError: If the store cannot be read.
        SettingsError: If the window or the order is none.
    """
    if once or not console.is_terminal:
        width = page_width()
        typer.echo(render_picture(view.picture(width), width))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            picture = view.picture(console.width, console.height)
            live.update(_styled(picture, console.width), refresh=True)
            time.sleep(interval_s)


def _styled(picture: Picture, width: int) -> Group:
    tables = [_titled(picture.table(width))]
    if picture.running:
        title, *under_way = picture.running
        tables.insert(0, Group(Text(title, style="bold red", no_wrap=True), _titled(under_way), Text()))
    more = f"  and {number(picture.hidden)} more" if picture.hidden else ""
    foot = Text(f"Ctrl-C ends{more}", style="dim")
    return Group(Text(picture.title, style="bold"), Text(picture.totals), Text(), *tables, Text(), foot)


def _titled(lines: Sequence[str]) -> Group:
    head, *rows = (Text(line, no_wrap=True) for line in lines)
    head.stylize("bold")
    return Group(head, *rows)
