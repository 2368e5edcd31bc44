-- The rows of spool files into one table in memory; `file` numbers the files, and the other columns are the kinds of
-- `spool_rows.py`. $path is one file that holds the rows of all: DuckDB spends milliseconds and megabytes on each.
-- A member that has the wrong type makes this fail; one that is absent is NULL, which `check.sql` finds.
CREATE OR REPLACE TABLE spooled AS
SELECT *
FROM read_json(
    $path,
    format = 'newline_delimited',
    columns = {
        header: 'STRUCT(service VARCHAR, process VARCHAR, started_us BIGINT, ended_us BIGINT,
            self_metrics STRUCT(added_us DOUBLE, fold_us DOUBLE, flush_lag_ms DOUBLE, hook_errors BIGINT,
                statements_dropped BIGINT, patterns_folded BIGINT, scopes_folded BIGINT, slow_queries_dropped BIGINT,
                alerts_dropped BIGINT, snapshots_dropped BIGINT), slow_threshold_ms DOUBLE,
            usage STRUCT(memory_bytes BIGINT, memory_limit_bytes BIGINT, cpu_s DOUBLE), flush_interval_s DOUBLE)',
        pattern: 'STRUCT(id VARCHAR, text VARCHAR, summary VARCHAR, operation VARCHAR, tables VARCHAR[],
            dialect VARCHAR, category VARCHAR)',
        query: 'STRUCT(target VARCHAR, pattern_id VARCHAR, scope VARCHAR, tags MAP(VARCHAR, VARCHAR), ok BIGINT, error BIGINT, timeout BIGINT, cancelled BIGINT,
            slow BIGINT, rows BIGINT, rows_known BIGINT, first_us BIGINT, last_us BIGINT,
            durations STRUCT(count BIGINT, total_ns BIGINT, min_ns BIGINT, max_ns BIGINT, k SMALLINT[], n BIGINT[]),
            lines VARCHAR[], line_counts BIGINT[],
            phases STRUCT(pool_wait_ns BIGINT, connect_ns BIGINT, begin_ns BIGINT, prepare_ns BIGINT,
                fetch_ns BIGINT, stream_ns BIGINT, commit_ns BIGINT, loop_lag_ns BIGINT))',
        -- only slow
        slow: 'STRUCT(at_us BIGINT, target VARCHAR, pattern_id VARCHAR, summary VARCHAR, query VARCHAR,
            duration_ms DOUBLE, outcome VARCHAR, rows BIGINT, parameters VARCHAR, call_site VARCHAR,
            error_type VARCHAR, error_code VARCHAR, error_message VARCHAR, trace_id VARCHAR, scope VARCHAR,
            loop_lag_ms DOUBLE, operation VARCHAR, tags MAP(VARCHAR, VARCHAR), is_slow BOOLEAN)',
        -- end
        -- only failed
        failed: 'STRUCT(target VARCHAR, pattern_id VARCHAR, error_type VARCHAR, sqlstate VARCHAR, executions BIGINT,
            last_us BIGINT, message VARCHAR)',
        -- end
        -- only scope
        scope: 'STRUCT(scope VARCHAR, tags MAP(VARCHAR, VARCHAR), units BIGINT, unit_ms DOUBLE, ok BIGINT, error BIGINT,
            timeout BIGINT, cancelled BIGINT, repeated BIGINT, total_ms DOUBLE, max_executions BIGINT, max_ms DOUBLE)',
        -- end
        -- only pool
        pool: 'STRUCT(pool VARCHAR, at_us BIGINT, pool_size INTEGER, max_connections INTEGER, active INTEGER,
            idle INTEGER, waiting INTEGER, overflow INTEGER, idle_max INTEGER, idle_min INTEGER,
            pool_class VARCHAR, driver VARCHAR, oldest_checkout_s DOUBLE, holders VARCHAR,
            timeout_holders VARCHAR,
            requests BIGINT, checkouts BIGINT, checkins BIGINT, timeouts BIGINT, errors BIGINT,
            peak_active BIGINT, peak_waiting BIGINT, health_checks BIGINT, health_checks_failed BIGINT,
            leaks BIGINT, lost_to_cancellation BIGINT, lost_patterns VARCHAR[], lost_counts BIGINT[],
            demand STRUCT("limit" BIGINT, full_ns BIGINT, levels BIGINT[], ns BIGINT[], requests BIGINT[]),
            wait STRUCT(count BIGINT, total_ns BIGINT, min_ns BIGINT, max_ns BIGINT, k SMALLINT[], n BIGINT[]),
            use STRUCT(count BIGINT, total_ns BIGINT, min_ns BIGINT, max_ns BIGINT, k SMALLINT[], n BIGINT[]),
            "create" STRUCT(count BIGINT, total_ns BIGINT, min_ns BIGINT, max_ns BIGINT, k SMALLINT[], n BIGINT[]),
            checks STRUCT(at_us BIGINT, duration_ms DOUBLE, error VARCHAR)[])',
        -- end
        -- only repetition
        repetition: 'STRUCT(target VARCHAR, pattern_id VARCHAR, call_site VARCHAR, scope VARCHAR, scopes BIGINT,
            executions BIGINT, max_per_scope BIGINT, total_ms DOUBLE, compared BIGINT, parameters BIGINT,
            parents BIGINT, origins BIGINT, tasks BIGINT, overlapping BIGINT, parallel_scopes BIGINT, cause VARCHAR,
            attribute VARCHAR, kind VARCHAR, confidence VARCHAR, fix VARCHAR)',
        -- end
        -- only running
        running: 'STRUCT(target VARCHAR, executions BIGINT, oldest_ms DOUBLE,
            queries STRUCT(pattern_id VARCHAR, started_us BIGINT, age_ms DOUBLE, held_ms DOUBLE, call_site VARCHAR,
                scope VARCHAR, reason VARCHAR)[])',
        -- end
        file: 'INTEGER'
    }
);
