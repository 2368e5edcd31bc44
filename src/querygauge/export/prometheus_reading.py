"""
The totals of a store as they are now: in goes a store, out comes what was published and what waits, added up.

Needs no lock of the store and no database. What was read once is kept, so that only what is new costs time.
"""

import os
import socket
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

from querygauge.errors import StoreError
from querygauge.export.names import readable
from querygauge.export.prometheus_digest import Digest, Labels, digest_of
from querygauge.export.prometheus_patterns import SLOT_US, WINDOW_US
from querygauge.export.prometheus_samples import Series, served
from querygauge.export.prometheus_state import decoded
from querygauge.export.prometheus_totals import Totals
from querygauge.histogram import EMPTY
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.subscriptions import Subscription
from querygauge.values import Snapshot

__all__ = ["SUBSCRIBER", "DigestSubscription", "TotalsReader", "UnreadDigests"]

log = get_logger(__name__)

SUBSCRIBER: Final = "prometheus"
"""The name under which the store hands files over."""

_NS_PER_US: Final = 1_000
_US_PER_S: Final = 1e6


class UnreadDigests(NamedTuple):
    """
    What a store has for Prometheus at one moment.

    Attributes:
        state: The totals that were published last; None if none were.
        digests: What is not in it yet, by the name of the file, oldest first.
        dropped: Files that were dropped because they were too many.
        has_more: Whether there are more, which come when it is asked again.
    """

    state: bytes | None
    digests: Mapping[str, Digest]
    dropped: int
    has_more: bool


class DigestSubscription(Subscription):
    """The subscription of Prometheus, of which it keeps what a file adds to the totals: a small part of it."""

    def __init__(self, paths: StorePaths) -> None:
        super().__init__(paths, SUBSCRIBER)

    @staticmethod
    def kept_of(snapshot: Snapshot) -> Any:
        """What a snapshot adds; durations of long ago are in no window any more."""
        digest = digest_of(snapshot)
        if time.time_ns() // _NS_PER_US - digest.ended_us > WINDOW_US + SLOT_US:
            digest.patterns = {key: part._replace(durations=EMPTY) for key, part in digest.patterns.items()}
        return digest

    def unread_digests(self, added: Collection[str] = (), state: bytes | None = None) -> UnreadDigests:
        """
        The published totals, and what is not in them yet.

        Args:
            added: As for `unread`.
            state: Likewise.

        Raises:
            StoreError: As `unread`.
        """
        kept, digests, dropped, has_more = self.unread(added, state)
        return UnreadDigests(kept, cast("Mapping[str, Digest]", digests), dropped, has_more)


class TotalsReader:
    """
    Reads the totals of one store, for any number of threads; from now on, everything that is flushed counts.

    Args:
        paths: The store; it need not be there yet.
    """

    def __init__(self, paths: StorePaths) -> None:
        self._paths = paths
        self._subscription = DigestSubscription(paths)
        self._lock = threading.Lock()
        self._state: bytes | None = None
        self._totals: Totals | None = None
        self._added: set[str] = set()
        self._failure: str | None = None
        with suppress(StoreError):  # the first scrape tries again, and says it
            self._subscription.begin()

    def series(self) -> list[Series]:
        """
        The families that have anything to tell, now; those that need no store, if there is none.

        Raises nothing: what cannot be read is logged, once.
        """
        now_us = time.time_ns() // _NS_PER_US
        with self._lock:
            try:
                totals, dropped = self._refreshed()
                self._failure = None
            except StoreError as error:
                self._log(str(error))
                return []
            told = self._local(now_us)
            told["snapshots_dropped_total"] = {("export_full",): float(dropped)}
            return list(served(totals, now_us, told))

    def refresh(self) -> None:
        """Reads what is new ahead of time; raises nothing."""
        with self._lock, suppress(StoreError):
            self._refreshed()

    def _log(self, failure: str) -> None:
        if failure != self._failure:
            log.warning("totals_not_read", store=self._paths.name, error=failure)
        self._failure = failure

    def _refreshed(self) -> tuple[Totals, int]:
        """The totals as they are now, and the number of files that were dropped."""
        if not self._subscription.is_begun:
            self._subscription.begin()
        while True:
            if self._totals is None:
                self._added = set()
            unread = self._subscription.unread_digests(self._added, self._state)
            if self._totals is None or unread.state != self._state:
                self._totals, self._added = decoded(unread.state), set()
                self._state = unread.state
            totals = self._with(self._totals, unread.digests)
            if not unread.has_more:
                return totals, unread.dropped

    def _with(self, totals: Totals, digests: Mapping[str, Digest]) -> Totals:
        self._totals = None  # whatever cuts this short, nothing is added a second time
        for name, digest in digests.items():
            if name not in self._added:
                totals.add(digest)
                self._added.add(name)
        self._totals = totals
        return totals

    def _local(self, now_us: int) -> dict[str, dict[Labels, float]]:
        """What this process sees of the store itself."""
        host = readable(socket.gethostname())
        ages = [_age_s(path.name, now_us) for path in waiting_files(self._paths)]
        told: dict[str, dict[Labels, float]] = {
            "spool_files": {(host,): float(len(ages))},
            "spool_oldest_seconds": {(host,): max(ages, default=0.0)},
        }
        with suppress(OSError):
            disk = os.statvfs(self._paths.root)
            where = (host, readable(str(self._paths.root)))
            told["store_disk_free_bytes"] = {where: float(disk.f_bavail * disk.f_frsize)}
            told["store_disk_size_bytes"] = {where: float(disk.f_blocks * disk.f_frsize)}
        return told


def _age_s(name: str, now_us: int) -> float:
    """Seconds since the snapshot ended that a file is named for; 0 for one that a stranger put there."""
    ended, _, _ = name.partition("-")
    return max(0, now_us - int(ended)) / _US_PER_S if ended.isdecimal() else 0.0
