"""The documentation of the channels is complete."""

import re
from dataclasses import MISSING, fields
from typing import Any

import pytest

from alerts.samples import MESSAGE
from project import ROOT
from querygauge.alerts.channels.alertmanager import AlertmanagerChannel
from querygauge.alerts.channels.email import EmailChannel
from querygauge.alerts.channels.log import LogChannel
from querygauge.alerts.channels.pagerduty import PagerDutyChannel
from querygauge.alerts.channels.slack import SlackChannel
from querygauge.alerts.channels.webhook import WebhookChannel, body_of

PAGE = (ROOT / "docs" / "alerting.md").read_text(encoding="utf-8")
CHANNELS = {
    "Log": LogChannel,
    "Webhook": WebhookChannel,
    "Slack": SlackChannel,
    "Email": EmailChannel,
    "PagerDuty": PagerDutyChannel,
    "Alertmanager": AlertmanagerChannel,
}


@pytest.mark.parametrize("heading", CHANNELS)
def test_every_field_has_a_row(heading: str) -> None:
    """With its default, in the section of its channel."""
    channel: Any = CHANNELS[heading]
    section = re.search(rf"^### {heading}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", section[1], re.MULTILINE))
    defaults = {
        field.name: "" if field.default is MISSING and field.default_factory is MISSING else field.default
        for field in fields(channel)
    }
    assert {name: rows.get(name) for name in defaults} == {
        name: "none" if value is None or value is MISSING else _shown(value) for name, value in defaults.items()
    }


def _shown(value: object) -> str:
    return (
        f"`{value}`" if isinstance(value, str) and value else f"{value:g}" if isinstance(value, float) else str(value)
    )


def test_every_member_of_the_body_is_described() -> None:
    """Those of an alert, too."""
    body = body_of(MESSAGE)
    section = PAGE[PAGE.index("### Webhook") :]
    assert [name for name in (*body, *body["alerts"][0]) if f"`{name}`" not in section] == []
