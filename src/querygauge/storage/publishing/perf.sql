-- The views of perf.duckdb, over files that are named with their folders. What one column is added to later is read too,
-- as columns are matched by their names.

-- Every pattern of every week, the latest week first.
CREATE VIEW perf_all_weeks AS
SELECT * FROM read_parquet({weeks}, union_by_name = true) ORDER BY week_start DESC, total_ms DESC, pattern_id;

-- Those that were slow in their week.
CREATE VIEW perf_slow_patterns AS
SELECT * FROM perf_all_weeks WHERE slow_flag ORDER BY week_start DESC, p95_ms DESC, pattern_id;

-- The fifty patterns with most time over all weeks; percentiles come from adding up the buckets of the weeks.
CREATE VIEW perf_top_patterns AS
WITH top AS (
    SELECT
        pattern_id, arg_max(pattern, week_start) AS pattern, arg_max(summary, week_start) AS summary,
        sum(samples)::BIGINT AS total_samples, sum(total_ms) AS total_ms, min(min_ms) AS min_ms, max(max_ms) AS max_ms,
        coalesce(100 * sum(errors) / nullif(sum(ok + errors), 0), 0)::DOUBLE AS error_rate, min(scale) AS coarsest,
        min(first_seen) AS first_seen, max(week_start) AS last_week, count(*) AS weeks_present
    FROM perf_all_weeks
    GROUP BY pattern_id
    ORDER BY total_ms DESC, pattern_id
    LIMIT 50
),
pairs AS (
    SELECT pattern_id, scale, unnest(bucket_k) AS k, unnest(bucket_n) AS n FROM perf_all_weeks
),
counts AS (
    SELECT pattern_id, ceil(k / (1 << (scale - coarsest)))::BIGINT AS k, sum(n) AS n
    FROM pairs JOIN top USING (pattern_id)
    GROUP BY ALL
),
ranks AS (
    SELECT pattern_id, k, sum(n) OVER (PARTITION BY pattern_id ORDER BY k) AS rank FROM counts
),
found AS (
    SELECT
        pattern_id,
        min(k) FILTER (rank >= greatest(1, ceil(0.5 * total_samples))) AS k50,
        min(k) FILTER (rank >= greatest(1, ceil(0.95 * total_samples))) AS k95,
        min(k) FILTER (rank >= greatest(1, ceil(0.99 * total_samples))) AS k99
    FROM ranks JOIN top USING (pattern_id)
    GROUP BY pattern_id
)
SELECT
    pattern_id, pattern, summary, total_samples, bucket_ms(k50, coarsest, 0.5, total_samples, min_ms, max_ms) AS p50_ms,
    bucket_ms(k95, coarsest, 0.95, total_samples, min_ms, max_ms) AS p95_ms,
    bucket_ms(k99, coarsest, 0.99, total_samples, min_ms, max_ms) AS p99_ms,
    min_ms, max_ms, total_ms, error_rate, first_seen, last_week, weeks_present
FROM top JOIN found USING (pattern_id)
ORDER BY total_ms DESC, pattern_id;

-- Statistics by hour, as in query_stats_hourly of the store; of days that were archived only, from the archive.
CREATE VIEW perf_hours AS
{hours};

-- All patterns.
CREATE VIEW perf_patterns AS
SELECT * FROM read_parquet({patterns}, union_by_name = true);
