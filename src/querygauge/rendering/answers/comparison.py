"""
What has changed between two spans as a page, and as rows.

In goes the comparison, out come text or flat rows. Deliberately not here: what counts as a change.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from querygauge.rendering.formats import duration, number, percent
from querygauge.rendering.names import named
from querygauge.rendering.tables import Column, render_table, visible
from querygauge.values.answers.comparison import Comparison, PatternChange
from querygauge.values.answers.execution import Performance

__all__ = ["COMPARISON_COLUMNS", "comparison_rows", "render_comparison"]

COMPARISON_COLUMNS: Final = (
    "change", "pattern_id", "summary", "measures", "p_value", "executions_before", "executions_after",
    "median_before_ms", "median_after_ms", "median_change_percent", "p95_before_ms", "p95_after_ms",
    "p95_change_percent", "error_rate_before", "error_rate_after", "total_before_ms", "total_after_ms",
    "total_change_ms",
)  # fmt: skip
_NAME_WIDTH: Final = 24
_CHANGED: Final = ("Executions", "Median", "P95", "Errors", "Total", "By")
_ALONE: Final = ("Executions", "Median", "P95", "Errors", "Total")
_LEAST_TELLING: Final = ("Executions", "Errors", "Total")


def render_comparison(comparison: Comparison, *, limit: int, width: int) -> str:
    """What became slower, faster, new and gone, `limit` rows each; every number before and after."""
    titles = {
        "SLOWER": comparison.regressed,
        "FASTER": comparison.improved,
        "NEW": comparison.new,
        "GONE": comparison.gone,
    }
    parts = [_heading(comparison)]
    parts += [_table(title, changes, limit, width) for title, changes in titles.items() if changes]
    return "\n\n".join("\n".join(part) for part in parts)


def _heading(comparison: Comparison) -> list[str]:
    same = comparison.compared_count - len(comparison.regressed) - len(comparison.improved)
    counts = f"{number(same)} of {number(comparison.compared_count)} as before"
    few = f"; {number(comparison.too_few_count)} too seldom to tell" if comparison.too_few_count else ""
    return [
        "COMPARISON",
        "all services" if comparison.service is None else visible(comparison.service),
        f"  before  {visible(comparison.before)}",
        f"  after   {visible(comparison.after)}",
        f"  {counts}{few}; a change below {comparison.min_change_percent:g} % is none",
    ]


def _table(title: str, changes: Sequence[PatternChange], limit: int, width: int) -> list[str]:
    is_change = bool(changes[0].measures)
    columns = [Column("Pattern", "left", _NAME_WIDTH), *map(Column, _CHANGED if is_change else _ALONE)]
    cells = _both if is_change else _one
    rows = [[named(change.pattern.id, change.pattern.summary), *cells(change)] for change in changes[:limit]]
    left = len(changes) - limit
    return [
        title,
        *render_table(columns, rows, width=width, least_telling=_LEAST_TELLING),
        *([f"    and {number(left)} more"] if left > 0 else []),
    ]


_MEASURES: Final[tuple[Callable[[Performance], str], ...]] = (
    lambda performance: number(performance.execution_count),
    lambda performance: duration(performance.median_duration_ms),
    lambda performance: duration(performance.p95_duration_ms),
    lambda performance: percent(performance.error_rate),
    lambda performance: duration(performance.total_duration_ms),
)


def _both(change: PatternChange) -> list[str]:
    assert change.before is not None and change.after is not None  # noqa: S101, PT018  # what differs was in both
    told = [f"{measure(change.before)} → {measure(change.after)}" for measure in _MEASURES]
    return [*told, ", ".join(change.measures)]


def _one(change: PatternChange) -> list[str]:
    performance = change.after or change.before or Performance()
    return [measure(performance) for measure in _MEASURES]


def comparison_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One per pattern that has changed."""
    for name in ("regressed", "improved", "new", "gone"):
        for change in getattr(comparison, name):
            yield {
                "change": name,
                "pattern_id": change.pattern.id,
                "summary": change.pattern.summary,
                "measures": " ".join(change.measures),
                "p_value": change.p_value,
                "median_change_percent": change.median_change_percent,
                "p95_change_percent": change.p95_change_percent,
                "total_change_ms": change.total_change_ms,
                **_numbers("before", change.before),
                **_numbers("after", change.after),
            }


def _numbers(side: str, performance: Performance | None) -> dict[str, float]:
    if performance is None:
        return {}
    return {
        f"executions_{side}": performance.execution_count,
        f"median_{side}_ms": performance.median_duration_ms,
        f"p95_{side}_ms": performance.p95_duration_ms,
        f"error_rate_{side}": performance.error_rate,
        f"total_{side}_ms": performance.total_duration_ms,
    }
