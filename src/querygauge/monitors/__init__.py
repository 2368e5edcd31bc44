"""Records to counters to snapshots."""
