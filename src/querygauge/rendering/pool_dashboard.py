"""
The dashboard of one connection pool: how it does, what it did, where it goes, and who holds its connections.

In goes a `PoolView`, out comes plain text. Deliberately not here: what makes a status or a trend, and colours.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from querygauge.histogram import Histogram
from querygauge.rendering.charts import chart_row, share_bar
from querygauge.rendering.formats import age, duration, number, percent
from querygauge.rendering.tables import Column, render_table, text_width, visible
from querygauge.values import HealthCheck, Holder, PoolMetrics, PoolSnapshot

__all__ = ["PoolView", "render_pool_dashboard"]

_WIDTH: Final = 96
_BAR_WIDTH: Final = 50
_CHECKS_SHOWN: Final = 5
_HOLDERS_SHOWN: Final = 20
_CALL_SITE_WIDTH: Final = 44
_SPAN: Final = timedelta(minutes=5)
_COLUMNS: Final = 60  # of the chart, five seconds each: as often as snapshots are taken by default
_ROWS: Final = 4
_MOMENT: Final = "%Y-%m-%d %H:%M:%S UTC"
_TIME: Final = "%H:%M:%S"
_FULL_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """
    Everything a dashboard shows.

    Attributes:
        pool: The pool's name; may be empty.
        level: `HEALTHY`, `WARNING` or `CRITICAL`.
        reasons: Why it is not `HEALTHY`.
        trend: `rising`, `falling` or `stable`.
        snapshot: The pool now.
        metrics: What it did.
        p95_recent_wait_ms: Of the waits of the last minute; None if there were none.
        history: Snapshots of the last five minutes, oldest first.
        health_checks: Recent ones, oldest first.
        last_error: When the last request failed, and why, with no value in it.
    """

    pool: str
    level: str
    reasons: tuple[str, ...]
    trend: str
    snapshot: PoolSnapshot
    metrics: PoolMetrics
    p95_recent_wait_ms: float | None
    history: tuple[PoolSnapshot, ...]
    health_checks: tuple[HealthCheck, ...]
    last_error: tuple[datetime, str] | None


def render_pool_dashboard(view: PoolView) -> str:
    """The dashboard as plain text, starting with the line `CONNECTION POOL` and at most 96 columns wide."""
    sections = (_heading, _utilization, _performance, _statistics, _health_checks, _trend, _holders)
    return "\n\n".join("\n".join(section(view)) for section in sections)


def _heading(view: PoolView) -> Iterator[str]:
    title = f"CONNECTION POOL {visible(view.pool)}".rstrip()
    moment = view.snapshot.timestamp.strftime(_MOMENT)
    yield title + moment.rjust(max(len(moment) + 2, _WIDTH - text_width(title)))
    yield "═" * _WIDTH
    yield f"Status       {view.level}"
    for reason in view.reasons:
        yield f"             - {reason}"


def _utilization(view: PoolView) -> Iterator[str]:
    now = view.snapshot
    if now.max_connections:
        bar = share_bar(now.utilization_percent / _FULL_PERCENT, _BAR_WIDTH)
        yield f"Utilisation  {bar}  {percent(now.utilization_percent)}"
    else:
        yield "Utilisation  no limit on connections"
    counts = [_in_use(now), f"{number(now.idle_connections)} idle", f"{number(now.waiting_count)} waiting"]
    if now.overflow:
        counts.append(f"{number(now.overflow)} above the pool's size")
    yield f"             {' · '.join(counts)}"


def _in_use(now: PoolSnapshot) -> str:
    if not now.max_connections:
        return f"{number(now.active_connections)} in use"
    extra = now.max_connections - now.pool_size
    parts = f" ({number(now.pool_size)} + {number(extra)} overflow)" if extra else ""
    return f"{number(now.active_connections)} of {number(now.max_connections)} in use{parts}"


def _performance(view: PoolView) -> Iterator[str]:
    metrics = view.metrics
    clocks = (
        ("Wait for a connection", metrics.wait),
        ("Use of a connection", metrics.use),
        ("Opening a connection", metrics.create),
    )
    columns = [Column("PERFORMANCE", "left"), *map(Column, ("Count", "Avg", "Median", "P95", "P99", "Max"))]
    yield from render_table(columns, [(name, *_times(times)) for name, times in clocks], indent=0)
    if view.p95_recent_wait_ms is None:
        yield "Nobody obtained a connection in the last minute."
    else:
        yield f"In the last minute, 95 % of waits took up to {duration(view.p95_recent_wait_ms)}."


def _times(times: Histogram) -> tuple[str, ...]:
    if not times.count:
        return ("0", "-", "-", "-", "-", "-")
    quantiles = (duration(times.quantile_ms(q)) for q in (0.5, 0.95, 0.99))
    return (number(times.count), duration(times.mean_ms), *quantiles, duration(times.max_ms))


def _statistics(view: PoolView) -> Iterator[str]:
    metrics = view.metrics
    left = (
        ("Requests", metrics.total_requests),
        ("Checkouts", metrics.total_checkouts),
        ("Checkins", metrics.total_checkins),
        ("Peak in use", metrics.peak_active),
        ("Peak waiting", metrics.peak_waiting),
    )
    right = (
        ("Timeouts", metrics.total_timeouts, f"{percent(metrics.timeout_rate)} of requests"),
        ("Errors", metrics.total_errors, f"{percent(metrics.error_rate)} of requests"),
        ("Leaks", metrics.leaks, "never given back"),
        ("Lost", metrics.lost_to_cancellation, "to cancelled statements"),
    )
    width = max(len(number(count)) for _, count in left)
    right_width = max(len(number(count)) for _, count, _ in right)
    yield "STATISTICS"
    for place, (name, count) in enumerate(left):
        line = f"{name:<14}{number(count):>{width}}"
        if place < len(right):
            other, other_count, meaning = right[place]
            line += f"      {other:<10}{number(other_count):>{right_width}}   {meaning}"
        yield line
    if view.last_error is not None:
        moment, text = view.last_error
        yield _clipped(f"Last error    {moment.strftime(_MOMENT)}  {visible(text)}", _WIDTH)


def _health_checks(view: PoolView) -> Iterator[str]:
    metrics = view.metrics
    if not view.health_checks:
        yield "HEALTH CHECKS  none yet"
        return
    rate = percent(metrics.health_check_success_rate)
    yield f"HEALTH CHECKS  {rate} of {number(metrics.health_checks)} succeeded"
    shown = view.health_checks[-_CHECKS_SHOWN:]
    width = max(len(duration(check.duration_ms)) for check in shown)
    for check in shown:
        moment, took = check.timestamp.strftime(_TIME), duration(check.duration_ms)
        word = "ok" if check.is_healthy else "FAILED"
        yield _clipped(f"{moment}  {word:<6}  {took:>{width}}  {visible(check.error or '')}".rstrip(), _WIDTH)


def _trend(view: PoolView) -> Iterator[str]:
    has_limit = view.snapshot.max_connections > 0
    subject = "UTILISATION" if has_limit else "CONNECTIONS IN USE"
    yield f"{subject}, LAST FIVE MINUTES  {view.trend}"
    measure: Callable[[PoolSnapshot], float] = _utilization_of if has_limit else _active_of
    values = _by_column(view.history, view.snapshot.timestamp, measure)
    known = [value for value in values if value is not None]
    if not known:
        yield "no snapshot yet"
        return
    top = max(_FULL_PERCENT if has_limit else _ROWS, math.ceil(max(known)))
    unit = " %" if has_limit else ""
    for row in range(_ROWS, 0, -1):
        label = f"{top * row / _ROWS:,.0f}{unit}"
        yield f"{label:>6} │{chart_row(values, top, row, _ROWS)}".rstrip()
    yield f"{'0' + unit:>6} └{'─' * _COLUMNS}"
    yield f"{'':8}{'5 min ago':<{_COLUMNS - 3}}now"


def _utilization_of(snapshot: PoolSnapshot) -> float:
    return snapshot.utilization_percent


def _active_of(snapshot: PoolSnapshot) -> float:
    return float(snapshot.active_connections)


def _by_column(
    history: Sequence[PoolSnapshot], now: datetime, measure: Callable[[PoolSnapshot], float]
) -> list[float | None]:
    """The mean in every five seconds; between snapshots taken less often, the last one stands."""
    found: list[list[float]] = [[] for _ in range(_COLUMNS)]
    for snapshot in history:
        elapsed = (snapshot.timestamp - (now - _SPAN)) / _SPAN
        if 0 <= elapsed <= 1:
            found[min(_COLUMNS - 1, int(elapsed * _COLUMNS))].append(measure(snapshot))
    values: list[float | None] = []
    last: float | None = None
    for column in found:
        last = sum(column) / len(column) if column else last
        values.append(last)
    return values


def _holders(view: PoolView) -> Iterator[str]:
    now = view.snapshot
    if not now.holders:
        yield f"HOLDERS  {'nobody' if not now.active_connections else 'unknown'}"
        return
    shown = now.holders[:_HOLDERS_SHOWN]
    yield f"HOLDERS  {number(len(shown))} of {number(max(len(shown), now.active_connections))}, oldest first"
    columns = [Column("Age"), *(Column(title, "left") for title in ("Call site", "Last pattern", "State"))]
    yield from render_table(columns, [_cells(holder) for holder in shown], indent=0)


def _cells(holder: Holder) -> tuple[str, str, str, str]:
    call_site = _clipped_left(holder.call_site or "unknown", _CALL_SITE_WIDTH)
    state = holder.activity or "-"
    known = f"{state}, known: {holder.reason}" if holder.reason else state
    return age(holder.age_s), call_site, holder.pattern_id or "-", known


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _clipped_left(text: str, width: int) -> str:
    """The end of a text: of a path, the file and the line matter most."""
    return text if len(text) <= width else "…" + text[1 - width :]
