-- What came late, beside the other rows.
INSERT INTO store.query_stats_hourly BY NAME SELECT * FROM memory.late_query_stats_hourly;
INSERT INTO store.query_stats_daily BY NAME SELECT * FROM memory.late_query_stats_daily;
