-- How content somebody who waits for statements may be, by day; made like those of views.sql and after them.

-- What is slow for each service, as its last process had it; the default where that did not say.
CREATE OR REPLACE VIEW slow_thresholds AS
SELECT service, coalesce(max_by(slow_threshold_ms, last_at), 1000)::DOUBLE AS threshold_ms
FROM processes
GROUP BY service
ORDER BY service;

-- query_history with how many executions took at most a quarter of the slow threshold, `satisfied`, and how many more at
-- most all of it, `tolerating`. A threshold is a bound inside a bucket, and that counts whole: it is taken at most 2.2 %
-- higher, and 4.4 % where days serve. Buckets ascend, so those within a bound are the first ones.
CREATE OR REPLACE MACRO rated_history(since, until, daily) AS TABLE
WITH bounded AS (
    SELECT
        h.*, log2(greatest(coalesce(threshold_ms, 1000), 1e-6) / 1e3) AS bound, pow(2, scale) AS per_octave
    FROM query_history(since, until, daily) AS h
    LEFT JOIN slow_thresholds AS t ON t.service = h.service
)
SELECT
    * EXCLUDE (bound, per_octave),
    coalesce(list_sum([n for n, i in bucket_n if bucket_k[i] <= ceil((bound - 2) * per_octave)]), 0)::BIGINT AS satisfied,
    coalesce(list_sum([n for n, i in bucket_n if bucket_k[i] <= ceil(bound * per_octave)]), 0)::BIGINT - satisfied
        AS tolerating
FROM bounded;

-- Numbers since a moment by `key`, as history_by takes one, with the buckets themselves, their `scale`, the quality, and
-- the cost by the price that the collector was given. Of failures nobody keeps how long they took: timeouts are taken for
-- the slowest executions, other errors for the quickest.
CREATE OR REPLACE MACRO performance_by(key, since) AS TABLE
WITH chosen AS (
    SELECT key AS place, h.*
    FROM rated_history(since, '9999-12-31'::TIMESTAMP, true) AS h LEFT JOIN patterns AS p ON p.pattern_id = h.pattern_id
),
scales AS (
    SELECT coalesce(min(scale), 5) AS coarsest FROM chosen
),
-- Buckets are grouped by a number and not by the struct it stands for, which takes several times as long.
places AS MATERIALIZED (
    SELECT row_number() OVER () AS number, place FROM (SELECT DISTINCT place FROM chosen)
),
-- Not materialized: lists are copied in more time than they are read again.
numbered AS NOT MATERIALIZED (
    SELECT number, chosen.* EXCLUDE (place) FROM chosen JOIN places USING (place)
),
sums AS (
    SELECT
        number, sum(executions)::BIGINT AS executions, sum(ok)::BIGINT AS succeeded,
        sum(error + timeout)::BIGINT AS errors, sum(error)::BIGINT AS failed, sum(timeout)::BIGINT AS timeouts,
        sum(satisfied)::BIGINT AS satisfied, sum(tolerating)::BIGINT AS tolerating, sum(total_ns) / 1e6 AS total_ms,
        min(min_ns) FILTER (executions > 0) / 1e6 AS min_ms, max(max_ns) / 1e6 AS max_ms
    FROM numbered
    GROUP BY number
),
left_by_failures AS (
    SELECT
        number, greatest(0, timeouts - (executions - satisfied - tolerating)) AS within_threshold,
        greatest(0, tolerating - within_threshold) AS tolerating_left,
        greatest(0, satisfied - greatest(0, within_threshold - tolerating)) AS satisfied_left,
        greatest(0, tolerating_left - greatest(0, failed - satisfied_left)) AS tolerated,
        greatest(0, satisfied_left - failed) AS content
    FROM sums
),
pairs AS (
    SELECT number, scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM numbered
),
counts AS (
    SELECT number, ceil(k / (1 << (scale - coarsest)))::SMALLINT AS k, sum(n)::BIGINT AS n
    FROM pairs, scales
    GROUP BY ALL
),
wanted AS (
    SELECT
        number, greatest(1, ceil(0.5 * executions))::BIGINT AS rank50, greatest(1, ceil(0.95 * executions))::BIGINT AS rank95
    FROM sums
),
ranks AS (
    SELECT number, k, n, (sum(n) OVER (PARTITION BY number ORDER BY k))::BIGINT AS rank FROM counts
),
found AS (
    SELECT
        number, min(k) FILTER (rank >= rank50) AS k50, min(k) FILTER (rank >= rank95) AS k95,
        list(k ORDER BY k) AS bucket_k, list(n ORDER BY k) AS bucket_n
    FROM ranks JOIN wanted USING (number)
    GROUP BY number
)
SELECT
    unnest(place), executions, succeeded, errors, total_ms, total_ms / executions AS avg_ms, min_ms, max_ms,
    bucket_ms(k95, coarsest, 0.95, executions, min_ms, max_ms) AS p95_ms, k50, bucket_k, bucket_n, coarsest AS scale,
    total_ms / 3.6e6 * (SELECT max(price_per_hour) FROM meta) AS cost,
    100.0 * (content + tolerated / 2) / executions AS quality
FROM places JOIN sums USING (number) JOIN left_by_failures USING (number) JOIN found USING (number), scales;

-- What each pattern did by day, over thirty days. `expected_ms` is what its executions would have taken with the median
-- time of the four weeks before their day; NULL where it was not executed in those.
CREATE OR REPLACE VIEW pattern_performance_daily AS
WITH days AS (
    FROM performance_by(
        {'day': date_trunc('day', h."at"), 'service': h.service, 'pattern_id': h.pattern_id},
        date_trunc('day', utc_now()) - INTERVAL 58 DAY
    )
),
shown AS (
    FROM days WHERE "day" >= date_trunc('day', utc_now()) - INTERVAL 30 DAY
),
-- The median of several days lies between the least and the greatest of their medians, so no other bucket need be counted.
-- The last day is among those before no other one.
candidates AS (
    SELECT service, pattern_id, unnest(range(min(k50), max(k50) + 1)) AS k
    FROM (SELECT *, max("day") OVER (PARTITION BY service, pattern_id) AS last_day FROM days)
    WHERE "day" < last_day
    GROUP BY service, pattern_id
),
ranks AS (
    SELECT
        "day", service, pattern_id, executions, min_ms, max_ms, scale, k,
        coalesce(list_sum([n for n, i in bucket_n if bucket_k[i] <= k]), 0) AS rank
    FROM days JOIN candidates USING (service, pattern_id)
),
totals AS (
    SELECT
        "day", service, pattern_id, k, scale, sum(rank) OVER four_weeks AS rank,
        sum(executions) OVER four_weeks AS executions, min(min_ms) OVER four_weeks AS min_ms,
        max(max_ms) OVER four_weeks AS max_ms
    FROM ranks
    WINDOW four_weeks AS (
        PARTITION BY service, pattern_id, k ORDER BY "day"
        RANGE BETWEEN INTERVAL 28 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING
    )
),
medians AS (
    SELECT
        "day", service, pattern_id,
        bucket_ms(min(k), any_value(scale), 0.5, any_value(executions), any_value(min_ms), any_value(max_ms)) AS median_ms
    FROM totals
    WHERE rank >= greatest(1, ceil(0.5 * executions))
    GROUP BY "day", service, pattern_id
)
SELECT
    "day", service, pattern_id, summary, operation, executions, succeeded, errors, total_ms, avg_ms, p95_ms, bucket_k,
    bucket_n, scale, cost, executions * median_ms AS expected_ms, quality
FROM shown JOIN patterns USING (pattern_id) LEFT JOIN medians USING ("day", service, pattern_id)
ORDER BY "day", total_ms DESC, service, pattern_id;

-- What was executed with each value of each tag by day, over thirty days.
CREATE OR REPLACE VIEW tag_performance_daily AS
SELECT
    "day", service, entry.key AS tag, entry.value AS value, operation, executions, succeeded, errors, total_ms, avg_ms,
    p95_ms, bucket_k, bucket_n, scale, cost, quality
FROM performance_by(
    {'day': date_trunc('day', h."at"), 'service': h.service, 'entry': unnest(map_entries(h.tags)),
        'operation': p.operation},
    date_trunc('day', utc_now()) - INTERVAL 30 DAY
)
ORDER BY "day", service, tag, value, total_ms DESC, operation;
