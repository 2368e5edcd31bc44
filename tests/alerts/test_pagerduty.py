"""Events of PagerDuty."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from alerts.receivers import web_receiver
from alerts.samples import ALERT, DIGEST, MESSAGE, RESOLVED, SLOW, TEST, message_of, messages
from querygauge.alerts.channels.pagerduty import PagerDutyChannel, events_of
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError, SettingsError
from querygauge.values.alerts import AlertMessage

KEY = "hunter2hunter2hunter2hunter2hunt"
SECRET = Secret(environment="PAGERDUTY_KEY")
ACCEPTED: dict[str, Any] = {"status": 202, "body": b'{"status": "success", "message": "Event processed"}'}


@pytest.fixture(autouse=True)
def routing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that PagerDuty would take."""
    monkeypatch.setenv("PAGERDUTY_KEY", KEY)


async def test_an_alert_triggers() -> None:
    """By its own id."""
    async with web_receiver(**ACCEPTED) as receiver:
        await PagerDutyChannel(routing_key=SECRET, url=receiver.url + "/v2/enqueue").send(MESSAGE)
    [received] = receiver.received
    assert (received.method, received.path) == ("POST", "/v2/enqueue")
    assert json.loads(received.body) == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "0123456789abcdef",
        "client": "querygauge",
        "payload": {
            "summary": "Slow Query Alert: 1500ms (shop): " + SLOW.sentence,
            "source": "shop",
            "severity": "critical",
            "timestamp": "2026-03-04T11:55:00+00:00",
            "component": "primary",
            "group": "shop",
            "class": "slow_query",
            "custom_details": {
                "What": SLOW.sentence,
                "Severity": "critical, firing since 2026-03-04 11:55 UTC",
                "Measured": "1500ms, threshold 1000ms",
                "Where": "shop @ primary",
                "Pattern": SLOW.pattern,
                "Called from": "shop/orders.py:31 in latest",
                "Trend": "▂▂·▅█ from 200ms to 1500ms in 25 min 00 s",
                "What to do": SLOW.advice,
                "Look further": "querygauge patterns show 00c0ffee00c0ffee",
                "Runbook": "docs/runbooks/slow_query.md",
            },
        },
    }


def test_its_end_resolves() -> None:
    """What the same id has triggered."""
    assert list(events_of(RESOLVED)) == [{"event_action": "resolve", "dedup_key": ALERT.id}]


def test_each_alert_is_an_event() -> None:
    """With a severity of its own; those that began and those that ended may be in one message."""
    ended = replace(ALERT, id="feed", status="resolved")
    message = replace(message_of(SLOW, replace(SLOW, severity="warning")), key="k")
    events = list(events_of(replace(message, alerts=(*message.alerts, ended))))
    assert [(event["event_action"], event["dedup_key"]) for event in events] == [
        ("trigger", "0" * 16),
        ("trigger", "0" * 15 + "1"),
        ("resolve", "feed"),
    ]
    assert [event["payload"]["severity"] for event in events[:2]] == ["critical", "warning"]


def test_a_runbook_on_the_web_is_a_link() -> None:
    """Only there: a path of this project is none."""
    [event] = events_of(MESSAGE, "https://wiki.example")
    assert event["links"] == [{"href": "https://wiki.example/slow_query.md", "text": "Runbook"}]


def test_digests_are_one_alert() -> None:
    """However many there are, as nothing ever resolves them but a person."""
    [event] = events_of(DIGEST)
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "querygauge-held-back")
    assert event["payload"]["severity"] == "info"
    assert event["payload"]["summary"] == "13 alerts held back: slow_query: 12, error_rate: 1"
    assert event["payload"]["custom_details"] == {"slow_query": "12", "error_rate": "1"}


def test_a_test_is_resolved_at_once() -> None:
    """With or without an alert in it."""
    for message in (TEST, replace(MESSAGE, is_test=True)):
        trigger, resolve = events_of(message)
        assert trigger["payload"]["summary"].startswith("[TEST] ")
        assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
        assert trigger["dedup_key"] == resolve["dedup_key"] == f"querygauge-test-{message.key}"


async def test_what_comes_after_a_failure_is_not_sent() -> None:
    """All of it is sent again, which PagerDuty knows by the keys."""
    async with web_receiver(status=429, headers={"Retry-After": "120"}) as receiver:
        with pytest.raises(DeliveryError) as caught:
            await PagerDutyChannel(routing_key=SECRET, url=receiver.url).send(message_of(SLOW, SLOW))
    assert (caught.value.is_final, caught.value.retry_after_s) == (False, 120.0)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"Length of 'routing_key' is incorrect", ": Length of 'routing_key' is incorrect"), (KEY.encode(), "")],
)
async def test_an_error_has_no_key(body: bytes, said: str) -> None:
    """Whatever the answer says."""
    async with web_receiver(status=400, body=body) as receiver:
        channel = PagerDutyChannel(routing_key=SECRET, url=receiver.url)
        with pytest.raises(DeliveryError) as caught:
            await channel.send(MESSAGE)
    assert str(caught.value) == f"pagerduty: {receiver.url} answers 400{said}"
    assert caught.value.is_final
    assert "hunter2" not in repr(channel)


@pytest.mark.parametrize(
    ("key", "options", "fault"),
    [
        ("", {}, r"pagerduty\.routing_key: environment variable PAGERDUTY_KEY must hold the secret"),
        ("hunter2", {}, r"pagerduty\.routing_key must have 32 letters and digits"),
        (KEY, {"url": "http://events.example"}, r"pagerduty\.url must begin with https://; got http://"),
        (KEY, {"timeout_s": 1e9}, r"pagerduty\.timeout_s must be > 0 and <= 300; got 1000000000\.0"),
        (KEY, {"runbooks": "<"}, r"pagerduty\.runbooks must be an address such as .*; got '<'"),
    ],
)
def test_what_cannot_be_sent_to_is_said_at_once(
    key: str, options: dict[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key."""
    monkeypatch.setenv("PAGERDUTY_KEY", key)
    with pytest.raises(SettingsError, match=rf"^{fault}") as caught:
        PagerDutyChannel(routing_key=SECRET, **options)
    assert "hunter2" not in str(caught.value)


def characters(text: str) -> int:
    """As many as there are if one beyond the first 65,536 is two."""
    return len(text.encode("utf-16-le")) // 2


@given(messages)
@settings(max_examples=50, deadline=None)
def test_any_message_is_within_the_limits(message: AlertMessage) -> None:
    """For any alerts: an event for each, with what PagerDuty asks for, and no longer than it takes."""
    events = list(events_of(message, "https://wiki.example/"))
    if not message.is_test:
        assert len(events) == len(message.alerts) + bool(message.held_back)
    for event in events:
        assert len(json.dumps(event, ensure_ascii=False).encode()) < 500_000
        assert 1 <= characters(event["dedup_key"]) <= 255
        if event["event_action"] == "resolve":
            continue
        payload = event["payload"]
        assert 1 <= characters(payload["summary"]) <= 1_024
        assert payload["severity"] in {"critical", "error", "warning", "info"}
        names = [payload[name] for name in ("source", "component", "group", "class") if name in payload]
        assert all(1 <= characters(name) <= 255 for name in names)
