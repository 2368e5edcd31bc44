"""How statements failed in a span: in goes an open store, out come counts by code, pattern and time, and examples."""

from collections.abc import Iterable
from typing import Final

from querygauge.storage import queries
from querygauge.storage.answers.measured import Asked
from querygauge.storage.asking import asked
from querygauge.storage.rows import query_errors_of, slow_query_of, utc
from querygauge.values import QueryErrors
from querygauge.values.answers.errors import ErrorCode, ErrorPoint, ErrorReport
from querygauge.values.answers.execution import Performance

__all__ = ["error_report"]

_OVER_TIME: Final = """
SELECT time_bucket(to_seconds($width_s), "minute") AS "at", sum(executions)::BIGINT AS count
FROM query_errors
WHERE "minute" >= date_trunc('minute', make_timestamp($since)) AND "minute" < make_timestamp($until)
    AND ($service IS NULL OR service = $service)
GROUP BY ALL
ORDER BY "at"
"""
_EXAMPLES: Final = """
SELECT * FROM slow_queries
WHERE outcome IN ('error', 'timeout')
    AND started_at >= make_timestamp($since) AND started_at < make_timestamp($until)
    AND ($service IS NULL OR service = $service)
ORDER BY started_at DESC, duration_ms DESC
LIMIT $limit
"""


def error_report(question: Asked, limit: int) -> ErrorReport:
    """
    What failed, how often, and examples.

    Args:
        question: The store, the span and the service.
        limit: Examples at most.
    """
    connection, chosen, width_s = question.connection, question.bounds, question.width.total_seconds()
    everything = question.by("{'all': true}", lambda _, performance: performance)
    performance = everything[0] if everything else Performance()
    by_pattern = [query_errors_of(row) for row in asked(connection, queries.QUERY_ERRORS, chosen)]
    over_time = asked(connection, _OVER_TIME, {**chosen, "width_s": width_s})
    return ErrorReport(
        since=question.span.since,
        until=question.span.until,
        service=question.service,
        width_s=width_s,
        execution_count=performance.execution_count,
        error_count=performance.error_count,
        error_rate=performance.error_rate,
        by_sqlstate=_by_code(by_pattern),
        by_pattern=tuple(by_pattern),
        over_time=tuple(ErrorPoint(utc(row["at"]), row["count"]) for row in over_time),
        examples=tuple(slow_query_of(row) for row in asked(connection, _EXAMPLES, {**chosen, "limit": limit})),
    )


def _by_code(errors: Iterable[QueryErrors]) -> tuple[ErrorCode, ...]:
    found: dict[str | None, list[QueryErrors]] = {}
    for each in errors:
        found.setdefault(each.sqlstate, []).append(each)
    codes = (_code(sqlstate, entries) for sqlstate, entries in found.items())
    return tuple(sorted(codes, key=lambda code: (-code.count, code.sqlstate or "")))


def _code(sqlstate: str | None, entries: list[QueryErrors]) -> ErrorCode:
    latest = max(entries, key=lambda entry: entry.last_seen)
    return ErrorCode(
        sqlstate=sqlstate,
        error_types=tuple(sorted({entry.error_type for entry in entries if entry.error_type})),
        count=sum(entry.count for entry in entries),
        pattern_count=len({entry.pattern.id for entry in entries}),
        last_seen=latest.last_seen,
        message=latest.message,
    )
