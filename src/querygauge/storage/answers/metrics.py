"""The figures of a span: in goes an open store, out come durations, cost, memory and CPU time as one value."""

from typing import Final

from querygauge.storage.answers.measured import Asked
from querygauge.storage.asking import asked
from querygauge.storage.rows import utc
from querygauge.values.answers.execution import Performance, TimePoint
from querygauge.values.answers.metrics import (
    CostMetrics,
    DurationMetrics,
    PerformanceMetrics,
    ResourceMetrics,
    ResourcePoint,
)

__all__ = ["MS_PER_HOUR", "performance_metrics"]

MS_PER_HOUR: Final = 3_600_000.0
_NOTHING: Final = DurationMetrics(None, None, None, None)
# CPU seconds are those since a process began, so a minute took what they are more than at the one before. At the first
# that is seen of a process it is not known what they were before, unless it began then. Less than before is what a
# later process of the same name took: in containers the number of each may be 1, and some keep their host's name.
_TAKEN: Final = """
WITH known AS (
    SELECT
        s."minute", s.service, s.process, s.memory_bytes, s.cpu_s AS cpu_until,
        coalesce(
            lag(s.cpu_s) OVER (PARTITION BY s.service, s.process ORDER BY s."minute", s.ended_at),
            CASE WHEN s.started_at <= p.first_at THEN 0 ELSE s.cpu_s END
        ) AS cpu_before
    FROM process_stats AS s JOIN processes AS p ON p.service = s.service AND p.process = s.process
    WHERE s."minute" >= date_trunc('minute', make_timestamp($since)) AND s."minute" < make_timestamp($until)
        AND ($service IS NULL OR s.service = $service)
),
taken AS (
    SELECT
        "minute", service, process, memory_bytes,
        CASE WHEN cpu_until < cpu_before THEN cpu_until ELSE cpu_until - cpu_before END AS cpu_s
    FROM known
)
"""
# Services of one process each tell of all of it, from when they were measured on: that is one process, and what it took
# is the most that one of them tells.
_RESOURCES_BY: Final = f"""{_TAKEN},
minutes AS (
    SELECT {{place}} AS "at", "minute", process, max(memory_bytes) AS memory_bytes FROM taken GROUP BY ALL
),
memory AS (
    SELECT
        "at", count(DISTINCT process) AS process_count, avg(memory_bytes) / 1e6 AS avg_memory_mb,
        quantile_disc(memory_bytes, 0.95) / 1e6 AS p95_memory_mb, max(memory_bytes) / 1e6 AS max_memory_mb
    FROM minutes
    GROUP BY "at"
),
told AS (
    SELECT {{place}} AS "at", service, process, sum(cpu_s) AS cpu_s FROM taken GROUP BY ALL
),
cpu AS (
    SELECT "at", sum(cpu_s) AS cpu_s
    FROM (SELECT "at", process, max(cpu_s) AS cpu_s FROM told GROUP BY ALL)
    GROUP BY "at"
)
FROM memory JOIN cpu USING ("at")
ORDER BY "at"
"""  # noqa: S608  # built of constants
_RESOURCES: Final = f"""
SELECT avg(avg_memory_mb) AS avg_memory_mb, avg(p95_memory_mb) AS p95_memory_mb, sum(cpu_s) AS cpu_s
FROM ({_RESOURCES_BY.format(place="0")})
"""  # noqa: S608  # built of constants
_RESOURCES_OVER_TIME: Final = f"""
SELECT "at", process_count, avg_memory_mb, max_memory_mb, cpu_s
FROM ({_RESOURCES_BY.format(place='time_bucket(to_seconds($width_s), "minute")')})
ORDER BY "at"
"""  # noqa: S608  # built of constants


def performance_metrics(question: Asked, price_per_hour: float) -> PerformanceMetrics:
    """
    Durations, cost and resources.

    Args:
        question: The store, the span and the service.
        price_per_hour: What an hour of database time costs.
    """
    everything = question.by("{'all': true}", lambda _, performance: performance)
    performance = everything[0] if everything else Performance()
    chosen = question.bounds
    width_s = question.width.total_seconds()
    over_time = asked(question.connection, _RESOURCES_OVER_TIME, {**chosen, "width_s": width_s})
    return PerformanceMetrics(
        since=question.span.since,
        until=question.span.until,
        service=question.service,
        width_s=width_s,
        execution_count=performance.execution_count,
        price_per_hour=price_per_hour,
        duration=_durations(performance),
        cost=_cost(performance, price_per_hour),
        resources=ResourceMetrics(**asked(question.connection, _RESOURCES, chosen)[0]),
        time_series=tuple(TimePoint(utc(at), each) for at, each in question.over_time()),
        resources_over_time=tuple(ResourcePoint(**{**row, "at": utc(row["at"])}) for row in over_time),
    )


def _durations(performance: Performance) -> DurationMetrics:
    if not performance.execution_count:
        return _NOTHING
    return DurationMetrics(
        performance.avg_duration_ms,
        performance.median_duration_ms,
        performance.p95_duration_ms,
        performance.p99_duration_ms,
    )


def _cost(performance: Performance, price_per_hour: float) -> CostMetrics:
    total = performance.total_duration_ms / MS_PER_HOUR * price_per_hour
    return CostMetrics(total, total / performance.execution_count if performance.execution_count else None)
