"""
Until when there are reports: for each channel that gets them the end of what its last one was about.

It is written together with the message, so that whoever ticks next neither forgets one nor makes it again. Deliberately
not here: when a report is due, and what it says.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.storage.asking import asked
from querygauge.storage.changing import written
from querygauge.storage.database import DatabaseError, first_line, open_database
from querygauge.storage.outbox import put_message
from querygauge.storage.paths import StorePaths
from querygauge.storage.rows import utc
from querygauge.values.alerts import AlertMessage

__all__ = ["keep_reports", "reported_until"]

_TIMEOUT_S: Final = 10.0
_KNOWN: Final = "SELECT channel, period, until FROM reports"
_FORGET: Final = "DELETE FROM store.reports WHERE channel = $channel AND period = $period"
_KEEP: Final = "INSERT INTO store.reports VALUES ($channel, $period, make_timestamp($until))"


def reported_until(paths: StorePaths) -> dict[tuple[str, str], datetime]:
    """
    By channel and period, until when there are reports.

    Raises:
        StoreError: If the store cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            return {(row["channel"], row["period"]): utc(row["until"]) for row in asked(connection, _KNOWN, {})}
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None


def keep_reports(
    paths: StorePaths, until: Mapping[tuple[str, str], datetime], messages: Iterable[tuple[str, AlertMessage]]
) -> None:
    """
    Has reports wait for their channels, and remembers until when there are any: all or nothing.

    Args:
        paths: The store, whose election lock the caller holds.
        until: By channel and period, where that changes.
        messages: The reports, each by the name of its channel.

    Raises:
        StoreError: If the store cannot be written; it is as it was.
    """
    with written(paths) as connection:
        for (channel, period), end in until.items():
            place = {"channel": channel, "period": period}
            connection.execute(_FORGET, place)
            connection.execute(_KEEP, {**place, "until": microseconds_of(end)})
        for channel, message in messages:
            put_message(connection, channel, message)
