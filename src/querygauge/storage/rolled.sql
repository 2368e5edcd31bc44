-- The rows of `finer`, in memory, into `rolled`: one row per period, service, target, pattern, scope and tags. $factor
-- is how many buckets of the finer scale make one.
CREATE OR REPLACE TABLE memory.rolled AS
WITH keyed AS (
    SELECT
        -- A struct of keys is grouped and joined as one, NULL as equal to NULL.
        {'period': period, 'service': service, 'target': target, 'pattern_id': pattern_id, 'scope': scope,
            'tags': tags} AS key,
        *
    FROM memory.finer
),
-- Buckets are grouped by a number and not by the key it stands for, which takes twice as long.
places AS MATERIALIZED (
    SELECT row_number() OVER () AS place, key FROM (SELECT DISTINCT key FROM keyed)
),
numbered AS (
    SELECT place, keyed.* FROM keyed JOIN places USING (key)
),
sums AS (
    SELECT
        place,
        sum(executions)::BIGINT AS executions, sum(ok)::BIGINT AS ok, sum(error)::BIGINT AS error,
        sum(timeout)::BIGINT AS timeout, sum(cancelled)::BIGINT AS cancelled, sum(slow)::BIGINT AS slow,
        sum(rows)::BIGINT AS rows, sum(rows_known)::BIGINT AS rows_known, sum(total_ns)::BIGINT AS total_ns,
        coalesce(min(min_ns) FILTER (executions > 0), 0) AS min_ns, max(max_ns) AS max_ns,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen,
        sum(pool_wait_ns)::BIGINT AS pool_wait_ns, sum(connect_ns)::BIGINT AS connect_ns,
        sum(begin_ns)::BIGINT AS begin_ns, sum(prepare_ns)::BIGINT AS prepare_ns, sum(fetch_ns)::BIGINT AS fetch_ns,
        sum(stream_ns)::BIGINT AS stream_ns, sum(commit_ns)::BIGINT AS commit_ns,
        sum(loop_lag_ns)::BIGINT AS loop_lag_ns
    FROM numbered
    GROUP BY place
),
pairs AS (
    SELECT place, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM numbered
),
counts AS (
    SELECT place, ceil(k / $factor::DOUBLE)::SMALLINT AS k, sum(n)::BIGINT AS n FROM pairs GROUP BY ALL
),
buckets AS (
    SELECT place, list(k ORDER BY k) AS bucket_k, list(n ORDER BY k) AS bucket_n FROM counts GROUP BY place
),
found AS (
    SELECT place, unnest(lines) AS line, unnest(line_counts) AS n FROM numbered
),
by_line AS (
    SELECT place, line, sum(n)::BIGINT AS n FROM found GROUP BY ALL
),
lines AS (
    SELECT place, list(line ORDER BY n DESC, line)[:8] AS lines, list(n ORDER BY n DESC, line)[:8] AS line_counts
    FROM by_line
    GROUP BY place
)
SELECT
    unnest(key), sums.* EXCLUDE (place), coalesce(bucket_k, []) AS bucket_k, coalesce(bucket_n, []) AS bucket_n,
    coalesce(lines, []) AS lines, coalesce(line_counts, []) AS line_counts
FROM places JOIN sums USING (place) LEFT JOIN buckets USING (place) LEFT JOIN lines USING (place)
ORDER BY key;
