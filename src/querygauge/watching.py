"""
What a tick does about alerts: it looks, writes down what became of what it finds, and has it sent.

What is to be sent is claimed, sent by a thread without the store, and written down when that is over; meanwhile the
tick goes on. Nothing here holds up a fold: what cannot be done is logged, and done by a later tick.

Deliberately not here: what is wrong, who is told, and how.
"""

import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from querygauge.alerts.configuration import AlertSettings, alert_settings_in_force
from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.reporting import make_reports
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths
from querygauge.values.alerts import AlertMessage

if TYPE_CHECKING:
    from querygauge.alerts.delivery import Outcome
    from querygauge.alerts.routes import Route
    from querygauge.storage.outbox import Claimed
    from querygauge.storage.stalled import Stall
    from querygauge.values.alerts import Alert

__all__ = ["watching"]

log = get_logger(__name__)

_LONGEST_S: Final = 35.0  # a little more than sending takes
_LOCK_TIMEOUT_S: Final = 10.0
_TAGGED: Final = timedelta(hours=1)  # as far back as the rules look


@contextmanager
def watching(paths: StorePaths, *, sends: bool) -> Iterator["tuple[Alert, ...]"]:
    """
    Looks whether something is wrong, and sends while the block runs; gives what somebody is to be told of.

    Args:
        paths: The store, folded just now.
        sends: Whether anything is sent; else it waits for a tick that does.
    """
    settings = alert_settings_in_force(Path.cwd())
    if not settings.enabled:
        yield ()
        return
    told = _looked(paths, settings)
    if sends:  # a report is a second of work, which whoever sends it may do as well
        make_reports(paths, settings, datetime.now(UTC))
    sending = _begun(paths, settings) if sends else None
    try:
        yield told
    finally:
        if sending is not None:
            sending.end(paths)


def _looked(paths: StorePaths, settings: AlertSettings) -> "tuple[Alert, ...]":
    from querygauge.alerts.lifecycle import look, messages
    from querygauge.alerts.rules import PATIENCE, findings
    from querygauge.storage.alerting import keep_alerts, watched
    from querygauge.storage.stalled import forget_stall, kept_stall

    now = datetime.now(UTC)
    try:
        with elected(paths, 0.0) as is_elected:
            if not is_elected:
                return ()
            slow_ms = settings.thresholds.lowest_p95_ms
            observation, known, silences = watched(paths, now, slow_ms=slow_ms, objectives=settings.objectives)
            found = findings(observation, settings.thresholds)
            ids = {alert.id for alert in known}
            stall = kept_stall(paths)
            stalled = [_begun_by(now, alert, stall) for alert in stall.alerts if alert.fired_at and alert.id not in ids]
            seen = look([*known, *stalled], found, now, patience=PATIENCE, silences=silences, repeat=settings.repeat)
            told_before = {alert.id for alert in (*known, *stalled) if alert.told_at is not None}
            tagged = _with_tags(paths, seen.told, settings, now, told_before)
            told = _with_trends(paths, tagged, now)
            missed = [route for route in settings.routes if route.name in stall.missed]
            parts = [
                *(_parts([AlertMessage(stall.key, now, tuple(stalled))], missed) if stalled else ()),
                *_parts(messages(told, now), settings.routes),
                *_parts(messages(seen.closed, now), [route for route in settings.routes if route.keeps_open]),
            ]
            # Who is told of an end is found by the tags of the beginning; a trend is of one message alone.
            latest = {alert.id: alert for alert in (*stalled, *seen.alerts, *tagged)}
            keep_alerts(paths, list(latest.values()), seen.dropped, parts)
            forget_stall(paths)
    except StoreError as error:
        log.warning("alerts_not_looked_at", store=paths.name, error=str(error))
        return ()
    except Exception:  # a mistake in a rule must not keep hours from being added up, nor backups from being taken
        log.exception("alerts_not_looked_at", store=paths.name)
        return ()
    return told


def _begun_by(now: datetime, alert: "Alert", stall: "Stall") -> "Alert":
    """What was found while nothing could be written, and is told now if nobody was reached then."""
    if alert.told_at is not None or not stall.missed:
        return alert
    return replace(alert, told_at=now, told_severity=alert.finding.severity)


def _parts(messages: "Iterable[AlertMessage]", routes: "Sequence[Route]") -> "Iterator[tuple[str, AlertMessage]]":
    """What of each message goes to each channel, by its name."""
    for message in messages:
        for route in routes:
            if (part := route.part_of(message)) is not None:
                yield route.name, part


def _with_tags(
    paths: StorePaths,
    told: "tuple[Alert, ...]",
    settings: AlertSettings,
    now: datetime,
    told_before: "Container[str]",
) -> "tuple[Alert, ...]":
    """The same with their tags, if anybody is told by them."""
    from querygauge.alerts.tagging import with_tags
    from querygauge.storage.tags import read_tags

    if all(route.tags == ("*",) for route in settings.routes):
        return told
    try:
        return with_tags(
            told, lambda pattern_ids: read_tags(paths, pattern_ids, now - _TAGGED), told_before=told_before
        )
    except Exception as error:  # noqa: BLE001  # without tags everybody is told, which is better than nobody
        log.warning("tags_not_read", store=paths.name, error=f"{type(error).__name__}: {error}")
        return told


def _with_trends(paths: StorePaths, told: "tuple[Alert, ...]", now: datetime) -> "tuple[Alert, ...]":
    from querygauge.alerts.trends import STEP, with_trends
    from querygauge.storage.series import read_series

    try:
        return with_trends(told, now, partial(read_series, paths, STEP))
    except Exception as error:  # noqa: BLE001  # whoever is to be told that something is wrong is told without a chart
        log.warning("trends_not_read", store=paths.name, error=f"{type(error).__name__}: {error}")
        return told


def _begun(paths: StorePaths, settings: AlertSettings) -> "_Sending | None":
    """Sends what is due; None if nothing is."""
    from querygauge.storage.outbox import claim_messages, has_messages

    now = datetime.now(UTC)
    try:
        if not has_messages(paths, now):
            return None
        with elected(paths, 0.0) as is_elected:
            if not is_elected:
                return None
            claimed = claim_messages(
                paths,
                now,
                {route.name: route.max_messages for route in settings.routes},
                keep_open=[route.name for route in settings.routes if route.keeps_open],
                # Of several applications with one store only some may run where channels are set.
                are_all=settings.is_whole and settings.path is not None,
            )
    except StoreError as error:
        log.warning("alerts_not_sent", store=paths.name, error=str(error))
        return None
    return _Sending(claimed, {route.name: route for route in settings.routes}) if claimed else None


class _Sending:
    """Messages on their way, in a thread that touches nothing but the network."""

    def __init__(self, claimed: "list[Claimed]", routes: "Mapping[str, Route]") -> None:
        self._claimed = claimed
        self._routes = routes
        self._outcomes: dict[int, Outcome] = {}
        self._thread = threading.Thread(target=self._send, name="querygauge-alerts", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        from querygauge.alerts.delivery import send_all

        send_all([(each.channel, each.message) for each in self._claimed], self._routes, self._outcomes.__setitem__)

    def end(self, paths: StorePaths) -> None:
        """Waits for the last answer, and writes down what became of each."""
        from querygauge.alerts.delivery import Outcome, again_after
        from querygauge.storage.outbox import Sent, note_sent

        self._thread.join(_LONGEST_S)
        now = datetime.now(UTC)
        sent = []
        for number, claimed in enumerate(self._claimed):
            outcome = self._outcomes.get(number, Outcome("nothing came of it in time"))
            pause = again_after(outcome, claimed.attempts)
            sent.append(Sent(claimed, outcome.error, None if pause is None else now + pause))
            if outcome.error is not None:
                log.warning(
                    "alert_not_sent",
                    channel=claimed.channel,
                    error=outcome.error,
                    attempts=claimed.attempts,
                    is_given_up=pause is None,
                )
        try:
            with elected(paths, _LOCK_TIMEOUT_S) as is_elected:
                if is_elected:
                    note_sent(paths, sent, now)
                    return
        except StoreError as error:
            log.warning("alerts_not_noted", store=paths.name, error=str(error))
            return
        log.warning("alerts_not_noted", store=paths.name, error="somebody else changes the store; they are sent again")
