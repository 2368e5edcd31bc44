"""
The memory of one alert where the store cannot be written: a file beside it. And how long its spool has waited.

Deliberately not here: what is an alert, and who is told.
"""

import json
import shutil
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from querygauge.errors import StoreError
from querygauge.storage.outbox import alert_of
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.subscribers import replaced
from querygauge.values.alerts import Alert
from querygauge.values.observed import ObservedStore

__all__ = ["Stall", "forget_stall", "keep_stall", "kept_stall", "spool_state"]


class Stall(NamedTuple):
    """
    What is remembered.

    Attributes:
        alerts: As they were at the last look.
        key: Of the message about them; empty if there is none.
        missed: The channels at which it did not arrive, and is to be tried again.
    """

    alerts: tuple[Alert, ...] = ()
    key: str = ""
    missed: tuple[str, ...] = ()


def kept_stall(paths: StorePaths) -> Stall:
    """What is kept; nothing if there is no such file, or it is not to be understood."""
    try:
        told = json.loads(paths.stalled.read_text(encoding="utf-8"))
        alerts = tuple(alert_of(alert) for alert in told["alerts"])
        return Stall(alerts, str(told["key"]), tuple(map(str, told["missed"])))
    except (OSError, ValueError, KeyError, TypeError):
        return Stall()


def keep_stall(paths: StorePaths, stall: Stall) -> None:
    """
    Keeps this instead of what was kept.

    Raises:
        StoreError: If the file cannot be written.
    """
    if not stall.alerts:
        return
    told = {**stall._asdict(), "alerts": [alert.to_dict() for alert in stall.alerts]}
    try:
        replaced(paths.stalled, json.dumps(told).encode())
    except OSError as error:
        raise StoreError(f"{str(paths.stalled)!r} could not be written: {error.strerror or error}") from error


def forget_stall(paths: StorePaths) -> None:
    """Removes what was kept, which is in the store by now."""
    with suppress(OSError):
        paths.stalled.unlink(missing_ok=True)


def spool_state(paths: StorePaths, now: datetime) -> ObservedStore:
    """
    What waits in the spool, and the disk it is on; of the database nothing.

    Raises:
        StoreError: If the spool cannot be read.
    """
    sizes, oldest = [], now.timestamp()
    for path in waiting_files(paths):
        with suppress(OSError):  # folded meanwhile
            found = path.stat()
            sizes.append(found.st_size)
            oldest = min(oldest, found.st_mtime)
    free = None
    with suppress(OSError):
        disk = shutil.disk_usage(paths.root)
        free = 100.0 * disk.free / disk.total if disk.total else None
    return ObservedStore(0.0, len(sizes), sum(sizes) / 1e6, free, max(0.0, now.timestamp() - oldest))
