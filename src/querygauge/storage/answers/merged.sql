-- The rows of a span into `merged`, in memory: one row per service, pattern and tags, with the columns that `history_by`
-- needs of `query_history`, whenever it was. A week of hours is 168 rows there and one here.
CREATE OR REPLACE TABLE memory.merged AS
WITH chosen AS (
    FROM query_history(date_trunc('minute', make_timestamp($since)), make_timestamp($until), $daily::BOOLEAN)
    WHERE ($service IS NULL OR service = $service)
),
-- Millions of buckets are grouped by their place: by number that takes a sixth of the time that it takes by tags.
places AS MATERIALIZED (
    SELECT row_number() OVER () AS place, * FROM (SELECT DISTINCT service, pattern_id, tags, scale FROM chosen)
),
-- Not materialized: lists are copied in more time than they are read again.
numbered AS NOT MATERIALIZED (
    SELECT place, chosen.* FROM chosen JOIN places USING (service, pattern_id, tags, scale)
),
sums AS (
    SELECT
        place, sum(executions)::BIGINT AS executions, sum(ok)::BIGINT AS ok, sum(error)::BIGINT AS error,
        sum(timeout)::BIGINT AS timeout, sum(cancelled)::BIGINT AS cancelled, sum(slow)::BIGINT AS slow,
        sum(total_ns)::BIGINT AS total_ns, coalesce(min(min_ns) FILTER (executions > 0), 0) AS min_ns,
        max(max_ns) AS max_ns
    FROM numbered
    GROUP BY place
),
pairs AS (
    SELECT place, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM numbered
),
counts AS (
    SELECT place, k, sum(n)::BIGINT AS n FROM pairs GROUP BY ALL
),
buckets AS (
    SELECT place, list(k) AS bucket_k, list(n) AS bucket_n FROM counts GROUP BY place
)
SELECT * EXCLUDE (place)
FROM places JOIN sums USING (place) LEFT JOIN buckets USING (place);
