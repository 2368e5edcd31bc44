"""Scores as a page, with a picture of the week, and as rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from querygauge.rendering.answers.execution import render_heading
from querygauge.rendering.charts import share_bar
from querygauge.rendering.formats import duration, number
from querygauge.rendering.names import named
from querygauge.rendering.tables import Column, render_table, shortened, visible
from querygauge.values.answers.quality import Grade, HourQuality, Quality, QualityReport

__all__ = ["QUALITY_COLUMNS", "quality_rows", "render_quality"]

QUALITY_COLUMNS: Final = (
    "list", "name", "value", "score", "grade", "execution_count", "satisfied_count", "tolerating_count",
    "frustrated_count",
)  # fmt: skip
_TITLES: Final = "Score", "Grade", "Executions", "Satisfied", "Tolerating", "Frustrated"
_LEAST_TELLING: Final = ("", "Tolerating", "Satisfied", "Executions")
_NAME_WIDTH: Final = 24
_BAR_WIDTH: Final = 12
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS: Final = 24
_SHADES: Final[Mapping[Grade, str]] = {"excellent": "░░", "good": "▒▒", "fair": "▓▓", "poor": "██"}


def render_quality(report: QualityReport, *, limit: int, width: int) -> str:
    """What everything scores, where it is lowest, and the hours of the week."""
    heading = render_heading("QUALITY", report.since, report.until, report.service)
    overall = report.overall
    if overall.score is None:
        return f"{heading}\n\nno executions in this span"
    named_thresholds = ", ".join(f"{visible(name)} {duration(ms)}" for name, ms in report.thresholds_ms.items())
    lines = [
        f"  Score       {overall.score:.1f} of 100, {overall.grade}",
        f"  Satisfied   {number(overall.satisfied_count)}, up to a quarter of the slow threshold",
        f"  Tolerating  {number(overall.tolerating_count)}, up to the threshold",
        f"  Frustrated  {number(overall.frustrated_count)}, longer or failed",
        *([shortened(f"  Threshold   {named_thresholds}", width)] if named_thresholds else []),
    ]
    tables = {
        "BY PATTERN, LOWEST FIRST": (
            "Pattern",
            [(named(p.pattern.id, p.pattern.summary), p.quality) for p in report.by_pattern],
        ),
        "BY OPERATION": ("Operation", [(o.operation or "(none)", o.quality) for o in report.by_operation]),
        "BY COMPLEXITY": ("Complexity", [(number(c.complexity), c.quality) for c in report.by_complexity]),
    }
    parts = [[heading, *lines]]
    parts += [[title, *_table(name, entries, limit, width)] for title, (name, entries) in tables.items()]
    parts += [["BY HOUR OF THE WEEK (UTC)", *_week(report.by_weekday_hour)]] if report.by_weekday_hour else []
    return "\n\n".join("\n".join(part) for part in parts)


def _table(name: str, entries: Sequence[tuple[str, Quality]], limit: int, width: int) -> list[str]:
    columns = [
        Column(name, "left", _NAME_WIDTH),
        *(Column(title, "left" if title == "Grade" else "right") for title in _TITLES),
        Column("", "left"),
    ]
    rows = [[text, *_cells(quality)] for text, quality in entries[:limit]]
    left = len(entries) - limit
    more = [f"    and {number(left)} more"] if left > 0 else []
    return [*render_table(columns, rows, width=width, least_telling=_LEAST_TELLING), *more]


def _cells(quality: Quality) -> list[str]:
    score = quality.score or 0.0
    return [
        f"{score:.1f}",
        quality.grade or "",
        number(quality.execution_count),
        number(quality.satisfied_count),
        number(quality.tolerating_count),
        number(quality.frustrated_count),
        share_bar(score / 100, _BAR_WIDTH),
    ]


def _week(hours: Sequence[HourQuality]) -> Iterator[str]:
    """A row for each day, two characters for each hour, darker where the score is lower."""
    grades = {(entry.weekday, entry.hour): entry.quality.grade for entry in hours}
    yield f"       {''.join(f'{hour:<6}' for hour in range(0, _HOURS, 3))}".rstrip()
    for weekday, name in enumerate(_DAYS, 1):
        found = (grades.get((weekday, hour)) for hour in range(_HOURS))
        yield f"  {name}  {''.join('  ' if grade is None else _SHADES[grade] for grade in found)}".rstrip()
    yield "       " + "   ".join(f"{shade} {grade}" for grade, shade in _SHADES.items())


def quality_rows(report: QualityReport) -> Iterator[dict[str, Any]]:
    """Everything flat: the list it is from, the names that lists have, and the numbers."""
    yield {"list": "overall", **report.overall.to_dict()}
    for pattern in report.by_pattern:
        yield _flat("by_pattern", pattern.pattern.id, pattern.pattern.summary, pattern.quality)
    for operation in report.by_operation:
        yield _flat("by_operation", operation.operation, "", operation.quality)
    for complexity in report.by_complexity:
        yield _flat("by_complexity", complexity.complexity, "", complexity.quality)
    for hour in report.by_weekday_hour:
        yield _flat("by_weekday_hour", hour.weekday, hour.hour, hour.quality)


def _flat(place: str, name: object, value: object, quality: Quality) -> dict[str, Any]:
    return {"list": place, "name": name, "value": value, **quality.to_dict()}
