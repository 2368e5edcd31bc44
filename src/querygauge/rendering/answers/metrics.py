"""The figures of a span as a page, and as rows over time."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from querygauge.rendering.answers.execution import render_heading
from querygauge.rendering.answers.series import Curve, render_series
from querygauge.rendering.formats import duration, money, number, size
from querygauge.values.answers.metrics import PerformanceMetrics

__all__ = ["METRICS_COLUMNS", "metrics_rows", "render_metrics"]

METRICS_COLUMNS: Final = (
    "at", "execution_count", "error_count", "avg_duration_ms", "median_duration_ms", "p95_duration_ms",
    "p99_duration_ms", "process_count", "avg_memory_mb", "max_memory_mb", "cpu_s",
)  # fmt: skip
_UNKNOWN: Final = "unknown"


def render_metrics(metrics: PerformanceMetrics, *, width: int) -> str:
    """Durations, cost and resources, each with how it went over time."""
    heading = render_heading("PERFORMANCE METRICS", metrics.since, metrics.until, metrics.service)
    parts = [[heading], _figures(metrics), _over_time(metrics, width)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _figures(metrics: PerformanceMetrics) -> list[str]:
    times = metrics.duration.to_dict()
    told = " · ".join(f"{name} {duration(ms)}" for name, ms in times.items() if ms is not None)
    each = "" if metrics.cost.avg is None else f", {money(1e6 * metrics.cost.avg)} a million executions"
    resources = metrics.resources
    memory = (
        _UNKNOWN
        if resources.avg_memory_mb is None or resources.p95_memory_mb is None
        else f"{_megabytes(resources.avg_memory_mb)} a process, p95 {_megabytes(resources.p95_memory_mb)}"
    )
    return [
        "FIGURES",
        f"  Executions  {number(metrics.execution_count)}",
        f"  Duration    {told or 'nothing was executed'}",
        f"  Cost        {money(metrics.cost.total)}{each}; {money(metrics.price_per_hour)} an hour",
        f"  Memory      {memory}",
        f"  CPU time    {_UNKNOWN if resources.cpu_s is None else _seconds(resources.cpu_s)}",
    ]


def _over_time(metrics: PerformanceMetrics, width: int) -> list[str]:
    points, taken = metrics.time_series, metrics.resources_over_time
    curves = [
        Curve("Executions", {p.at: float(p.performance.execution_count) for p in points}, sum, number),
        Curve("P95", {p.at: p.performance.p95_duration_ms for p in points}, max, duration),
        Curve("Memory", {p.at: p.max_memory_mb for p in taken if p.max_memory_mb is not None}, max, _megabytes),
        Curve("CPU time", {p.at: p.cpu_s for p in taken if p.cpu_s is not None}, sum, _seconds),
    ]
    known = [curve for curve in curves if curve.values]
    if not known:
        return []
    return ["OVER TIME", *render_series(metrics.since, metrics.until, timedelta(seconds=metrics.width_s), known, width)]


def _megabytes(megabytes: float) -> str:
    return size(1e6 * megabytes)


def _seconds(seconds: float) -> str:
    return duration(1e3 * seconds)


def metrics_rows(metrics: PerformanceMetrics) -> Iterator[dict[str, Any]]:
    """One per part of the span: what was executed, and what the processes took."""
    rows: dict[str, dict[str, Any]] = {}
    for point in metrics.time_series:
        rows[point.at.isoformat()] = point.performance.to_dict()
    for taken in metrics.resources_over_time:
        rows.setdefault(taken.at.isoformat(), {}).update(taken.to_dict())
    for at, row in sorted(rows.items()):
        yield {**row, "at": at}
