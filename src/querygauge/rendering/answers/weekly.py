"""
The report of a week as a page, and as rows.

In goes the report, out come text or flat rows. Deliberately not here: percentiles, and what is slow.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.names import named
from querygauge.rendering.tables import Column, render_table, shortened, visible
from querygauge.values.answers.weekly import WeeklyPattern, WeeklyReport, WeekTotals

__all__ = ["WEEKLY_COLUMNS", "render_weekly", "weekly_rows"]

WEEKLY_COLUMNS: Final = (
    "week", "week_start", "pattern_id", "pattern", "summary", "category", "services", "samples", "p50_ms", "p95_ms",
    "p99_ms", "max_ms", "total_ms", "share_percent", "error_rate", "slow_flag", "previous_p95_ms", "change_percent",
    "first_seen", "weeks_present", "call_sites",
)  # fmt: skip
_NAME_WIDTH: Final = 32
_MEASURES: Final = ("Total", "Share", "Executions", "P50", "P95", "Before", "Change", "Errors", "Weeks")
# Left out of a narrow page in this order.
_LEAST_TELLING: Final = ("P50", "Weeks", "Before", "Errors", "Share", "Executions")


def render_weekly(report: WeeklyReport, *, limit: int, width: int) -> str:
    """The totals beside those of the week before, the patterns with most time, and those that are slow."""
    queries = [pattern for pattern in report.patterns if pattern.category == "query"]
    slow = sorted((pattern for pattern in queries if pattern.slow_flag), key=lambda pattern: -pattern.p95_ms)
    parts = [
        _heading(report),
        _totals(report, width),
        _table("PATTERNS BY TOTAL TIME (95th percentile beside that of the week before)", queries, limit, width),
        _slow(slow, report.totals.slow_ms, limit, width),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _heading(report: WeeklyReport) -> list[str]:
    so_far = "" if report.is_over else ", so far"
    return [f"WEEK {report.week}", f"{report.week_start} to {report.week_end} UTC{so_far}"]


_GROWING: Final = frozenset({"Executions", "Database time"})
_TOTALS: Final[dict[str, tuple[Callable[[WeekTotals], float], Callable[[float], str]]]] = {
    "Executions": (lambda totals: totals.samples, number),
    "Database time": (lambda totals: totals.total_ms, duration),
    "Error rate": (lambda totals: totals.error_rate, percent),
    "Patterns": (lambda totals: totals.patterns, number),
    "Slow patterns": (lambda totals: totals.slow_patterns, number),
}


def _totals(report: WeeklyReport, width: int) -> list[str]:
    new = f"{number(report.new_patterns)} never seen before, {number(report.gone_patterns)} gone"
    notes = {"Patterns": new}
    if report.totals.slow_ms is not None:
        notes["Slow patterns"] = f"95th percentile over {report.totals.slow_ms:g} ms"
    rows = []
    for name, (measure, shown) in _TOTALS.items():
        after, before = measure(report.totals), None if report.previous is None else measure(report.previous)
        # A part of a week has less than a whole one whatever happened.
        change = 100 * (after / before - 1) if before and report.is_over and name in _GROWING else None
        rows.append([name, shown(after), "" if before is None else shown(before), _change(change), notes.get(name, "")])
    week_before = (report.week_start - timedelta(days=7)).isocalendar()
    titles = ("This week", f"Week {week_before.year}{week_before.week:02d}", "Change")
    columns = [Column("", "left"), *map(Column, titles), Column("", "left", 1)]
    return render_table(columns, rows, width=width)


def _table(title: str, patterns: Sequence[WeeklyPattern], limit: int, width: int) -> list[str]:
    if not patterns:
        return ["no queries in this week"]
    columns = [Column("Pattern", "left", _NAME_WIDTH), *map(Column, _MEASURES)]
    rows = [[named(pattern.pattern_id, pattern.summary), *_measures(pattern)] for pattern in patterns[:limit]]
    return [
        title,
        *render_table(columns, rows, width=width, least_telling=_LEAST_TELLING),
        *_more(len(patterns) - limit),
    ]


def _measures(pattern: WeeklyPattern) -> list[str]:
    before = pattern.previous_p95_ms
    return [
        duration(pattern.total_ms),
        percent(pattern.share_percent),
        number(pattern.samples),
        duration(pattern.p50_ms),
        duration(pattern.p95_ms),
        "" if before is None else duration(before),
        "new" if pattern.weeks_present == 1 else _change(pattern.change_percent),
        percent(pattern.error_rate),
        number(pattern.weeks_present),
    ]


def _slow(patterns: Sequence[WeeklyPattern], slow_ms: float | None, limit: int, width: int) -> list[str]:
    lines = []
    for place, pattern in enumerate(patterns[:limit], 1):
        name = visible(named(pattern.pattern_id, pattern.summary))
        lines.append(shortened(f"{place:>3}  {duration(pattern.p95_ms):>8}  {name}", width))
        lines += [shortened(f"     from  {visible(site)}", width) for site in pattern.call_sites]
    if not lines:
        return []
    return [f"SLOW PATTERNS (95th percentile over {slow_ms:g} ms)", *lines, *_more(len(patterns) - limit)]


def _more(left: int) -> list[str]:
    return [f"    and {number(left)} more; --limit shows them"] if left > 0 else []


def _change(change: float | None) -> str:
    return "" if change is None else f"{change:+.1f} %"


def weekly_rows(report: WeeklyReport) -> Iterator[dict[str, Any]]:
    """One per pattern, in the columns of the week's file; lists are parted by blanks, lines by semicolons."""
    for pattern in report.patterns:
        row = {"week": report.week, "week_start": report.week_start.isoformat(), **pattern.to_dict()}
        yield {**row, "services": " ".join(row["services"]), "call_sites": "; ".join(row["call_sites"])}
