"""How a store is kept, and what is told of it: a value that hosts hand to the collector, so it loads nothing."""

from typing import Final, Literal, NamedTuple

__all__ = ["Agreed", "Limits"]

_LEAST_DAYS: Final = 7
_LEAST_DAILY_DAYS: Final = 30


class Agreed(NamedTuple):
    """
    What must be the same for everybody who keeps a store; its columns in `meta`.

    Attributes:
        price_per_hour: What views tell as the cost of an hour of database time.
        weekly_slow_ms: A pattern with a higher 95th percentile is slow in the report of a week.
        published_days: For how many days files are published; 0 if the collector publishes none.
    """

    price_per_hour: float
    weekly_slow_ms: float
    published_days: int


class Limits(NamedTuple):
    """
    For how many days what is kept, each at least as long as the one before; how much; and what is written beside it.

    Attributes:
        minutes_days: Statistics of queries by minute.
        days: Those by hour, and everything that is told one by one: slow queries, pools, repetitions, scopes.
        daily_days: Statistics by day, and published files.
        has_archive: Whether statistics by hour are written to a Parquet file of the folder `archive` before they go.
        backups: Backups that are kept, one a day; 0 takes none.
        publishes: Whether days and weeks are written to the folder `published`.
        weekly_slow_ms: A pattern with a higher 95th percentile is slow in the report of a week.
        max_mb: Megabytes that the database may have once a day, when it is looked at; 0 is no limit.
        price_per_hour: What views tell as the cost of an hour of database time.
        opentelemetry: Where metrics are sent to: `otlp`, `console`, or `off`.
        histograms: Whether those that are sent are `exponential` or `explicit`.
        series: Series of each metric that are told apart for a process.
        prometheus_patterns: Patterns that have series of their own where they are scraped.
    """

    minutes_days: int = 7
    days: int = 90
    daily_days: int = 1_826
    has_archive: bool = False
    backups: int = 3
    publishes: bool = True
    weekly_slow_ms: float = 100.0
    max_mb: int = 0
    price_per_hour: float = 1.0
    opentelemetry: Literal["off", "otlp", "console"] = "off"
    histograms: Literal["exponential", "explicit"] = "exponential"
    series: int = 200
    prometheus_patterns: int = 100

    @property
    def agreed(self) -> Agreed:
        """What of it must be the same for everybody."""
        return Agreed(self.price_per_hour, self.weekly_slow_ms, self.daily_days if self.publishes else 0)

    def following(self, agreed: Agreed | None) -> "Limits":
        """The same with what others agreed on, if they did; who publishes by hand what they do not goes by its own."""
        if agreed is None:
            return self
        return self._replace(
            price_per_hour=agreed.price_per_hour,
            weekly_slow_ms=agreed.weekly_slow_ms,
            daily_days=agreed.published_days or self.daily_days,
        )

    def tighter(self) -> "Limits | None":
        """
        The next less that may be kept if the database is too large; None if this is the least.

        Minutes go first, of which hours have all but the minute.
        """
        if self.minutes_days > 1:
            return self._replace(minutes_days=max(1, self.minutes_days * 2 // 3))
        if self.days > _LEAST_DAYS:
            return self._replace(days=max(_LEAST_DAYS, self.days * 3 // 4))
        if self.daily_days > _LEAST_DAILY_DAYS:
            return self._replace(daily_days=max(_LEAST_DAILY_DAYS, self.daily_days // 2))
        return None
