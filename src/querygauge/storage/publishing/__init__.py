"""Files for everybody: a store's days and weeks as Parquet, written again as they change, and read without a lock."""
