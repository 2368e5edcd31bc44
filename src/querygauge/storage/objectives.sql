-- Of the statements of each objective, how many count and how many missed it, in each of some spans that end together.
-- Whatever the number of objectives, the history is read once. `bucket` is that of the longest duration that is in time;
-- NULL where success is what counts.
WITH wanted AS (
    SELECT
        unnest($numbers) AS number, unnest($services) AS service, unnest($scopes_like) AS scope,
        unnest($patterns) AS pattern, unnest($buckets)::BIGINT AS bucket
),
spans AS (
    SELECT unnest($names) AS span, make_timestamp(unnest($since)) AS since
),
history AS NOT MATERIALIZED (
    SELECT *
    FROM query_history(make_timestamp($earliest), make_timestamp($until), $daily::BOOLEAN)
    WHERE list_contains($services, service) AND ($is_anywhere OR list_contains($scopes, scope))
),
-- Of the spans that a moment lies in the shortest. To ask that of each row would sort millions of buckets.
moments AS MATERIALIZED (
    SELECT "at", max(since) AS since FROM (SELECT DISTINCT "at" FROM history) JOIN spans ON "at" >= since GROUP BY "at"
),
-- Buckets are grouped by a number and not by the names it stands for, which takes twice the time.
numbered AS MATERIALIZED (
    SELECT row_number() OVER () AS place, service, coalesce(scope, chr(0)) AS scope, pattern_id
    FROM (SELECT DISTINCT service, scope, pattern_id FROM history)
),
counted AS MATERIALIZED (
    SELECT number, bucket, place
    FROM wanted
    JOIN numbered AS n ON n.service = wanted.service AND (wanted.scope IS NULL OR n.scope LIKE wanted.scope ESCAPE '\')
        AND starts_with(n.pattern_id, pattern)
    JOIN store.patterns AS p ON p.pattern_id = n.pattern_id AND (bucket IS NULL OR p.category = 'query')
),
placed AS NOT MATERIALIZED (
    SELECT place, since, scale, executions, ok, error + timeout AS failed, bucket_k, bucket_n
    FROM history AS h
    JOIN numbered AS n
        ON n.service = h.service AND n.pattern_id = h.pattern_id AND n.scope = coalesce(h.scope, chr(0))
    JOIN moments USING ("at")
),
sums AS (
    SELECT place, since, sum(executions) AS executions, sum(ok) AS ok, sum(failed) AS failed FROM placed GROUP BY ALL
),
pairs AS (
    SELECT place, since, scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n
    FROM placed
    WHERE place IN (SELECT place FROM counted WHERE bucket IS NOT NULL)
),
buckets AS (
    SELECT place, since, scale, k, sum(n) AS n
    FROM pairs
    WHERE k > ceil((SELECT min(bucket) FROM wanted) / (1 << (5 - scale)))
    GROUP BY ALL
),
together AS (
    SELECT
        number, since, sum(CASE WHEN bucket IS NULL THEN ok + failed ELSE executions END) AS count,
        sum(CASE WHEN bucket IS NULL THEN failed ELSE 0 END) AS missed
    FROM counted JOIN sums USING (place)
    GROUP BY number, since
    UNION ALL BY NAME
    SELECT number, since, 0 AS count, sum(n) AS missed
    FROM counted JOIN buckets USING (place)
    WHERE k > ceil(bucket / (1 << (5 - scale)))
    GROUP BY number, since
)
SELECT number, span, sum(count)::BIGINT AS count, sum(missed)::BIGINT AS missed
FROM together JOIN spans ON together.since >= spans.since
GROUP BY number, span
