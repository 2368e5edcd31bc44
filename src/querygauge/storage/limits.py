"""How a store is kept: a value that hosts hand to the collector, so it loads nothing."""

from typing import NamedTuple

__all__ = ["Limits"]


class Limits(NamedTuple):
    """
    For how many days what is kept, each at least as long as the one before, and what is written beside the store.

    Attributes:
        minutes_days: Statistics of queries by minute.
        days: Those by hour, and everything that is told one by one: slow queries, pools, repetitions, scopes.
        daily_days: Statistics by day, and published files.
        has_archive: Whether statistics by hour are written to a Parquet file of the folder `archive` before they go.
        backups: Backups that are kept, one a day; 0 takes none. It is no number of days.
        publishes: Whether days and weeks are written to the folder `published`.
        weekly_slow_ms: A pattern with a higher 95th percentile is slow in the report of a week.
    """

    minutes_days: int = 7
    days: int = 90
    daily_days: int = 1_826
    has_archive: bool = False
    backups: int = 3
    publishes: bool = True
    weekly_slow_ms: float = 100.0
