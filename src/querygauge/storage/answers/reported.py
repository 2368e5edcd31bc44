"""
What a report tells beside its patterns: repetitions, pools that suffered, and ways of failing, the worst first.

In goes a question, and for pools the same of the week before. Deliberately not here: how many of them are told.
"""

from collections.abc import Collection
from itertools import groupby
from typing import Any, Final

from querygauge.storage import queries
from querygauge.storage.answers.execution import pool_performances
from querygauge.storage.answers.measured import Asked
from querygauge.storage.asking import asked
from querygauge.storage.rows import query_errors_of, repetition_of
from querygauge.values import QueryErrors, Repetition
from querygauge.values.answers.performance_report import ReportedError, ReportedPool, ReportedRepetition

__all__ = ["beginning", "reported_errors", "reported_pools", "reported_repetitions"]

_LONGEST_MESSAGE: Final = 300
_POOLS: Final = """
SELECT
    service, pool, max(max_connections) AS max_connections, max(peak_waiting) AS peak_waiting,
    sum(leaks)::BIGINT AS leaks, sum(lost_to_cancellation)::BIGINT AS lost_to_cancellation,
    sum(health_checks_failed)::BIGINT AS failed_checks
FROM pool_stats
WHERE "minute" >= date_trunc('minute', make_timestamp($since)) AND "minute" < make_timestamp($until)
    AND ($service IS NULL OR service = $service)
GROUP BY service, pool
"""


def beginning(text: str, most: int) -> str:
    """So many characters of a text at most."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def reported_repetitions(question: Asked, quiet: Collection[str]) -> tuple[ReportedRepetition, ...]:
    """One for each pattern and line, by their time; what is merely possible, or marked as known, is left out."""
    chosen = {**question.bounds, "pattern_id": None, "scope": None}
    found = [repetition_of(row) for row in asked(question.connection, queries.REPETITIONS, chosen)]
    told = [each for each in found if each.confidence != "possible" and each.pattern.id not in quiet]
    told.sort(key=lambda each: (_line(each), -each.total_duration_ms, each.scope or ""))
    together = (_together(list(group)) for _, group in groupby(told, key=_line))
    return tuple(sorted(together, key=lambda each: (-each.total_duration_ms, each.pattern_id)))


def _line(found: Repetition) -> tuple[str, str]:
    return found.pattern.id, found.call_site or ""


def _together(found: list[Repetition]) -> ReportedRepetition:
    """Those of one line; what is told in words is of where it takes most time."""
    most = found[0]
    return ReportedRepetition(
        pattern_id=most.pattern.id,
        summary=most.pattern.summary,
        call_site=most.call_site,
        scope=most.scope,
        scopes_count=sum(each.scopes_count for each in found),
        execution_count=sum(each.execution_count for each in found),
        max_per_scope=max(each.max_per_scope for each in found),
        total_duration_ms=sum(each.total_duration_ms for each in found),
        confidence=most.confidence,
        fix=most.fix,
    )


def reported_pools(now: Asked, then: Asked, wait_ms: float) -> tuple[ReportedPool, ...]:
    """
    Pools that had timeouts, errors, leaks, lost connections or failed checks, that were used up, or were waited for.

    Args:
        now: What it is about.
        then: What it is compared with.
        wait_ms: From this 95th percentile of the waits on, a pool was waited for.
    """
    before = {(each.service, each.pool): each for each in pool_performances(then)}
    rows = {(row["service"], row["pool"]): row for row in asked(now.connection, _POOLS, now.bounds)}
    pools = []
    for performance in pool_performances(now):
        key = performance.service, performance.pool
        members: dict[str, Any] = {name: value for name, value in rows[key].items() if name not in {"service", "pool"}}
        pools.append(ReportedPool(performance=performance, before=before.get(key), **members))
    return tuple(sorted((pool for pool in pools if _suffered(pool, wait_ms)), key=_by_trouble))


def _suffered(pool: ReportedPool, wait_ms: float) -> bool:
    did = pool.performance
    troubles = did.timeout_count, did.error_count, pool.leaks, pool.lost_to_cancellation, pool.failed_checks
    return any(troubles) or did.p95_wait_ms >= wait_ms or _is_used_up(pool)


def _is_used_up(pool: ReportedPool) -> bool:
    return 0 < pool.max_connections <= pool.performance.peak_active and pool.peak_waiting > 0


def _by_trouble(pool: ReportedPool) -> tuple[float, ...]:
    did = pool.performance
    return -did.timeout_count, -did.error_count, -pool.leaks - pool.lost_to_cancellation, -did.p95_wait_ms


def reported_errors(question: Asked) -> tuple[ReportedError, ...]:
    """Ways in which queries failed, targets together, the most frequent first."""
    rows = asked(question.connection, queries.QUERY_ERRORS, question.bounds)
    ways: dict[tuple[str, str, str | None], list[QueryErrors]] = {}
    for each in map(query_errors_of, rows):
        if each.pattern.category == "query":
            ways.setdefault((each.pattern.id, each.error_type, each.sqlstate), []).append(each)
    errors = (_error(group) for group in ways.values())
    return tuple(sorted(errors, key=lambda error: (-error.count, error.pattern_id, error.error_type)))


def _error(group: list[QueryErrors]) -> ReportedError:
    latest = max(group, key=lambda each: each.last_seen)
    return ReportedError(
        pattern_id=latest.pattern.id,
        summary=latest.pattern.summary,
        error_type=latest.error_type,
        sqlstate=latest.sqlstate,
        count=sum(each.count for each in group),
        message=beginning(latest.message, _LONGEST_MESSAGE),
    )
