-- Tables that dashboards and people read as they are, made like those of views.sql and after them.

-- Now, in UTC, also where DuckDB has no time zones.
CREATE OR REPLACE MACRO utc_now() AS make_timestamp(epoch_us(now()));

-- What each pool did by hour, processes together, over seven days. `checkouts` were asked for and `succeeded` were had;
-- `p95_wait_ms` is by nearest rank of buckets that were added up. `pool_size` is that at the end of the hour, of the processes
-- that still told then: one that has not for a minute and a half, nor for twice as long as it usually takes, has ended and
-- took its connections along. `peak_active` is the most of any one process.
CREATE OR REPLACE VIEW pool_performance_hourly AS
WITH
-- Not materialized: lists are copied in more time than they are read again.
chosen AS NOT MATERIALIZED (
    SELECT date_trunc('hour', "minute") AS "hour", s.*
    FROM pool_stats AS s
    WHERE "minute" >= date_trunc('hour', utc_now()) - INTERVAL 7 DAY
),
-- Millions of buckets are grouped by a number and not by the names it stands for, which takes twice as long.
places AS MATERIALIZED (
    SELECT row_number() OVER () AS number, "hour", service, pool
    FROM (SELECT DISTINCT "hour", service, pool FROM chosen)
),
numbered AS NOT MATERIALIZED (
    SELECT number, chosen.* FROM chosen JOIN places USING ("hour", service, pool)
),
latest AS (
    SELECT
        number, process, max_by(pool_size, state_at) AS pool_size, max(state_at) AS told_at,
        (epoch(told_at) - epoch(min(state_at))) / greatest(1, count(*) - 1) AS every_s
    FROM numbered
    GROUP BY ALL
),
sizes AS (
    SELECT number, sum(pool_size) AS pool_size
    FROM (SELECT *, max(told_at) OVER (PARTITION BY number) AS last_at FROM latest)
    WHERE epoch(last_at) - epoch(told_at) <= greatest(90, 2 * every_s)
    GROUP BY number
),
sums AS (
    SELECT
        number, max_by(pool_class, state_at) AS pool_class, sum(requests)::BIGINT AS checkouts,
        sum(checkouts)::BIGINT AS succeeded, sum(timeouts)::BIGINT AS timeouts, sum(errors)::BIGINT AS errors,
        sum(wait_count)::BIGINT AS waits, sum(wait_total_ns) / 1e6 AS waited_ms,
        min(wait_min_ns) FILTER (wait_count > 0) / 1e6 AS min_wait_ms, max(wait_max_ns) / 1e6 AS max_wait_ms,
        sum(use_total_ns) / 1e6 AS used_ms, sum(use_count) AS uses, max(peak_active) AS peak_active
    FROM numbered
    GROUP BY number
),
pairs AS (
    SELECT number, unnest(wait_k) AS k, unnest(wait_n) AS n FROM numbered
),
counts AS (
    SELECT number, k, sum(n) AS n FROM pairs GROUP BY ALL
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
    "hour", service, pool, pool_class, checkouts, succeeded, timeouts, errors,
    CASE WHEN waits > 0 THEN waited_ms / waits END AS avg_wait_ms,
    CASE WHEN waits > 0 THEN bucket_ms(k95, 5, 0.95, waits, min_wait_ms, max_wait_ms) END AS p95_wait_ms,
    CASE WHEN uses > 0 THEN used_ms / uses END AS avg_use_ms, peak_active, pool_size,
    CASE WHEN succeeded + timeouts + errors > 0
        THEN 100.0 * succeeded / (succeeded + timeouts + errors) END AS success_rate
FROM places JOIN sums USING (number) JOIN sizes USING (number) LEFT JOIN found USING (number)
ORDER BY "hour", service, pool;

-- What repeated by day, over ninety days: `times_found` units of work, in which `avoidable` statements came after the first
-- of their kind. Shown from five units on.
CREATE OR REPLACE VIEW repetition_daily AS
SELECT
    date_trunc('day', found_at) AS "day", max_by(kind, executions) AS class, max_by(fix, executions) AS fix, pattern_id,
    service, sum(scopes)::BIGINT AS times_found, sum(executions - scopes)::BIGINT AS avoidable,
    min(found_at) AS first_seen, max(found_at) AS last_seen
FROM repetitions
WHERE found_at >= date_trunc('day', utc_now()) - INTERVAL 90 DAY
GROUP BY "day", pattern_id, service
HAVING sum(scopes) >= 5
ORDER BY "day", avoidable DESC, pattern_id, service;
