"""
A performance report as the sections of a message in Slack.

In goes the report, out come texts in Slack's markup, each and all together within its limits. Deliberately not here:
what it says, which is `rendering.answers.report_sections`.
"""

from collections.abc import Iterator
from typing import Final

from querygauge.alerts.channels.slack_text import code, escaped, size_of
from querygauge.alerts.wording import one_line
from querygauge.rendering.answers.report_sections import (
    Detail,
    Entry,
    Section,
    charts,
    commands,
    facts,
    notes,
    sections,
    spark,
    summary,
)
from querygauge.rendering.formats import number
from querygauge.rendering.tables import Column, render_table
from querygauge.values.answers.performance_report import PerformanceReport

__all__ = ["report_texts"]

_SECTION: Final = 3_000
_FIRST: Final = 1_500
# Slack refuses a message whose blocks have about 13,000 characters together.
_LISTS: Final = 7_000
_ENTRY: Final = 900
_LAST_LINE: Final = 50  # that says how many more there are
_BESIDE: Final = 200 + _LAST_LINE  # an entry: the title, and that line
_NAME: Final = 150
_DETAIL: Final = 300
_MOST: Final = 5  # entries of a list


def report_texts(report: PerformanceReport) -> Iterator[str]:
    """What there is to say, one text for each section."""
    yield from _beginning(report)
    found, left = sections(report), _LISTS
    for place, section in enumerate(found):
        # What one leaves is room for the others.
        text = _section(section, min(_SECTION, left // (len(found) - place)))
        left -= size_of([text])
        yield text
    yield "\n".join(["*Look further*", *(code(command, _DETAIL) for command in commands(report))])


def _beginning(report: PerformanceReport) -> Iterator[str]:
    yield escaped("\n".join([one_line(summary(report)), *map(one_line, notes(report))]), _FIRST)
    if report.performance.execution_count:
        columns = [Column("", "left"), Column("Now"), Column("Week before"), Column("Change")]
        drawn = [f"{chart.name:<18} {spark(chart.values)}  {chart.reach}" for chart in charts(report)]
        lines = [*render_table(columns, facts(report), indent=0), "", *drawn]
        yield f"```\n{escaped(chr(10).join(lines).replace('`', chr(39)), _FIRST)}\n```"


def _section(section: Section, most: int) -> str:
    """As many entries as there is room for, and how many more there are."""
    told = [f"*{escaped(section.title, _NAME)}*"]
    left = len(section.entries) + section.left
    for entry in section.entries[:_MOST]:
        text = _entry(section, entry, min(_ENTRY, most - _BESIDE))
        if size_of([*told, text]) > most - _LAST_LINE:
            break
        told.append(text)
        left -= 1
    return "\n".join([*told, *([f"and {number(left)} more"] if left > 0 else [])])


def _entry(section: Section, entry: Entry, most: int) -> str:
    numbers = [f"{title.lower()} {cell}" for title, cell in zip(section.columns, entry.cells, strict=True) if cell]
    told = [f"• *{escaped(entry.name.replace('*', chr(39)), _NAME)}*: {escaped(', '.join(numbers), _DETAIL)}"]
    for detail in entry.details:
        line = f"     {_detail(detail)}"
        if size_of([*told, line]) <= most:
            told.append(line)
    return "\n".join(told)


def _detail(detail: Detail) -> str:
    text = code(detail.text, _DETAIL) if detail.is_code else escaped(detail.text, _DETAIL)
    return f"{detail.label.lower()} {text}"
