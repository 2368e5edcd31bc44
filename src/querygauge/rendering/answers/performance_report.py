"""
A performance report as plain text, for a terminal and for the text of a mail.

In goes the report, out come lines of a width. Deliberately not here: what it says, which is `report_sections`.
"""

import textwrap
from collections.abc import Iterator
from typing import Final

from querygauge.rendering.answers.report_sections import (
    Entry,
    Section,
    charts,
    commands,
    facts,
    headline,
    notes,
    sections,
    spark,
    summary,
)
from querygauge.rendering.formats import number
from querygauge.rendering.tables import Column, render_table
from querygauge.values.answers.performance_report import PerformanceReport

__all__ = ["render_performance_report"]

_MIN_WIDTH: Final = 60
_NAME_WIDTH: Final = 28
_CHART_NAME: Final = 18
_INDENT: Final = "     "
# Left out of a narrow page in this order.
_LEAST_TELLING: Final = ("Failed", "P50", "P99", "Share", "Before", "Peak", "Errors", "Executions")


def render_performance_report(report: PerformanceReport, *, width: int) -> str:
    """
    The report as text.

    Args:
        report: What is told.
        width: Characters of a line; at least 60 are used.
    """
    width = max(width, _MIN_WIDTH)
    parts = [
        _wrapped([headline(report).upper()], width),
        _wrapped([summary(report), *notes(report)], width),
        _facts(report, width) if report.performance.execution_count else [],
        *(_section(section, width) for section in sections(report)),
        ["LOOK FURTHER", *(f"  {command}" for command in commands(report))],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _wrapped(texts: list[str], width: int) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(text, width, break_on_hyphens=False)]


def _facts(report: PerformanceReport, width: int) -> list[str]:
    columns = [Column("", "left"), Column("Now"), Column("Week before"), Column("Change")]
    lines = render_table(columns, facts(report), width=width)
    room = max(10, width - _CHART_NAME - 24)
    drawn = [
        f"  {chart.name:<{_CHART_NAME}} {spark(chart.values[-room:])}  {chart.reach}".rstrip()
        for chart in charts(report)
    ]
    return ["TOGETHER", *lines, "", *drawn]


def _section(section: Section, width: int) -> list[str]:
    columns = [Column("", "left", _NAME_WIDTH), *map(Column, section.columns)]
    rows = [[entry.name, *entry.cells] for entry in section.entries]
    head, *lines = render_table(columns, rows, width=width, least_telling=_LEAST_TELLING)
    body = [
        part for line, entry in zip(lines, section.entries, strict=True) for part in (line, *_details(entry, width))
    ]
    more = [f"{_INDENT}and {number(section.left)} more"] if section.left > 0 else []
    return [*_wrapped([section.title.upper()], width), head, *body, *more]


def _details(entry: Entry, width: int) -> Iterator[str]:
    for detail in entry.details:
        first = f"{_INDENT}{detail.label.lower():<7}  "
        yield from textwrap.wrap(
            detail.text,
            width,
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_on_hyphens=False,
            max_lines=2,
            placeholder=" …",
        )
