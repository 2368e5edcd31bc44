"""What was executed in a span: in goes an open store, out comes one value with everything by everything."""

from collections.abc import Mapping
from typing import Any, Final

from querygauge.storage.answers.measured import Asked
from querygauge.storage.asking import asked
from querygauge.storage.rows import pattern_of, utc
from querygauge.values.answers.execution import (
    CallSite,
    ExecutionStatistics,
    NamedPerformance,
    PatternPerformance,
    Performance,
    PoolPerformance,
    TagPerformance,
    TimePoint,
)

__all__ = ["execution_statistics", "pool_performances"]

_PATTERNS: Final = "SELECT * FROM patterns WHERE pattern_id IN (SELECT unnest($ids))"
_CALL_SITES: Final = """
WITH found AS (
    SELECT pattern_id, unnest(lines) AS call_site, unnest(line_counts) AS n
    FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily)
    WHERE ($service IS NULL OR service = $service)
),
by_pattern AS (
    SELECT call_site, pattern_id, sum(n)::BIGINT AS n FROM found GROUP BY ALL
)
SELECT
    call_site, sum(n)::BIGINT AS found_count, list(pattern_id ORDER BY n DESC, pattern_id)[:10] AS pattern_ids
FROM by_pattern
GROUP BY call_site
ORDER BY found_count DESC, call_site
LIMIT $limit
"""
_POOLS: Final = """
WITH
-- Not materialized: lists are copied in more time than they are read again.
chosen AS NOT MATERIALIZED (
    FROM pool_stats
    WHERE "minute" >= date_trunc('minute', make_timestamp($since)) AND "minute" < make_timestamp($until)
        AND ($service IS NULL OR service = $service)
),
-- Millions of buckets are grouped by the number of their pool: by its names that takes half as long again.
pools AS MATERIALIZED (
    SELECT row_number() OVER () AS number, service, pool FROM (SELECT DISTINCT service, pool FROM chosen)
),
numbered AS NOT MATERIALIZED (
    SELECT number, chosen.* FROM chosen JOIN pools USING (service, pool)
),
sums AS (
    SELECT
        number, sum(requests)::BIGINT AS request_count, sum(checkouts)::BIGINT AS checkout_count,
        sum(timeouts)::BIGINT AS timeout_count, sum(errors)::BIGINT AS error_count,
        sum(wait_count)::BIGINT AS waits, coalesce(sum(wait_total_ns) / 1e6 / nullif(waits, 0), 0) AS avg_wait_ms,
        coalesce(min(wait_min_ns) FILTER (wait_count > 0) / 1e6, 0) AS min_wait_ms,
        max(wait_max_ns) / 1e6 AS max_wait_ms,
        coalesce(sum(use_total_ns) / 1e6 / nullif(sum(use_count), 0), 0) AS avg_use_ms,
        max(peak_active)::BIGINT AS peak_active
    FROM numbered
    GROUP BY number
),
pairs AS (
    SELECT number, unnest(wait_k) AS k, unnest(wait_n) AS n FROM numbered
),
counts AS (
    SELECT number, k, sum(n) AS n FROM pairs GROUP BY number, k
),
ranks AS (
    SELECT number, k, sum(n) OVER (PARTITION BY number ORDER BY k) AS rank FROM counts
),
found AS (
    SELECT number, min(k) FILTER (rank >= greatest(1, ceil(0.95 * waits))) AS k95
    FROM ranks JOIN sums USING (number)
    GROUP BY number
)
SELECT
    service, pool, sums.* EXCLUDE (number, waits, min_wait_ms, max_wait_ms),
    coalesce(bucket_ms(k95, 5, 0.95, waits, min_wait_ms, max_wait_ms), 0) AS p95_wait_ms
FROM pools JOIN sums USING (number) LEFT JOIN found USING (number)
ORDER BY service, pool
"""


def execution_statistics(question: Asked, limit: int) -> ExecutionStatistics:
    """
    Everything that was executed, and how it is spread.

    Args:
        question: The store, the span and the service.
        limit: Services, patterns and lines at most.
    """
    with question.merged():
        everything = question.by("{'all': true}", lambda _, performance: performance)
        by_tag = question.by(
            "unnest(map_entries(h.tags))",
            lambda row, performance: TagPerformance(row["key"], row["value"], performance),
        )
        by_operation = question.by("{'name': coalesce(p.operation, '')}", _named)
        services = question.by("{'name': h.service}", _named)
        top_patterns = _top_patterns(question, limit)
    return ExecutionStatistics(
        since=question.span.since,
        until=question.span.until,
        service=question.service,
        width_s=question.width.total_seconds(),
        performance=everything[0] if everything else Performance(),
        time_series=tuple(TimePoint(utc(at), performance) for at, performance in question.over_time()),
        by_tag=by_tag,
        by_pool=pool_performances(question),
        by_operation=by_operation,
        top_services=services[:limit],
        top_patterns=top_patterns,
        top_call_sites=_top_call_sites(question, limit),
    )


def _named(row: Mapping[str, Any], performance: Performance) -> NamedPerformance:
    return NamedPerformance(row["name"], performance)


def _top_patterns(question: Asked, limit: int) -> tuple[PatternPerformance, ...]:
    top = question.by("{'id': h.pattern_id}", lambda row, performance: (row["id"], performance))[:limit]
    rows = asked(question.connection, _PATTERNS, {"ids": [pattern_id for pattern_id, _ in top]})
    patterns = {row["pattern_id"]: pattern_of(row) for row in rows}
    return tuple(PatternPerformance(patterns[pattern_id], performance) for pattern_id, performance in top)


def _top_call_sites(question: Asked, limit: int) -> tuple[CallSite, ...]:
    rows = asked(question.connection, _CALL_SITES, {**question.parameters, "limit": limit})
    return tuple(CallSite(row["call_site"], row["found_count"], tuple(row["pattern_ids"])) for row in rows)


def pool_performances(question: Asked) -> tuple[PoolPerformance, ...]:
    """What each pool did, by service and name."""
    return tuple(PoolPerformance(**row) for row in asked(question.connection, _POOLS, question.bounds))
