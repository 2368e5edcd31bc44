"""Rules about what everything stands on: memory of the processes, the store, and its disk."""

from collections.abc import Iterator
from typing import Final

from querygauge.alerts.thresholds import Thresholds
from querygauge.rendering.formats import age, number, percent, size
from querygauge.values.alerts import Finding
from querygauge.values.observed import ObservedService, ObservedStore

__all__ = ["disk_low", "memory_high", "spool_backlog", "store_stalled", "store_too_large"]

_BYTES_PER_MB: Final = 1e6


def memory_high(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """A process is about to reach its memory limit."""
    known = [process for process in service.processes if process.memory_percent is not None]
    most = max(known, key=lambda process: process.memory_percent or 0.0, default=None)
    if most is None or most.memory_percent is None or most.memory_percent <= limits.memory_percent:
        return
    yield Finding(
        "memory_high",
        "warning",
        f"process {most.process} has {size(most.memory_bytes or 0)}, {percent(most.memory_percent)} of the "
        f"{size(most.memory_limit_bytes or 0)} it may have",
        f"querygauge metrics --service {service.service} shows since when it grows",
        service.service,
        value=most.memory_percent,
        threshold=limits.memory_percent,
        unit="%",
    )


def store_too_large(store: ObservedStore, limits: Thresholds) -> Iterator[Finding]:
    """The database has grown large."""
    if store.size_mb < limits.store_warning_mb:
        return
    is_critical = store.size_mb >= limits.store_critical_mb
    yield Finding(
        "store_too_large",
        "critical" if is_critical else "warning",
        f"the store's database has {size(store.size_mb * _BYTES_PER_MB)}",
        "keep fewer days (retention_days, keep_minutes_days) or set max_store_mb; querygauge doctor tells how it grows",
        value=store.size_mb,
        threshold=limits.store_critical_mb if is_critical else limits.store_warning_mb,
        unit="MB",
    )


def store_stalled(store: ObservedStore, limits: Thresholds) -> Iterator[Finding]:
    """Nothing is folded, so nothing new is known: no other rule would notice anything."""
    if store.waits_s < limits.waiting_s:
        return
    reason = f": {store.stopped_by}" if store.stopped_by else ""
    yield Finding(
        "store_stalled",
        "critical",
        f"nothing has been folded for {age(store.waits_s)}, so no other rule sees anything new; "
        f"{number(store.waiting_count)} snapshots with {size(store.waiting_mb * _BYTES_PER_MB)} wait{reason}",
        "querygauge doctor names whoever keeps the database open; else see that reason, and the log of the collector",
        value=store.waits_s,
        threshold=limits.waiting_s,
        unit="s",
    )


def spool_backlog(store: ObservedStore, limits: Thresholds) -> Iterator[Finding]:
    """More is flushed than is folded."""
    if store.waiting_mb < limits.waiting_mb:
        return
    yield Finding(
        "spool_backlog",
        "warning",
        f"{number(store.waiting_count)} snapshots with {size(store.waiting_mb * _BYTES_PER_MB)} wait to be folded",
        "querygauge doctor names whoever keeps the database open; querygauge collect --once folds what waits",
        value=store.waiting_mb,
        threshold=limits.waiting_mb,
        unit="MB",
    )


def disk_low(store: ObservedStore, limits: Thresholds) -> Iterator[Finding]:
    """The store's disk is nearly full."""
    free = store.disk_free_percent
    if free is None or free >= limits.disk_free_percent:
        return
    is_critical = free < limits.disk_critical_percent
    yield Finding(
        "disk_low",
        "critical" if is_critical else "warning",
        f"{percent(free)} of the store's disk is free",
        "make room: when it is full, snapshots are kept in memory for five minutes and then dropped",
        value=free,
        threshold=limits.disk_critical_percent if is_critical else limits.disk_free_percent,
        unit="%",
    )
