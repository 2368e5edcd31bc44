"""
The memory of one alert where the store cannot be written: a file beside it. And how long its spool has waited.

Deliberately not here: what is an alert, and who is told.
"""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from querygauge.errors import StoreError
from querygauge.storage.outbox import alert_of
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.subscribers import replaced
from querygauge.values.alerts import Alert
from querygauge.values.observed import ObservedStore

__all__ = ["forget_stalled", "keep_stalled", "spool_state", "stalled_alerts"]


def stalled_alerts(paths: StorePaths) -> list[Alert]:
    """What is kept; nothing if there is no such file, or it is not to be understood."""
    try:
        return [alert_of(told) for told in json.loads(paths.stalled.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def keep_stalled(paths: StorePaths, alerts: Sequence[Alert]) -> None:
    """
    Keeps alerts instead of what was kept.

    Raises:
        StoreError: If the file cannot be written.
    """
    if not alerts:
        return
    try:
        replaced(paths.stalled, json.dumps([alert.to_dict() for alert in alerts]).encode())
    except OSError as error:
        raise StoreError(f"{str(paths.stalled)!r} could not be written: {error.strerror or error}") from error


def forget_stalled(paths: StorePaths) -> None:
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
