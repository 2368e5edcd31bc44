"""
How content a user may be with a span: in goes an open store, out come scores by pattern, operation, complexity, hour.

How precise they are is said in rating.sql. Deliberately not here: scores by day, which are a view there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from querygauge.storage.answers.measured import Asked
from querygauge.storage.asking import asked
from querygauge.storage.rows import pattern_of
from querygauge.values.answers.quality import (
    ComplexityQuality,
    HourQuality,
    OperationQuality,
    PatternQuality,
    Quality,
    QualityReport,
)

__all__ = ["quality_report"]

_Key = TypeVar("_Key")
_COUNTS: Final = ("executions", "satisfied", "tolerating", "errors", "timeouts")
_THRESHOLDS: Final = "FROM slow_thresholds WHERE ($service IS NULL OR service = $service)"
# Hours serve, and never whole days where hours are kept.
_RATED: Final = """
SELECT
    pattern_id, weekday, hour, sum(executions)::BIGINT AS executions, sum(satisfied)::BIGINT AS satisfied,
    sum(tolerating)::BIGINT AS tolerating, sum(error)::BIGINT AS errors, sum(timeout)::BIGINT AS timeouts
FROM (
    SELECT *, CASE WHEN scale = 5 THEN isodow("at") END AS weekday, hour("at") AS hour
    FROM rated_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), false) AS h
    WHERE ($service IS NULL OR h.service = $service)
)
GROUP BY GROUPING SETS ((pattern_id), (weekday, hour))
"""
_PATTERNS: Final = "SELECT * FROM patterns"


def quality_report(question: Asked) -> QualityReport:
    """Scores of everything that was executed in the span of a question."""
    thresholds = asked(question.connection, _THRESHOLDS, {"service": question.service})
    rows = asked(question.connection, _RATED, question.bounds)
    patterns = {row["pattern_id"]: pattern_of(row) for row in asked(question.connection, _PATTERNS, {})}
    by_pattern = [row for row in rows if row["pattern_id"] is not None]
    by_hour = [row for row in rows if row["pattern_id"] is None and row["weekday"] is not None]
    overall = _scores(by_pattern, lambda _: "all")
    operations = _scores(by_pattern, lambda row: patterns[row["pattern_id"]].operation)
    complexities = _scores(by_pattern, lambda row: patterns[row["pattern_id"]].complexity)
    return QualityReport(
        since=question.span.since,
        until=question.span.until,
        service=question.service,
        thresholds_ms={row["service"]: row["threshold_ms"] for row in thresholds},
        overall=overall.get("all", Quality()),
        by_pattern=tuple(
            PatternQuality(patterns[key], quality)
            for key, quality in _lowest_first(_scores(by_pattern, lambda row: str(row["pattern_id"])))
        ),
        by_operation=tuple(OperationQuality(key, quality) for key, quality in _lowest_first(operations)),
        by_complexity=tuple(ComplexityQuality(key, complexities[key]) for key in sorted(complexities)),
        by_weekday_hour=tuple(
            HourQuality(*key, quality)
            for key, quality in sorted(_scores(by_hour, lambda row: (row["weekday"], row["hour"])).items())
        ),
    )


def _scores(rows: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], _Key]) -> dict[_Key, Quality]:
    counts: dict[_Key, Counter[str]] = {}
    for row in rows:
        counts.setdefault(key(row), Counter()).update({name: row[name] for name in _COUNTS})
    return {place: Quality.of(**{name: count[name] for name in _COUNTS}) for place, count in counts.items()}


def _lowest_first(scores: Mapping[_Key, Quality]) -> list[tuple[_Key, Quality]]:
    return sorted(scores.items(), key=lambda item: (item[1].score or 0.0, -item[1].execution_count, str(item[0])))
