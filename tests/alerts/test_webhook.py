"""The webhook: its body, its signature, and what may be configured."""

import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from alerts.receivers import web_receiver
from alerts.samples import DIGEST, MESSAGE, RESOLVED, SLOW, TEST, message_of, messages
from querygauge.alerts.channels.webhook import WebhookChannel, body_of
from querygauge.alerts.secret import Secret
from querygauge.errors import SettingsError
from querygauge.values.alerts import AlertMessage

URL = "https://alerts.example/hook"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Secret:
    """One that is there."""
    monkeypatch.setenv("SHOP_SECRET", "hunter2-hunter2")
    return Secret(environment="SHOP_SECRET")


async def test_the_body() -> None:
    """Version 1: members may be added to it, and none is taken away or changed."""
    async with web_receiver() as receiver:
        await WebhookChannel(url=f"{receiver.url}/hook?a=b").send(MESSAGE)
    [received] = receiver.received
    alert = {
        "rule": "slow_query",
        "service": "shop",
        "target": "primary",
        "pattern_id": "00c0ffee00c0ffee",
        "pool": None,
        "objective": None,
        "pattern": SLOW.pattern,
        "duration_ms": 1500.0,
        "threshold_ms": 1000.0,
        "call_site": "shop/orders.py:31 in latest",
        "runbook": "docs/runbooks/slow_query.md",
    }
    assert json.loads(received.body) == {
        "version": 1,
        "type": "alert",
        "key": "5ca1ab1e5ca1ab1e",
        "headline": "Slow Query Alert: 1500ms (shop)",
        "timestamp": "2026-03-04T12:00:00+00:00",
        "severity": "critical",
        "status": "firing",
        **alert,
        "alerts": [
            {
                "id": "0123456789abcdef",
                "severity": "critical",
                "status": "firing",
                **alert,
                "sentence": SLOW.sentence,
                "advice": SLOW.advice,
                "value": 1500.0,
                "threshold": 1000.0,
                "unit": "ms",
                "trend": [200.0, 210.0, None, 900.0, 1500.0],
                "trend_seconds": 1500.0,
                "began_at": "2026-03-04T11:55:00+00:00",
                "ended_at": None,
                "times": 1,
            }
        ],
        "alerts_left_out": 0,
        "held_back": {},
        "report": None,
    }
    assert (received.method, received.path) == ("POST", "/hook?a=b")
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["Idempotency-Key"] == MESSAGE.key
    assert "X-QueryGauge-Signature" not in received.headers


def test_what_is_not_about_milliseconds_has_no_duration() -> None:
    """Its value is in `value`."""
    body = body_of(message_of(replace(SLOW, value=12.5, threshold=10.0, unit="%")))
    assert [body["duration_ms"], body["threshold_ms"], body["alerts"][0]["value"]] == [None, None, 12.5]


def test_the_kinds_of_a_body() -> None:
    """An end, a digest and a test have the same members."""
    kinds = [body_of(message) for message in (MESSAGE, RESOLVED, DIGEST, TEST)]
    assert [(body["type"], body["status"]) for body in kinds] == [
        ("alert", "firing"),
        ("alert", "resolved"),
        ("digest", "firing"),
        ("test", "firing"),
    ]
    assert kinds[1]["alerts"][0]["ended_at"] == "2026-03-04T12:55:00+00:00"
    assert kinds[2]["held_back"] == {"slow_query": 12, "error_rate": 1}
    assert len({tuple(body) for body in kinds}) == 1


async def test_each_request_is_signed(secret: Secret) -> None:
    """Over the time of sending and the body, so that nobody can send it again later or with another."""
    async with web_receiver() as receiver:
        await WebhookChannel(url=receiver.url, signing_key=secret).send(MESSAGE)
    [received] = receiver.received
    signed = received.headers["X-QueryGauge-Timestamp"].encode() + b"." + received.body
    expected = hmac.new(b"hunter2-hunter2", signed, hashlib.sha256).hexdigest()
    assert received.headers["X-QueryGauge-Signature"] == f"sha256={expected}"


async def test_headers_and_method(secret: Secret) -> None:
    """As configured, secrets from where they are."""
    headers: dict[str, str | Secret] = {"X-Team": "shop", "X-Api-Key": secret}
    async with web_receiver() as receiver:
        await WebhookChannel(url=receiver.url, method="PUT", headers=headers, bearer=secret).send(MESSAGE)
    [received] = receiver.received
    assert received.method == "PUT"
    sent = {name: received.headers[name] for name in ("X-Team", "X-Api-Key", "Authorization")}
    assert sent == {
        "X-Team": "shop",
        "X-Api-Key": "hunter2-hunter2",
        "Authorization": "Bearer hunter2-hunter2",
    }


async def test_the_same_message_has_the_same_key() -> None:
    """So that a receiver can leave the second one."""
    async with web_receiver() as receiver:
        channel = WebhookChannel(url=receiver.url)
        await channel.send(MESSAGE)
        await channel.send(MESSAGE)
    assert len({(received.headers["Idempotency-Key"], received.body) for received in receiver.received}) == 1


def test_a_channel_shows_no_secret(secret: Secret) -> None:
    """Nor an address, which may be one."""
    channel = WebhookChannel(url=f"{URL}?token=hunter2", headers={"X-Key": secret}, bearer=secret, signing_key=secret)
    assert "hunter2" not in f"{channel} {channel!r}"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"url": "alerts.example/hunter2"}, r"webhook\.url must be a URL"),
        ({"url": "ftp://alerts.example/hunter2"}, r"webhook\.url must be a URL"),
        ({"url": "https://alerts.example/hunter2\n"}, r"webhook\.url must be a URL"),
        ({"url": "https://alerts.example:99999/hunter2"}, r"webhook\.url must be a URL"),
        ({"url": "https://[hunter2"}, r"webhook\.url must be a URL"),
        ({"url": "https://user:hunter2@alerts.example/"}, r"webhook\.url must have no user and no password"),
        ({"url": Secret(environment="NO_SUCH_SECRET")}, r"webhook\.url: environment variable NO_SUCH_SECRET must"),
        ({"method": "GET"}, r"webhook\.method must be POST, PUT or PATCH; got 'GET'"),
        ({"headers": {"X-Y": 3}}, r"webhook\.headers\.X-Y must be a text, or a table .*; got something of type int"),
        ({"headers": {"X Y": "z"}}, r"webhook\.headers must have names of headers; got 'X Y'"),
        ({"headers": {"X-Y": "z\r\nX-Evil: 1"}}, r"webhook\.headers\.X-Y must be of printable ASCII"),
        ({"headers": {"Authorization": "Bearer hunter2"}}, r"webhook\.headers\.Authorization must come from the env"),
        ({"headers": {"X-Api-Key": "hunter2"}}, r"webhook\.headers\.X-Api-Key must come from the env"),
        ({"headers": {"Content-Length": "1"}}, r"webhook\.headers must leave Content-Length to the channel"),
        ({"headers": {"idempotency-key": "1"}}, r"webhook\.headers must leave idempotency-key to the channel"),
        ({"bearer": Secret(environment="NO_SUCH_SECRET")}, r"webhook\.bearer: environment variable"),
        ({"signing_key": Secret(environment="NO_SUCH_SECRET")}, r"webhook\.signing_key: environment variable"),
        ({"timeout_s": 0}, r"webhook\.timeout_s must be > 0 and <= 300; got 0"),
        ({"timeout_s": float("nan")}, r"webhook\.timeout_s must be > 0 and <= 300; got nan"),
        ({"runbooks": "https://wiki.example/>|<"}, r"webhook\.runbooks must be an address such as"),
        ({"ca_file": Path("/no/such/file")}, r"webhook\.ca_file must be a file of PEM certificates"),
    ],
)
def test_what_cannot_be_sent_to_is_said_at_once(options: dict[str, Any], fault: str) -> None:
    """The field, the rule, and the value unless it may be a secret."""
    with pytest.raises(SettingsError, match=rf"^{fault}") as caught:
        WebhookChannel(**{"url": URL, **options})
    assert "hunter2" not in str(caught.value)


def test_two_ways_to_authorize_contradict_each_other(secret: Secret) -> None:
    """Only one of them could be sent."""
    with pytest.raises(SettingsError, match="must not both have Authorization"):
        WebhookChannel(url=URL, headers={"authorization": secret}, bearer=secret)


def test_every_rule_of_a_digest_is_counted() -> None:
    """Also those whose names differ in what nobody can see."""
    held_back = {"slow\ud800": 2, "slow": 3, "late": 4}
    assert body_of(replace(DIGEST, held_back=held_back))["held_back"] == {"slow": 5, "late": 4}


@given(messages)
@settings(deadline=None)
def test_any_message_is_json_of_bounded_size(message: AlertMessage) -> None:
    """For any alerts: strict JSON in valid UTF-8, every alert in it or counted, every string bounded."""
    body = body_of(message)
    text = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(text) == body
    assert sum(body["held_back"].values()) == sum(message.held_back.values())
    assert len(body["alerts"]) + body["alerts_left_out"] == len(message.alerts)
    assert len(text) < 1_000_000
    for alert in body["alerts"]:
        strings = [value for name, value in alert.items() if isinstance(value, str) and name != "runbook"]
        assert all(len(value) <= 2_000 for value in strings)


def test_the_body_is_below_a_megabyte() -> None:
    """The first alerts are in it, and the number of the others."""
    big = replace(SLOW, pattern="漢" * 5_000, sentence="漢" * 5_000, advice="漢" * 5_000, call_site="漢" * 5_000)
    body = body_of(message_of(*[big] * 90))
    assert 1 < len(body["alerts"]) < 90
    assert len(body["alerts"]) + body["alerts_left_out"] == 90
    assert len(json.dumps(body, ensure_ascii=False).encode()) < 1_000_000


@given(messages)
@settings(max_examples=25, deadline=None)
async def test_any_message_arrives(message: AlertMessage) -> None:
    """For any alerts and any key: one request, with a key in its header."""
    async with web_receiver() as receiver:
        await WebhookChannel(url=receiver.url).send(message)
    [received] = receiver.received
    assert received.headers["Idempotency-Key"]
    assert json.loads(received.body)["version"] == 1
