"""
What was executed in a span as a page, and as rows.

In goes the value, out come text or flat rows. Deliberately not here: where it is from.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from querygauge.rendering.answers.series import Curve, render_series
from querygauge.rendering.charts import share_bar
from querygauge.rendering.formats import age, duration, number, percent
from querygauge.rendering.names import named
from querygauge.rendering.tables import Column, render_table, visible
from querygauge.values.answers.execution import CallSite, ExecutionStatistics, Performance, PoolPerformance

__all__ = ["STATISTICS_COLUMNS", "render_heading", "render_statistics", "statistics_rows"]

STATISTICS_COLUMNS: Final = (
    "list", "name", "value", "execution_count", "ok", "error", "timeout", "cancelled", "error_rate", "slow_count",
    "total_duration_ms", "avg_duration_ms", "min_duration_ms", "median_duration_ms", "p95_duration_ms",
    "p99_duration_ms", "max_duration_ms", "request_count", "checkout_count", "timeout_count", "error_count",
    "avg_wait_ms", "p95_wait_ms", "avg_use_ms", "peak_active", "found_count",
)  # fmt: skip
_MOMENT: Final = "%Y-%m-%d %H:%M"
_TITLES: Final = "Executions", "Errors", "Avg", "P95", "Total", "Share"
# Left out of a narrow page in this order.
_LEAST_TELLING: Final = ("", "Errors", "Avg", "P95")
_BAR_WIDTH: Final = 12
_NAME_WIDTH: Final = 24  # what of a name tells it from others
_LINE_WIDTH: Final = 40


def render_heading(title: str, since: datetime, until: datetime, service: str | None) -> str:
    """What a page is about: a title, and below it the services and the span."""
    span = f"{since.strftime(_MOMENT)} to {until.strftime(_MOMENT)} UTC ({age((until - since).total_seconds())})"
    return f"{title}\n{'all services' if service is None else visible(service)}, {span}"


def render_statistics(statistics: ExecutionStatistics, *, limit: int, width: int) -> str:
    """A page: everything together, over time, and a table for each way in which it is spread, `limit` rows each."""
    heading = render_heading("EXECUTION STATISTICS", statistics.since, statistics.until, statistics.service)
    if not statistics.performance.execution_count:
        return f"{heading}\n\nno executions in this span"
    parts = [[heading], _overall(statistics.performance), _over_time(statistics, width)]
    parts += [_table(statistics, *table, limit, width) for table in _tables(statistics)]
    parts += [_pools(statistics.by_pool, limit, width), _call_sites(statistics.top_call_sites, width)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _overall(performance: Performance) -> list[str]:
    times = {
        "avg": performance.avg_duration_ms,
        "median": performance.median_duration_ms,
        "p95": performance.p95_duration_ms,
        "p99": performance.p99_duration_ms,
        "max": performance.max_duration_ms,
    }
    slow_percent = 100.0 * performance.slow_count / performance.execution_count
    return [
        "PERFORMANCE",
        f"  Executions  {number(performance.execution_count)}, {duration(performance.total_duration_ms)} in all",
        f"  Errors      {number(performance.error_count)} ({percent(performance.error_rate)})",
        f"  Slow        {number(performance.slow_count)} ({percent(slow_percent)})",
        f"  Duration    {' · '.join(f'{name} {duration(ms)}' for name, ms in times.items())}",
    ]


def _over_time(statistics: ExecutionStatistics, width: int) -> list[str]:
    points = statistics.time_series
    step = timedelta(seconds=statistics.width_s)
    curves = [
        Curve("Executions", {p.at: float(p.performance.execution_count) for p in points}, sum, number),
        Curve("P95", {p.at: p.performance.p95_duration_ms for p in points}, max, duration),
    ]
    return ["OVER TIME", *render_series(statistics.since, statistics.until, step, curves, width)]


_Named = tuple[str, Performance]


def _tables(statistics: ExecutionStatistics) -> Iterator[tuple[str, str, list[_Named]]]:
    yield "BY TAG", "Tag", [(f"{t.tag}={t.value}", t.performance) for t in statistics.by_tag]
    yield "BY OPERATION", "Operation", [(o.name or "(none)", o.performance) for o in statistics.by_operation]
    yield "TOP SERVICES", "Service", [(s.name, s.performance) for s in statistics.top_services]
    yield (
        "TOP PATTERNS",
        "Pattern",
        [(named(p.pattern.id, p.pattern.summary), p.performance) for p in statistics.top_patterns],
    )


def _table(
    statistics: ExecutionStatistics, title: str, name: str, entries: Sequence[_Named], limit: int, width: int
) -> list[str]:
    if not entries:
        return []
    total_ms = statistics.performance.total_duration_ms
    columns = [Column(name, "left", _NAME_WIDTH), *map(Column, _TITLES), Column("", "left")]
    rows = [[text, *_cells(performance, total_ms)] for text, performance in entries[:limit]]
    lines = render_table(columns, rows, width=width, least_telling=_LEAST_TELLING)
    left = len(entries) - limit
    return [title, *lines, *([f"    and {number(left)} more"] if left > 0 else [])]


def _cells(performance: Performance, total_ms: float) -> list[str]:
    share = performance.total_duration_ms / total_ms if total_ms else 0.0
    return [
        number(performance.execution_count),
        number(performance.error_count),
        duration(performance.avg_duration_ms),
        duration(performance.p95_duration_ms),
        duration(performance.total_duration_ms),
        percent(100.0 * share),
        share_bar(share, _BAR_WIDTH),
    ]


def _pools(pools: Sequence[PoolPerformance], limit: int, width: int) -> list[str]:
    if not pools:
        return []
    titles = ("Requests", "Timeouts", "Errors", "Succeeded", "Avg wait", "P95 wait", "Avg use", "Peak")
    columns = [Column("Pool", "left", _NAME_WIDTH), *map(Column, titles)]
    rows = [
        [
            f"{pool.service} · {pool.pool}",
            number(pool.request_count),
            number(pool.timeout_count),
            number(pool.error_count),
            percent(pool.success_rate),
            duration(pool.avg_wait_ms),
            duration(pool.p95_wait_ms),
            duration(pool.avg_use_ms),
            number(pool.peak_active),
        ]
        for pool in pools[:limit]
    ]
    least_telling = ("Avg use", "Succeeded", "Avg wait", "Peak")
    return ["BY POOL", *render_table(columns, rows, width=width, least_telling=least_telling)]


def _call_sites(sites: Sequence[CallSite], width: int) -> list[str]:
    if not sites:
        return []
    columns = [Column("Found"), Column("Queries"), Column("Line", "left", _LINE_WIDTH)]
    rows = [[number(site.found_count), number(len(site.pattern_ids)), site.call_site] for site in sites]
    return ["TOP CALL SITES", *render_table(columns, rows, width=width)]


def statistics_rows(statistics: ExecutionStatistics) -> Iterator[dict[str, Any]]:
    """Everything flat: the list it is from, the names that lists have, and the numbers."""
    yield _flat("performance", "", "", statistics.performance)
    yield from (_flat("time_series", p.at.isoformat(), "", p.performance) for p in statistics.time_series)
    yield from (_flat("by_tag", t.tag, t.value, t.performance) for t in statistics.by_tag)
    yield from (_flat("by_operation", o.name, "", o.performance) for o in statistics.by_operation)
    yield from (_flat("top_services", s.name, "", s.performance) for s in statistics.top_services)
    yield from (_flat("top_patterns", p.pattern.id, p.pattern.summary, p.performance) for p in statistics.top_patterns)
    for pool in statistics.by_pool:
        yield {"list": "by_pool", "name": pool.service, "value": pool.pool, **pool.to_dict()}
    for site in statistics.top_call_sites:
        yield {"list": "top_call_sites", "name": site.call_site, "found_count": site.found_count}


def _flat(place: str, name: str, value: str, performance: Performance) -> dict[str, Any]:
    numbers = performance.to_dict()
    return {"list": place, "name": name, "value": value, **numbers["outcomes"], **numbers}
