"""
What all collectors of a store have to agree on, kept in it: views know no settings, and files are published by anybody.

Each hands over its own settings. Where they differ, the last to change them is followed for an hour, so that two never
rewrite what the other wrote by turns at every tick.
"""

from datetime import datetime, timedelta
from typing import Final

from querygauge.logs import get_logger
from querygauge.storage.changing import written
from querygauge.storage.election import elected
from querygauge.storage.limits import Agreed, Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import Kept

__all__ = ["agree"]

log = get_logger(__name__)

_DATABASE_TIMEOUT_S: Final = 10.0
_FOLLOWED: Final = timedelta(hours=1)
_AGREE: Final = f"""
UPDATE store.meta SET {", ".join(f"{name} = ?" for name in Agreed._fields)}, agreed_at = ?
"""  # noqa: S608  # built of constants


def agree(paths: StorePaths, known: Kept, limits: Limits, now: datetime) -> None:
    """
    Writes into the store what it does not have like that, unless it was changed less than an hour ago.

    Args:
        paths: The store.
        known: What it says.
        limits: As the settings of the caller have them.
        now: Naive UTC.

    Raises:
        StoreError: If the store cannot be written.
    """
    if known.agreed == limits.agreed:
        return
    if known.agreed is not None and abs(now - known.agreed_at) < _FOLLOWED:
        return
    with elected(paths, 0.0) as is_elected:
        if not is_elected:
            return
        with written(paths) as connection:
            connection.execute(_AGREE, [*limits.agreed, now])
    if known.agreed is not None:
        log.info("agreed_anew", store=paths.name, before=known.agreed._asdict(), after=limits.agreed._asdict())
