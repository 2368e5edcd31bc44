"""
One query in full, and the list of all of them.

In goes what a store knows, out comes plain text. Deliberately not here: advice and rankings, which are the report's.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from querygauge.rendering.answers.marks import mark_line
from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.phases import render_phases
from querygauge.rendering.ranking import mean_rows
from querygauge.rendering.repetitions import told
from querygauge.rendering.tables import Column, render_table, shortened, visible
from querygauge.values import Pattern, QueryStats, Repetition, SlowQuery
from querygauge.values.answers.marks import MarkedPattern

__all__ = ["PatternData", "render_pattern", "render_patterns"]

_MOMENT: Final = "%Y-%m-%d %H:%M:%S"
_HOUR: Final = "%Y-%m-%d %H:00"
_MEASURES: Final = ("Executions", "Errors", "Slow", "Rows/exec", "Avg", "Median", "P95", "P99", "Max", "Total")
# Left out of a narrow page in this order.
_LEAST_TELLING: Final = ("Median", "P99", "Slow", "Rows/exec", "Max", "P95", "Avg")
_SLOW_SHOWN: Final = 10
# What of a name tells it from others.
_TARGET_WIDTH: Final = 12
_QUERY_WIDTH: Final = 32
_LINE_WIDTH: Final = 40


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
        mark: What somebody has said of it; None if nobody has.
    """

    pattern: Pattern
    services: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    stats: tuple[QueryStats, ...]
    hours: tuple[tuple[datetime, QueryStats], ...] = ()
    slow_queries: tuple[SlowQuery, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    mark: MarkedPattern | None = None


def render_patterns(stats: Sequence[QueryStats], *, limit: int, width: int = 100) -> str:
    """One line per query and target, in the order given, with the whole id."""
    if not stats:
        return "no queries in this span"
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
    columns = [
        Column("Id", "left"),
        *map(Column, ("Executions", "Avg", "P95", "Total", "Errors")),
        Column("Target", "left", _TARGET_WIDTH),
        Column("Query", "left", _QUERY_WIDTH),
    ]
    is_one_target = len({entry.target for entry in stats}) == 1
    least_telling = [*(["Target"] if is_one_target else []), "P95", "Errors", "Avg", "Executions"]
    more = [f"and {number(len(stats) - limit)} more; --limit shows them"] if len(stats) > limit else []
    return "\n".join([*render_table(columns, rows, indent=0, width=width, least_telling=least_telling), *more])


def render_pattern(data: PatternData, *, width: int = 100) -> str:
    """Everything about one query, its text uncut; a narrow page leaves out some measures."""
    sections = (_identity, _statistics, _lines, _phases, _hours, _slow, _repetitions)
    parts = [section(data, width) for section in sections]
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
    if data.mark is not None:
        facts["Marked"] = mark_line(data.mark)
    lines = [line for name, value in facts.items() for line in _wrapped(f"{name:<12}{value}", width, 14)]
    text = [part for line in pattern.text.splitlines() for part in _wrapped(line, width, 4)]
    return [shortened(visible(pattern.summary), width), *lines, "", *text]


def _wrapped(text: str, width: int, rest: int, first: int = 2) -> list[str]:
    """`text` on as many lines as it takes, with so many blanks before the first and the rest of them."""
    return textwrap.wrap(
        visible(text), width, initial_indent=" " * first, subsequent_indent=" " * rest, break_on_hyphens=False
    )


def _statistics(data: PatternData, width: int) -> list[str]:
    if not data.stats:
        return ["STATISTICS", "  no executions in this span"]
    named = Column("Target", "left", _TARGET_WIDTH)
    return ["STATISTICS", *_measured(named, ((stats.target, stats) for stats in data.stats), width)]


def _lines(data: PatternData, width: int) -> list[str]:
    lines: Counter[str] = Counter()
    for stats in data.stats:
        lines.update(stats.lines)
    rows = [[number(count), line] for line, count in lines.most_common()]
    columns = [Column("Found"), Column("Line", "left", _LINE_WIDTH)]
    return ["SENT FROM", *render_table(columns, rows, width=width)] if rows else []


def _phases(data: PatternData, width: int) -> list[str]:
    lines = render_phases(data.stats, width=width)
    return ["WHERE THE TIME WENT", *lines] if lines else []


def _measured(named: Column, measured: Iterable[tuple[str, QueryStats]], width: int) -> list[str]:
    rows = [[name, *_measures(stats)] for name, stats in measured]
    return render_table([named, *map(Column, _MEASURES)], rows, width=width, least_telling=_LEAST_TELLING)


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


def _hours(data: PatternData, width: int) -> list[str]:
    if not data.hours:
        return []
    named = Column("Hour (UTC)", "left")
    return ["BY HOUR", *_measured(named, ((hour.strftime(_HOUR), stats) for hour, stats in data.hours), width)]


def _slow(data: PatternData, width: int) -> list[str]:
    slowest = sorted(data.slow_queries, key=lambda slow: -slow.duration_ms)[:_SLOW_SHOWN]
    if not slowest:
        return []
    rows = [
        [duration(slow.duration_ms), slow.timestamp.strftime(_MOMENT), slow.outcome, slow.target, slow.scope or ""]
        for slow in slowest
    ]
    columns = [
        Column("Duration"),
        *(Column(title, "left") for title in ("Started (UTC)", "Outcome")),
        *(Column(title, "left", _TARGET_WIDTH) for title in ("Target", "Scope")),
    ]
    details = [{"from": slow.call_site, "error": slow.error} for slow in slowest]
    return ["SLOW EXECUTIONS", *_detailed(columns, rows, details, width)]


def _detailed(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], details: Iterable[Mapping[str, object]], width: int
) -> list[str]:
    """A table with what is too long for its columns below each row, uncut."""
    head, *lines = render_table(columns, rows, width=width)
    below = (
        [
            line
            for name, fact in facts.items()
            if fact
            for line in _wrapped(f"{name}  {fact}", width, 12, 10 - len(name))
        ]
        for facts in details
    )
    return [head, *(part for line, more in zip(lines, below, strict=True) for part in (line, *more))]


def _repetitions(data: PatternData, width: int) -> list[str]:
    if not data.repetitions:
        return []
    columns = [Column("Most in one scope"), Column("Executions"), Column("Scope", "left", _TARGET_WIDTH)]
    rows = [
        [number(found.max_per_scope), number(found.execution_count), found.scope or ""] for found in data.repetitions
    ]
    details = [{"from": found.call_site or "unknown", "what": told(found)} for found in data.repetitions]
    fixes = [
        line for fix in sorted({found.fix for found in data.repetitions}) for line in _wrapped(f"fix: {fix}", width, 7)
    ]
    return ["REPETITIONS", *_detailed(columns, rows, details, width), *fixes]
