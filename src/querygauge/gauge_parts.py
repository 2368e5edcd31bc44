"""
What a gauge is made of: in go settings, out come its monitors and its way to the store.

Deliberately not here: how they are joined.
"""

import os
from pathlib import Path

from querygauge.errors import SettingsError, StoreError
from querygauge.flush import Outbox
from querygauge.monitors.pool_monitor import ConnectionPoolMonitor
from querygauge.monitors.query_monitor import QueryMonitor
from querygauge.protocols import Clock
from querygauge.settings import Settings
from querygauge.storage.spool_sink import SpoolSink
from querygauge.ticks import Ticks

__all__ = ["absolute", "pool_monitor", "query_monitor", "store_of"]


def query_monitor(settings: Settings, clock: Clock) -> QueryMonitor:
    """The monitor of all statements."""
    return QueryMonitor(
        settings.slow_query_threshold_ms,
        settings.enable_alerting,
        settings.enable_logging,
        settings.max_history_size,
        settings.stats_retention_hours,
        history_threshold_ms=settings.effective_history_threshold_ms,
        keep_literals=settings.keep_literals,
        max_patterns=settings.max_patterns,
        max_scopes=settings.max_scopes,
        fold_numbered_names=settings.fold_numbered_names,
        repetition_threshold=settings.repetition_threshold,
        service=settings.service,
        clock=clock,
    )


def pool_monitor(settings: Settings, name: str, clock: Clock) -> ConnectionPoolMonitor:
    """The monitor of one pool, by its name."""
    return ConnectionPoolMonitor(
        None,  # the pool tells
        settings.health_check_interval,
        settings.snapshot_history_size,
        settings.exhaustion_threshold,
        settings.high_wait_time_ms,
        settings.enable_alerting,
        name=name,
        snapshot_interval_s=settings.snapshot_interval_s,
        health_check_timeout_s=settings.health_check_timeout_s,
        long_checkout_s=settings.long_checkout_s,
        clock=clock,
    )


def store_of(settings: Settings, clock: Clock) -> tuple[Outbox | None, Ticks | None]:
    """
    What takes snapshots to the store, and what starts ticks there; None each if nothing is stored.

    Raises:
        SettingsError: If a file is where the store's directory is to be.
    """
    directory = settings.directory
    if directory is None or not settings.enabled:
        return None, None
    # Not Path.exists(), which raises for a folder that this user may not look into.
    if os.path.exists(directory) and not os.path.isdir(directory):  # noqa: PTH110, PTH112
        name = "store" if settings.remote is None else "spool"
        raise SettingsError(
            f"{name} must be a directory; got the file {str(directory)!r}: name another, or None for memory only"
        )
    root = absolute(directory)
    outbox = Outbox(lambda: _open_spool(root, settings.spool_max_mb))
    return outbox, Ticks(root, settings, clock)


def absolute(path: Path) -> Path:
    """The same from the root, if the working directory is there."""
    # Now, since the host may change its working directory before the store can be made.
    try:
        return path.absolute()
    except OSError:  # the working directory was removed
        return path


def _open_spool(root: Path, max_mb: float) -> SpoolSink:
    try:
        return SpoolSink(root, max_mb)
    except (OSError, ValueError) as error:  # a folder not to be looked into, a path that cannot be one
        raise StoreError(f"store {str(root)!r} could not be made: {error}") from error
