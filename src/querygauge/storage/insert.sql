-- The merged rows into the store, inside the caller's transaction.
INSERT INTO store.query_stats BY NAME SELECT * FROM memory.new_query_stats;
INSERT INTO store.scope_stats BY NAME SELECT * FROM memory.new_scope_stats;
INSERT INTO store.slow_queries BY NAME SELECT * FROM memory.new_slow_queries;
INSERT INTO store.query_errors BY NAME SELECT * FROM memory.new_query_errors;
INSERT INTO store.pool_stats BY NAME SELECT * FROM memory.new_pool_stats;
INSERT INTO store.repetitions BY NAME SELECT * FROM memory.new_repetitions;
INSERT INTO store.process_stats BY NAME SELECT * FROM memory.new_process_stats;

-- What is older than what is known came late, and says nothing about now.
DELETE FROM store.running AS known USING memory.new_running AS new
WHERE known.service = new.service AND known.process = new.process AND known.target = new.target
    AND known.seen_at <= new.seen_at;
INSERT INTO store.running BY NAME
SELECT * FROM memory.new_running ANTI JOIN store.running USING (service, process, target);

UPDATE store.patterns AS known
SET first_seen = least(known.first_seen, new.first_seen), last_seen = greatest(known.last_seen, new.last_seen)
FROM memory.new_patterns AS new
WHERE known.pattern_id = new.pattern_id
    AND (new.first_seen < known.first_seen OR new.last_seen > known.last_seen);
INSERT INTO store.patterns BY NAME
SELECT * FROM memory.new_patterns ANTI JOIN store.patterns USING (pattern_id);

UPDATE store.processes AS known
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
FROM memory.new_processes AS new
WHERE known.service = new.service AND known.process = new.process;
INSERT INTO store.processes BY NAME
SELECT * FROM memory.new_processes ANTI JOIN store.processes USING (service, process);
