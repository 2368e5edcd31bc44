"""
What a reader asks a store: statements whose values only ever arrive as parameters, NULL where nothing is chosen.

Deliberately not here: what becomes of the rows.
"""

from typing import Final

from querygauge.values import LINES_LIMIT

__all__ = [
    "HEALTH_CHECKS",
    "PATTERNS",
    "PATTERN_SERVICES",
    "POOLS",
    "PROCESSES",
    "PROCESS_WINDOWS",
    "QUERY_ERRORS",
    "QUERY_STATS",
    "REPETITIONS",
    "RUNNING",
    "RUNNING_PATTERNS",
    "SCOPES",
    "SERVICES",
    "SLOW_LATELY",
    "SLOW_QUERIES",
    "SPAN",
    "STATS_LATELY",
    "STATS_SINCE",
]

# Both bounds are whole minutes, as the rows are.
_CHOSEN: Final = """
    SELECT h.*
    FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily) AS h
    WHERE ($service IS NULL OR service = $service)
        AND ($target IS NULL OR target = $target)
        AND ($pattern_id IS NULL OR pattern_id = $pattern_id)
        AND ($scope IS NULL OR scope = $scope)
"""


def _statistics(source: str, key: str, order: str) -> str:
    """The rows of `source`, which have the scale of their buckets, added up by a key with a target and a pattern_id."""
    return f"""
WITH keyed AS (SELECT *, {key} AS key FROM ({source})),
scales AS (SELECT coalesce(min(scale), 5) AS coarsest FROM keyed),
-- Buckets are grouped by a number and not by the key it stands for, which takes twice the time.
places AS MATERIALIZED (SELECT row_number() OVER () AS place, key FROM (SELECT DISTINCT key FROM keyed)),
numbered AS (SELECT place, keyed.* FROM keyed JOIN places USING (key)),
sums AS (
    SELECT
        place, sum(executions) AS executions, sum(ok) AS ok, sum(error) AS error,
        sum(timeout) AS timeout, sum(cancelled) AS cancelled, sum(slow) AS slow, sum(rows) AS rows,
        sum(rows_known) AS rows_known, sum(total_ns) AS total_ns,
        coalesce(min(min_ns) FILTER (executions > 0), 0) AS min_ns, max(max_ns) AS max_ns,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen,
        sum(pool_wait_ns) AS pool_wait_ns, sum(connect_ns) AS connect_ns, sum(begin_ns) AS begin_ns,
        sum(prepare_ns) AS prepare_ns, sum(fetch_ns) AS fetch_ns, sum(stream_ns) AS stream_ns,
        sum(commit_ns) AS commit_ns, sum(loop_lag_ns) AS loop_lag_ns
    FROM numbered GROUP BY place
),
pairs AS (SELECT place, scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM numbered),
counts AS (
    SELECT place, ceil(k / (1 << (scale - coarsest)))::SMALLINT AS k, sum(n)::BIGINT AS n
    FROM pairs, scales
    GROUP BY ALL
),
buckets AS (SELECT place, list(k) AS bucket_k, list(n) AS bucket_n FROM counts GROUP BY place),
found AS (SELECT place, unnest(lines) AS line, unnest(line_counts) AS n FROM numbered),
by_line AS (SELECT place, line, sum(n)::BIGINT AS n FROM found WHERE n > 0 GROUP BY place, line),
lines AS (
    SELECT
        place, list(line ORDER BY n DESC, line)[:{LINES_LIMIT}] AS lines,
        list(n ORDER BY n DESC, line)[:{LINES_LIMIT}] AS line_counts
    FROM by_line GROUP BY place
)
SELECT
    unnest(key), s.* EXCLUDE (place), coarsest, bucket_k, bucket_n, lines, line_counts,
    p.text, p.summary, p.operation, p.tables, p.dialect, p.category
FROM places JOIN sums AS s USING (place) LEFT JOIN buckets USING (place) LEFT JOIN lines USING (place)
JOIN store.patterns AS p ON p.pattern_id = key.pattern_id, scales
ORDER BY {order}, s.total_ns DESC, p.pattern_id, key.target
"""  # noqa: S608  # built of constants


QUERY_STATS: Final = _statistics(
    _CHOSEN,
    """{'hour': CASE WHEN $hourly THEN date_trunc('hour', "at") END, 'target': target, 'pattern_id': pattern_id}""",
    "key.hour",
)
# Of every service, what lies before $recent and what does not; only of minutes.
STATS_LATELY: Final = _statistics(
    """
    SELECT *, 5 AS scale
    FROM store.query_stats
    WHERE "minute" >= date_trunc('minute', make_timestamp($since)) AND "minute" < make_timestamp($until)
    """,
    """{'service': service, 'is_recent': "minute" >= make_timestamp($recent), 'target': target,
        'pattern_id': pattern_id}""",
    "key.service",
)
# Of some patterns, whatever the target, each since a moment of its own.
STATS_SINCE: Final = _statistics(
    """
    SELECT h.*
    FROM query_history(date_trunc('minute', make_timestamp($earliest)), '9999-12-31'::TIMESTAMP, NULL) AS h
    JOIN (SELECT unnest($pattern_ids) AS pattern_id, make_timestamp(unnest($since)) AS since) AS w
        ON w.pattern_id = h.pattern_id
    WHERE "at" >= date_trunc('minute', w.since)
    """,
    "{'target': '', 'pattern_id': pattern_id}",
    "key.target",
)
SCOPES: Final = """
SELECT
    scope, tags, sum(units) AS units, sum(unit_ms ORDER BY "minute", unit_ms) AS unit_ms, sum(ok) AS ok,
    sum(error) AS error, sum(timeout) AS timeout, sum(cancelled) AS cancelled, sum(repeated) AS repeated,
    sum(total_ms ORDER BY "minute", total_ms) AS total_ms, max(max_executions) AS max_executions, max(max_ms) AS max_ms
FROM store.scope_stats
WHERE ($since IS NULL OR "minute" >= date_trunc('minute', make_timestamp($since)))
    AND ($service IS NULL OR service = $service)
    AND ($scope IS NULL OR scope = $scope)
GROUP BY scope, tags
ORDER BY total_ms DESC, scope, tags
"""
SLOW_QUERIES: Final = """
SELECT * FROM store.slow_queries
WHERE is_slow IS NOT false AND ($since IS NULL OR started_at >= make_timestamp($since))
    AND ($service IS NULL OR service = $service)
    AND ($pattern_id IS NULL OR pattern_id = $pattern_id)
    AND ($scope IS NULL OR scope = $scope)
ORDER BY started_at DESC, duration_ms DESC
LIMIT $limit
"""
# The worst of each place, by when it ended: what took an hour began an hour ago. None takes a month, so older ones are
# not read.
SLOW_LATELY: Final = """
SELECT * FROM store.slow_queries
WHERE is_slow IS NOT false AND started_at >= make_timestamp($since) - INTERVAL 30 DAY
    AND started_at + to_microseconds((1000 * duration_ms)::BIGINT) >= make_timestamp($since) AND service = $service
QUALIFY row_number() OVER (PARTITION BY target, pattern_id, scope ORDER BY duration_ms DESC, started_at DESC) = 1
ORDER BY duration_ms DESC, started_at DESC
LIMIT $limit
"""
QUERY_ERRORS: Final = """
SELECT
    p.*, e.target, e.error_type, e.sqlstate, sum(e.executions)::BIGINT AS executions, max(e.last_at) AS last_at,
    max_by(e.message, e.last_at) AS message
FROM store.query_errors AS e JOIN store.patterns AS p ON p.pattern_id = e.pattern_id
WHERE "minute" >= date_trunc('minute', make_timestamp($since)) AND "minute" < make_timestamp($until)
    AND ($service IS NULL OR e.service = $service)
GROUP BY ALL
ORDER BY executions DESC, p.pattern_id, e.target, e.error_type, e.sqlstate
"""
REPETITIONS: Final = """
SELECT
    p.*, r.target, r.call_site, r.scope,
    sum(r.scopes) AS scopes, sum(r.executions) AS executions, max(r.max_per_scope) AS max_per_scope,
    sum(r.total_ms ORDER BY r.found_at, r.total_ms) AS total_ms,
    sum(r.compared) AS compared, sum(r.parameters) AS parameters, sum(r.parents) AS parents,
    sum(r.origins) AS origins, max(r.tasks) AS tasks, sum(r.overlapping) AS overlapping,
    sum(r.parallel_scopes) AS parallel_scopes,
    max_by(r.cause, r.found_at) AS cause, max_by(r.attribute, r.found_at) AS attribute
FROM store.repetitions AS r JOIN store.patterns AS p ON p.pattern_id = r.pattern_id
WHERE ($since IS NULL OR r.found_at >= make_timestamp($since))
    AND ($until IS NULL OR r.found_at < make_timestamp($until))
    AND ($service IS NULL OR r.service = $service)
    AND ($pattern_id IS NULL OR r.pattern_id = $pattern_id)
    AND ($scope IS NULL OR r.scope = $scope)
GROUP BY ALL
ORDER BY executions DESC, p.pattern_id, r.target, r.call_site, r.scope
"""
POOLS: Final = """
SELECT * FROM store.pool_stats
WHERE ($since IS NULL OR "minute" >= date_trunc('minute', make_timestamp($since)))
    AND ($service IS NULL OR service = $service)
ORDER BY service, pool
"""
HEALTH_CHECKS: Final = """
SELECT service, process, pool, checked_at, duration_ms, error FROM store.health_checks
WHERE ($since IS NULL OR checked_at >= date_trunc('minute', make_timestamp($since)))
    AND ($service IS NULL OR service = $service)
QUALIFY row_number() OVER (PARTITION BY service, pool ORDER BY checked_at DESC) <= 100
ORDER BY checked_at
"""
# As long as anything is slow, each flush says so: who missed two, and ten seconds more, has ended or was stopped.
RUNNING: Final = """
SELECT * FROM store.running
WHERE executions > 0
    AND epoch(make_timestamp($now)) - epoch(seen_at) <= 2 * coalesce(flush_interval_s, 0) + 10
    AND ($service IS NULL OR service = $service)
ORDER BY service, process, target
"""
RUNNING_PATTERNS: Final = """
SELECT * FROM store.patterns
WHERE pattern_id IN (SELECT query.pattern_id FROM (SELECT unnest(queries) AS query FROM store.running))
"""
PATTERNS: Final = "SELECT * FROM store.patterns WHERE starts_with(pattern_id, $prefix) ORDER BY pattern_id LIMIT 10"
PATTERN_SERVICES: Final = """
SELECT DISTINCT service
FROM query_history('0001-01-01', '9999-12-31', true)
WHERE pattern_id = $pattern_id
ORDER BY service
"""
SERVICES: Final = "SELECT DISTINCT service FROM store.processes ORDER BY service"
SPAN: Final = "SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM store.processes"
PROCESSES: Final = "SELECT * FROM store.processes ORDER BY service, last_at DESC, process"
# CPU seconds are those since a process began, so a minute took what they are more than at the one before; at the first
# of the span that is not known, unless it began then. Less than before is what a later process of that name took.
PROCESS_WINDOWS: Final = """
WITH told AS (
    SELECT
        s.*,
        coalesce(
            lag(s.cpu_s) OVER (PARTITION BY s.service, s.process ORDER BY s."minute", s.ended_at),
            CASE WHEN s.started_at <= p.first_at THEN 0 ELSE s.cpu_s END
        ) AS cpu_before
    FROM store.process_stats AS s JOIN store.processes AS p ON p.service = s.service AND p.process = s.process
    WHERE ($since IS NULL OR s."minute" >= date_trunc('minute', make_timestamp($since)))
        AND ($service IS NULL OR s.service = $service)
)
SELECT
    service, process, min(started_at) AS started, max(ended_at) AS ended, max(memory_bytes) AS memory_bytes,
    max_by(memory_limit_bytes, ended_at) AS memory_limit_bytes,
    sum(CASE WHEN cpu_s < cpu_before THEN cpu_s ELSE cpu_s - cpu_before END) AS cpu_s
FROM told
GROUP BY service, process
ORDER BY cpu_s DESC, service, process
"""
