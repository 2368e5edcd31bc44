-- What each pattern did within one week, all services together, from the files of its days into `weekly`; `earlier` has
-- the patterns of the weeks before, and `known` all patterns.
CREATE OR REPLACE TABLE memory.weekly AS
WITH hours AS (
    FROM read_parquet($days, union_by_name = true)
),
scales AS (
    SELECT coalesce(min(scale), 5)::TINYINT AS coarsest FROM hours
),
sums AS (
    SELECT
        pattern_id, list_sort(list(DISTINCT service)) AS services, sum(executions)::BIGINT AS samples,
        sum(ok)::BIGINT AS ok, sum(error + timeout)::BIGINT AS errors, sum(total_ns) / 1e6 AS total_ms,
        min(min_ns) FILTER (executions > 0) / 1e6 AS min_ms, max(max_ns) / 1e6 AS max_ms, min(first_seen) AS first_seen
    FROM hours
    GROUP BY pattern_id
),
pairs AS (
    SELECT pattern_id, scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM hours
),
counts AS (
    SELECT pattern_id, ceil(k / (1 << (scale - coarsest)))::SMALLINT AS k, sum(n)::BIGINT AS n
    FROM pairs, scales
    GROUP BY ALL
),
ranks AS (
    SELECT pattern_id, k, n, sum(n) OVER (PARTITION BY pattern_id ORDER BY k) AS rank FROM counts
),
buckets AS (
    SELECT
        pattern_id, list(k ORDER BY k) AS bucket_k, list(n ORDER BY k) AS bucket_n,
        min(k) FILTER (rank >= greatest(1, ceil(0.5 * samples))) AS k50,
        min(k) FILTER (rank >= greatest(1, ceil(0.95 * samples))) AS k95,
        min(k) FILTER (rank >= greatest(1, ceil(0.99 * samples))) AS k99
    FROM ranks JOIN sums USING (pattern_id)
    GROUP BY pattern_id
),
found AS (
    SELECT pattern_id, unnest(lines) AS line, unnest(line_counts) AS n FROM hours
),
by_line AS (
    SELECT pattern_id, line, sum(n) AS n FROM found GROUP BY ALL
),
sites AS (
    SELECT pattern_id, list(line ORDER BY n DESC, line)[:3] AS call_sites FROM by_line GROUP BY pattern_id
),
past AS (
    SELECT
        pattern_id, count(*) AS weeks, any_value(p95_ms) FILTER (week_start = $week_start - INTERVAL 7 DAY) AS p95_ms
    FROM memory.earlier
    GROUP BY pattern_id
),
measured AS (
    SELECT
        sums.*, coarsest, bucket_k, bucket_n,
        bucket_ms(k50, coarsest, 0.5, samples, min_ms, max_ms) AS p50_ms,
        bucket_ms(k95, coarsest, 0.95, samples, min_ms, max_ms) AS p95_ms,
        bucket_ms(k99, coarsest, 0.99, samples, min_ms, max_ms) AS p99_ms
    FROM sums JOIN buckets USING (pattern_id), scales
)
SELECT
    $week::INTEGER AS week, $week_start::DATE AS week_start, m.pattern_id, coalesce(k.text, '') AS pattern,
    coalesce(k.summary, '') AS summary, coalesce(k.category, 'query') AS category, m.services, m.samples, m.p50_ms, m.p95_ms,
    m.p99_ms, m.min_ms, m.max_ms, m.total_ms, coalesce(100 * m.total_ms / nullif(sum(m.total_ms) OVER (), 0), 0) AS share_percent,
    m.ok, m.errors, coalesce(100 * m.errors / nullif(m.ok + m.errors, 0), 0)::DOUBLE AS error_rate,
    m.p95_ms > $slow_ms AS slow_flag, $slow_ms::DOUBLE AS slow_ms, past.p95_ms AS previous_p95_ms,
    100 * (m.p95_ms / nullif(past.p95_ms, 0) - 1) AS change_percent,
    least(m.first_seen, coalesce(k.first_seen, m.first_seen)) AS first_seen,
    coalesce(past.weeks, 0) + 1 AS weeks_present, coalesce(s.call_sites, []) AS call_sites,
    m.coarsest AS scale, m.bucket_k, m.bucket_n
FROM measured AS m
LEFT JOIN memory.known AS k USING (pattern_id)
LEFT JOIN sites AS s USING (pattern_id)
LEFT JOIN past USING (pattern_id)
ORDER BY m.total_ms DESC, m.pattern_id;
