-- The tables of a store. Every TIMESTAMP is UTC; every `_ns` is nanoseconds, every `_ms` milliseconds.
-- No table has a key or an index: on fact tables they double the time and size of an insert, the few small tables
-- are written by one process at a time anyway, and DuckLake knows neither.
--
-- Durations are histograms. `*_k` lists bucket indexes in ascending order and `*_n` the executions in each: bucket k
-- holds the durations in (2^((k-1)/32), 2^(k/32)] seconds. Percentiles come from adding the counts of equal k up,
-- never from averaging percentiles.

CREATE TABLE meta (
    schema_version INTEGER NOT NULL,    -- a reader refuses a version newer than its own
    created_at TIMESTAMP NOT NULL,      -- when the store was made, or restored from elsewhere; tells its backups
    minutes_since TIMESTAMP,            -- rows by minute before that were dropped for their age; NULL if none were
    hours_since TIMESTAMP,              -- and rows by hour
    retained_at TIMESTAMP,              -- up to when it was last looked for what has grown old
    price_per_hour DOUBLE,              -- of database time, as a collector was given it; NULL before that
    weekly_slow_ms DOUBLE,              -- the 95th percentile over which a pattern is slow in a week, likewise
    published_days INTEGER,             -- for how many days files are published; 0 if no collector does; likewise
    agreed_at TIMESTAMP,                -- when one of these three was changed
    written_at TIMESTAMP                -- when a remote store was last written
);

-- One row per pattern ever seen.
CREATE TABLE patterns (
    pattern_id VARCHAR NOT NULL,        -- 16 hex digits: hash of text and dialect
    text VARCHAR NOT NULL,              -- the statement without literals
    summary VARCHAR NOT NULL,           -- such as `SELECT orders`
    operation VARCHAR NOT NULL,         -- first keyword in upper case; empty if there is none
    tables VARCHAR[] NOT NULL,          -- in order of appearance
    dialect VARCHAR NOT NULL,           -- postgresql, mysql, sqlite, unknown
    category VARCHAR NOT NULL,          -- query, transaction, session, catalog
    first_seen TIMESTAMP NOT NULL,      -- start of the first execution
    last_seen TIMESTAMP NOT NULL        -- start of the last execution
);

-- What one pattern did on one target in one scope within one minute, all processes of the service together. A late file
-- adds a second row for the same minute: every reader sums.
CREATE TABLE query_stats (
    minute TIMESTAMP NOT NULL,          -- minute in which the snapshots ended
    service VARCHAR NOT NULL,           -- name of the application
    target VARCHAR NOT NULL,            -- name of the database; empty if it has none
    pattern_id VARCHAR NOT NULL,        -- its row in patterns
    scope VARCHAR,                      -- name of the request, job or test; NULL outside of every scope
    tags MAP(VARCHAR, VARCHAR) NOT NULL, -- tags of the scope, sorted by key
    executions BIGINT NOT NULL,         -- ok + error + timeout + cancelled
    ok BIGINT NOT NULL,                 -- executions that succeeded
    error BIGINT NOT NULL,              -- failed otherwise than by a timeout
    timeout BIGINT NOT NULL,            -- executions that ran into a timeout
    cancelled BIGINT NOT NULL,          -- the caller left; not a failure
    slow BIGINT NOT NULL,               -- at or over the slow threshold in force for the pattern
    rows BIGINT NOT NULL,               -- returned or affected, over the executions counted in rows_known
    rows_known BIGINT NOT NULL,         -- executions for which the driver told its rows
    total_ns BIGINT NOT NULL,           -- sum of the durations
    min_ns BIGINT NOT NULL,             -- shortest duration
    max_ns BIGINT NOT NULL,             -- longest duration
    first_seen TIMESTAMP NOT NULL,      -- start of the first of these executions
    last_seen TIMESTAMP NOT NULL,       -- start of the last of these executions
    bucket_k SMALLINT[] NOT NULL,       -- bucket indexes, ascending
    bucket_n BIGINT[] NOT NULL,         -- executions in each bucket
    lines VARCHAR[] NOT NULL,           -- lines that sent it, as path:line in function; each once
    line_counts BIGINT[] NOT NULL,      -- for each of lines, executions for which it was looked for
    pool_wait_ns BIGINT NOT NULL,       -- before: waiting for a connection
    connect_ns BIGINT NOT NULL,         -- before: opening a connection
    begin_ns BIGINT NOT NULL,           -- within: the driver's BEGIN, where it can be told
    prepare_ns BIGINT NOT NULL,         -- within: preparing, where it can be told
    fetch_ns BIGINT NOT NULL,           -- within: fetching a cursor's rows, where it can be told
    stream_ns BIGINT NOT NULL,          -- after: fetching the rows of a streamed result, where it can be told
    commit_ns BIGINT NOT NULL,          -- after: the COMMIT that followed
    loop_lag_ns BIGINT NOT NULL         -- within: how long the event loop was blocked, an estimate
);

-- query_stats added up by hour, for hours that are not pending, with the columns of query_stats but `hour`, the begin of the
-- hour, for `minute`; each line once, at most eight.
CREATE TABLE query_stats_hourly AS SELECT "minute" AS "hour", * EXCLUDE ("minute") FROM query_stats LIMIT 0;

-- And by `day`, for days that are not pending. Its buckets are of scale 4: bucket k holds the durations in
-- (2^((k-1)/16), 2^(k/16)] seconds.
CREATE TABLE query_stats_daily AS SELECT "minute" AS "day", * EXCLUDE ("minute") FROM query_stats LIMIT 0;

-- Hours and days whose rows in the tables above are not made yet, or are to be made again, as something came late.
CREATE TABLE pending_rollups (
    tier VARCHAR NOT NULL,              -- hour, day
    period TIMESTAMP NOT NULL           -- its begin
);

-- What the units of work of one scope did within one minute, all processes of the service together.
CREATE TABLE scope_stats (
    minute TIMESTAMP NOT NULL,          -- minute in which the snapshots ended
    service VARCHAR NOT NULL,           -- name of the application
    scope VARCHAR NOT NULL,             -- name of the request, job or test
    tags MAP(VARCHAR, VARCHAR) NOT NULL, -- its tags, sorted by key
    units BIGINT NOT NULL,              -- requests, jobs or tests that ended
    unit_ms DOUBLE NOT NULL,            -- how long those took, together
    ok BIGINT NOT NULL,                 -- executions that succeeded, of every kind of statement
    error BIGINT NOT NULL,              -- failed otherwise than by a timeout
    timeout BIGINT NOT NULL,            -- executions that ran into a timeout
    cancelled BIGINT NOT NULL,          -- the caller left; not a failure
    repeated BIGINT NOT NULL,           -- executions that were not the first of their query within their unit
    total_ms DOUBLE NOT NULL,           -- sum of the executions' durations
    max_executions BIGINT NOT NULL,     -- most executions of a single unit
    max_ms DOUBLE NOT NULL              -- most database time of a single unit
);

-- Executions kept one by one: those that took long, and of those that failed alike ten of each flush.
CREATE TABLE slow_queries (
    started_at TIMESTAMP NOT NULL,      -- when it started
    service VARCHAR NOT NULL,           -- name of the application
    process VARCHAR NOT NULL,           -- host:pid
    target VARCHAR NOT NULL,            -- name of the database; empty if it has none
    pattern_id VARCHAR NOT NULL,        -- its row in patterns
    summary VARCHAR NOT NULL,           -- the pattern's summary
    query VARCHAR NOT NULL,             -- the pattern's text; the statement itself only with keep_literals
    duration_ms DOUBLE NOT NULL,        -- how long it took
    outcome VARCHAR NOT NULL,           -- ok, error, timeout, cancelled
    rows BIGINT,                        -- NULL if the driver did not tell
    parameters VARCHAR,                 -- text of a JSON value, only with keep_literals
    call_site VARCHAR,                  -- path:line in function
    error_type VARCHAR,                 -- the driver's exception class; NULL if it did not fail
    error_code VARCHAR,                 -- SQLSTATE or the driver's own code
    error_message VARCHAR,              -- the driver's message with every value as ?
    trace_id VARCHAR,                   -- the trace it belongs to, if the caller told
    scope VARCHAR,                      -- request, job or test it belongs to
    loop_lag_ms DOUBLE NOT NULL,        -- of its duration, how long the event loop was blocked, an estimate
    operation VARCHAR,                  -- the pattern's operation; NULL in rows of before it was kept
    tags MAP(VARCHAR, VARCHAR),         -- tags of the scope; likewise
    is_slow BOOLEAN                     -- false if it was kept because it failed, and not for the time it took
);

-- How often one pattern failed in one way within one minute, all processes of the service together; the executions of a
-- pattern add up to its `error` and `timeout` in query_stats.
CREATE TABLE query_errors (
    minute TIMESTAMP NOT NULL,          -- minute in which the snapshots ended
    service VARCHAR NOT NULL,           -- name of the application
    target VARCHAR NOT NULL,            -- name of the database; empty if it has none
    pattern_id VARCHAR NOT NULL,        -- its row in patterns
    error_type VARCHAR NOT NULL,        -- the driver's exception class; empty if it is not known
    sqlstate VARCHAR,                   -- SQLSTATE or the driver's own code; NULL if it gave none
    executions BIGINT NOT NULL,         -- that failed so
    last_at TIMESTAMP NOT NULL,         -- start of the last of them
    message VARCHAR NOT NULL            -- the driver's message about one of them, with every value as ?
);

-- What one pool of one process did within one minute, and its state at the end. Waits, uses and creations are
-- histograms like those of query_stats.
CREATE TABLE pool_stats (
    minute TIMESTAMP NOT NULL,          -- minute in which the snapshots ended
    service VARCHAR NOT NULL,           -- name of the application
    process VARCHAR NOT NULL,           -- host:pid
    pool VARCHAR NOT NULL,              -- name of the pool
    state_at TIMESTAMP NOT NULL,        -- moment of the gauges: pool_size to holders
    pool_size INTEGER NOT NULL,         -- connections it may keep; 0 where it has no limit
    max_connections INTEGER NOT NULL,   -- pool_size and the allowed overflow; 0 where there is no limit
    active INTEGER NOT NULL,            -- checked out
    idle INTEGER NOT NULL,              -- open and not checked out
    waiting INTEGER NOT NULL,           -- callers waiting for a connection
    overflow INTEGER NOT NULL,          -- connections above pool_size
    idle_max INTEGER,                   -- idle connections it keeps at most; NULL where there is no limit
    idle_min INTEGER NOT NULL,          -- idle connections it keeps at least
    oldest_checkout_s DOUBLE NOT NULL,  -- age of the oldest checkout in seconds
    holders VARCHAR NOT NULL,           -- JSON list of {age_s, call_site, pattern_id, activity, reason}, oldest first
    requests BIGINT NOT NULL,           -- connections asked for
    checkouts BIGINT NOT NULL,          -- connections handed out
    checkins BIGINT NOT NULL,           -- connections given back
    timeouts BIGINT NOT NULL,           -- requests that ended in a timeout
    errors BIGINT NOT NULL,             -- requests that ended in any other error
    peak_active BIGINT NOT NULL,        -- most connections in use at once
    peak_waiting BIGINT NOT NULL,       -- most callers waiting at once
    health_checks BIGINT NOT NULL,      -- health checks made
    health_checks_failed BIGINT NOT NULL, -- those that failed
    leaks BIGINT NOT NULL,              -- connections garbage-collected instead of given back
    lost_to_cancellation BIGINT NOT NULL, -- connections thrown away because a statement was cancelled
    lost_patterns VARCHAR[] NOT NULL,   -- which pattern that was, as far as it is known; may repeat itself
    lost_counts BIGINT[] NOT NULL,      -- how many of them for each of lost_patterns
    demand_limit BIGINT NOT NULL,       -- connections there could be at most; 0 where there is no limit
    demand_full_ns BIGINT NOT NULL,     -- how long all of them were in use or wanted
    demand_levels BIGINT[] NOT NULL,    -- numbers of connections in use and callers waiting; may repeat themselves
    demand_ns BIGINT[] NOT NULL,        -- how long each was so; reaches back over minutes in which nothing happened
    demand_requests BIGINT[] NOT NULL,  -- requests that met each, themselves not counted
    wait_count BIGINT NOT NULL,         -- waits for a connection, from asking to having it
    wait_total_ns BIGINT NOT NULL,      -- sum of the waits
    wait_min_ns BIGINT NOT NULL,        -- shortest of the waits; 0 if there are none
    wait_max_ns BIGINT NOT NULL,        -- longest of the waits
    wait_k SMALLINT[] NOT NULL,         -- bucket indexes of the waits, ascending
    wait_n BIGINT[] NOT NULL,           -- waits in each bucket
    use_count BIGINT NOT NULL,          -- checkouts that ended
    use_total_ns BIGINT NOT NULL,       -- sum of the uses
    use_min_ns BIGINT NOT NULL,         -- shortest of the uses; 0 if there are none
    use_max_ns BIGINT NOT NULL,         -- longest of the uses
    use_k SMALLINT[] NOT NULL,          -- bucket indexes of the uses, ascending
    use_n BIGINT[] NOT NULL,            -- uses in each bucket
    create_count BIGINT NOT NULL,       -- connections opened
    create_total_ns BIGINT NOT NULL,    -- sum of the creations
    create_min_ns BIGINT NOT NULL,      -- shortest of the creations; 0 if there are none
    create_max_ns BIGINT NOT NULL,      -- longest of the creations
    create_k SMALLINT[] NOT NULL,       -- bucket indexes of the creations, ascending
    create_n BIGINT[] NOT NULL,         -- creations in each bucket
    pool_class VARCHAR,                 -- name of its class, such as QueuePool; NULL if it is not known
    driver VARCHAR,                     -- name of the driver, such as asyncpg; likewise
    timeout_holders VARCHAR             -- like holders, at the last timeout; NULL if there was none
);

-- Health checks of pools, one by one.
CREATE TABLE health_checks (
    checked_at TIMESTAMP NOT NULL,      -- when it ended, or was given up
    service VARCHAR NOT NULL,           -- name of the application
    process VARCHAR NOT NULL,           -- host:pid
    pool VARCHAR NOT NULL,              -- name of the pool
    duration_ms DOUBLE NOT NULL,        -- how long it took
    error VARCHAR                       -- why it failed, with every value as ?; NULL if it did not
);

-- The same pattern from the same line, several times within one unit of work of one scope.
CREATE TABLE repetitions (
    found_at TIMESTAMP NOT NULL,        -- end of the snapshot that found it
    service VARCHAR NOT NULL,           -- name of the application
    target VARCHAR NOT NULL,            -- name of the database; empty if it has none
    pattern_id VARCHAR NOT NULL,        -- its row in patterns
    call_site VARCHAR,                  -- path:line in function; NULL if unknown
    scope VARCHAR,                      -- name of the scopes it was found in; NULL for uses of a connection without a name
    scopes BIGINT NOT NULL,             -- how many of that name, such as requests of one route
    executions BIGINT NOT NULL,         -- executions in those
    max_per_scope BIGINT NOT NULL,      -- most executions within a single one
    total_ms DOUBLE NOT NULL,           -- their time
    compared BIGINT NOT NULL,           -- executions whose parameters were compared within their scope
    parameters BIGINT NOT NULL,         -- distinct sets of parameters among those, each scope's own
    parents BIGINT NOT NULL,            -- distinct objects that something was loaded for, among those looked at
    origins BIGINT NOT NULL,            -- queries that had brought these objects
    tasks BIGINT NOT NULL,              -- most tasks or threads seen in one scope
    overlapping BIGINT NOT NULL,        -- executions seen to begin before the one ahead of them had ended
    parallel_scopes BIGINT NOT NULL,    -- scopes in which that was the rule, over several tasks
    cause VARCHAR,                      -- lazy, immediate, expired, refreshed, deferred, partial; NULL if asked for
    attribute VARCHAR,                  -- what was loaded, such as User.posts; NULL if unknown
    kind VARCHAR NOT NULL,              -- what these counts mean; a reader asks the sum of several rows anew
    confidence VARCHAR NOT NULL,        -- certain, likely, possible
    fix VARCHAR                         -- what to change, in a sentence, going by these counts
);

-- One row per process ever seen; the counters are what querygauge noticed about itself since the process began.
CREATE TABLE processes (
    service VARCHAR NOT NULL,           -- name of the application
    process VARCHAR NOT NULL,           -- host:pid
    first_at TIMESTAMP NOT NULL,        -- start of its first snapshot
    last_at TIMESTAMP NOT NULL,         -- end of its last snapshot
    slow_threshold_ms DOUBLE,           -- from here on an execution is slow there; null if nobody said
    added_us DOUBLE NOT NULL,           -- what a hook adds to a statement, median of the sampled ones of late
    fold_us DOUBLE NOT NULL,            -- CPU time of counting one execution, on average
    flush_lag_ms DOUBLE NOT NULL,       -- how late its last flush was
    hook_errors BIGINT NOT NULL,        -- exceptions caught inside hooks
    statements_dropped BIGINT NOT NULL, -- executions that could not be counted
    patterns_folded BIGINT NOT NULL,    -- executions counted as `other`
    scopes_folded BIGINT NOT NULL,      -- executions counted as of other scopes
    slow_queries_dropped BIGINT NOT NULL, -- slow executions the history pushed out
    alerts_dropped BIGINT NOT NULL,     -- alerts the queue pushed out
    snapshots_dropped BIGINT NOT NULL,  -- snapshots that could not be kept
    ahead_s DOUBLE                      -- by how much its clock was ahead of the collector's, at most; times are kept as told
);

-- What one process took of its machine within one minute; NULL is what its system does not tell.
CREATE TABLE process_stats (
    minute TIMESTAMP NOT NULL,          -- minute in which the snapshots ended
    service VARCHAR NOT NULL,           -- name of the application
    process VARCHAR NOT NULL,           -- host:pid
    started_at TIMESTAMP NOT NULL,      -- start of the first of these snapshots
    ended_at TIMESTAMP NOT NULL,        -- end of the last of them
    memory_bytes BIGINT,                -- the most resident memory
    memory_limit_bytes BIGINT,          -- limit of its control groups, or memory of the machine
    cpu_s DOUBLE                        -- CPU seconds since measuring began there
);

-- What had not ended on one target of one process at its last snapshot; the next one takes its place.
CREATE TABLE running (
    service VARCHAR NOT NULL,           -- name of the application
    process VARCHAR NOT NULL,           -- host:pid
    target VARCHAR NOT NULL,            -- name of the database; empty if it has none
    seen_at TIMESTAMP NOT NULL,         -- end of that snapshot; every age is as of then
    flush_interval_s DOUBLE,            -- when the next one is due, if anything runs for long; NULL if nobody said
    executions BIGINT NOT NULL,         -- under way, however young
    oldest_ms DOUBLE NOT NULL,          -- age of the oldest of them; 0 if there are none
    queries STRUCT(                     -- those that were slow already, oldest first
        pattern_id VARCHAR,             -- its row in patterns
        started_at TIMESTAMP,           -- when it started
        age_ms DOUBLE,                  -- how long it had run
        held_ms DOUBLE,                 -- how long its connection had been checked out
        call_site VARCHAR,              -- path:line in function; NULL if unknown
        scope VARCHAR,                  -- request, job or test it belongs to, if that is known
        reason VARCHAR                  -- why its connection may be held for long, if somebody said
    )[] NOT NULL                        -- at most 20
);

-- What somebody said of a pattern, one row for each.
CREATE TABLE marks (
    pattern_id VARCHAR NOT NULL,        -- its row in patterns
    kind VARCHAR NOT NULL,              -- accepted, fixed, expected
    marked_at TIMESTAMP NOT NULL,       -- when
    until TIMESTAMP,                    -- from then on it is as if nobody had; NULL is never
    note VARCHAR,                       -- why
    p95_ms DOUBLE,                      -- 95th percentile of the seven days before; NULL if it was not executed
    per_scope DOUBLE                    -- executions in a scope that repeated it, in those days; NULL if none did
);

-- Alerts, one row for each time that something went wrong, from when it was first found until it was well again.
CREATE TABLE alerts (
    alert_id VARCHAR NOT NULL,          -- 16 hex digits, the same in everything that is sent about it
    rule VARCHAR NOT NULL,              -- name of the rule that found it
    service VARCHAR NOT NULL,           -- name of the application; empty if it is about the store
    target VARCHAR NOT NULL,            -- name of the database; empty if it is about all of them
    subject VARCHAR NOT NULL,           -- pattern_id or name of a pool; empty if it is about neither
    severity VARCHAR NOT NULL,          -- info, warning, critical: the highest so far
    status VARCHAR NOT NULL,            -- pending, firing, resolved
    began_at TIMESTAMP NOT NULL,        -- when it was first found
    seen_at TIMESTAMP NOT NULL,         -- when it was last found
    fired_at TIMESTAMP,                 -- when it had lasted for as long as its rule asks
    ended_at TIMESTAMP,                 -- when it was well again
    told_at TIMESTAMP,                  -- when a message about it was last made; NULL if nobody was told
    told_severity VARCHAR,              -- what that message said
    times INTEGER NOT NULL,             -- how often the same came within an hour of having been well again
    finding VARCHAR NOT NULL            -- what was last found, as JSON: sentence, advice, value, threshold and so on
);

-- Messages about alerts, one for each channel that they go to.
CREATE TABLE alert_messages (
    message_key VARCHAR NOT NULL,       -- the same for every attempt, so that a receiver can tell a second one
    channel VARCHAR NOT NULL,           -- name of the channel in the settings
    made_at TIMESTAMP NOT NULL,         -- when it was made
    due_at TIMESTAMP NOT NULL,          -- when it is to be tried next
    attempts INTEGER NOT NULL,          -- how often it was tried
    status VARCHAR NOT NULL,            -- waiting, sent, failed; held back, then told in a digest: held, told
    sent_at TIMESTAMP,                  -- when it had arrived
    error VARCHAR,                      -- why the last attempt failed
    severity VARCHAR NOT NULL,          -- the highest in it
    message VARCHAR NOT NULL            -- what is sent, as JSON
);

-- Until when each channel has reports, one row for each period that it gets them of.
CREATE TABLE reports (
    channel VARCHAR NOT NULL,           -- name of the channel in the settings
    period VARCHAR NOT NULL,            -- daily, weekly
    until TIMESTAMP NOT NULL            -- end of what the last one was about, or from when on there are any
);

-- What nobody wants to be told for a while.
CREATE TABLE silences (
    silence_id VARCHAR NOT NULL,        -- 8 hex digits
    made_at TIMESTAMP NOT NULL,         -- when it began
    until TIMESTAMP NOT NULL,           -- when it ends
    rule VARCHAR,                       -- name of a rule, `*` standing for any part of it; NULL is any
    service VARCHAR,                    -- name of an application; likewise
    subject VARCHAR,                    -- pattern_id or name of a pool; likewise
    note VARCHAR                        -- why
);

-- Spool files whose rows are in the tables above although the file may still exist: a fold killed between its commit
-- and the removal of the files leaves them, and the next one must not count them again.
CREATE TABLE folded_files (
    name VARCHAR NOT NULL,              -- name of the file in the spool
    folded_at TIMESTAMP NOT NULL,       -- when it was folded
    spool VARCHAR                       -- whose spool it was in: an id that each machine of a remote store has
);
