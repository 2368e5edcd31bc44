"""
Alerts to Prometheus' Alertmanager, through version 2 of its API, which groups, routes and silences them.

It knows an alert by its labels, which are the same from its beginning to its end, and takes it for over when it hears
nothing of it. So each says until when it lasts unless its end comes first. Deliberately not here: sending again what
goes on, which whoever sends does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from querygauge.alerts.channels.fields import (
    check_ca_file,
    check_headers,
    check_installed,
    check_is_no_report,
    check_runbooks,
    check_timeout,
    check_url,
)
from querygauge.alerts.channels.posting import post
from querygauge.alerts.secret import Secret
from querygauge.alerts.wording import RUNBOOKS, headline, held_back, lines, one_line, runbook_url, shortened, text
from querygauge.errors import SettingsError
from querygauge.values.alerts import ALERT_SEVERITIES, Alert, AlertMessage, AlertSeverity

__all__ = ["AlertmanagerChannel", "alerts_of"]

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OURS: Final = frozenset({"alertname", "service", "target", "pattern_id", "pool", "objective", "severity"})
_LONGEST_LABEL: Final = 500
_LONGEST_NOTE: Final = 2_000
_MOST_HOURS: Final = 168.0
_BRIEF: Final = timedelta(hours=1)  # for which a digest or a test is seen
# Of what goes on somebody is told again after twelve hours.
_LASTS_HOURS: Final = 13.0
_PATH: Final = "/api/v2/alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerChannel:
    """
    Sends alerts to one Alertmanager; each of several that are a cluster is a channel of its own.

    Attributes:
        url: Where it is, such as `http://alertmanager:9093`.
        bearer: Sent as `Authorization: Bearer …`.
        labels: Added to each alert, such as `{"env": "production"}`.
        lasts_hours: Hours after which an alert is over of which nothing more was heard.
        timeout_s: Seconds for a request and its answer.
        ca_file: Certificates that vouch for the server; None is those of the system.
        runbooks: Where the pages of the rules are.
    """

    url: str
    bearer: Secret | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    lasts_hours: float = _LASTS_HOURS
    timeout_s: float = 10.0
    ca_file: Path | None = None
    runbooks: str = RUNBOOKS

    def __post_init__(self) -> None:
        check_installed("alertmanager", "aiohttp")
        check_url("alertmanager.url", self.url, is_bare=True)
        if self.bearer is not None:
            check_headers("alertmanager", {"bearer": self.bearer})
        for name, value in self.labels.items():
            if not _LABEL.fullmatch(name) or name.startswith("__"):
                raise SettingsError(f"alertmanager.labels must have names of letters, digits and _; got {name!r}")
            if name in _OURS:
                raise SettingsError(f"alertmanager.labels must leave {name} to the channel, which knows it itself")
            if not isinstance(value, str):
                raise SettingsError(f"alertmanager.labels must have texts as values; {name} has {value!r}")
        if not 0 < self.lasts_hours <= _MOST_HOURS:
            raise SettingsError(
                f"alertmanager.lasts_hours must be > 0 and <= {_MOST_HOURS:g}; got {self.lasts_hours!r}"
            )
        check_timeout("alertmanager.timeout_s", self.timeout_s)
        check_ca_file("alertmanager.ca_file", self.ca_file)
        check_runbooks("alertmanager.runbooks", self.runbooks)

    async def send(self, message: AlertMessage) -> None:
        """
        Sends it, as one request.

        Raises:
            DeliveryError: If it is a report, it did not arrive, or nobody knows.
        """
        check_is_no_report("alertmanager", message)
        headers, hidden = {}, []
        if self.bearer is not None:
            hidden.append(self.bearer.reveal("alertmanager.bearer"))
            headers["Authorization"] = f"Bearer {hidden[0]}"
        lasts = timedelta(hours=self.lasts_hours)
        alerts = list(alerts_of(message, lasts, self.runbooks, self.labels))
        await post(
            "alertmanager",
            self.url.rstrip("/") + _PATH,
            json.dumps(alerts, ensure_ascii=False).encode(),
            timeout_s=self.timeout_s,
            headers=headers,
            ca_file=self.ca_file,
            secrets=hidden,
        )


def alerts_of(
    message: AlertMessage, lasts: timedelta, runbooks: str = RUNBOOKS, labels: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """The alerts of a message as Alertmanager takes them."""
    added = labels or {}
    until = _after(message.made_at, lasts)
    for alert in () if message.is_test else message.alerts:
        yield from _alert(message, alert, until, runbooks, added)
    brief = _after(message.made_at, _BRIEF)
    if message.is_test:
        note = {"summary": headline(message), "description": "This is a test. Nothing is wrong."}
        yield _told({**added, "alertname": "querygauge_test", "severity": "info"}, note, message.made_at, brief)
    elif message.held_back:
        counts = ", ".join(f"{line.label}: {line.text}" for line in held_back(message))
        note = {"summary": headline(AlertMessage("", message.made_at, held_back=message.held_back))}
        note["description"] = shortened(counts, _LONGEST_NOTE)
        yield _told({**added, "alertname": "querygauge_held_back", "severity": "info"}, note, message.made_at, brief)


def _alert(
    message: AlertMessage, alert: Alert, until: datetime, runbooks: str, added: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """An alert, and the end of those about the same that were less severe: to Alertmanager they are others."""
    finding = alert.finding
    labels = {
        **added,
        "alertname": finding.rule,
        "service": finding.service,
        "target": finding.target,
        "pattern_id": finding.pattern_id or "",
        "pool": finding.pool or "",
        "objective": finding.objective or "",
        "severity": finding.severity,
    }
    ended = alert.ended_at or message.made_at if alert.status == "resolved" else None
    note = _note(message, alert, runbooks)
    yield _told(labels, note, alert.began_at, until if ended is None else ended)
    # Nobody was told of it before, so nothing is known that was less severe.
    if ended is None and alert.fired_at == message.made_at:
        return
    for severity in _below(finding.severity):
        yield _told({**labels, "severity": severity}, note, alert.began_at, ended or message.made_at)


def _below(severity: AlertSeverity) -> tuple[AlertSeverity, ...]:
    return ALERT_SEVERITIES[: ALERT_SEVERITIES.index(severity)]


def _note(message: AlertMessage, alert: Alert, runbooks: str) -> dict[str, str]:
    alone = AlertMessage(message.key, message.made_at, (alert,))
    said = {
        line.label.lower().replace(" ", "_"): shortened(line.text, _LONGEST_NOTE) for line in lines(alert, runbooks)
    }
    return {
        "summary": shortened(f"{headline(alone)}: {one_line(alert.finding.sentence)}", _LONGEST_NOTE),
        "description": text(alone, runbooks, widest=_LONGEST_NOTE // 4),
        "runbook_url": runbook_url(alert.finding.rule, runbooks),
        **{name: words for name, words in said.items() if name in {"pattern", "called_from", "trend", "look_further"}},
    }


def _told(labels: Mapping[str, str], note: Mapping[str, str], since: datetime, until: datetime) -> dict[str, Any]:
    cleaned = {name: shortened(one_line(value), _LONGEST_LABEL) for name, value in labels.items()}
    return {
        # It has no alert without a name, and no label without a value.
        "labels": {name: value for name, value in cleaned.items() if value}
        | ({} if cleaned["alertname"] else _UNNAMED),
        "annotations": dict(note),
        # What ends before it began, as after a clock was set back, is refused with all that came with it.
        "startsAt": min(since, until).isoformat(),
        "endsAt": until.isoformat(),
    }


_UNNAMED: Final = {"alertname": "querygauge"}


def _after(moment: datetime, time: timedelta) -> datetime:
    try:
        return moment + time
    except OverflowError:
        return moment
