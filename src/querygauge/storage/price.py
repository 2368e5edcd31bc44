"""What an hour of database time costs, kept in the store for views, which know no settings."""

from typing import Final

from querygauge.errors import StoreError
from querygauge.storage.database import DatabaseError, attached, first_line, scratch_connection
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths

__all__ = ["keep_price"]

_DATABASE_TIMEOUT_S: Final = 10.0


def keep_price(paths: StorePaths, price_per_hour: float) -> None:
    """
    Writes the price into the store; not now if somebody else changes it.

    Raises:
        StoreError: If the store cannot be written.
    """
    with elected(paths, 0.0) as is_elected:
        if not is_elected:
            return
        try:
            with (
                scratch_connection(paths) as connection,
                attached(connection, paths, read_only=False, timeout_s=_DATABASE_TIMEOUT_S),
            ):
                connection.execute("UPDATE store.meta SET price_per_hour = ?", [price_per_hour])
        except DatabaseError as error:
            raise StoreError(f"store {paths.database_name!r} could not be written: {first_line(error)}") from error
