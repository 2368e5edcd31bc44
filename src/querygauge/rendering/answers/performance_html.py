"""
A performance report as a page of HTML that mail programs show as browsers do.

Many of them drop style sheets, scripts, pictures and inline SVG. So everything is a table with styles of its own: bars
and columns are cells with a colour, and the smallest charts are letters. Every text is escaped, and the page is below
the 102 kB from which Gmail cuts a mail: what has no room is counted. Deliberately not here: what it says.
"""

import html
from collections.abc import Iterable, Iterator
from typing import Final

from querygauge.rendering.answers.report_sections import (
    Chart,
    Detail,
    Entry,
    Section,
    charts,
    commands,
    facts,
    headline,
    notes,
    sections,
    summary,
)
from querygauge.rendering.formats import number
from querygauge.rendering.statements import one_line
from querygauge.values.answers.performance_report import PerformanceReport

__all__ = ["render_performance_html"]

_WIDTH: Final = 760  # pixels
_CHART_HEIGHT: Final = 48
_COLUMN: Final = 18
_BAR: Final = 60
_LONGEST: Final = 200  # characters of a detail
_MOST_BYTES: Final = 90_000  # what comes after the last entry has room beside it
_SANS: Final = "font-family: Arial, Helvetica, sans-serif; color: #212121"
_CODE: Final = "font-family: Consolas, Menlo, 'DejaVu Sans Mono', monospace; font-size: 12px"
_SMALL: Final = "font-size: 12px; color: #616161"
_ROW: Final = "#f0f2f5"
_EMPTY: Final = "#dadde2"
_WORSE: Final = "#c62828"
_BETTER: Final = "#2e7d32"
_COLOURS: Final = ("#1565c0", "#6a1b9a", _WORSE)
_NEUTRAL: Final = frozenset({"Queries", "Database time"})  # more of these is neither better nor worse


def render_performance_html(report: PerformanceReport) -> str:
    """The report as a page, complete in itself."""
    title = html.escape(headline(report))
    body = "\n".join(_body(report))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body style="margin: 0; padding: 16px; background: #ffffff; font-size: 14px; {_SANS}">\n'
        f'<table role="presentation" width="{_WIDTH}" style="font-size: 14px; {_SANS}"><tr><td>\n'
        f"{body}\n</td></tr></table>\n</body></html>\n"
    )


def _body(report: PerformanceReport) -> Iterator[str]:
    parts = [*_beginning(report)]
    left = _MOST_BYTES - sum(map(_bytes, parts))
    yield from parts
    for section in sections(report):
        told = _section(section, left)
        left -= _bytes(told)
        yield told
    yield _title("Look further")
    for command in commands(report):
        yield f'<div style="{_CODE}; padding: 2px 0">{html.escape(command)}</div>'


def _beginning(report: PerformanceReport) -> Iterator[str]:
    yield f'<h1 style="font-size: 20px; margin: 0 0 8px 0">{html.escape(headline(report))}</h1>'
    yield f'<p style="margin: 0 0 8px 0">{html.escape(summary(report))}</p>'
    yield f'<p style="margin: 0 0 8px 0; {_SMALL}">{html.escape(" ".join(notes(report)))}</p>'
    if report.performance.execution_count:
        yield _facts(report)
        yield from map(_chart, charts(report), _COLOURS)


def _bytes(text: str) -> int:
    return len(text.encode())


def _title(text: str) -> str:
    return f'<h2 style="font-size: 15px; margin: 24px 0 4px 0">{html.escape(text)}</h2>'


def _facts(report: PerformanceReport) -> str:
    rows = []
    for fact in facts(report):
        change = html.escape(fact.change) if fact.name in _NEUTRAL else _cell(fact.change)
        rows.append(_row(fact.name, (html.escape(fact.now), html.escape(fact.before), change)))
    return _table(("Now", "Week before", "Change"), rows)


def _table(columns: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<td>{html.escape(column)}</td>" for column in columns)
    return (
        f'<table cellpadding="3" cellspacing="1" style="font-size: 13px; white-space: nowrap; {_SANS}">\n'
        f'<tr align="right" style="{_SMALL}"><td></td>{head}</tr>\n' + "\n".join(rows) + "\n</table>"
    )


def _row(name: str, cells: Iterable[str]) -> str:
    told = "".join(f"<td>{cell}</td>" for cell in cells)
    return (
        f'<tr align="right" valign="top" bgcolor="{_ROW}">'
        f'<td align="left" style="white-space: normal"><b>{_shown(name)}</b></td>{told}</tr>'
    )


def _cell(text: str) -> str:
    """A cell; of a change it is seen that more is worse."""
    if not text.endswith(" %") or text[0] not in "+-" or text[1:] == "0.0 %":
        return html.escape(text)
    return f'<span style="color: {_WORSE if text[0] == "+" else _BETTER}">{html.escape(text)}</span>'


def _chart(chart: Chart, colour: str) -> str:
    top = max((value for value in chart.values if value is not None), default=0.0)
    columns = "".join(_column(value, top, colour) for value in chart.values)
    name = html.escape(f"{chart.name}: {chart.reach}")
    return (
        f'<div style="{_SMALL}; margin: 12px 0 2px 0">{name}</div>\n'
        f'<table role="presentation" cellpadding="0" cellspacing="1" height="{_CHART_HEIGHT}">'
        f'<tr valign="bottom">{columns}</tr></table>'
    )


def _column(value: float | None, top: float, colour: str) -> str:
    height = max(1, round(_CHART_HEIGHT * value / top)) if value and top > 0 else 1
    return f"<td>{_blocks(_block(_COLUMN, height, colour if value else _EMPTY))}</td>"


def _blocks(cells: str) -> str:
    return f'<table role="presentation" cellpadding="0" cellspacing="0"><tr>{cells}</tr></table>'


def _block(width: int, height: int, colour: str) -> str:
    return f'<td width="{width}" height="{height}" bgcolor="{colour}" style="font-size: 0; line-height: 0"></td>'


def _section(section: Section, left: int) -> str:
    """As many entries as there is room for in so many bytes, and how many more there are."""
    has_bars = any(entry.share is not None for entry in section.entries)
    columns = (*section.columns, *([""] if has_bars else []))
    rows: list[str] = []
    more = section.left
    for entry in section.entries:
        row = "\n".join(_entry(entry, len(columns) + 1, has_bars=has_bars))
        left -= _bytes(row)
        if left < 0:
            more += 1
        else:
            rows.append(row)
    counted = [f'<div style="{_SMALL}">and {number(more)} more</div>'] if more > 0 else []
    return "\n".join([_title(section.title), _table(columns, rows), *counted])


def _entry(entry: Entry, columns: int, *, has_bars: bool) -> Iterator[str]:
    yield _row(entry.name, [*map(_cell, entry.cells), *([_bar(entry.share or 0.0)] if has_bars else [])])
    if entry.details:
        lines = "".join(map(_detail, entry.details))
        yield f'<tr><td colspan="{columns}" style="white-space: normal; padding-bottom: 8px">{lines}</td></tr>'


def _bar(share: float) -> str:
    filled = min(_BAR, max(1, round(_BAR * share / 100)))
    rest = _block(_BAR - filled, 10, _EMPTY) if filled < _BAR else ""
    return _blocks(_block(filled, 10, _COLOURS[0]) + rest)


def _detail(detail: Detail) -> str:
    label = f'<span style="color: #616161">{html.escape(detail.label)}</span>'
    return f'<div style="{_CODE if detail.is_code else "font-size: 12px"}">{label} {_shown(detail.text)}</div>'


def _shown(text: str) -> str:
    return html.escape(one_line(text, _LONGEST))
