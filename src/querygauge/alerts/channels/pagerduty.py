"""
Alerts as events of PagerDuty (Events API v2): each alert triggers, and its end resolves, by the alert's own id.

The same event twice is one alert there, so sending a message again does no harm. Deliberately not here: who is called,
which PagerDuty knows.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from querygauge.alerts.channels.fields import (
    check_installed,
    check_is_no_report,
    check_runbooks,
    check_timeout,
    check_url,
)
from querygauge.alerts.channels.posting import post
from querygauge.alerts.secret import Secret
from querygauge.alerts.wording import RUNBOOKS, headline, held_back, lines, one_line, runbook_url, shortened
from querygauge.errors import SettingsError
from querygauge.values.alerts import Alert, AlertMessage

__all__ = ["PagerDutyChannel", "events_of"]

# developer.pagerduty.com/docs/events-api-v2: 32 characters of a routing key, 255 of a deduplication key, 1,024 of a
# summary, and 512 kB of an event.
_ROUTING_KEY: Final = re.compile(r"[A-Za-z0-9]{32}")
_KEY: Final = 255
_SUMMARY: Final = 1_024
_NAME: Final = 255
_DETAIL: Final = 2_000
_MOST_RULES: Final = 100
_HELD_BACK: Final = "querygauge-held-back"
_US: Final = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyChannel:
    """
    Sends an event for each alert.

    Attributes:
        routing_key: The integration key of a service, or of a set of rules.
        url: Where to; `https://events.eu.pagerduty.com/v2/enqueue` is that of accounts in the EU.
        timeout_s: Seconds for each event and its answer.
        runbooks: Where the pages of the rules are.
    """

    routing_key: Secret
    url: str = _US
    timeout_s: float = 10.0
    runbooks: str = RUNBOOKS

    def __post_init__(self) -> None:
        check_installed("pagerduty", "aiohttp")
        if not _ROUTING_KEY.fullmatch(self.routing_key.check("pagerduty.routing_key")):
            raise SettingsError("pagerduty.routing_key must have 32 letters and digits; it has something else")
        check_url("pagerduty.url", self.url, is_encrypted=True)
        check_timeout("pagerduty.timeout_s", self.timeout_s)
        check_runbooks("pagerduty.runbooks", self.runbooks)

    async def send(self, message: AlertMessage) -> None:
        """
        Sends it, one event after the other.

        Raises:
            DeliveryError: If it is a report, or one of them did not arrive, or nobody knows; those before it did.
        """
        check_is_no_report("pagerduty", message)
        key = self.routing_key.reveal("pagerduty.routing_key")
        for event in events_of(message, self.runbooks):
            body = json.dumps({"routing_key": key, **event}, ensure_ascii=False).encode()
            await post("pagerduty", self.url, body, timeout_s=self.timeout_s, secrets=[key])


def events_of(message: AlertMessage, runbooks: str = RUNBOOKS) -> Iterator[dict[str, Any]]:
    """The events of a message, without the routing key."""
    if message.is_test:
        key = shortened(one_line(f"querygauge-test-{message.key}"), _KEY)
        yield _trigger(key, _payload(message, headline(message), {"What": "This is a test. Nothing is wrong."}))
        # Nobody is to be called twice for a test.
        yield _resolve(key)
        return
    for alert in message.alerts:
        if alert.status == "resolved":
            yield _resolve(alert.id)
        else:
            yield _alert(message, alert, runbooks)
    if message.held_back:
        counts = {line.label: line.text for line in held_back(message)[:_MOST_RULES]}
        yield _trigger(_HELD_BACK, _payload(replace(message, alerts=()), _digest(message), counts))


def _digest(message: AlertMessage) -> str:
    counts = ", ".join(f"{line.label}: {line.text}" for line in held_back(message))
    return f"{headline(replace(message, alerts=()))}: {counts}"


def _alert(message: AlertMessage, alert: Alert, runbooks: str) -> dict[str, Any]:
    finding = alert.finding
    alone = replace(message, alerts=(alert,))
    details = {line.label: shortened(line.text, _DETAIL) for line in lines(alert, runbooks)}
    payload = _payload(alone, f"{headline(alone)}: {one_line(finding.sentence)}", details) | {
        "timestamp": alert.began_at.isoformat(),
        "class": _name(finding.rule) or "alert",
    }
    for member, words in (("component", finding.target or finding.pool), ("group", finding.service)):
        if words and (name := _name(words)):
            payload[member] = name
    event = _trigger(alert.id, payload)
    runbook = runbook_url(finding.rule, runbooks)
    if runbook.startswith(("http://", "https://")):
        event["links"] = [{"href": runbook, "text": "Runbook"}]
    return event


def _payload(message: AlertMessage, summary: str, details: dict[str, str]) -> dict[str, Any]:
    service = message.alerts[0].finding.service if message.alerts else ""
    return {
        "summary": shortened(summary, _SUMMARY),
        "source": _name(service) or "querygauge",
        # PagerDuty has the same words, and `error` besides.
        "severity": message.severity,
        "timestamp": message.made_at.isoformat(),
        "custom_details": details,
    }


def _trigger(key: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"event_action": "trigger", "dedup_key": key, "client": "querygauge", "payload": payload}


def _resolve(key: str) -> dict[str, Any]:
    return {"event_action": "resolve", "dedup_key": key}


def _name(words: str) -> str:
    return shortened(one_line(words), _NAME)
