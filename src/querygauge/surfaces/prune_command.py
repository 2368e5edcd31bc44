"""
What is old leaves the store by hand: in go its directory and the limits, out comes what was dropped.

Deliberately not here: what is dropped (`storage.retention`).
"""

import itertools
import json
from datetime import UTC, datetime
from typing import Final

import typer

from querygauge.errors import StoreError
from querygauge.rendering.formats import counted, number
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import Location, StorePaths
from querygauge.storage.retention import STEPS, Retained, retain
from querygauge.storage.rollups import roll_up
from querygauge.surfaces.progress import progress

__all__ = ["run_prune"]

_LOCK_TIMEOUT_S: Final = 10.0


def run_prune(store: Location, limits: Limits, *, as_json: bool) -> None:
    """
    Folds what waits, rolls up what is over, drops what is older than its limit, and prints what that was.

    Args:
        store: Where it is.
        limits: For how long what is kept.
        as_json: Whether JSON is printed.

    Raises:
        StoreError: If there is no store, somebody else changes it, or it cannot be written.
    """
    now = datetime.now(UTC)
    paths = open_store(store).paths
    steps = itertools.count(1)
    with progress() as tell:
        tell("rolling up", 0, STEPS + 1)
        roll_up(paths, now)
        retained = retain(
            paths,
            limits,
            now,
            lock_timeout_s=_LOCK_TIMEOUT_S,
            on_step=lambda step: tell(step, next(steps), STEPS + 1),
        )
    if retained.is_busy:
        raise StoreError(f"store {paths.name!r} is being changed by somebody else; try again in a moment")
    typer.echo(json.dumps(retained._asdict(), indent=1) if as_json else _told(paths, retained))


def _told(paths: StorePaths, retained: Retained) -> str:
    if not retained.deleted_count:
        return "nothing is older than its limit"
    rows = f"dropped {counted(retained.deleted_count, 'row')} of {counted(retained.days_cleaned, 'day')}"
    archived = f"; {number(retained.archived_count)} by hour are in {paths.archive}" if retained.archived_count else ""
    freed = f"; the database is {retained.freed_bytes / 1e6:,.1f} MB smaller" if retained.freed_bytes else ""
    return rows + archived + freed
