"""Alerts in Prometheus' Alertmanager: the real one, and what is sent to it."""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings

from alerts.receivers import WebReceiver, web_receiver
from alerts.samples import ALERT, DIGEST, MESSAGE, NOON, RESOLVED, SLOW, TEST, message_of, messages
from missing import skip_or_fail
from querygauge.alerts.channels.alertmanager import AlertmanagerChannel, alerts_of
from querygauge.alerts.secret import Secret
from querygauge.errors import DeliveryError, SettingsError
from querygauge.values.alerts import AlertMessage

LASTS = timedelta(hours=13)
LABELS = {
    "alertname": "slow_query",
    "service": "shop",
    "target": "primary",
    "pattern_id": "00c0ffee00c0ffee",
    "severity": "critical",
}


async def test_an_alert_is_sent() -> None:
    """With labels that stay, and until when it lasts if nothing more is heard of it."""
    async with web_receiver(body=b"{}") as receiver:
        await AlertmanagerChannel(url=receiver.url + "/prefix/", labels={"env": "test"}).send(
            replace(MESSAGE, alerts=(replace(ALERT, fired_at=NOON),))
        )
    [received] = receiver.received
    assert (received.method, received.path) == ("POST", "/prefix/api/v2/alerts")
    [alert] = json.loads(received.body)
    assert alert["labels"] == LABELS | {"env": "test"}
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-03-04T11:55:00+00:00", "2026-03-05T01:00:00+00:00")
    assert alert["annotations"] == {
        "summary": "Slow Query Alert: 1500ms (shop): " + SLOW.sentence,
        "description": alert["annotations"]["description"],
        "runbook_url": "docs/runbooks/slow_query.md",
        "pattern": SLOW.pattern,
        "called_from": "shop/orders.py:31 in latest",
        "trend": "▂▂·▅█ from 200ms to 1500ms in 25 min 00 s",
        "look_further": "querygauge patterns show 00c0ffee00c0ffee",
    }
    assert "What to do: Look at its plan" in alert["annotations"]["description"]


def test_an_end_has_the_labels_of_its_beginning() -> None:
    """And ends when it was well again, whatever its severity was at first."""
    alerts = list(alerts_of(RESOLVED, LASTS))
    assert [alert["labels"]["severity"] for alert in alerts] == ["critical", "info", "warning"]
    assert alerts[0]["labels"] == LABELS
    assert {alert["endsAt"] for alert in alerts} == {"2026-03-04T12:55:00+00:00"}


def test_what_becomes_worse_ends_what_was_less() -> None:
    """As to Alertmanager that is another alert; what begins as bad as it is ends none."""
    begun = replace(ALERT, fired_at=NOON)
    assert len(list(alerts_of(replace(MESSAGE, alerts=(begun,)), LASTS))) == 1
    worse = replace(begun, fired_at=NOON - timedelta(minutes=3))
    now, *less = alerts_of(replace(MESSAGE, alerts=(worse,)), LASTS)
    assert now["endsAt"] > NOON.isoformat()
    assert [(alert["labels"]["severity"], alert["endsAt"]) for alert in less] == [
        ("info", NOON.isoformat()),
        ("warning", NOON.isoformat()),
    ]


def test_a_clock_set_back_refuses_nothing() -> None:
    """An end before the beginning is a moment."""
    ended = replace(ALERT, status="resolved", ended_at=NOON - timedelta(days=1))
    alert, *_ = alerts_of(replace(MESSAGE, alerts=(ended,)), LASTS)
    assert alert["startsAt"] == alert["endsAt"] == (NOON - timedelta(days=1)).isoformat()


def test_a_digest_and_a_test() -> None:
    """Are alerts of an hour."""
    [digest] = alerts_of(DIGEST, LASTS)
    assert digest["labels"] == {"alertname": "querygauge_held_back", "severity": "info"}
    assert digest["annotations"]["summary"] == "13 alerts held back"
    assert digest["annotations"]["description"] == "slow_query: 12, error_rate: 1"
    assert (digest["startsAt"], digest["endsAt"]) == ("2026-03-04T12:00:00+00:00", "2026-03-04T13:00:00+00:00")
    [test] = alerts_of(TEST, LASTS)
    assert test["labels"] == {"alertname": "querygauge_test", "severity": "info"}
    assert test["annotations"]["summary"].startswith("[TEST]")
    assert len(list(alerts_of(replace(MESSAGE, is_test=True), LASTS))) == 1


async def test_an_error_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """But nothing of the token."""
    monkeypatch.setenv("SHOP_SECRET", "hunter2-hunter2")
    async with web_receiver(status=400, body=b'{"code":400,"message":"bad label"}') as receiver:
        channel = AlertmanagerChannel(url=receiver.url, bearer=Secret(environment="SHOP_SECRET"))
        with pytest.raises(DeliveryError) as caught:
            await channel.send(MESSAGE)
        receiver.body = b"hunter2-hunter2"
        with pytest.raises(DeliveryError, match=r"answers 400$"):
            await channel.send(MESSAGE)
    assert str(caught.value).endswith('answers 400: {"code":400,"message":"bad label"}')
    assert caught.value.is_final
    assert receiver.received[0].headers["Authorization"] == "Bearer hunter2-hunter2"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"url": "alertmanager:9093"}, r"alertmanager\.url must be a URL"),
        ({"url": "http://a:hunter2@alertmanager"}, r"alertmanager\.url must have no user and no password"),
        ({"url": "http://alertmanager/?token=hunter2"}, r"alertmanager\.url must end before \? and #"),
        ({"bearer": Secret(environment="NO_SUCH_SECRET")}, r"alertmanager\.bearer: environment variable"),
        ({"labels": {"tier": 1}}, r"alertmanager\.labels must have texts as values; tier has 1"),
        ({"labels": {"a-b": "c"}}, r"alertmanager\.labels must have names of letters, digits and _; got 'a-b'"),
        ({"labels": {"__name__": "c"}}, r"alertmanager\.labels must have names .*; got '__name__'"),
        ({"labels": {"severity": "page"}}, r"alertmanager\.labels must leave severity to the channel"),
        ({"lasts_hours": 0}, r"alertmanager\.lasts_hours must be > 0 and <= 168; got 0"),
        ({"timeout_s": -1}, r"alertmanager\.timeout_s must be > 0 and <= 300; got -1"),
        ({"ca_file": Path("/no/such/file")}, r"alertmanager\.ca_file must be a file of PEM certificates"),
        ({"runbooks": " "}, r"alertmanager\.runbooks must be an address such as"),
    ],
)
def test_what_cannot_be_sent_to_is_said_at_once(options: dict[str, Any], fault: str) -> None:
    """The field, the rule, and the value unless it may be a secret."""
    with pytest.raises(SettingsError, match=rf"^{fault}") as caught:
        AlertmanagerChannel(**{"url": "http://alertmanager:9093", **options})
    assert "hunter2" not in str(caught.value)


@given(messages)
@settings(max_examples=50, deadline=None)
def test_any_message_is_alerts(message: AlertMessage) -> None:
    """For any alerts: a name and only labels with values, an end that is not before the beginning, bounded texts."""
    for alert in alerts_of(message, LASTS):
        assert alert["labels"]["alertname"]
        assert all(1 <= len(value) <= 500 for value in alert["labels"].values())
        assert datetime.fromisoformat(alert["startsAt"]) <= datetime.fromisoformat(alert["endsAt"])
        assert len(json.dumps(alert, ensure_ascii=False).encode()) < 200_000


@asynccontextmanager
async def alertmanager(directory: Path, receiver: WebReceiver) -> AsyncIterator[str]:
    """A real one, that tells our receiver; gives its URL."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        skip_or_fail("Alertmanager is not installed: apt-get install prometheus-alertmanager")
    config = directory / "alertmanager.yml"
    config.write_text(
        "route: {receiver: ours, group_by: [alertname, service], group_wait: 10ms, group_interval: 100ms}\n"
        f"receivers: [{{name: ours, webhook_configs: [{{url: '{receiver.url}'}}]}}]\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={config}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _is_ready(process, url)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _is_ready(process: asyncio.subprocess.Process, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            assert process.returncode is None, "Alertmanager ended"
            try:
                async with session.get(f"{url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def asked(url: str) -> Any:
    """What it answers."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()


async def test_the_real_one_accepts_groups_and_resolves(tmp_path: Path) -> None:
    """What the channel sends: two queries of one rule in one group, told once, and told to end when they do."""
    now = datetime.now(UTC)
    begun = [
        replace(alert, began_at=now, seen_at=now, fired_at=now)
        for alert in message_of(
            SLOW, replace(SLOW, pattern_id="feedfeedfeedfeed", pattern='SELECT "<b>" \\ é漢😀')
        ).alerts
    ]
    other = replace(begun[0], finding=replace(SLOW, rule="pool_wait", pattern_id=None, pool="main", severity="warning"))
    async with web_receiver() as receiver, alertmanager(tmp_path, receiver) as url:
        channel = AlertmanagerChannel(url=url)
        await channel.send(AlertMessage("k", now, tuple(begun)))
        await channel.send(AlertMessage("l", now, (other,)))
        told = [json.loads(received.body) for received in await receiver.wait_for(2)]
        by_rule = {group["groupLabels"]["alertname"]: group for group in told}
        assert {group["status"] for group in told} == {"firing"}
        assert [len(by_rule[rule]["alerts"]) for rule in ("slow_query", "pool_wait")] == [2, 1]
        patterns = {alert["annotations"]["pattern"] for alert in by_rule["slow_query"]["alerts"]}
        assert patterns == {SLOW.pattern, 'SELECT "<b>" \\ é漢😀'}

        groups = await asked(f"{url}/api/v2/alerts/groups")
        assert sorted(len(group["alerts"]) for group in groups) == [1, 2]
        # The same again is the same alert.
        await channel.send(AlertMessage("k", now, tuple(begun)))
        active = await asked(f"{url}/api/v2/alerts?active=true")
        assert len(active) == 3
        assert {alert["status"]["state"] for alert in active} == {"active"}

        later = datetime.now(UTC)
        ended = [replace(alert, status="resolved", ended_at=later) for alert in begun]
        await channel.send(AlertMessage("m", later, tuple(ended)))
        last = json.loads((await receiver.wait_for(3))[-1].body)
        assert (last["status"], last["groupLabels"]["alertname"]) == ("resolved", "slow_query")
        assert {alert["status"] for alert in last["alerts"]} == {"resolved"}
        assert [alert["labels"]["alertname"] for alert in await asked(f"{url}/api/v2/alerts")] == ["pool_wait"]


async def test_the_real_one_takes_a_worse_one_for_the_same(tmp_path: Path) -> None:
    """The warning ends when it becomes critical, so that one is left."""
    now = datetime.now(UTC)
    warning = replace(ALERT, began_at=now, fired_at=now, finding=replace(SLOW, severity="warning"))
    async with web_receiver() as receiver, alertmanager(tmp_path, receiver) as url:
        channel = AlertmanagerChannel(url=url)
        await channel.send(AlertMessage("k", now, (warning,)))
        await receiver.wait_for(1)
        later = datetime.now(UTC)
        await channel.send(AlertMessage("l", later, (replace(warning, finding=SLOW),)))
        active = await asked(f"{url}/api/v2/alerts")
        assert [alert["labels"]["severity"] for alert in active] == ["critical"]


@pytest.fixture
async def alertmanager_url(tmp_path: Path) -> AsyncIterator[str]:
    """Where a real one is whose messages nobody needs."""
    async with web_receiver() as receiver, alertmanager(tmp_path, receiver) as url:
        yield url


@given(messages)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_real_one_accepts_any_message(alertmanager_url: str, message: AlertMessage) -> None:
    """For any alerts it refuses none."""
    await AlertmanagerChannel(url=alertmanager_url).send(message)
