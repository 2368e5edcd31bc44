-- What is merged into the patterns and processes that the store knows, inside the caller's transaction.
MERGE INTO store.patterns AS known USING memory.new_patterns AS new ON known.pattern_id = new.pattern_id
WHEN MATCHED AND (new.first_seen < known.first_seen OR new.last_seen > known.last_seen) THEN UPDATE
SET first_seen = least(known.first_seen, new.first_seen), last_seen = greatest(known.last_seen, new.last_seen)
WHEN NOT MATCHED THEN INSERT BY NAME;

MERGE INTO store.processes AS known USING memory.new_processes AS new
ON known.service = new.service AND known.process = new.process
WHEN MATCHED THEN UPDATE
SET first_at = least(known.first_at, new.first_at), last_at = greatest(known.last_at, new.last_at),
    slow_threshold_ms = coalesce(new.slow_threshold_ms, known.slow_threshold_ms),
    ahead_s = greatest(known.ahead_s, new.ahead_s),
    added_us = CASE WHEN new.last_at < known.last_at THEN known.added_us ELSE new.added_us END,
    fold_us = CASE WHEN new.last_at < known.last_at THEN known.fold_us ELSE new.fold_us END,
    flush_lag_ms = CASE WHEN new.last_at < known.last_at THEN known.flush_lag_ms ELSE new.flush_lag_ms END,
    hook_errors = greatest(known.hook_errors, new.hook_errors),
    statements_dropped = greatest(known.statements_dropped, new.statements_dropped),
    patterns_folded = greatest(known.patterns_folded, new.patterns_folded),
    scopes_folded = greatest(known.scopes_folded, new.scopes_folded),
    slow_queries_dropped = greatest(known.slow_queries_dropped, new.slow_queries_dropped),
    alerts_dropped = greatest(known.alerts_dropped, new.alerts_dropped),
    snapshots_dropped = greatest(known.snapshots_dropped, new.snapshots_dropped)
WHEN NOT MATCHED THEN INSERT BY NAME;
