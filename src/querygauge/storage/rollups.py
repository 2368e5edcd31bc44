"""
Minutes into hours, and hours into days: each period anew from the finer rows, once it is over.

The fold notes in `pending_rollups` which periods its rows belong to. Until one is rolled up, readers take its minutes;
something that comes late makes its hour and day pending again. So no row is counted twice or missed, whoever is killed.

Deliberately not here: when rows are dropped for their age.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from querygauge.errors import StoreError
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    attached,
    first_line,
    scratch_connection,
    statements,
    tidy,
    transaction,
)
from querygauge.storage.election import elected
from querygauge.storage.limits import Agreed
from querygauge.storage.paths import StorePaths

__all__ = ["NOTHING_KEPT", "Kept", "Period", "kept", "roll_up"]

_DATABASE_TIMEOUT_S: Final = 10.0
_GRACE: Final = timedelta(minutes=2)  # for what processes flush on their way
_BELIEVED_DAYS: Final = 3


_NEVER: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # as DuckDB's timestamps are


_META: Final = """
SELECT
    max(minutes_since), max(hours_since), max(retained_at), max(agreed_at), max(price_per_hour), max(weekly_slow_ms),
    max(published_days)
FROM store.meta
"""


class Period(NamedTuple):
    """One hour or day; `begin` is naive UTC, as in the store."""

    tier: str
    begin: datetime


class Kept(NamedTuple):
    """
    What a store says of its minutes, hours and days; moments are naive UTC.

    Attributes:
        minutes_since: Rows by minute before that were dropped for their age.
        hours_since: And rows by hour.
        pending: What is not rolled up.
        retained_at: Up to when it was last looked for what has grown old.
        days: The newest three days that are rolled up, the newest first.
        agreed: What collectors agreed on; None if there was none yet.
        agreed_at: When that was changed.
    """

    minutes_since: datetime
    hours_since: datetime
    pending: frozenset[Period]
    retained_at: datetime = _NEVER
    days: tuple[datetime, ...] = ()
    agreed: Agreed | None = None
    agreed_at: datetime = _NEVER

    def believed(self, now: datetime) -> datetime:
        """
        How late it is at least: `now`, unless there are too few days with rows for so much time to have gone by.

        A clock that is years ahead for an hour must not have everything dropped for its age.
        """
        if len(self.days) < _BELIEVED_DAYS:
            return self.minutes_since
        return min(now, self.days[-1] + timedelta(days=_BELIEVED_DAYS + 1))

    def changed_by(self, hours: Iterable[datetime]) -> frozenset[Period]:
        """What is to be rolled up, and was not yet pending, once there are new rows in these hours."""
        found = {Period("hour", hour) for hour in hours if hour >= self.minutes_since}
        found |= {Period("day", hour.replace(hour=0)) for hour in hours if hour >= self.hours_since}
        return frozenset(found) - self.pending

    def due(self, now: datetime) -> Period | None:
        """The next that is over; a day waits for its hours."""
        over = now - _GRACE
        hours = [period for period in self.pending if period.tier == "hour"]
        waited_for = {hour.begin.date() for hour in hours}
        days = [period for period in self.pending if period.tier == "day" and period.begin.date() not in waited_for]
        due = [period for period in (*hours, *days) if period.begin + _TIERS[period.tier].length <= over]
        return min(due, default=None, key=lambda period: (period.tier == "day", period.begin))


class _Tier(NamedTuple):
    """One step of the stairs; `factor` buckets of the finer table make one."""

    finer: str
    finer_period: str
    table: str
    length: timedelta
    factor: int


_TIERS: Final = {
    "hour": _Tier("query_stats", "minute", "query_stats_hourly", timedelta(hours=1), 1),
    "day": _Tier("query_stats_hourly", "hour", "query_stats_daily", timedelta(days=1), 2),
}


NOTHING_KEPT: Final = Kept(_NEVER, _NEVER, frozenset())
"""What an empty store says."""


def kept(connection: Connection) -> Kept:
    """What the attached store says."""
    ((*moments, price, slow_ms, published_days),) = connection.execute(_META).fetchall()
    minutes_since, hours_since, retained_at, agreed_at = (moment or _NEVER for moment in moments)
    pending = connection.execute("SELECT tier, period FROM store.pending_rollups").fetchall()
    days = connection.execute(
        "SELECT DISTINCT day FROM store.query_stats_daily ORDER BY day DESC LIMIT ?", [_BELIEVED_DAYS]
    ).fetchall()
    return Kept(
        minutes_since,
        hours_since,
        frozenset(Period(*row) for row in pending),
        retained_at,
        tuple(row[0] for row in days),
        None if price is None else Agreed(price, slow_ms, published_days),
        agreed_at,
    )


def roll_up(
    paths: StorePaths, now: datetime, *, most: int | None = None, database_timeout_s: float = _DATABASE_TIMEOUT_S
) -> int:
    """
    Rolls up the periods that are over, the oldest first, each in a transaction of its own.

    Args:
        paths: The store.
        now: UTC.
        most: Periods to roll up at most; the others wait for the next time.
        database_timeout_s: How long to wait for somebody who holds the database open.

    Returns:
        How many were; 0 if somebody else changes the store.

    Raises:
        StoreError: If the store cannot be written; what is pending stays so.
    """
    moment = now.replace(tzinfo=None)
    count = 0
    with elected(paths, 0.0) as is_elected:
        if not is_elected:
            return 0
        try:
            with scratch_connection(paths) as connection:
                while most is None or count < most:
                    period = _prepared(connection, paths, moment, database_timeout_s)
                    if period is None:
                        break
                    _written(connection, paths, period, database_timeout_s)
                    count += 1
                if count and paths.remote is not None:
                    with attached(connection, paths, read_only=False, timeout_s=database_timeout_s):
                        tidy(connection, paths)
        except DatabaseError as error:
            raise StoreError(f"store {paths.database_name!r} could not be written: {first_line(error)}") from None
    return count


def _prepared(connection: Connection, paths: StorePaths, moment: datetime, timeout_s: float) -> Period | None:
    """The first period that is due, its rows in `memory.rolled`; None if none is."""
    with attached(connection, paths, read_only=True, timeout_s=timeout_s):
        period = kept(connection).due(moment)
        if period is None:
            return None
        tier = _TIERS[period.tier]
        connection.execute(
            f"""
            CREATE OR REPLACE TABLE memory.finer AS
            SELECT $begin AS period, * EXCLUDE ("{tier.finer_period}")
            FROM store.{tier.finer}
            WHERE "{tier.finer_period}" >= $begin AND "{tier.finer_period}" < $end
            """,  # noqa: S608  # built of constants
            {"begin": period.begin, "end": period.begin + tier.length},
        )
    connection.execute(statements("rolled.sql"), {"factor": tier.factor})
    return period


def _written(connection: Connection, paths: StorePaths, period: Period, timeout_s: float) -> None:
    tier, chosen = _TIERS[period.tier], {"begin": period.begin}
    with attached(connection, paths, read_only=False, timeout_s=timeout_s), transaction(connection, paths):
        connection.execute(f'DELETE FROM store.{tier.table} WHERE "{period.tier}" = $begin', chosen)  # noqa: S608
        connection.execute(
            f"INSERT INTO store.{tier.table} BY NAME "  # noqa: S608  # built of constants
            f'SELECT period AS "{period.tier}", * EXCLUDE (period) FROM memory.rolled'
        )
        connection.execute(
            "DELETE FROM store.pending_rollups WHERE tier = $tier AND period = $begin", {"tier": period.tier, **chosen}
        )
