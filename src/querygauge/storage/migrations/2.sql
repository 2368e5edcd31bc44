-- Statistics by hour and by day; errors by how statements fail, and examples of them.
ALTER TABLE meta ADD COLUMN minutes_since TIMESTAMP;
ALTER TABLE meta ADD COLUMN hours_since TIMESTAMP;
ALTER TABLE meta ADD COLUMN retained_at TIMESTAMP;
ALTER TABLE meta ADD COLUMN price_per_hour DOUBLE;
ALTER TABLE meta ADD COLUMN weekly_slow_ms DOUBLE;
ALTER TABLE meta ADD COLUMN published_days INTEGER;
ALTER TABLE meta ADD COLUMN agreed_at TIMESTAMP;
ALTER TABLE meta ADD COLUMN written_at TIMESTAMP;
CREATE TABLE query_stats_hourly AS SELECT "minute" AS "hour", * EXCLUDE ("minute") FROM query_stats LIMIT 0;
CREATE TABLE query_stats_daily AS SELECT "minute" AS "day", * EXCLUDE ("minute") FROM query_stats LIMIT 0;
CREATE TABLE pending_rollups (tier VARCHAR NOT NULL, period TIMESTAMP NOT NULL);
INSERT INTO pending_rollups
SELECT DISTINCT unnest(['hour', 'day']), unnest([date_trunc('hour', "minute"), date_trunc('day', "minute")])
FROM query_stats;
ALTER TABLE slow_queries ADD COLUMN operation VARCHAR;
ALTER TABLE slow_queries ADD COLUMN tags MAP(VARCHAR, VARCHAR);
ALTER TABLE slow_queries ADD COLUMN is_slow BOOLEAN;
CREATE TABLE query_errors (
    "minute" TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    pattern_id VARCHAR NOT NULL,
    error_type VARCHAR NOT NULL,
    sqlstate VARCHAR,
    executions BIGINT NOT NULL,
    last_at TIMESTAMP NOT NULL,
    message VARCHAR NOT NULL
);
ALTER TABLE pool_stats ADD COLUMN pool_class VARCHAR;
ALTER TABLE pool_stats ADD COLUMN driver VARCHAR;
ALTER TABLE pool_stats ADD COLUMN timeout_holders VARCHAR;
ALTER TABLE processes ADD COLUMN ahead_s DOUBLE;
ALTER TABLE folded_files ADD COLUMN spool VARCHAR;
CREATE TABLE health_checks (
    checked_at TIMESTAMP NOT NULL,
    service VARCHAR NOT NULL,
    process VARCHAR NOT NULL,
    pool VARCHAR NOT NULL,
    duration_ms DOUBLE NOT NULL,
    error VARCHAR
);
CREATE TABLE marks (
    pattern_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    marked_at TIMESTAMP NOT NULL,
    until TIMESTAMP,
    note VARCHAR,
    p95_ms DOUBLE,
    per_scope DOUBLE
);
ALTER TABLE repetitions ADD COLUMN fix VARCHAR;
CREATE TABLE alerts (
    alert_id VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    began_at TIMESTAMP NOT NULL,
    seen_at TIMESTAMP NOT NULL,
    fired_at TIMESTAMP,
    ended_at TIMESTAMP,
    told_at TIMESTAMP,
    told_severity VARCHAR,
    times INTEGER NOT NULL,
    finding VARCHAR NOT NULL
);
CREATE TABLE reports (
    channel VARCHAR NOT NULL,
    period VARCHAR NOT NULL,
    until TIMESTAMP NOT NULL
);
CREATE TABLE silences (
    silence_id VARCHAR NOT NULL,
    made_at TIMESTAMP NOT NULL,
    until TIMESTAMP NOT NULL,
    rule VARCHAR,
    service VARCHAR,
    subject VARCHAR,
    note VARCHAR
);
CREATE TABLE alert_messages (
    message_key VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    made_at TIMESTAMP NOT NULL,
    due_at TIMESTAMP NOT NULL,
    attempts INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    sent_at TIMESTAMP,
    error VARCHAR,
    severity VARCHAR NOT NULL,
    message VARCHAR NOT NULL
);
