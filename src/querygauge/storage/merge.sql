-- From `spooled` to the rows a store gets, all files together: one row per minute, service, target, pattern and scope,
-- one per minute, service and scope, and one per minute, process and pool. It works in memory; the store is not open
-- while it runs.
CREATE OR REPLACE TABLE windows AS
SELECT
    file, header.service, header.process, make_timestamp(header.started_us) AS started,
    make_timestamp(header.ended_us) AS ended, date_trunc('minute', make_timestamp(header.ended_us)) AS "minute",
    header.self_metrics, header.slow_threshold_ms, header.usage, header.flush_interval_s
FROM spooled
WHERE header IS NOT NULL;

CREATE OR REPLACE TABLE new_query_stats AS
WITH queries AS (
    SELECT
        -- A struct of keys is grouped and joined as one, NULL as equal to NULL.
        {'minute': "minute", 'service': service, 'target': query.target, 'pattern_id': query.pattern_id,
            'scope': query.scope, 'tags': query.tags} AS place,
        query
    FROM spooled JOIN windows USING (file)
    WHERE query IS NOT NULL
),
sums AS (
    SELECT
        place,
        sum(query.durations.count)::BIGINT AS executions, sum(query.ok)::BIGINT AS ok,
        sum(query.error)::BIGINT AS error, sum(query.timeout)::BIGINT AS timeout,
        sum(query.cancelled)::BIGINT AS cancelled, sum(query.slow)::BIGINT AS slow,
        sum(query.rows)::BIGINT AS rows, sum(query.rows_known)::BIGINT AS rows_known,
        sum(query.durations.total_ns)::BIGINT AS total_ns,
        coalesce(min(query.durations.min_ns) FILTER (query.durations.count > 0), 0) AS min_ns,
        max(query.durations.max_ns) AS max_ns,
        sum(query.phases.pool_wait_ns)::BIGINT AS pool_wait_ns, sum(query.phases.connect_ns)::BIGINT AS connect_ns,
        sum(query.phases.begin_ns)::BIGINT AS begin_ns, sum(query.phases.prepare_ns)::BIGINT AS prepare_ns,
        sum(query.phases.fetch_ns)::BIGINT AS fetch_ns, sum(query.phases.stream_ns)::BIGINT AS stream_ns,
        sum(query.phases.commit_ns)::BIGINT AS commit_ns,
        sum(query.phases.loop_lag_ns)::BIGINT AS loop_lag_ns,
        make_timestamp(min(query.first_us)) AS first_seen, make_timestamp(max(query.last_us)) AS last_seen
    FROM queries
    GROUP BY place
),
pairs AS (
    SELECT place, unnest(query.durations.k) AS k, unnest(query.durations.n) AS n FROM queries
),
counts AS (
    SELECT place, k, sum(n)::BIGINT AS n FROM pairs GROUP BY place, k
),
buckets AS (
    SELECT place, list(k ORDER BY k) AS bucket_k, list(n ORDER BY k) AS bucket_n FROM counts GROUP BY place
),
found AS (
    SELECT place, unnest(query.lines) AS line, unnest(query.line_counts) AS n FROM queries
),
by_line AS (
    SELECT place, line, sum(n)::BIGINT AS n FROM found GROUP BY place, line
),
lines AS (
    SELECT place, list(line ORDER BY n DESC, line) AS lines, list(n ORDER BY n DESC, line) AS line_counts
    FROM by_line
    GROUP BY place
)
SELECT
    unnest(place), sums.* EXCLUDE (place), coalesce(bucket_k, []) AS bucket_k, coalesce(bucket_n, []) AS bucket_n,
    coalesce(lines, []) AS lines, coalesce(line_counts, []) AS line_counts
FROM sums LEFT JOIN buckets USING (place) LEFT JOIN lines USING (place)
ORDER BY place;

-- only scope
CREATE OR REPLACE TABLE new_scope_stats AS
SELECT
    "minute", service, scope.scope AS scope, scope.tags AS tags, sum(scope.units)::BIGINT AS units,
    sum(scope.unit_ms) AS unit_ms, sum(scope.ok)::BIGINT AS ok, sum(scope.error)::BIGINT AS error,
    sum(scope.timeout)::BIGINT AS timeout, sum(scope.cancelled)::BIGINT AS cancelled,
    sum(scope.repeated)::BIGINT AS repeated, sum(scope.total_ms) AS total_ms,
    max(scope.max_executions) AS max_executions, max(scope.max_ms) AS max_ms
FROM spooled JOIN windows USING (file)
WHERE spooled.scope IS NOT NULL
GROUP BY ALL
ORDER BY "minute", service, scope;
-- end

CREATE OR REPLACE TABLE new_patterns AS
WITH uses AS (
    SELECT query.pattern_id AS pattern_id, make_timestamp(query.first_us) AS first_seen,
        make_timestamp(query.last_us) AS last_seen
    FROM spooled WHERE query IS NOT NULL
    -- only repetition
    UNION ALL
    SELECT repetition.pattern_id, started, ended FROM spooled JOIN windows USING (file) WHERE repetition IS NOT NULL
    -- end
    -- only failed
    UNION ALL
    SELECT failed.pattern_id, make_timestamp(failed.last_us), make_timestamp(failed.last_us)
    FROM spooled WHERE failed IS NOT NULL
    -- end
    -- only running
    UNION ALL
    SELECT query.pattern_id, make_timestamp(query.started_us), make_timestamp(query.started_us)
    FROM (SELECT unnest(running.queries) AS query FROM spooled)
    -- end
),
spans AS (
    SELECT pattern_id, min(first_seen) AS first_seen, max(last_seen) AS last_seen FROM uses GROUP BY pattern_id
),
names AS (
    SELECT pattern.id AS pattern_id, any_value(pattern) AS pattern FROM spooled WHERE pattern IS NOT NULL GROUP BY 1
)
SELECT
    pattern_id, pattern.text AS text, pattern.summary AS summary, pattern.operation AS operation,
    pattern.tables AS tables, pattern.dialect AS dialect, pattern.category AS category, first_seen, last_seen
FROM names JOIN spans USING (pattern_id);

-- only slow
CREATE OR REPLACE TABLE new_slow_queries AS
SELECT make_timestamp(slow.at_us) AS started_at, service, process, unnest(slow)
FROM spooled JOIN windows USING (file)
WHERE slow IS NOT NULL
ORDER BY started_at;
ALTER TABLE new_slow_queries DROP COLUMN at_us;
-- end

-- only failed
CREATE OR REPLACE TABLE new_query_errors AS
SELECT
    "minute", service, failed.target AS target, failed.pattern_id AS pattern_id, failed.error_type AS error_type,
    failed.sqlstate AS sqlstate, sum(failed.executions)::BIGINT AS executions,
    make_timestamp(max(failed.last_us)) AS last_at, max_by(failed.message, failed.last_us) AS message
FROM spooled JOIN windows USING (file)
WHERE failed IS NOT NULL
GROUP BY "minute", service, failed.target, failed.pattern_id, failed.error_type, failed.sqlstate
ORDER BY "minute", service, target, pattern_id;
-- end

-- only pool
CREATE OR REPLACE TABLE new_pool_stats AS
WITH pools AS (
    SELECT "minute", service, process, pool.pool AS name, pool
    FROM spooled JOIN windows USING (file)
    WHERE pool IS NOT NULL
),
histograms AS (
    SELECT
        "minute", service, process, name, unnest(['wait', 'use', 'create']) AS clock,
        unnest([pool.wait, pool.use, pool."create"]) AS h
    FROM pools
),
pairs AS (
    SELECT "minute", service, process, name, clock, unnest(h.k) AS k, unnest(h.n) AS n FROM histograms
),
counts AS (
    SELECT "minute", service, process, name, clock, k, sum(n)::BIGINT AS n
    FROM pairs
    GROUP BY "minute", service, process, name, clock, k
),
buckets AS (
    SELECT "minute", service, process, name, clock, list(k ORDER BY k) AS k, list(n ORDER BY k) AS n
    FROM counts
    GROUP BY "minute", service, process, name, clock
),
sums AS (
    SELECT
        "minute", service, process, name, clock, sum(h.count)::BIGINT AS count,
        sum(h.total_ns)::BIGINT AS total_ns, coalesce(min(h.min_ns) FILTER (h.count > 0), 0) AS min_ns,
        max(h.max_ns) AS max_ns
    FROM histograms
    GROUP BY "minute", service, process, name, clock
),
clocks AS (
    SELECT
        "minute", service, process, name,
        any_value({count: count, total_ns: total_ns, min_ns: min_ns, max_ns: max_ns, k: coalesce(k, []),
            n: coalesce(n, [])}) FILTER (clock = 'wait') AS wait,
        any_value({count: count, total_ns: total_ns, min_ns: min_ns, max_ns: max_ns, k: coalesce(k, []),
            n: coalesce(n, [])}) FILTER (clock = 'use') AS used,
        any_value({count: count, total_ns: total_ns, min_ns: min_ns, max_ns: max_ns, k: coalesce(k, []),
            n: coalesce(n, [])}) FILTER (clock = 'create') AS created
    FROM sums LEFT JOIN buckets USING ("minute", service, process, name, clock)
    GROUP BY "minute", service, process, name
),
counters AS (
    SELECT
        "minute", service, process, name, max_by(pool, pool.at_us) AS latest,
        max_by(pool.timeout_holders, pool.at_us) FILTER (pool.timeout_holders <> '[]') AS timeout_holders,
        sum(pool.requests)::BIGINT AS requests, sum(pool.checkouts)::BIGINT AS checkouts,
        sum(pool.checkins)::BIGINT AS checkins, sum(pool.timeouts)::BIGINT AS timeouts,
        sum(pool.errors)::BIGINT AS errors, max(pool.peak_active) AS peak_active,
        max(pool.peak_waiting) AS peak_waiting, sum(pool.health_checks)::BIGINT AS health_checks,
        sum(pool.health_checks_failed)::BIGINT AS health_checks_failed, sum(pool.leaks)::BIGINT AS leaks,
        sum(pool.lost_to_cancellation)::BIGINT AS lost_to_cancellation,
        flatten(list(pool.lost_patterns)) AS lost_patterns, flatten(list(pool.lost_counts)) AS lost_counts,
        max(pool.demand."limit") AS demand_limit, sum(pool.demand.full_ns)::BIGINT AS demand_full_ns,
        flatten(list(pool.demand.levels)) AS demand_levels, flatten(list(pool.demand.ns)) AS demand_ns,
        flatten(list(pool.demand.requests)) AS demand_requests
    FROM pools
    GROUP BY "minute", service, process, name
)
SELECT
    "minute", service, process, name AS pool, make_timestamp(latest.at_us) AS state_at, latest.pool_size AS pool_size,
    latest.max_connections AS max_connections, latest.active AS active, latest.idle AS idle,
    latest.waiting AS waiting, latest.overflow AS overflow, latest.idle_max AS idle_max, latest.idle_min AS idle_min,
    latest.pool_class AS pool_class, latest.driver AS driver,
    latest.oldest_checkout_s AS oldest_checkout_s, latest.holders AS holders, timeout_holders, requests, checkouts, checkins, timeouts, errors, peak_active, peak_waiting,
    health_checks, health_checks_failed, leaks, lost_to_cancellation, lost_patterns, lost_counts,
    demand_limit, demand_full_ns, demand_levels, demand_ns, demand_requests,
    wait.count AS wait_count, wait.total_ns AS wait_total_ns, wait.min_ns AS wait_min_ns,
    wait.max_ns AS wait_max_ns, wait.k AS wait_k, wait.n AS wait_n,
    used.count AS use_count, used.total_ns AS use_total_ns, used.min_ns AS use_min_ns,
    used.max_ns AS use_max_ns, used.k AS use_k, used.n AS use_n,
    created.count AS create_count, created.total_ns AS create_total_ns, created.min_ns AS create_min_ns,
    created.max_ns AS create_max_ns, created.k AS create_k, created.n AS create_n
FROM counters JOIN clocks USING ("minute", service, process, name)
ORDER BY "minute", service, process, pool;

CREATE OR REPLACE TABLE new_health_checks AS
WITH checks AS (
    SELECT service, process, pool.pool AS pool, unnest(pool.checks) AS one
    FROM spooled JOIN windows USING (file)
    WHERE pool IS NOT NULL
)
SELECT make_timestamp(one.at_us) AS checked_at, service, process, pool, one.duration_ms AS duration_ms, one.error AS error
FROM checks
ORDER BY checked_at;
-- end

-- only repetition
CREATE OR REPLACE TABLE new_repetitions AS
SELECT ended AS found_at, service, unnest(repetition)
FROM spooled JOIN windows USING (file)
WHERE repetition IS NOT NULL
ORDER BY found_at;
-- end

CREATE OR REPLACE TABLE new_processes AS
SELECT
    service, process, min(started) AS first_at, max(ended) AS last_at,
    max_by(slow_threshold_ms, ended) AS slow_threshold_ms, greatest(0, epoch(max(ended)) - epoch(any_value(now))) AS ahead_s,
    unnest(max_by(self_metrics, ended))
FROM windows, folding
GROUP BY service, process;

CREATE OR REPLACE TABLE new_process_stats AS
SELECT
    "minute", service, process, min(started) AS started_at, max(ended) AS ended_at,
    max(usage.memory_bytes) AS memory_bytes, max_by(usage.memory_limit_bytes, ended) AS memory_limit_bytes,
    max(usage.cpu_s) AS cpu_s
FROM windows
GROUP BY "minute", service, process
ORDER BY "minute", service, process;

-- only running
CREATE OR REPLACE TABLE new_running AS
SELECT
    service, process, running.target AS target, max(ended) AS seen_at,
    unnest(max_by({'flush_interval_s': flush_interval_s, 'executions': running.executions,
        'oldest_ms': running.oldest_ms,
        'queries': [
            {'pattern_id': one.pattern_id, 'started_at': make_timestamp(one.started_us), 'age_ms': one.age_ms,
                'held_ms': one.held_ms, 'call_site': one.call_site, 'scope': one.scope, 'reason': one.reason}
            for one in running.queries
        ]}, ended))
FROM spooled JOIN windows USING (file)
WHERE running IS NOT NULL
GROUP BY service, process, running.target;
-- end
