"""
What a tick does about a store that it could not fold into: it has somebody told, once for as long as that lasts.

Alerts are kept in the store, and so is what is to be sent; neither can be now. So this one is kept in a file beside it,
and sent at once. When the store can be written again, `watching` takes it over, and tells its end.

Deliberately not here: any other rule; what they look at cannot be read, or is old.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from querygauge.alerts.configuration import AlertSettings, alert_settings_in_force
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.locking import FileLock
from querygauge.storage.paths import StorePaths
from querygauge.storage.stalled import Stall, keep_stall, kept_stall, spool_state
from querygauge.values.alerts import AlertMessage

if TYPE_CHECKING:
    from querygauge.alerts.routes import Route
    from querygauge.values.alerts import Alert, Finding

__all__ = ["look_at_stall"]

log = get_logger(__name__)

_REASON_KNOWN: Final = timedelta(0)
# Whoever else folds may fold this very moment what has waited since the machine fell asleep.
_NOBODY_KNOWS: Final = timedelta(minutes=2)


def look_at_stall(paths: StorePaths, reason: str) -> None:
    """
    Has somebody told if what waits has waited for too long; never raises.

    Args:
        paths: The store, into which nothing could be folded just now.
        reason: Why not; empty if nobody knows.
    """
    settings = alert_settings_in_force(Path.cwd())
    if not settings.enabled:
        return
    try:
        now = datetime.now(UTC)
        found = list(_found(paths, reason, settings, now))
        if not found:
            return
        with closing(_Lock(paths)) as lock:
            if lock.is_held:
                _tell(paths, found, settings, now, _REASON_KNOWN if reason else _NOBODY_KNOWS)
    except (OSError, StoreError):
        return  # a disk that cannot be read, or takes no lock, is what the tick itself complains of
    except Exception:  # why nothing was folded is the error to be told
        log.exception("stall_not_looked_at", store=paths.name)


def _found(paths: StorePaths, reason: str, settings: AlertSettings, now: datetime) -> "Iterator[Finding]":
    from querygauge.alerts.rules import machine

    state = replace(spool_state(paths, now), stopped_by=reason)
    return machine.store_stalled(state, settings.thresholds)


def _tell(
    paths: StorePaths, found: "Sequence[Finding]", settings: AlertSettings, now: datetime, lasting: timedelta
) -> None:
    from querygauge.alerts.lifecycle import Patience, look

    known = kept_stall(paths)
    before = {alert.id: alert for alert in known.alerts}
    patience = {finding.rule: Patience(lasting) for finding in found}
    seen = look(known.alerts, found, now, patience=patience, repeat=settings.repeat)
    untold = Stall(tuple(_untold(alert, before.get(alert.id)) for alert in seen.alerts), known.key, known.missed)
    routes = {route.name: route for route in settings.routes}
    if seen.told:
        key, asked = _key_of(seen.told[0], before), routes
    else:
        key, asked = known.key, {name: route for name, route in routes.items() if name in known.missed}
    # A disk that does not take it would have somebody told by every tick, each time of something new.
    keep_stall(paths, untold)
    missed = _missed(AlertMessage(key, now, seen.told or seen.alerts), asked) if asked else ()
    is_told = len(missed) < len(asked) or not asked
    keep_stall(paths, Stall(seen.alerts if is_told else untold.alerts, key, missed))


def _key_of(alert: "Alert", before: "Mapping[str, Alert]") -> str:
    """The same in every attempt; told of again after hours, it is another message."""
    told_before = before[alert.id].told_at if alert.id in before else None
    return alert.id if told_before is None else f"{alert.id}-{told_before:%m%dT%H%M%S}"


def _missed(message: "AlertMessage", routes: "Mapping[str, Route]") -> tuple[str, ...]:
    """The channels at which a message did not arrive, and where it may yet."""
    from querygauge.alerts.delivery import send_all

    parts = [(name, part) for name, route in routes.items() if (part := route.part_of(message)) is not None]
    missed = []
    for (name, _), outcome in zip(parts, send_all(parts, routes), strict=True):
        if outcome.error is not None:
            log.warning("alert_not_sent", channel=name, error=outcome.error, is_given_up=outcome.is_final)
            if not outcome.is_final:
                missed.append(name)
    return tuple(missed)


def _untold(alert: "Alert", before: "Alert | None") -> "Alert":
    if before is None:
        return replace(alert, told_at=None, told_severity=None)
    return replace(alert, told_at=before.told_at, told_severity=before.told_severity)


class _Lock:
    """Held by one tick at a time, of several that cannot fold."""

    def __init__(self, paths: StorePaths) -> None:
        self._lock = FileLock(paths.stalled_lock)
        self.is_held = self._lock.acquire()

    def close(self) -> None:
        self._lock.release()
