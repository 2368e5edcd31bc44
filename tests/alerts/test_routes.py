"""Which alerts go to which channel, and what a channel's settings may be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.samples import ALERT, MESSAGE
from querygauge.alerts.channels.email import EmailChannel
from querygauge.alerts.channels.webhook import WebhookChannel
from querygauge.alerts.routes import KINDS, Route, route_of
from querygauge.alerts.secret import Secret
from querygauge.errors import SettingsError
from querygauge.values.alerts import AlertSeverity

LOG = {"type": "log"}


@pytest.mark.parametrize(
    ("table", "severity", "takes"),
    [
        ({}, "info", False),
        ({}, "warning", True),
        ({}, "critical", True),
        ({"severity": "info"}, "info", True),
        ({"severity": "critical"}, "warning", False),
        ({"rules": ["slow_*"]}, "critical", True),
        ({"rules": ["pool_*", "error_rate"]}, "critical", False),
        ({"services": ["shop"]}, "critical", True),
        ({"services": ["blog", "b*"]}, "critical", False),
        ({"tags": ["team=pay*"]}, "critical", True),
        ({"tags": ["team=search", "tier=*"]}, "critical", True),
        ({"tags": ["team=search", "tier=silver"]}, "critical", False),
    ],
)
def test_an_alert_goes_where_it_is_taken(table: dict[str, Any], severity: AlertSeverity, takes: bool) -> None:
    """By its severity, its rule, its service and its tags."""
    alert = replace(ALERT, finding=replace(ALERT.finding, severity=severity, tags=("team=payments", "tier=gold")))
    route = route_of("team", {**LOG, **table})
    assert route.takes(alert) is takes
    part = route.part_of(replace(MESSAGE, alerts=(alert,)))
    assert (part is not None) is takes
    assert part is None or (part.key, part.alerts) == (MESSAGE.key, (alert,))


def test_what_is_about_the_store_goes_everywhere() -> None:
    """It is of no service."""
    alert = replace(ALERT, finding=replace(ALERT.finding, service=""))
    assert route_of("team", {**LOG, "services": ["blog"]}).takes(alert)


def test_some_channels_keep_alerts_open() -> None:
    """Those that are told of every end."""
    assert [kind for kind in KINDS if Route(name="a", kind=kind).keeps_open] == ["alertmanager", "pagerduty"]


def test_what_has_no_tags_goes_everywhere() -> None:
    """A pool is nobody's own."""
    assert route_of("team", {**LOG, "tags": ["team=search"]}).takes(ALERT)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "type must be one of alertmanager, email, log, pagerduty, slack, webhook"),
        ({"type": "pigeon"}, "type must be one of "),
        ({"type": ["log"]}, "type must be one of "),
        ({**LOG, "severity": "bad"}, "severity must be one of info, warning, critical; got 'bad'"),
        ({**LOG, "rules": "all"}, "rules must be a list of names; got 'all'"),
        ({**LOG, "tags": "team=search"}, "tags must be a list of names; got 'team=search'"),
        ({**LOG, "tags": ["payments"]}, "tags must be of the form key=value; got 'payments'"),
        ({**LOG, "services": []}, r"services must be a list of names; got \[\]"),
        ({**LOG, "max_messages": 0}, "max_messages must be a whole number >= 1; got 0"),
        ({**LOG, "max_messages": True}, "max_messages must be a whole number >= 1; got True"),
        ({**LOG, "reports": "daily"}, "reports must be a list of daily and weekly; got 'daily'"),
        ({**LOG, "reports": ["span"]}, r"reports must be a list of daily and weekly; got \['span'\]"),
        ({"type": "pagerduty", "reports": ["daily"]}, "reports must go to a channel of type email, .*; got pagerduty"),
        ({"type": "alertmanager", "reports": ["daily"]}, "reports must go to .* got alertmanager, which takes alerts"),
        ({**LOG, "rules": []}, r"rules must be a list of names; got \[\]"),
        (
            {**LOG, "rules": ["pool_*", "slow_quer"]},
            "rules must name rules; got 'slow_quer', known are burn",
        ),
        ({**LOG, "rules": ["pools_*"]}, r"rules must name rules; got 'pools_\*', known are "),
    ],
)
def test_an_impossible_route_is_named(table: dict[str, Any], told: str) -> None:
    """The setting, the rule and the value."""
    with pytest.raises(SettingsError, match=f"^{told}"):
        route_of("team", table)


def test_a_channel_for_reports() -> None:
    """Of the kinds it names, once each; it may have no alerts then."""
    route = route_of("boss", {**LOG, "reports": ["weekly", "daily", "weekly"], "rules": []})
    assert route.reports == ("daily", "weekly")
    assert not route.takes(ALERT)
    assert route_of("team", LOG).reports == ()


def test_what_a_report_is_about() -> None:
    """Everything together, or each of the services that a channel names."""
    known = ["blog", "shop", "shop-admin"]
    assert route_of("team", LOG).services_of(known) == (None,)
    assert route_of("team", {**LOG, "services": ["shop*"]}).services_of(known) == ("shop", "shop-admin")
    assert route_of("team", {**LOG, "services": ["other"]}).services_of(known) == ()


def test_a_channel_is_made_of_its_table(tmp_path: Path) -> None:
    """A place is a secret that is there, a list a tuple, and a file a path."""
    (tmp_path / "password").write_text("s3cret")
    mail = route_of(
        "post",
        {
            "type": "email",
            "host": "localhost",
            "sender": "alerts@shop.example",
            "recipients": ["team@shop.example"],
            "username": "alerts",
            "password": {"file": str(tmp_path / "password")},
            "timeout_s": 5,
        },
    ).channel()
    assert isinstance(mail, EmailChannel)
    assert mail.recipients == ("team@shop.example",)
    assert mail.password == Secret(file=tmp_path / "password")
    assert mail.timeout_s == 5.0
    web = route_of("web", {"type": "webhook", "url": "http://127.0.0.1:1/", "headers": {"X-Team": "shop"}}).channel()
    assert isinstance(web, WebhookChannel)
    assert web.headers == {"X-Team": "shop"}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"type": "webhook"}, "url must be given for a channel of type webhook"),
        ({"type": "log", "colour": "red"}, "colour is no setting of a channel of type log; known are type, severity, "),
        (
            {"type": "slack", "url": "https://hooks.example/s3cret"},
            "url must be a table with environment or file; got ",
        ),
        (
            {"type": "webhook", "url": "http://h/", "timeout_s": "5"},
            "timeout_s must be of type float; got something of ",
        ),
        ({"type": "email", "host": 3, "sender": "a@b.c", "recipients": ["a@b.c"]}, "host must be of type str; got "),
    ],
)
def test_a_channel_that_cannot_be_made_is_named(table: dict[str, Any], told: str) -> None:
    """And whatever may be a secret is not in the error."""
    with pytest.raises(SettingsError, match=f"^{told}") as raised:
        route_of("team", table).channel()
    assert "s3cret" not in str(raised.value)
