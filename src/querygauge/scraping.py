"""
What a tick does for those who scrape: it adds up what is new, and publishes the totals with what only it knows.

Nothing is done while nobody has scraped the store. What cannot be done is logged, and done by a later tick: nothing is
lost, as whoever reads adds what is not in the totals yet. Deliberately not here: what is added up, and serving it.
"""

import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from querygauge.errors import StoreError
from querygauge.histogram import Histogram
from querygauge.logs import get_logger
from querygauge.storage.paths import StorePaths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from querygauge.export.prometheus_totals import Totals
    from querygauge.storage.folding import FoldResult
    from querygauge.storage.noticed import Noticed, Since

__all__ = ["note_fold", "publish_totals"]

log = get_logger(__name__)

_LOCK_TIMEOUT_S: Final = 5.0
_NS_PER_MS: Final = 1e6
_MESSAGES: Final = "messages"
_FOLDER: Final = "prometheus"  # that of the subscription, whose module is not loaded for nothing
_FOLDS: Final = ("busy", "failed")


def note_fold(paths: StorePaths, outcome: Literal["busy", "failed"]) -> None:
    """Counts a fold that did not come about; whoever folds meanwhile has the lock, so that a byte is all there is."""
    with suppress(OSError):  # nobody scrapes, or the disk is full
        descriptor = os.open(paths.exports / _FOLDER / outcome, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, b".")
        finally:
            os.close(descriptor)


def publish_totals(paths: StorePaths, folded: "FoldResult", most_patterns: int) -> None:
    """
    Adds up what was flushed since the last tick, if anybody scrapes.

    Args:
        paths: The store, folded just now.
        folded: What the fold did.
        most_patterns: Patterns that may have series of their own.
    """
    if not (paths.exports / _FOLDER).is_dir():
        return
    from querygauge.storage.election import elected

    try:
        # Only files of this machine are concerned, for which other machines have no turn.
        with elected(StorePaths(paths.root), _LOCK_TIMEOUT_S) as is_elected:
            if is_elected:
                _publish(paths, folded, most_patterns)
    except StoreError as error:
        log.warning("totals_not_published", store=paths.name, error=str(error))
    except Exception:  # a mistake in what is exported must not end a tick
        log.exception("totals_not_published", store=paths.name)


def _publish(paths: StorePaths, folded: "FoldResult", most_patterns: int) -> None:
    from querygauge.export.prometheus_reading import DigestSubscription
    from querygauge.export.prometheus_state import decoded, encoded
    from querygauge.storage.noticed import noticed

    subscription = DigestSubscription(paths)
    unread, taken = subscription.unread_digests(), set[str]()
    totals = decoded(unread.state, most_patterns)
    while True:
        for digest in unread.digests.values():
            totals.add(digest, decides=True)
        taken.update(unread.digests)
        if not unread.has_more:
            break
        unread = subscription.unread_digests(taken, unread.state)
    _count_folds(paths, totals, folded)
    _tell(totals, noticed(paths, datetime.now(UTC), _since(totals)))
    totals.settle(time.time_ns() // 1_000, most_patterns)
    subscription.keep(encoded(totals), taken)


def _count_folds(paths: StorePaths, totals: "Totals", folded: "FoldResult") -> None:
    totals.count("folds_total", ("ok",), 1)
    for outcome in _FOLDS:
        with suppress(OSError):
            size = (paths.exports / _FOLDER / outcome).stat().st_size
            totals.counters["folds_total"][outcome,] = size
    totals.count("snapshots_dropped_total", ("invalid",), len(folded.rejected))
    if folded.files:
        from querygauge.export.prometheus_digest import counted

        totals.observe("fold_seconds", (), counted(Histogram.of([round(folded.held_ms * _NS_PER_MS)])))


def _since(totals: "Totals") -> "Since | None":
    from querygauge.storage.noticed import MESSAGE_OUTCOMES, Since

    marks = totals.marks
    if "looked_us" not in marks:
        return None
    messages = {}
    for name, number in marks.items():
        kind, _, rest = name.partition(" ")
        outcome, _, channel = rest.partition(" ")
        if kind == _MESSAGES and outcome in MESSAGE_OUTCOMES:
            messages[channel, outcome] = number
    return Since(marks["looked_us"], marks["fired_us"], marks["made_us"], messages)


def _tell(totals: "Totals", found: "Noticed") -> None:
    host = socket.gethostname()
    for labels, number in found.fired.items():
        totals.count("alerts_total", labels, number)
    for labels, number in found.messages.items():
        totals.count("alert_messages_total", labels, number)
    # What has ended is told as none, so that its series do not end in the middle of something.
    known = {**totals.told.get("alerts_firing", {}), **dict.fromkeys(totals.counters.get("alerts_total", {}), 0.0)}
    totals.told = {
        "alerts_firing": {**dict.fromkeys(known, 0.0), **_floats(found.firing)},
        "alert_queue_length": {(channel,): float(number) for channel, number in found.waiting.items()},
        "store_size_bytes": {(host, kind): float(size) for kind, size in found.sizes.items()},
    }
    if found.retained_s is not None:
        totals.told["retention_last_success_timestamp_seconds"] = {(): found.retained_s}
    if found.backed_up_s is not None:
        totals.told["backup_last_success_timestamp_seconds"] = {(): found.backed_up_s}
    messages = {f"{_MESSAGES} {outcome} {channel}": n for (channel, outcome), n in found.since.messages.items()}
    since = found.since
    totals.marks = {
        "looked_us": since.looked_us,
        "fired_us": since.fired_us,
        "made_us": since.made_us,
        **messages,
    }


def _floats(numbers: "Mapping[tuple[str, str], int]") -> dict[tuple[str, ...], float]:
    return {labels: float(number) for labels, number in numbers.items()}
