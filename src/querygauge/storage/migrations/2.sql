-- Statistics by hour and by day.
ALTER TABLE meta ADD COLUMN minutes_since TIMESTAMP;
ALTER TABLE meta ADD COLUMN hours_since TIMESTAMP;
CREATE TABLE query_stats_hourly AS SELECT "minute" AS "hour", * EXCLUDE ("minute") FROM query_stats LIMIT 0;
CREATE TABLE query_stats_daily AS SELECT "minute" AS "day", * EXCLUDE ("minute") FROM query_stats LIMIT 0;
CREATE TABLE pending_rollups (tier VARCHAR NOT NULL, period TIMESTAMP NOT NULL);
INSERT INTO pending_rollups
SELECT DISTINCT unnest(['hour', 'day']), unnest([date_trunc('hour', "minute"), date_trunc('day', "minute")])
FROM query_stats;
