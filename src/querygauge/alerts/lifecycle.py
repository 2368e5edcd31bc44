"""
From what rules find at each look to alerts that begin, last and end: pure, no clock and no store.

In go the alerts known so far and the findings of now, out come the alerts as they are then, and which of them somebody
is to be told of. Everything it must remember is in the alerts, so whoever looks next may be another process.

Deliberately not here: what is wrong (`rules`), and by which channel anybody is told.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from querygauge.values.alerts import ALERT_SEVERITIES, MOST_TAGS, Alert, AlertMessage, AlertSeverity, Finding, Silence

__all__ = ["FLAPPING", "Look", "Patience", "look", "messages"]

FLAPPING: Final = timedelta(hours=1)
"""What comes again so soon after it was well again has come twice."""

_REPEAT: Final = timedelta(hours=12)
# Between two looks lies a minute. Of what was between others nobody knows whether it lasted. (Moments are compared both
# ways throughout: somebody may have set the clock back.)
_LONGEST_GAP: Final = timedelta(minutes=3)
_DOUBLED: Final = 12  # times at most, by which a second is an hour


class Patience(NamedTuple):
    """
    How long a rule waits.

    Attributes:
        lasting: For how long something must be found before it is an alert.
        quiet: For how long it must not be found before it is well again; twice as long each time within an hour.
        tells_end: Whether that is told: what happened once, such as a leak, has no end.
    """

    lasting: timedelta = timedelta(minutes=5)
    quiet: timedelta = timedelta(minutes=5)
    tells_end: bool = True


class Look(NamedTuple):
    """
    What a look gave.

    Attributes:
        alerts: Those that are new or changed.
        dropped: Those that did not last long enough to be an alert.
        told: Of the alerts, those that somebody is to be told of now.
        closed: Of the alerts, those that have ended and that people are not told of, as there was no end to tell; who
            keeps alerts open until then is.
    """

    alerts: tuple[Alert, ...]
    dropped: tuple[Alert, ...]
    told: tuple[Alert, ...]
    closed: tuple[Alert, ...] = ()


_PATIENCE: Final = Patience()


def look(
    known: Iterable[Alert],
    findings: Iterable[Finding],
    now: datetime,
    *,
    patience: Mapping[str, Patience],
    silences: Sequence[Silence] = (),
    repeat: timedelta = _REPEAT,
) -> Look:
    """
    What is to be known and told of, after what was found now.

    Args:
        known: Alerts that have not ended, or did less than an hour ago.
        findings: What the rules found; of two about the same thing the worse counts.
        now: UTC.
        patience: By the name of the rule; one that is not named has the default.
        silences: What nobody wants to be told.
        repeat: After how long of the same somebody is told again.
    """
    before = {alert.finding.key: alert for alert in sorted(known, key=_latest_last)}
    found = _worst_by_key(findings)
    alerts: list[Alert] = []
    dropped: list[Alert] = []
    for key in {**before, **found}:
        waits = patience.get(key[0], _PATIENCE)
        alert = _after(before.get(key), found.get(key), now, waits)
        if alert is None:
            dropped.append(before[key])
        elif alert is not before.get(key):
            alerts.append(alert)
    critical = _critical_things((*before.values(), *alerts))
    told = {
        alert.id: replace(alert, told_at=now, told_severity=alert.finding.severity)
        for alert in alerts
        if _is_end_to_tell(alert, patience.get(alert.finding.rule, _PATIENCE))
        or (
            _is_news(alert, now, repeat)
            and not (alert.finding.severity != "critical" and _thing(alert) in critical)
            and not any(silence.covers(alert.finding, now) for silence in silences)
        )
    }
    closed = [alert for alert in alerts if _is_end(alert) and alert.id not in told]
    latest = tuple(told.get(alert.id, alert) for alert in alerts)
    return Look(latest, tuple(dropped), tuple(told.values()), tuple(closed))


def messages(told: Iterable[Alert], now: datetime) -> Iterator[AlertMessage]:
    """One message for all alerts of one rule and service that began or ended together, the worst first."""
    groups: dict[tuple[str, str, str], list[Alert]] = {}
    for alert in told:
        groups.setdefault((alert.finding.rule, alert.finding.service, alert.status), []).append(alert)
    for group in groups.values():
        group.sort(key=lambda alert: (-ALERT_SEVERITIES.index(alert.finding.severity), alert.finding.key))
        yield AlertMessage(secrets.token_hex(8), now, tuple(group))


def _latest_last(alert: Alert) -> tuple[bool, datetime]:
    """What has not ended comes after what has, also where that ended under a clock that was ahead."""
    return alert.status != "resolved", alert.began_at


def _worst_by_key(findings: Iterable[Finding]) -> dict[tuple[str, str, str, str], Finding]:
    worst: dict[tuple[str, str, str, str], Finding] = {}
    for finding in findings:
        other = worst.get(finding.key)
        if other is None or _is_worse(finding.severity, other.severity):
            worst[finding.key] = finding
    return worst


def _is_worse(severity: AlertSeverity, other: AlertSeverity | None) -> bool:
    return other is None or ALERT_SEVERITIES.index(severity) > ALERT_SEVERITIES.index(other)


def _after(before: Alert | None, finding: Finding | None, now: datetime, waits: Patience) -> Alert | None:
    """The alert on one thing as it is now; None if it is gone before it was one."""
    if finding is None:
        return None if before is None else _not_found(before, now, waits)
    if before is None or before.status == "resolved":
        times = before.times + 1 if before is not None and _ended_lately(before, now) else 1
        alert = Alert(secrets.token_hex(8), finding, "pending", now, now, times=times)
    elif before.status == "pending" and abs(now - before.seen_at) > _LONGEST_GAP:
        alert = replace(before, finding=finding, began_at=now, seen_at=now)
    else:
        alert = replace(before, finding=_together(before, finding), seen_at=now)
    if alert.status == "pending" and now - alert.began_at >= waits.lasting:
        return replace(alert, status="firing", fired_at=now)
    return alert


def _together(before: Alert, finding: Finding) -> Finding:
    """What was found last, as bad as it ever was, for everybody whose statements it is or was about."""
    known = before.finding
    is_worse = _is_worse(finding.severity, known.severity)
    # Of what had no tags everybody was told, and everybody is to hear of its end.
    is_for_all = before.told_at is not None and not known.tags
    tags = () if is_for_all else tuple(dict.fromkeys((*known.tags, *finding.tags)))[:MOST_TAGS]
    return replace(finding, severity=finding.severity if is_worse else known.severity, tags=tags)


def _not_found(before: Alert, now: datetime, waits: Patience) -> Alert | None:
    if before.status == "pending":
        return None
    # What comes each hour for weeks has come so often that no span of time is that long.
    quiet = min(waits.quiet * 2 ** min(before.times - 1, _DOUBLED), max(FLAPPING, waits.quiet))
    if before.status == "resolved" or abs(now - before.seen_at) < quiet:
        return before
    return replace(before, status="resolved", ended_at=now)


def _ended_lately(before: Alert, now: datetime) -> bool:
    return before.ended_at is not None and now - before.ended_at <= FLAPPING


def _is_end_to_tell(alert: Alert, waits: Patience) -> bool:
    """Whoever was told that it began wants to know, a silence or not."""
    return waits.tells_end and _is_end(alert)


def _is_end(alert: Alert) -> bool:
    """The end of what somebody was told of."""
    return alert.status == "resolved" and alert.told_at is not None


def _is_news(alert: Alert, now: datetime, repeat: timedelta) -> bool:
    if alert.status != "firing" or alert.told_at is None:
        return alert.status == "firing"
    return abs(now - alert.told_at) >= repeat or _is_worse(alert.finding.severity, alert.told_severity)


def _thing(alert: Alert) -> tuple[str, str, str]:
    return alert.finding.service, alert.finding.target, alert.finding.subject


def _critical_things(alerts: Iterable[Alert]) -> set[tuple[str, str, str]]:
    latest = {alert.id: alert for alert in alerts}.values()
    return {_thing(alert) for alert in latest if alert.status == "firing" and alert.finding.severity == "critical"}
