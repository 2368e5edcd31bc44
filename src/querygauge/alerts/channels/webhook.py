"""
Alerts as JSON to any web server, signed, and with a key by which it can tell what it has already.

The body is version 1 and documented in docs/alerting.md: members are added to it, never changed. Deliberately not
here: what a receiver makes of it.
"""

import hashlib
import hmac
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from querygauge.alerts.channels.fields import (
    check_ca_file,
    check_headers,
    check_installed,
    check_runbooks,
    check_timeout,
    check_url,
)
from querygauge.alerts.channels.posting import post
from querygauge.alerts.secret import Secret
from querygauge.alerts.wording import RUNBOOKS, headline, one_line, runbook_url, shortened
from querygauge.errors import SettingsError
from querygauge.values.alerts import Alert, AlertMessage, Finding

__all__ = ["WebhookChannel", "body_of", "signature"]

_VERSION: Final = 1
# Receivers take a megabyte as a rule, and the worst alert stands there twice.
_MOST_BYTES: Final = 800_000
_MOST_ALERTS: Final = 100
_LONGEST_TEXT: Final = 2_000
_LONGEST_NAME: Final = 200
_TREND: Final = 40
_SIGNED: Final = "X-QueryGauge-Signature"
_SIGNED_AT: Final = "X-QueryGauge-Timestamp"
_KEY: Final = "Idempotency-Key"
_OURS: Final = frozenset(name.lower() for name in (_SIGNED, _SIGNED_AT, _KEY, "User-Agent", "Accept-Encoding"))
_Method = Literal["POST", "PUT", "PATCH"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """
    Sends JSON.

    Attributes:
        url: Where to; from the environment or a file if whoever knows it may send there.
        method: `POST`, `PUT` or `PATCH`.
        headers: Sent as well, by name; one that is a secret, such as `X-Api-Key`, from the environment or a file.
        bearer: Sent as `Authorization: Bearer …`.
        signing_key: Signs each request, so that the receiver knows from whom it is.
        timeout_s: Seconds for a request and its answer.
        ca_file: Certificates that vouch for the server; None is those of the system.
        runbooks: Where the pages of the rules are.
    """

    url: str | Secret = field(repr=False)
    method: _Method = "POST"
    headers: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    bearer: Secret | None = None
    signing_key: Secret | None = None
    timeout_s: float = 10.0
    ca_file: Path | None = None
    runbooks: str = RUNBOOKS

    def __post_init__(self) -> None:
        check_installed("webhook", "aiohttp")
        check_url("webhook.url", self.url if isinstance(self.url, str) else self.url.check("webhook.url"))
        if self.method not in get_args(_Method):
            raise SettingsError(f"webhook.method must be POST, PUT or PATCH; got {self.method!r}")
        check_headers("webhook.headers", self.headers, ours=_OURS)
        if self.bearer is not None:
            if "authorization" in {name.lower() for name in self.headers}:
                raise SettingsError(
                    "webhook.headers and webhook.bearer must not both have Authorization; leave one out"
                )
            check_headers("webhook", {"bearer": self.bearer})
        if self.signing_key is not None:
            self.signing_key.check("webhook.signing_key")
        check_timeout("webhook.timeout_s", self.timeout_s)
        check_ca_file("webhook.ca_file", self.ca_file)
        check_runbooks("webhook.runbooks", self.runbooks)

    async def send(self, message: AlertMessage) -> None:
        """
        Sends it, as one request.

        Raises:
            DeliveryError: If it did not arrive, or nobody knows.
        """
        body = json.dumps(body_of(message, self.runbooks), ensure_ascii=False, allow_nan=False).encode()
        headers: dict[str, str | Secret] = {**self.headers, _KEY: _header_value(message.key)}
        hidden = []
        if self.bearer is not None:
            bearer = self.bearer.reveal("webhook.bearer")
            headers["Authorization"] = f"Bearer {bearer}"
            hidden.append(bearer)
        if self.signing_key is not None:
            signed_at = str(int(time.time()))
            key = self.signing_key.reveal("webhook.signing_key")
            headers |= {_SIGNED_AT: signed_at, _SIGNED: signature(key, signed_at, body)}
            hidden.append(key)
        await post(
            "webhook",
            self.url,
            body,
            timeout_s=self.timeout_s,
            headers=headers,
            method=self.method,
            ca_file=self.ca_file,
            secrets=hidden,
        )


def signature(key: str, signed_at: str, body: bytes) -> str:
    """
    What a receiver computes as well, to compare.

    Args:
        key: The signing key.
        signed_at: What `X-QueryGauge-Timestamp` says: seconds since 1970.
        body: As it came.
    """
    digest = hmac.new(key.encode(), signed_at.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def body_of(message: AlertMessage, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The members of the body; those of the worst alert stand at the top as well."""
    alerts = list(_alerts(message, runbooks))
    top = {name: alerts[0][name] if alerts else None for name in _AT_TOP}
    return {
        "version": _VERSION,
        "type": _type(message),
        "key": one_line(message.key),
        "headline": headline(message),
        "timestamp": _moment(message.made_at),
        "severity": message.severity,
        "status": message.status,
        **top,
        "alerts": alerts,
        "alerts_left_out": len(message.alerts) - len(alerts),
        "held_back": _held_back(message),
        "report": None if message.report is None else message.report.to_dict(),
    }


def _type(message: AlertMessage) -> str:
    if message.is_test:
        return "test"
    return "report" if message.report is not None else "alert" if message.alerts else "digest"


def _alerts(message: AlertMessage, runbooks: str) -> Iterator[dict[str, Any]]:
    """Those for which there is room, one at least."""
    left = _MOST_BYTES
    for place, alert in enumerate(message.alerts[:_MOST_ALERTS]):
        told = _alert(alert, runbooks)
        left -= len(json.dumps(told, ensure_ascii=False).encode())
        if left < 0 and place > 0:
            return
        yield told


def _held_back(message: AlertMessage) -> dict[str, int]:
    counts: dict[str, int] = {}
    for rule, count in message.held_back.items():
        name = _name(rule)
        counts[name] = counts.get(name, 0) + count
    return counts


_AT_TOP: Final = (
    "rule",
    "service",
    "target",
    "pattern_id",
    "pool",
    "objective",
    "pattern",
    "duration_ms",
    "threshold_ms",
    "call_site",
    "runbook",
)


def _alert(alert: Alert, runbooks: str) -> dict[str, Any]:
    finding = alert.finding
    is_duration = finding.unit == "ms"
    value, threshold = _number(finding.value), _number(finding.threshold)
    return {
        "id": alert.id,
        "rule": _name(finding.rule),
        "severity": finding.severity,
        "status": alert.status,
        "sentence": _text(finding.sentence),
        "advice": _text(finding.advice),
        "service": _text(finding.service),
        "target": _text(finding.target),
        "pattern_id": _text(finding.pattern_id),
        "pool": _text(finding.pool),
        "objective": _text(finding.objective),
        "pattern": _text(finding.pattern),
        "call_site": _text(finding.call_site),
        "value": value,
        "threshold": threshold,
        "unit": _name(finding.unit),
        "duration_ms": value if is_duration else None,
        "threshold_ms": threshold if is_duration else None,
        "trend": [_number(point) for point in finding.trend[-_TREND:]],
        "trend_seconds": _number(_trend_seconds(finding)),
        "began_at": _moment(alert.began_at),
        "ended_at": _moment(alert.ended_at),
        "times": alert.times,
        "runbook": runbook_url(finding.rule, runbooks),
    }


def _trend_seconds(finding: Finding) -> float | None:
    """What those of the trend cover that are sent; None if that is not known."""
    sent = len(finding.trend[-_TREND:])
    return finding.trend_s * sent / len(finding.trend) if sent and finding.trend_s else None


def _text(words: str | None) -> str | None:
    return None if words is None else shortened(one_line(words), _LONGEST_TEXT)


def _name(words: str) -> str:
    return shortened(one_line(words), _LONGEST_NAME)


def _number(value: float | None) -> float | None:
    """JSON has no word for what is not finite."""
    return value if value is not None and math.isfinite(value) else None


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _header_value(key: str) -> str:
    if key.isascii() and key.isprintable() and key:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
