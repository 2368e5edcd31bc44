"""The values of alerts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from querygauge.values.alerts import Alert, AlertMessage, Finding, Silence
from querygauge.values.choosing import is_chosen

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FOUND = Finding("error_rate", "warning", "12 % failed", "look at the errors", service="shop", value=12.0, unit="%")
ALERT = Alert("0" * 16, FOUND, "firing", NOON, NOON, NOON)


def test_findings_about_the_same_thing_have_one_key() -> None:
    """Whatever their severity and numbers; a pattern, a pool, a database or a service is another thing."""
    assert replace(FOUND, severity="critical", value=30.0, sentence="30 % failed").key == FOUND.key
    others = [
        replace(FOUND, rule="success_rate"),
        replace(FOUND, service="blog"),
        replace(FOUND, target="replica"),
        replace(FOUND, pattern_id="feed"),
        replace(FOUND, pool="main"),
    ]
    assert len({FOUND.key, *(other.key for other in others)}) == 6


def test_a_message_is_as_bad_as_the_worst_in_it() -> None:
    """And resolved only if all of it is."""
    worse = replace(ALERT, finding=replace(FOUND, severity="critical"))
    ended = replace(ALERT, status="resolved", ended_at=NOON)
    assert AlertMessage("k", NOON, (ALERT, worse)).severity == "critical"
    assert AlertMessage("k", NOON, (ALERT, ended)).status == "firing"
    assert AlertMessage("k", NOON, (ended,)).status == "resolved"
    digest = AlertMessage("k", NOON, held_back={"slow_query": 7})
    assert (digest.status, digest.severity) == ("firing", "info")


def test_a_message_is_json() -> None:
    """Its alerts, and what they found, as objects."""
    told = AlertMessage("k", NOON, (ALERT,), is_test=True).to_dict()
    assert told["alerts"][0]["finding"]["value"] == 12.0
    assert (told["made_at"], told["status"], told["severity"]) == (NOON.isoformat(), "firing", "warning")


@pytest.mark.parametrize(
    ("wanted", "name", "is_wanted"),
    [
        ("shop", "shop", True),
        ("shop*", "shop-admin", True),
        ("*", "", True),
        ("shop", "Shop", False),
        ("GET /orders/[id]", "GET /orders/[id]", True),
        ("GET /orders/[id]", "GET /orders/i", False),
        ("GET /[!a]*", "GET /[!a]/b", True),
        ("GET /export?as=csv", "GET /export?as=csv", True),
        ("GET /export?as=csv", "GET /export/as=csv", False),
        ("a\\b", "a\\b", True),
    ],
)
def test_a_star_is_all_that_stands_for_anything_else(wanted: str, name: str, is_wanted: bool) -> None:
    """Names of scopes and tags are full of what a shell would read something into."""
    assert is_chosen(name, wanted) is is_wanted
    silence = Silence("a", NOON, NOON + timedelta(hours=1), subject=wanted)
    assert silence.covers(replace(FOUND, objective=name), NOON) is is_wanted
