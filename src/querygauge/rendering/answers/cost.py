"""What database time cost, as a page and as rows."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from querygauge.rendering.answers.execution import render_heading
from querygauge.rendering.charts import share_bar
from querygauge.rendering.formats import duration, money, number, percent
from querygauge.rendering.names import named
from querygauge.rendering.tables import Column, render_table
from querygauge.values.answers.cost import Cost, CostReport

__all__ = ["COST_COLUMNS", "cost_rows", "render_cost"]

COST_COLUMNS: Final = (
    "list", "name", "value", "execution_count", "total_duration_ms", "actual", "expected", "saved", "median_before_ms",
)  # fmt: skip
_TITLES: Final = "Executions", "Time", "Cost", "Expected", "Saved", "Share"
_LEAST_TELLING: Final = ("", "Executions", "Expected", "Time")
_NAME_WIDTH: Final = 24
_BAR_WIDTH: Final = 12


def render_cost(report: CostReport, *, limit: int, width: int) -> str:
    """What everything cost, and the most expensive patterns, tags and services, `limit` rows each."""
    total, price = report.total, money(report.price_per_hour)
    lines = [
        f"  Cost      {money(total.actual)}, {duration(total.total_duration_ms)} of database time at {price} an hour",
        f"  Expected  {money(total.expected)} at the median times of the four weeks before",
        f"  Saved     {money(total.saved)}",
    ]
    tables = {
        "BY PATTERN": ("Pattern", [(named(p.pattern.id, p.pattern.summary), p.cost) for p in report.by_pattern]),
        "BY TAG": ("Tag", [(f"{t.tag}={t.value}", t.cost) for t in report.by_tag]),
        "BY SERVICE": ("Service", [(s.service, s.cost) for s in report.by_service]),
    }
    parts = [[render_heading("COST", report.since, report.until, report.service), *lines]]
    parts += [
        [title, *_table(name, costs, total.actual, limit, width)] for title, (name, costs) in tables.items() if costs
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def _table(name: str, costs: Sequence[tuple[str, Cost]], total: float, limit: int, width: int) -> list[str]:
    columns = [Column(name, "left", _NAME_WIDTH), *map(Column, _TITLES), Column("", "left")]
    rows = [[text, *_cells(cost, total)] for text, cost in costs[:limit]]
    left = len(costs) - limit
    more = [f"    and {number(left)} more"] if left > 0 else []
    return [*render_table(columns, rows, width=width, least_telling=_LEAST_TELLING), *more]


def _cells(cost: Cost, total: float) -> list[str]:
    share = cost.actual / total if total else 0.0
    return [
        number(cost.execution_count),
        duration(cost.total_duration_ms),
        money(cost.actual),
        money(cost.expected),
        money(cost.saved),
        percent(100 * share),
        share_bar(share, _BAR_WIDTH),
    ]


def cost_rows(report: CostReport) -> Iterator[dict[str, Any]]:
    """Everything flat: the list it is from, the names that lists have, and the numbers."""
    yield {"list": "total", **report.total.to_dict()}
    for pattern in report.by_pattern:
        name, value = pattern.pattern.id, pattern.pattern.summary
        median_ms = pattern.median_before_ms
        yield {
            "list": "by_pattern",
            "name": name,
            "value": value,
            "median_before_ms": median_ms,
            **pattern.cost.to_dict(),
        }
    for tag in report.by_tag:
        yield {"list": "by_tag", "name": tag.tag, "value": tag.value, **tag.cost.to_dict()}
    for service in report.by_service:
        yield {"list": "by_service", "name": service.service, **service.cost.to_dict()}
