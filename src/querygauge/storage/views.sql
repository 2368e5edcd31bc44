-- What readers and people ask with, made with the tables and again by each migration. Macros look for tables where the
-- connection looks: open the file, or attach it and USE it.

-- Where the history of a span is read: whole days and hours that are rolled up from those tables, the rest by minutes.
-- Minutes and hours that were dropped for their age are there as part of an hour or a day only, so a span that begins
-- within one has all of it. With `daily` days serve wherever a whole one lies in the span; without, hours do; where it
-- is NULL, only minutes do, as long as they are kept.
CREATE OR REPLACE MACRO history_cut(since, until, daily) AS TABLE
WITH known AS (
    SELECT
        since::TIMESTAMP AS begin_at, until::TIMESTAMP AS end_at,
        coalesce((SELECT max(minutes_since) FROM meta), '0001-01-01'::TIMESTAMP) AS minutes_since,
        coalesce((SELECT max(hours_since) FROM meta), '0001-01-01'::TIMESTAMP) AS hours_since,
        coalesce((SELECT min(period) FROM pending_rollups WHERE tier = 'hour'), '9999-12-31'::TIMESTAMP) AS hours_until,
        coalesce((SELECT min(period) FROM pending_rollups WHERE tier = 'day'), '9999-12-31'::TIMESTAMP) AS days_until
),
hours AS (
    SELECT
        *,
        CASE WHEN begin_at < minutes_since THEN date_trunc('hour', begin_at)
            ELSE date_trunc('hour', begin_at + INTERVAL '59 minutes 59.999999 seconds') END AS hour_from,
        CASE WHEN end_at <= minutes_since THEN end_at
            WHEN daily IS NULL THEN minutes_since
            ELSE greatest(minutes_since, least(date_trunc('hour', end_at), hours_until)) END AS hour_until
    FROM known
),
whole_hours AS (
    SELECT * REPLACE (CASE WHEN hour_from < hour_until THEN hour_from ELSE begin_at END AS hour_from,
        CASE WHEN hour_from < hour_until THEN hour_until ELSE begin_at END AS hour_until)
    FROM hours
),
days AS (
    SELECT
        *,
        CASE WHEN hour_from < hours_since THEN date_trunc('day', hour_from)
            WHEN daily THEN date_trunc('day', hour_from + INTERVAL '23 hours 59 minutes 59.999999 seconds')
            ELSE hour_until END AS day_from,
        CASE WHEN hour_until <= hours_since THEN hour_until
            WHEN daily THEN greatest(hours_since, least(date_trunc('day', hour_until), days_until))
            ELSE hours_since END AS day_until
    FROM whole_hours
)
SELECT
    begin_at, end_at, hour_from, hour_until,
    CASE WHEN day_from < day_until THEN day_from ELSE hour_from END AS day_from,
    CASE WHEN day_from < day_until THEN day_until ELSE hour_from END AS day_until
FROM days;

-- The rows of a span from wherever they are; `scale` is that of their buckets, and `at` the begin of their period. Each
-- part is a range of its own: of one with an OR, DuckDB reads the whole table.
CREATE OR REPLACE MACRO query_history(since, until, daily) AS TABLE
WITH cut AS (
    FROM history_cut(since, until, daily)
),
parts AS (
    SELECT "minute" AS "at", 5 AS scale, m.* EXCLUDE ("minute")
    FROM query_stats AS m, cut
    WHERE "minute" >= begin_at AND "minute" < hour_from
    UNION ALL BY NAME
    SELECT "hour" AS "at", 5 AS scale, h.* EXCLUDE ("hour")
    FROM query_stats_hourly AS h, cut
    WHERE "hour" >= hour_from AND "hour" < day_from
    UNION ALL BY NAME
    SELECT "day" AS "at", 4 AS scale, d.* EXCLUDE ("day")
    FROM query_stats_daily AS d, cut
    WHERE "day" >= day_from AND "day" < day_until
    UNION ALL BY NAME
    SELECT "hour" AS "at", 5 AS scale, h.* EXCLUDE ("hour")
    FROM query_stats_hourly AS h, cut
    WHERE "hour" >= day_until AND "hour" < hour_until
    UNION ALL BY NAME
    SELECT "minute" AS "at", 5 AS scale, m.* EXCLUDE ("minute")
    FROM query_stats AS m, cut
    WHERE "minute" >= hour_until AND "minute" < end_at
)
FROM parts;

-- Numbers of a span by `key`, a struct of what `h`, a row of query_history, or `p`, its pattern, has; an empty text
-- chooses nothing, and is the default, as DuckLake keeps one of NULL as the text 'NULL'. Percentiles come from adding up
-- buckets: by nearest rank, at most 1.09 % off, 2.2 % where days serve, and
-- exact where the shortest or the longest is asked for.
CREATE OR REPLACE MACRO history_by(key, since, until, daily, pattern := '', service := '') AS TABLE
WITH chosen AS (
    SELECT key AS place, h.*
    FROM query_history(since, until, daily) AS h LEFT JOIN patterns AS p ON p.pattern_id = h.pattern_id
    WHERE (coalesce(pattern, '') = '' OR h.pattern_id = pattern) AND (coalesce(service, '') = '' OR h.service = service)
),
scales AS (
    SELECT coalesce(min(scale), 5) AS coarsest FROM chosen
),
sums AS (
    SELECT
        place, sum(executions)::BIGINT AS executions, sum(ok)::BIGINT AS ok, sum(error)::BIGINT AS error,
        sum(timeout)::BIGINT AS timeout, sum(cancelled)::BIGINT AS cancelled, sum(slow)::BIGINT AS slow,
        sum(total_ns) / 1e6 AS total_ms, min(min_ns) FILTER (executions > 0) / 1e6 AS min_ms, max(max_ns) / 1e6 AS max_ms
    FROM chosen
    GROUP BY place
),
-- Millions of buckets are grouped by a number and not by the struct it stands for, which takes twice the time for tags.
places AS (
    SELECT row_number() OVER () AS number, place, scale FROM (SELECT DISTINCT place, scale FROM chosen)
),
pairs AS (
    SELECT number, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM chosen JOIN places USING (place, scale)
),
numbered AS (
    SELECT number, k, sum(n) AS n FROM pairs GROUP BY ALL
),
counts AS (
    SELECT place, ceil(k / (1 << (scale - coarsest)))::BIGINT AS k, sum(n) AS n
    FROM numbered JOIN places USING (number), scales
    GROUP BY ALL
),
-- As whole numbers: a rank is compared with for each bucket, and a decimal takes more than twice the time.
wanted AS (
    SELECT
        place, greatest(1, ceil(0.5 * executions))::BIGINT AS rank50,
        greatest(1, ceil(0.95 * executions))::BIGINT AS rank95, greatest(1, ceil(0.99 * executions))::BIGINT AS rank99
    FROM sums
),
ranks AS (
    SELECT place, k, (sum(n) OVER (PARTITION BY place ORDER BY k))::BIGINT AS rank FROM counts
),
found AS (
    SELECT
        place, min(k) FILTER (rank >= rank50) AS k50, min(k) FILTER (rank >= rank95) AS k95,
        min(k) FILTER (rank >= rank99) AS k99
    FROM ranks JOIN wanted USING (place)
    GROUP BY place
)
SELECT
    unnest(place), sums.* EXCLUDE (place),
    bucket_ms(k50, coarsest, 0.5, executions, min_ms, max_ms) AS p50_ms,
    bucket_ms(k95, coarsest, 0.95, executions, min_ms, max_ms) AS p95_ms,
    bucket_ms(k99, coarsest, 0.99, executions, min_ms, max_ms) AS p99_ms
FROM sums JOIN found USING (place), scales;

-- By pattern: executions by how they ended, slow ones, milliseconds in all, and 50th, 95th and 99th percentile.
CREATE OR REPLACE MACRO pattern_quantiles(since, until, service := '') AS TABLE
SELECT q.*, p.summary, p.text
FROM history_by(
    {'pattern_id': h.pattern_id}, since, until, until::TIMESTAMP - since::TIMESTAMP > INTERVAL 45 DAY, service := service
) AS q
JOIN patterns AS p USING (pattern_id)
ORDER BY total_ms DESC;

-- The same by time, as of the start of each `width`, of all patterns or one.
CREATE OR REPLACE MACRO quantiles_over_time(since, until, width := '1 hour', pattern := '', service := '') AS TABLE
FROM history_by(
    {'at': time_bucket(width::INTERVAL, h."at")}, since, until,
    CASE WHEN width::INTERVAL >= INTERVAL 1 HOUR THEN width::INTERVAL >= INTERVAL 1 DAY END,
    pattern := pattern, service := service
)
ORDER BY "at";
