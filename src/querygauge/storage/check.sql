-- What in `spooled` cannot be true: one row per file, with every reason. A checksum tells that a file arrived as it was
-- written; this tells that what was written makes sense. NULL compares as NULL, so `NOT coalesce(rule, false)` also
-- finds members that are absent. The rows are read once for all rules: a query for each takes longer to plan than to run.
WITH rules AS (
    SELECT file, concat_ws('; ',
        CASE WHEN query IS NOT NULL AND NOT coalesce(
            len(query.durations.k) = len(query.durations.n) AND coalesce(list_min(query.durations.n), 0) >= 0
            AND coalesce(list_sum(query.durations.n), 0) = query.durations.count AND query.durations.total_ns >= 0
            AND query.durations.min_ns >= 0 AND query.durations.max_ns >= query.durations.min_ns, false)
        THEN 'the buckets of a query must be >= 0 and add up to its count' END,
        CASE WHEN query IS NOT NULL AND NOT coalesce(
            query.ok >= 0 AND query.error >= 0 AND query.timeout >= 0 AND query.cancelled >= 0
            AND query.ok + query.error + query.timeout + query.cancelled = query.durations.count
            AND query.slow BETWEEN 0 AND query.durations.count
            AND query.rows_known BETWEEN 0 AND query.durations.count
            AND len(query.lines) = len(query.line_counts) AND coalesce(list_min(query.line_counts), 0) >= 0
            AND query.rows >= 0 AND query.target IS NOT NULL AND query.tags IS NOT NULL, false)
        THEN 'the counts of a query must be >= 0, and its outcomes add up to its executions' END,
        CASE WHEN query IS NOT NULL AND NOT coalesce(
            least(query.phases.pool_wait_ns, query.phases.connect_ns, query.phases.begin_ns,
                query.phases.prepare_ns, query.phases.fetch_ns, query.phases.stream_ns, query.phases.commit_ns,
                query.phases.loop_lag_ns) >= 0, false)
        THEN 'the phases of a query must be >= 0' END,
        CASE WHEN pattern IS NOT NULL AND NOT coalesce(
            pattern.id IS NOT NULL AND pattern.text IS NOT NULL AND pattern.summary IS NOT NULL
            AND pattern.operation IS NOT NULL AND pattern.tables IS NOT NULL AND pattern.dialect IS NOT NULL
            AND pattern.category IN ('query', 'transaction', 'session', 'catalog'), false)
        THEN 'a pattern must have all its members' END,
        -- only slow
        CASE WHEN slow IS NOT NULL AND NOT coalesce(
            slow.duration_ms >= 0 AND slow.loop_lag_ms >= 0 AND slow.outcome IN ('ok', 'error', 'timeout', 'cancelled')
            AND slow.target IS NOT NULL AND slow.pattern_id IS NOT NULL
            AND slow.summary IS NOT NULL AND slow.query IS NOT NULL, false)
        THEN 'a slow query must have a time, a pattern, a duration >= 0 and a known outcome' END,
        -- end
        -- only scope
        CASE WHEN scope IS NOT NULL AND NOT coalesce(
            scope.scope IS NOT NULL AND scope.tags IS NOT NULL AND scope.units >= 0 AND scope.unit_ms >= 0
            AND scope.ok >= 0 AND scope.error >= 0 AND scope.timeout >= 0 AND scope.cancelled >= 0
            AND scope.repeated >= 0 AND scope.total_ms >= 0 AND scope.max_executions >= 0 AND scope.max_ms >= 0, false)
        THEN 'the counts of a scope must be >= 0' END,
        -- end
        -- only pool
        CASE WHEN pool IS NOT NULL AND len([h for h IN [pool.wait, pool.use, pool."create"] if NOT coalesce(
            len(h.k) = len(h.n) AND coalesce(list_min(h.n), 0) >= 0 AND coalesce(list_sum(h.n), 0) = h.count
            AND h.total_ns >= 0 AND h.min_ns >= 0 AND h.max_ns >= h.min_ns, false)]) > 0
        THEN 'the buckets of a pool must be >= 0 and add up to its count' END,
        CASE WHEN pool IS NOT NULL AND NOT coalesce(
            pool.pool IS NOT NULL AND pool.holders IS NOT NULL
            AND pool.pool_size >= 0 AND pool.max_connections >= 0 AND pool.active >= 0 AND pool.idle >= 0
            AND pool.waiting >= 0 AND pool.overflow >= 0 AND pool.oldest_checkout_s >= 0
            AND pool.requests >= 0 AND pool.checkouts >= 0 AND pool.checkins >= 0
            AND pool.timeouts >= 0 AND pool.errors >= 0 AND pool.peak_active >= 0 AND pool.peak_waiting >= 0
            AND pool.health_checks_failed BETWEEN 0 AND pool.health_checks
            AND pool.leaks >= 0 AND pool.lost_to_cancellation >= 0
            AND coalesce(pool.idle_max, 0) >= 0 AND pool.idle_min >= 0
            AND len(pool.lost_patterns) = len(pool.lost_counts) AND coalesce(list_min(pool.lost_counts), 0) >= 0, false)
        THEN 'the gauges and counts of a pool must be >= 0' END,
        CASE WHEN pool IS NOT NULL AND NOT coalesce(
            pool.demand."limit" >= 0 AND pool.demand.full_ns >= 0
            AND len(pool.demand.levels) = len(pool.demand.ns) AND len(pool.demand.levels) = len(pool.demand.requests)
            AND coalesce(list_min(pool.demand.levels), 0) >= 0 AND coalesce(list_min(pool.demand.ns), 0) >= 0
            AND coalesce(list_min(pool.demand.requests), 0) >= 0, false)
        THEN 'the demand of a pool must be >= 0, and have a time and a number for each level' END,
        CASE WHEN len([one for one IN pool.checks if NOT coalesce(one.duration_ms >= 0, false)]) > 0
        THEN 'the durations of health checks must be >= 0' END,
        -- end
        -- only repetition
        CASE WHEN repetition IS NOT NULL AND NOT coalesce(
            repetition.target IS NOT NULL AND repetition.scopes >= 0
            AND repetition.executions >= 0 AND repetition.max_per_scope >= 0 AND repetition.total_ms >= 0
            AND repetition.parameters BETWEEN 0 AND repetition.compared AND repetition.parents >= 0
            AND repetition.origins >= 0 AND repetition.tasks >= 0 AND repetition.overlapping >= 0
            AND repetition.parallel_scopes >= 0
            AND repetition.kind IN
                ('lazy-load', 'refresh', 'loop', 'repeat-same-parameters', 'fan-out', 'write-loop')
            AND repetition.confidence IN ('certain', 'likely', 'possible')
            AND coalesce(repetition.cause, 'lazy') IN
                ('lazy', 'immediate', 'expired', 'refreshed', 'deferred', 'partial'), false)
        THEN 'the counts of a repetition must be >= 0, and its kind, confidence and cause be known' END,
        -- end
        -- only failed
        CASE WHEN failed IS NOT NULL AND NOT coalesce(
            failed.executions > 0 AND failed.target IS NOT NULL AND failed.error_type IS NOT NULL
            AND failed.message IS NOT NULL, false)
        THEN 'failed executions must have a number > 0, a target, a type and a message' END,
        -- end
        -- only running
        CASE WHEN running IS NOT NULL AND NOT coalesce(
            running.target IS NOT NULL AND running.queries IS NOT NULL
            AND running.executions >= 0 AND running.oldest_ms >= 0, false)
        THEN 'what runs must have a target, and its number and age be >= 0' END,
        CASE WHEN len([one for one IN running.queries if NOT coalesce(one.age_ms >= 0 AND one.held_ms >= 0, false)]) > 0
        THEN 'the ages of a running query must be >= 0' END,
        -- end
        CASE WHEN header.slow_threshold_ms < 0 OR header.flush_interval_s < 0
        THEN 'slow_threshold_ms and flush_interval_s must be >= 0' END,
        CASE WHEN header.usage.memory_bytes < 0 OR header.usage.memory_limit_bytes < 0 OR header.usage.cpu_s < 0
        THEN 'what a process takes must be >= 0' END,
        CASE WHEN header IS NOT NULL AND NOT coalesce(
            header.self_metrics.added_us >= 0 AND header.self_metrics.fold_us >= 0
            AND header.self_metrics.flush_lag_ms >= 0
            AND header.self_metrics.hook_errors >= 0 AND header.self_metrics.statements_dropped >= 0
            AND header.self_metrics.patterns_folded >= 0 AND header.self_metrics.scopes_folded >= 0
            AND header.self_metrics.slow_queries_dropped >= 0 AND header.self_metrics.alerts_dropped >= 0
            AND header.self_metrics.snapshots_dropped >= 0, false)
        THEN 'the header must have the counters of querygauge itself' END,
        CASE WHEN len([us for us IN CASE
                WHEN header IS NOT NULL THEN [header.started_us, header.ended_us]
                WHEN query IS NOT NULL THEN [query.first_us, query.last_us]
                WHEN slow IS NOT NULL THEN [slow.at_us]  -- only slow
                WHEN pool IS NOT NULL THEN list_concat([pool.at_us], [one.at_us for one IN pool.checks])  -- only pool
                WHEN failed IS NOT NULL THEN [failed.last_us]  -- only failed
                WHEN running IS NOT NULL THEN [one.started_us for one IN running.queries]  -- only running
            END if NOT coalesce(us BETWEEN 0 AND 253402300799999999, false)]) > 0
        THEN 'a time must lie between the years 1970 and 9999' END,
        CASE WHEN (header IS NOT NULL)::INT + (pattern IS NOT NULL)::INT + (query IS NOT NULL)::INT
            + (slow IS NOT NULL)::INT  -- only slow
            + (pool IS NOT NULL)::INT  -- only pool
            + (repetition IS NOT NULL)::INT  -- only repetition
            + (scope IS NOT NULL)::INT  -- only scope
            + (failed IS NOT NULL)::INT  -- only failed
            + (running IS NOT NULL)::INT  -- only running
            <> 1
        THEN 'a row must be of a known kind' END
    ) AS reasons
    FROM spooled
),
named AS (
    SELECT file, unnest(CASE
        WHEN query IS NOT NULL THEN [query.pattern_id]
        WHEN repetition IS NOT NULL THEN [repetition.pattern_id]  -- only repetition
        WHEN failed IS NOT NULL THEN [failed.pattern_id]  -- only failed
        WHEN running IS NOT NULL THEN [one.pattern_id for one IN running.queries]  -- only running
    END) AS pattern_id
    FROM spooled
),
patterns AS (
    SELECT file, pattern.id AS pattern_id FROM spooled WHERE pattern IS NOT NULL
),
found AS (
    SELECT file, unnest(string_split(reasons, '; ')) AS reason FROM rules WHERE reasons <> ''
    UNION
    SELECT file, 'a query, repetition or running query must name a pattern of its file'
    FROM named ANTI JOIN patterns USING (file, pattern_id)
)
SELECT file, string_agg(reason, '; ' ORDER BY reason) AS reason FROM found GROUP BY file;
