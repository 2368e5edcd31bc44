-- Numbers that cannot be true: rows of each table, and those of patterns that nobody knows.
WITH every AS (
    SELECT 'query_stats' AS name, * EXCLUDE ("minute") FROM query_stats
    UNION ALL BY NAME SELECT 'query_stats_hourly' AS name, * EXCLUDE ("hour") FROM query_stats_hourly
    UNION ALL BY NAME SELECT 'query_stats_daily' AS name, * EXCLUDE ("day") FROM query_stats_daily
)
SELECT
    name, count(*) AS rows,
    count_if(executions <> ok + error + timeout + cancelled OR executions <> coalesce(list_sum(bucket_n), 0)
        OR len(bucket_k) <> len(bucket_n) OR slow > executions
        OR least(ok, error, timeout, cancelled, slow, rows, total_ns, min_ns, coalesce(list_min(bucket_n), 0)) < 0)
        AS impossible,
    count_if(pattern_id NOT IN (SELECT pattern_id FROM patterns)) AS nameless
FROM every
GROUP BY name;
-- Rows that are there twice, to the last digit.
SELECT 'query_stats' AS name, count(*) - count(DISTINCT hash(t)) AS copies FROM query_stats AS t
UNION ALL SELECT 'slow_queries', count(*) - count(DISTINCT hash(t)) FROM slow_queries AS t
UNION ALL SELECT 'pool_stats', count(*) - count(DISTINCT hash(t)) FROM pool_stats AS t;
-- Hours that are rolled up and differ from their minutes, and days that differ from their hours.
WITH bounds AS (
    SELECT coalesce(max(minutes_since), '0001-01-01'::TIMESTAMP) AS minutes_since,
        coalesce(max(hours_since), '0001-01-01'::TIMESTAMP) AS hours_since
    FROM meta
),
hours AS (
    SELECT 'hour' AS tier, period, finer, coarser
    FROM (SELECT date_trunc('hour', "minute") AS period, sum(executions) AS finer FROM query_stats GROUP BY 1)
    FULL JOIN (SELECT "hour" AS period, sum(executions) AS coarser FROM query_stats_hourly GROUP BY 1) USING (period),
        bounds
    WHERE period >= minutes_since
),
days AS (
    SELECT 'day' AS tier, period, finer, coarser
    FROM (SELECT date_trunc('day', "hour") AS period, sum(executions) AS finer FROM query_stats_hourly GROUP BY 1)
    FULL JOIN (SELECT "day" AS period, sum(executions) AS coarser FROM query_stats_daily GROUP BY 1) USING (period),
        bounds
    WHERE period >= hours_since
)
SELECT tier, count(*) AS periods, min(period) AS first
FROM (FROM hours UNION ALL FROM days) ANTI JOIN pending_rollups USING (tier, period)
WHERE finer IS DISTINCT FROM coarser
GROUP BY tier;
-- Silence between two snapshots of a service of the last seven days, ten minutes and more.
SELECT service, count(*) AS gaps, max(epoch(gap)) AS longest_s
FROM (
    SELECT service, started_at - max(ended_at) OVER (
        PARTITION BY service ORDER BY started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS gap
    FROM process_stats
    WHERE "minute" >= $now - INTERVAL 7 DAY
)
WHERE gap >= INTERVAL 10 MINUTE
GROUP BY service
ORDER BY longest_s DESC;
-- Periods that were over an hour ago and are not rolled up.
SELECT count(*) AS periods, min(period) AS first
FROM pending_rollups
WHERE period + CASE tier WHEN 'day' THEN INTERVAL 25 HOUR ELSE INTERVAL 2 HOUR END < $now;
-- Each process, the latest first.
SELECT service, process, last_at, hook_errors, statements_dropped, snapshots_dropped, coalesce(ahead_s, 0) AS ahead_s
FROM processes
ORDER BY last_at DESC;
-- Rows in all, and those that the last seven days added.
SELECT
    (SELECT sum(estimated_size) FROM duckdb_tables() WHERE database_name = 'store') AS rows,
    (SELECT count(*) FROM query_stats WHERE "minute" >= $now - INTERVAL 7 DAY)
    + (SELECT count(*) FROM query_stats_hourly WHERE "hour" >= $now - INTERVAL 7 DAY)
    + (SELECT count(*) FROM query_stats_daily WHERE "day" >= $now - INTERVAL 7 DAY)
    + (SELECT count(*) FROM scope_stats WHERE "minute" >= $now - INTERVAL 7 DAY)
    + (SELECT count(*) FROM pool_stats WHERE "minute" >= $now - INTERVAL 7 DAY)
    + (SELECT count(*) FROM slow_queries WHERE started_at >= $now - INTERVAL 7 DAY)
    + (SELECT count(*) FROM process_stats WHERE "minute" >= $now - INTERVAL 7 DAY) AS recent,
    (SELECT epoch($now) - epoch(greatest(min(first_at), $now - INTERVAL 7 DAY)) FROM processes) / 86400 AS days;
-- Messages about alerts that did not arrive, of the last day.
SELECT
    channel, count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'waiting') AS waiting,
    max_by(error, made_at) AS error
FROM alert_messages
WHERE error IS NOT NULL AND status IN ('failed', 'waiting') AND made_at >= $now - INTERVAL 1 DAY
GROUP BY channel
ORDER BY failed + waiting DESC, channel;
