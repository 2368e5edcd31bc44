-- What was executed in each part of a span, for each of some subjects; a subject's NULL stands for any. Where `daily` is
-- NULL only minutes are read, whose parts may be as short as one.
WITH subjects AS (
    SELECT
        unnest($numbers) AS number, unnest($services) AS service, unnest($targets) AS target,
        unnest($pattern_ids) AS pattern_id, unnest($are_of_queries) AS is_of_queries
),
-- Not materialized: lists are copied in more time than they are read again.
chosen AS NOT MATERIALIZED (
    SELECT
        number, greatest(0, (epoch_us(h."at") - $since) // $step_us)::INTEGER AS part, h.*
    FROM query_history(make_timestamp($since), make_timestamp($until), $daily::BOOLEAN) AS h
    JOIN subjects AS s ON (s.service IS NULL OR s.service = h.service) AND (s.target IS NULL OR s.target = h.target)
        AND (s.pattern_id IS NULL OR s.pattern_id = h.pattern_id)
    LEFT JOIN store.patterns AS p ON p.pattern_id = h.pattern_id
    WHERE NOT is_of_queries OR p.category = 'query'
),
scales AS (
    SELECT coalesce(min(scale), 5) AS coarsest FROM chosen
),
sums AS (
    SELECT
        number, part, sum(executions)::BIGINT AS executions, sum(ok)::BIGINT AS ok, sum(error)::BIGINT AS error,
        sum(timeout)::BIGINT AS timeout, sum(cancelled)::BIGINT AS cancelled, sum(slow)::BIGINT AS slow,
        sum(total_ns)::HUGEINT AS total_ns, coalesce(min(min_ns) FILTER (executions > 0), 0) AS min_ns,
        max(max_ns) AS max_ns, sum(loop_lag_ns) / 1e6 AS loop_lag_ms
    FROM chosen
    GROUP BY number, part
),
pairs AS (
    SELECT number, part, scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM chosen
),
counts AS (
    SELECT number, part, ceil(k / (1 << (scale - coarsest)))::SMALLINT AS k, sum(n)::BIGINT AS n
    FROM pairs, scales
    GROUP BY ALL
),
buckets AS (
    SELECT number, part, list(k) AS bucket_k, list(n) AS bucket_n FROM counts GROUP BY number, part
)
SELECT sums.*, coarsest, bucket_k, bucket_n
FROM sums LEFT JOIN buckets USING (number, part), scales
ORDER BY number, part
