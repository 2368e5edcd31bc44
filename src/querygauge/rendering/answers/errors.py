"""How statements failed, as a page and as rows."""

import textwrap
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from querygauge.rendering.answers.execution import render_heading
from querygauge.rendering.answers.series import Curve, render_series
from querygauge.rendering.formats import number, percent
from querygauge.rendering.names import named
from querygauge.rendering.tables import Column, render_table, visible
from querygauge.values.answers.errors import ErrorCode, ErrorReport

__all__ = ["ERROR_COLUMNS", "error_rows", "render_errors"]

ERROR_COLUMNS: Final = (
    "sqlstate", "error_type", "count", "pattern_id", "summary", "target", "last_seen", "message",
)  # fmt: skip
_MOMENT: Final = "%m-%d %H:%M:%S"
_NAME_WIDTH: Final = 24
_TYPE_WIDTH: Final = 16
_NO_CODE: Final = "(none)"


def render_errors(report: ErrorReport, *, limit: int, width: int) -> str:
    """How many failed, with which codes, which patterns, and the latest of them, `limit` rows each."""
    heading = render_heading("ERRORS", report.since, report.until, report.service)
    failed = (
        f"{number(report.error_count)} of {number(report.execution_count)} executions ({percent(report.error_rate)})"
    )
    parts = [[heading, f"  {failed}"]]
    if report.over_time:
        curve = Curve("Errors", {point.at: float(point.count) for point in report.over_time}, sum, number)
        step = timedelta(seconds=report.width_s)
        parts += [["OVER TIME", *render_series(report.since, report.until, step, [curve], width)]]
        parts += [["BY SQLSTATE", *(line for code in report.by_sqlstate[:limit] for line in _code(code, width))]]
        parts += [["BY PATTERN", *_patterns(report, limit, width)]]
    if report.examples:
        parts += [["LATEST", *_examples(report, limit, width)]]
    return "\n\n".join("\n".join(part) for part in parts)


def _code(code: ErrorCode, width: int) -> Iterator[str]:
    known = [*code.error_types, *([code.meaning] if code.meaning else [])]
    patterns = f"{number(code.pattern_count)} pattern{'' if code.pattern_count == 1 else 's'}"
    line = f"{code.sqlstate or _NO_CODE}  {number(code.count)} in {patterns}, last {code.last_seen.strftime(_MOMENT)}"
    yield from _wrapped(f"{line}  {', '.join(known)}", width, 2, 9)
    if code.message:
        yield from _wrapped(code.message, width, 9, 9)


def _wrapped(text: str, width: int, first: int, rest: int) -> list[str]:
    return textwrap.wrap(
        visible(text), width, initial_indent=" " * first, subsequent_indent=" " * rest, break_on_hyphens=False
    )


def _patterns(report: ErrorReport, limit: int, width: int) -> list[str]:
    columns = [
        Column("Pattern", "left", _NAME_WIDTH),
        Column("Failed"),
        Column("Code", "left"),
        Column("Error", "left", _TYPE_WIDTH),
        Column("Target", "left", _TYPE_WIDTH),
    ]
    rows = [
        [
            named(entry.pattern.id, entry.pattern.summary),
            number(entry.count),
            entry.sqlstate or _NO_CODE,
            entry.error_type,
            entry.target,
        ]
        for entry in report.by_pattern[:limit]
    ]
    left = len(report.by_pattern) - limit
    more = [f"    and {number(left)} more"] if left > 0 else []
    return [*render_table(columns, rows, width=width, least_telling=("Target", "Error")), *more]


def _examples(report: ErrorReport, limit: int, width: int) -> Iterator[str]:
    for example in report.examples[:limit]:
        where = f"  from {example.call_site}" if example.call_site else ""
        line = f"{example.timestamp.strftime(_MOMENT)}  {named(example.pattern_id, example.summary)}{where}"
        yield from _wrapped(line, width, 2, 18)
        if example.error is not None:
            yield from _wrapped(str(example.error), width, 18, 18)


def error_rows(report: ErrorReport) -> Iterator[dict[str, Any]]:
    """One per pattern, target and way to fail."""
    for entry in report.by_pattern:
        yield {**entry.to_dict(), "pattern_id": entry.pattern.id, "summary": entry.pattern.summary}
