"""
How content a user may be with a span: in goes an open store, out come scores by pattern, operation, complexity, hour.

The slow threshold of a service is a bound inside a bucket, and that bucket counts whole: a threshold is taken at most
2.2 % higher, and 4.4 % where whole days are read.
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
_DEFAULT_MS: Final = 1_000.0  # of a process that did not say, which is the default of the setting
_COUNTS: Final = ("executions", "satisfied", "tolerating", "errors", "timeouts")
_THRESHOLDS: Final = f"""
SELECT service, coalesce(max_by(slow_threshold_ms, last_at), {_DEFAULT_MS}) AS threshold_ms
FROM processes
WHERE ($service IS NULL OR service = $service)
GROUP BY service
ORDER BY service
"""  # noqa: S608  # built of constants
# Hours serve, and never whole days where hours are kept. Buckets ascend, so those within a bound are the first ones.
_RATED: Final = f"""
WITH thresholds AS ({_THRESHOLDS}),
bounded AS (
    SELECT
        h.*, log2(greatest(coalesce(threshold_ms, {_DEFAULT_MS}), 1e-6) / 1e3) AS bound, pow(2, scale) AS per_octave
    FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), false) AS h
    LEFT JOIN thresholds AS t ON t.service = h.service
    WHERE ($service IS NULL OR h.service = $service)
),
rated AS (
    SELECT
        pattern_id, CASE WHEN scale = 5 THEN isodow("at") END AS weekday, hour("at") AS hour, executions,
        error, timeout,
        list_sum([n for n, i in bucket_n if bucket_k[i] <= ceil((bound - 2) * per_octave)]) AS satisfied,
        list_sum([n for n, i in bucket_n if bucket_k[i] <= ceil(bound * per_octave)]) AS within_bound
    FROM bounded
)
SELECT
    pattern_id, weekday, hour, sum(executions)::BIGINT AS executions,
    coalesce(sum(satisfied), 0)::BIGINT AS satisfied,
    coalesce(sum(within_bound), 0)::BIGINT - coalesce(sum(satisfied), 0)::BIGINT AS tolerating,
    sum(error)::BIGINT AS errors, sum(timeout)::BIGINT AS timeouts
FROM rated
GROUP BY GROUPING SETS ((pattern_id), (weekday, hour))
"""  # noqa: S608  # built of constants
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
