-- Takes out of the merged rows what came so late that its minutes or hours were dropped for their age: it goes to where the
-- rest of them is, and every reader sums. In memory; `bounds` tells what was dropped.
CREATE OR REPLACE TABLE late_query_stats_hourly AS
SELECT date_trunc('hour', "minute") AS "hour", new.* EXCLUDE ("minute")
FROM new_query_stats AS new, bounds
WHERE "minute" < minutes_since AND "minute" >= hours_since;

CREATE OR REPLACE TABLE late_query_stats_daily AS
SELECT
    date_trunc('day', "minute") AS "day",
    new.* EXCLUDE ("minute") REPLACE ([ceil(k / 2.0)::SMALLINT for k in bucket_k] AS bucket_k)
FROM new_query_stats AS new, bounds
WHERE "minute" < hours_since;

DELETE FROM new_query_stats WHERE "minute" < (SELECT minutes_since FROM bounds);
