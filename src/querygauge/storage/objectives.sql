-- Of the statements of an objective, how many count and how many missed it, in each of some spans that end together.
-- `bucket` is that of the longest duration that is in time; NULL where success is what counts.
WITH spans AS (
    SELECT unnest($names) AS span, make_timestamp(unnest($since)) AS since
),
chosen AS NOT MATERIALIZED (
    SELECT h.*
    FROM query_history(make_timestamp($earliest), make_timestamp($until), $daily::BOOLEAN) AS h
    JOIN store.patterns AS p ON p.pattern_id = h.pattern_id
    WHERE h.service = $service AND ($scope IS NULL OR h.scope GLOB $scope)
        AND starts_with(h.pattern_id, $pattern) AND ($bucket IS NULL OR p.category = 'query')
),
counts AS (
    SELECT "at", sum(executions) AS executions, sum(ok) AS ok, sum(error + timeout) AS failed
    FROM chosen
    GROUP BY "at"
),
pairs AS (
    SELECT "at", scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM chosen WHERE $bucket IS NOT NULL
),
late AS (
    SELECT "at", sum(n) AS n FROM pairs WHERE k > ceil($bucket / (1 << (5 - scale))) GROUP BY "at"
)
SELECT
    span,
    coalesce(sum(CASE WHEN $bucket IS NULL THEN ok + failed ELSE executions END), 0)::BIGINT AS count,
    coalesce(sum(CASE WHEN $bucket IS NULL THEN failed ELSE coalesce(late.n, 0) END), 0)::BIGINT AS missed
FROM spans LEFT JOIN counts ON counts."at" >= since LEFT JOIN late USING ("at")
GROUP BY span
