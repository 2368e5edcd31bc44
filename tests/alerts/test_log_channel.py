"""Alerts in the log."""

import logging

import pytest
from hypothesis import given, settings
from structlog.testing import LogCapture

from alerts.samples import DIGEST, MESSAGE, RESOLVED, SLOW, TEST, message_of, messages
from querygauge.alerts.channels.log import LogChannel
from querygauge.values.alerts import AlertMessage


async def test_an_alert_is_an_event(events: LogCapture) -> None:
    """With keys that stay, at the level of its severity."""
    await LogChannel(runbooks="https://wiki.example").send(MESSAGE)
    assert events.entries == [
        {
            "event": "alert",
            "log_level": "critical",
            "alert_id": "0123456789abcdef",
            "status": "firing",
            "severity": "critical",
            "rule": "slow_query",
            "sentence": SLOW.sentence,
            "advice": SLOW.advice,
            "service": "shop",
            "target": "primary",
            "pattern_id": "00c0ffee00c0ffee",
            "pool": None,
            "objective": None,
            "pattern": SLOW.pattern,
            "call_site": "shop/orders.py:31 in latest",
            "value": 1500.0,
            "threshold": 1000.0,
            "unit": "ms",
            "trend": "▂▂·▅█ from 200ms to 1500ms in 25 min 00 s",
            "began_at": "2026-03-04T11:55:00+00:00",
            "ended_at": None,
            "runbook": "https://wiki.example/slow_query.md",
            "is_test": False,
            "key": "5ca1ab1e5ca1ab1e",
        }
    ]


async def test_each_alert_is_an_event_of_its_own(events: LogCapture) -> None:
    """An end is no trouble."""
    await LogChannel().send(message_of(SLOW, SLOW))
    await LogChannel().send(RESOLVED)
    assert [(entry["log_level"], entry["status"]) for entry in events.entries] == [
        ("critical", "firing"),
        ("critical", "firing"),
        ("info", "resolved"),
    ]


async def test_a_digest_and_a_test(events: LogCapture) -> None:
    """Each has an event of its own name."""
    await LogChannel().send(DIGEST)
    await LogChannel().send(TEST)
    digest, test = events.entries
    assert (digest["event"], digest["total"]) == ("alerts_held_back", 13)
    assert digest["rules"] == {"slow_query": 12, "error_rate": 1}
    assert (test["event"], test["headline"]) == ("alert_test", "[TEST] querygauge reaches this channel")


async def test_it_goes_to_logging_without_structlog(plain_log: pytest.LogCaptureFixture) -> None:
    """The same keys in one line, and as values of the record."""
    with plain_log.at_level(logging.INFO):
        await LogChannel().send(MESSAGE)
    [record] = plain_log.records
    assert record.levelname == "CRITICAL"
    assert record.getMessage().startswith("alert alert_id='0123456789abcdef' status='firing' severity='critical'")


@given(messages)
@settings(max_examples=50, deadline=None)
async def test_any_message_is_logged(message: AlertMessage) -> None:
    """For any alerts nothing is raised."""
    await LogChannel().send(message)
