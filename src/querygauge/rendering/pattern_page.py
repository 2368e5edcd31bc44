"""
One query in full, and the list of all of them.

In goes what a store knows, out comes plain text. Deliberately not here: advice and rankings, which are the report's.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.ranking import mean_rows
from querygauge.rendering.tables import Column, render_table, visible
from querygauge.values import Pattern, QueryStats, Repetition, SlowQuery

__all__ = ["PatternData", "render_pattern", "render_patterns"]

_MOMENT: Final = "%Y-%m-%d %H:%M:%S"
_HOUR: Final = "%Y-%m-%d %H:00"
_MEASURES: Final = ("Executions", "Errors", "Slow", "Rows/exec", "Avg", "Median", "P95", "P99", "Max", "Total")
_SLOW_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternData:
    """
    What a store knows about one query.

    Attributes:
        pattern: The query.
        services: Applications that sent it.
        first_seen: Start of its first execution.
        last_seen: Start of its last execution.
        stats: One per target, over the span asked for.
        hours: Start of an hour, and the statistics of that hour, oldest first.
        slow_queries: Its executions kept one by one.
        repetitions: Findings about it.
    """

    pattern: Pattern
    services: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    stats: tuple[QueryStats, ...]
    hours: tuple[tuple[datetime, QueryStats], ...] = ()
    slow_queries: tuple[SlowQuery, ...] = ()
    repetitions: tuple[Repetition, ...] = ()


def render_patterns(stats: Sequence[QueryStats], *, limit: int) -> str:
    """One line per query and target, in the order given, with the whole id."""
    if not stats:
        return "no queries in this span"
    titles = ("Executions", "Avg", "P95", "Total", "Errors")
    columns = [Column("Id", "left"), *map(Column, titles), *(Column(title, "left") for title in ("Target", "Query"))]
    rows = [
        [
            entry.pattern_id,
            number(entry.execution_count),
            duration(entry.avg_duration_ms),
            duration(entry.p95_duration_ms),
            duration(entry.total_duration_ms),
            number(entry.error_count),
            entry.target,
            entry.pattern.summary,
        ]
        for entry in stats[:limit]
    ]
    more = [f"and {number(len(stats) - limit)} more; --limit shows them"] if len(stats) > limit else []
    return "\n".join([*render_table(columns, rows, indent=0), *more])


def render_pattern(data: PatternData, *, width: int = 100) -> str:
    """Everything about one query, its text uncut."""
    parts = [_identity(data, width), _statistics(data), _hours(data), _slow(data), _repetitions(data)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _identity(data: PatternData, width: int) -> list[str]:
    pattern = data.pattern
    facts = {
        "Id": pattern.id,
        "Tables": ", ".join(pattern.tables) or "none found",
        "Dialect": pattern.dialect,
        "Kind": pattern.category,
        "Complexity": f"{pattern.complexity} (tables, joins, subqueries and set operations)",
        "Services": ", ".join(data.services),
        "Seen": f"{data.first_seen.strftime(_MOMENT)} to {data.last_seen.strftime(_MOMENT)} UTC",
    }
    text = [part for line in pattern.text.splitlines() for part in _wrapped(line, width)]
    return [visible(pattern.summary), *(f"  {name:<12}{visible(value)}" for name, value in facts.items()), "", *text]


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(visible(line), width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _statistics(data: PatternData) -> list[str]:
    if not data.stats:
        return ["STATISTICS", "  no executions in this span"]
    columns = [Column("Target", "left"), *map(Column, _MEASURES)]
    return ["STATISTICS", *render_table(columns, [[s.target, *_measures(s)] for s in data.stats])]


def _measures(stats: QueryStats) -> list[str]:
    rows = mean_rows(stats)
    errors = f" ({percent(stats.error_rate)})" if stats.error_count else ""
    return [
        number(stats.execution_count),
        f"{number(stats.error_count)}{errors}",
        number(stats.slow_count),
        "unknown" if rows is None else number(round(rows, 1)),
        duration(stats.avg_duration_ms),
        duration(stats.median_duration_ms),
        duration(stats.p95_duration_ms),
        duration(stats.p99_duration_ms),
        duration(stats.max_duration_ms),
        duration(stats.total_duration_ms),
    ]


def _hours(data: PatternData) -> list[str]:
    if not data.hours:
        return []
    columns = [Column("Hour (UTC)", "left"), *map(Column, _MEASURES)]
    return ["BY HOUR", *render_table(columns, [[hour.strftime(_HOUR), *_measures(s)] for hour, s in data.hours])]


def _slow(data: PatternData) -> list[str]:
    slowest = sorted(data.slow_queries, key=lambda slow: -slow.duration_ms)[:_SLOW_SHOWN]
    if not slowest:
        return []
    titles = ("Started (UTC)", "Outcome", "Target", "Scope", "From", "Error")
    rows = [
        [
            duration(slow.duration_ms),
            slow.timestamp.strftime(_MOMENT),
            slow.outcome,
            slow.target,
            slow.scope or "",
            slow.call_site or "",
            str(slow.error or ""),
        ]
        for slow in slowest
    ]
    columns = [Column("Duration"), *(Column(title, "left") for title in titles)]
    return ["SLOW EXECUTIONS", *render_table(columns, rows)]


def _repetitions(data: PatternData) -> list[str]:
    if not data.repetitions:
        return []
    rows = [
        [number(found.max_per_scope), number(found.execution_count), found.scope or "", found.call_site or "unknown"]
        for found in data.repetitions
    ]
    columns = [Column("Most in one scope"), Column("Executions"), Column("Scope", "left"), Column("From", "left")]
    fixes = sorted({found.fix for found in data.repetitions})
    return ["REPETITIONS", *render_table(columns, rows), *(f"  fix: {visible(fix)}" for fix in fixes)]
