"""
What was found in SQL files and logs, for people: a table of patterns, or one pattern in full.

In goes a `NormalizedData`, out comes plain text. Deliberately not here: the forms for machines, which are
`normalized_data`, and colours.
"""

import textwrap
from collections.abc import Sequence
from typing import Final

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.names import named
from querygauge.rendering.normalized_data import NormalizedData, Source
from querygauge.rendering.statements import fold_statement
from querygauge.rendering.tables import Column, render_table, text_width, visible
from querygauge.values import Pattern, QueryStats

__all__ = ["render_normalized"]

_MIN_WIDTH: Final = 76  # the columns of numbers, and the id of a pattern
_MOMENT: Final = "%Y-%m-%d %H:%M:%S"
_TEXT_INDENT: Final = "     "
_FACT_INDENT: Final = " " * 14
_UNKNOWN: Final = "-"
_TITLES: Final = {
    "avg_duration": "AVERAGE TIME",
    "total_duration": "TOTAL TIME",
    "p95": "P95",
    "p99": "P99",
    "max": "LONGEST EXECUTION",
    "execution_count": "FREQUENCY",
    "error_rate": "ERROR RATE",
    "rows": "ROWS",
}
_FORMATS: Final = {"sql": "SQL", "mysql-slow-log": "MySQL slow log"}
_UNKNOWN_DIALECT: Final = "; what only may be a literal is taken for one, and --dialect names yours"


def render_normalized(data: NormalizedData, *, order_by: str | None = None, limit: int = 20, width: int = 100) -> str:
    """
    The patterns as plain text; if all that was read is one statement of SQL, its pattern in full.

    Args:
        data: What to show.
        order_by: One of `ranking.ORDERS`; None is by total time, or by frequency where no duration is known.
        limit: Patterns at most.
        width: Characters of a line; at least 76 are used.

    Raises:
        SettingsError: If the order is unknown or the limit is below 1.
    """
    width = max(width, _MIN_WIDTH)
    top = data.ranked(order_by, limit)
    if len(top) == data.outcomes.total == 1 and not data.timed_count:
        parts = [_one(top[0].pattern, width)]
    else:
        parts = [_heading(data, width), _table(data, order_by or data.order, top, width)]
    parts.append(_notes(data.notes, width))
    return "\n\n".join("\n".join(part) for part in parts if part)


def _one(pattern: Pattern, width: int) -> list[str]:
    dialect = pattern.dialect + (_UNKNOWN_DIALECT if pattern.dialect == "unknown" else "")
    facts = {
        "Id": pattern.id,
        "Summary": pattern.summary,
        "Tables": ", ".join(pattern.tables) or "none found",
        "Kind": pattern.category,
        "Complexity": f"{pattern.complexity} (tables, joins, subqueries and set operations)",
        "Dialect": dialect,
    }
    text = [part for line in pattern.text.splitlines() for part in _wrapped(line, width, "  ", "    ")]
    return [*text, "", *(line for fact in facts.items() for line in _fact(*fact, width))]


def _heading(data: NormalizedData, width: int) -> list[str]:
    outcomes = data.outcomes
    facts = [("Read", _described(source)) for source in data.sources]
    patterns = "one pattern" if len(data.stats) == 1 else f"{number(len(data.stats))} patterns"
    # Nobody executed what stands in a script.
    counted = "Statements" if all(source.format == "sql" for source in data.sources) else "Executions"
    facts.append((counted, f"{number(outcomes.total)}, of {patterns}"))
    if outcomes.failed:
        facts.append(("Errors", f"{number(outcomes.failed)} ({percent(outcomes.error_rate)})"))
    if data.timed_count:
        partly = f", of the {number(data.timed_count)} executions that have a duration"
        total = duration(data.total_duration_ms)
        facts.append(("Time", total + (partly if data.timed_count < outcomes.total else "")))
    if span := data.span:
        facts.append(("Seen", f"{span[0].strftime(_MOMENT)} to {span[1].strftime(_MOMENT)} UTC"))
    return ["NORMALIZED STATEMENTS", *(line for fact in facts for line in _fact(*fact, width))]


def _described(source: Source) -> str:
    unknown = _UNKNOWN_DIALECT if source.dialect == "unknown" else ""
    form = _FORMATS.get(source.format) or source.format.replace("postgresql-log", "PostgreSQL log")
    return f"{source.name}: {form}, read as {source.dialect}{unknown}"


def _table(data: NormalizedData, order: str, top: Sequence[QueryStats], width: int) -> list[str]:
    titles = [
        "Count",
        *(("Total", "Avg", "P95", "Max") if data.timed_count else ("Share",)),
        *(["Rows"] if order == "rows" else []),
        *(["Errors"] if data.outcomes.failed else []),
    ]
    columns = [Column("#"), *map(Column, titles), Column("Pattern", "left")]
    rows = [
        [str(place), *(_cell(title, entry, data) for title in titles), _name(entry.pattern)]
        for place, entry in enumerate(top, 1)
    ]
    if not top:
        return ["no statements were found"]
    head, *lines = (_fitted(line, width) for line in render_table(columns, rows))
    body = [part for line, entry in zip(lines, top, strict=True) for part in (line, *_text_of(entry, width))]
    more = len(data.stats) - len(top)
    rest = [f"    and {number(more)} more patterns; --limit shows them"] if more else []
    return [f"PATTERNS BY {_TITLES[order]}", head, *body, *rest]


def _cell(title: str, entry: QueryStats, data: NormalizedData) -> str:
    if title == "Count":
        return number(entry.execution_count)
    if title == "Share":
        return percent(100.0 * entry.execution_count / data.outcomes.total)
    if title == "Errors":
        return number(entry.error_count)
    if title == "Rows":
        return number(entry.rows) if entry.rows_known_count else _UNKNOWN
    if not entry.durations.count:
        return _UNKNOWN
    durations = {
        "Total": entry.total_duration_ms,
        "Avg": entry.avg_duration_ms,
        "P95": entry.p95_duration_ms,
        "Max": entry.max_duration_ms,
    }
    return duration(durations[title])


def _name(pattern: Pattern) -> str:
    return named(pattern.id, pattern.summary)


def _text_of(entry: QueryStats, width: int) -> list[str]:
    return [_TEXT_INDENT + line for line in fold_statement(entry.query_pattern, width - len(_TEXT_INDENT))]


def _fitted(line: str, width: int) -> str:
    """`line` without what goes beyond the width: the end of a summary, which the text below it tells again."""
    if text_width(line) <= width:
        return line
    while text_width(line) >= width:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _notes(notes: Sequence[str], width: int) -> list[str]:
    lines = [part for note in notes for part in _wrapped(note, width, "  - ", "    ")]
    return ["NOTES", *lines] if lines else []


def _fact(name: str, value: str, width: int) -> list[str]:
    return _wrapped(f"{name:<10}  {value}", width, "  ", _FACT_INDENT)


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(visible(text), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
