"""
What database time cost in a span: in goes an open store and a price, out comes cost by pattern, tag and service.

What was expected is told by the median time of each pattern in each service in the four weeks before the span, from
whole days: their buckets are a fiftieth of those of their hours. By service, as in pattern_performance_daily: what one
sends to a small database says nothing of what another sends to a large one, and a service must cost the same alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from querygauge.storage.answers.measured import Asked
from querygauge.storage.answers.metrics import MS_PER_HOUR
from querygauge.storage.asking import asked
from querygauge.storage.ranges import Span
from querygauge.storage.rows import pattern_of
from querygauge.values.answers.cost import Cost, CostReport, PatternCost, ServiceCost, TagCost

__all__ = ["cost_report"]

_Key = TypeVar("_Key")
Medians = Mapping[tuple[str, str], float]
"""Milliseconds by service and pattern."""
Rows = list[dict[str, Any]]
_BEFORE: Final = timedelta(weeks=4)
_SPENT: Final = """
SELECT service, pattern_id, place, sum(executions)::BIGINT AS executions, sum(total_ns) / 1e6 AS total_ms
FROM (
    SELECT service, pattern_id, {key} AS place, executions, total_ns
    FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily) AS h
    WHERE ($service IS NULL OR h.service = $service)
)
GROUP BY service, pattern_id, place
"""
_PATTERNS: Final = "SELECT * FROM patterns"


def cost_report(question: Asked, price_per_hour: float) -> CostReport:
    """
    Actual and expected cost.

    Args:
        question: The store, the span and the service.
        price_per_hour: What an hour of database time costs.
    """
    medians = _medians_before(question)

    def spent(key: str) -> Rows:
        return asked(question.connection, _SPENT.format(key=key), question.parameters)

    def spread(rows: Rows, place: Callable[[Mapping[str, Any]], _Key]) -> dict[_Key, Cost]:
        return _costs(rows, place, medians, price_per_hour / MS_PER_HOUR)

    everything = spent("NULL")
    by_pattern = spread(everything, lambda row: str(row["pattern_id"]))
    by_service = spread(everything, lambda row: str(row["service"]))
    typical = _typical_before(everything, medians)
    tagged = spent("unnest(map_entries(tags))")
    by_tag = spread(tagged, lambda row: (row["place"]["key"], row["place"]["value"]))
    patterns = {row["pattern_id"]: pattern_of(row) for row in asked(question.connection, _PATTERNS, {})}
    return CostReport(
        since=question.span.since,
        until=question.span.until,
        service=question.service,
        price_per_hour=price_per_hour,
        total=_together(by_pattern.values()),
        by_pattern=tuple(PatternCost(patterns[key], cost, typical.get(key)) for key, cost in _ranked(by_pattern)),
        by_tag=tuple(TagCost(*key, cost) for key, cost in _ranked(by_tag)),
        by_service=tuple(ServiceCost(key, cost) for key, cost in _ranked(by_service)),
    )


def _medians_before(question: Asked) -> Medians:
    """The median time of each pattern in each service in the four weeks before the span, in milliseconds."""
    since = question.span.since
    before = replace(question, span=Span(since - _BEFORE, since.replace(second=0, microsecond=0)))
    medians = before.by(
        "{'service': h.service, 'id': h.pattern_id}",
        lambda row, performance: ((row["service"], row["id"]), performance.median_duration_ms),
        daily=True,
    )
    return dict(medians)


def _typical_before(rows: Rows, medians: Medians) -> dict[str, float]:
    """By pattern, the mean of the medians of the services that have one, by how often each executes it now."""
    counts: Counter[str] = Counter()
    expected_ms: dict[str, float] = defaultdict(float)
    for row in rows:
        pattern_id, median = row["pattern_id"], medians.get((row["service"], row["pattern_id"]))
        if median is not None:
            counts[pattern_id] += row["executions"]
            expected_ms[pattern_id] += row["executions"] * median
    return {pattern_id: expected_ms[pattern_id] / count for pattern_id, count in counts.items()}


def _costs(
    rows: Rows,
    place: Callable[[Mapping[str, Any]], _Key],
    medians: Medians,
    price_per_ms: float,
) -> dict[_Key, Cost]:
    found: dict[_Key, list[Cost]] = {}
    for row in rows:
        median = medians.get((row["service"], row["pattern_id"]))
        actual_ms, count = row["total_ms"], row["executions"]
        expected_ms = actual_ms if median is None else count * median
        cost = Cost(count, actual_ms, price_per_ms * actual_ms, price_per_ms * expected_ms)
        found.setdefault(place(row), []).append(cost)
    return {key: _together(costs) for key, costs in found.items()}


def _together(costs: Iterable[Cost]) -> Cost:
    each = list(costs)
    return Cost(
        sum(cost.execution_count for cost in each),
        sum(cost.total_duration_ms for cost in each),
        sum(cost.actual for cost in each),
        sum(cost.expected for cost in each),
    )


def _ranked(costs: Mapping[_Key, Cost]) -> list[tuple[_Key, Cost]]:
    """The most expensive first."""
    return sorted(costs.items(), key=lambda item: (-item[1].actual, str(item[0])))
