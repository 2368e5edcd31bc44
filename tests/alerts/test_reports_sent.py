"""From a tick to whoever gets reports: when, how often, what, and by which channel."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from alerts.receivers import KeptReceiver, mail_server
from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.report_times import keep_reports, reported_until
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import SlowQuery
from storage.making import snapshot

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
Pass = Callable[[timedelta], datetime]
SECRET = "hunter2-hunter2"
COLLECT = [sys.executable, "-m", "querygauge", "collect", "--once", "--store"]


@pytest.fixture
def receiver() -> Iterator[KeptReceiver]:
    """One that takes everything."""
    with KeptReceiver().serving() as made:
        yield made


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: KeptReceiver) -> StorePaths:
    """An empty store, in a directory whose settings have daily reports go to the receiver."""
    monkeypatch.chdir(tmp_path)
    _set(receiver)
    made = StorePaths(tmp_path / "store")
    fold(made)
    return made


def _set(receiver: KeptReceiver, more: str = "", *, reports: str = '["daily"]', first: str = "") -> None:
    # Nothing is wrong, whatever was executed, and whoever runs this may have a full disk.
    Path("querygauge.toml").write_text(
        f"[alerts]\n{first}\n[alerts.thresholds]\ndisk_free_percent = 0\ndisk_critical_percent = 0\n"
        f'[alerts.channels.web]\ntype = "webhook"\nurl = "{receiver.url}"\nrules = []\nreports = {reports}\n{more}'
    )


def _execute(paths: StorePaths, executions: int, ended: datetime, service: str = "shop") -> None:
    SpoolSink(paths.root, 10).write(snapshot(executions, service=service, ended=ended))


def _bodies(receiver: KeptReceiver) -> list[dict[str, Any]]:
    return [json.loads(body) for body in receiver.bodies]


def _status(paths: StorePaths) -> list[tuple[str, int]]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return connection.execute("SELECT status, attempts FROM alert_messages ORDER BY made_at").fetchall()


def test_a_report_is_sent_once_a_day(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Whoever ticks how often; the first is that of the day on which reports were asked for."""
    _execute(paths, 7, datetime.now(UTC))
    for _ in range(3):
        tick(paths.root)
    assert receiver.keys == []
    for days in (1, 2, 3):
        later(DAY)
        for _ in range(3):
            tick(paths.root)
        assert len(receiver.keys) == days
    assert len(set(receiver.keys)) == 3
    assert _status(paths) == [("sent", 1)] * 3
    told = [body["report"]["performance"]["execution_count"] for body in _bodies(receiver)]
    # They are of whole days, so today is in the first or the second.
    assert sorted(told) == [0, 0, 7]


def test_what_is_in_it(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """A body as of any message, with the report; no list of alerts."""
    _execute(paths, 7, datetime.now(UTC))
    tick(paths.root)
    now = later(2 * DAY)
    tick(paths.root)
    (body,) = _bodies(receiver)
    assert (body["version"], body["type"], body["alerts"], body["key"]) == (1, "report", [], receiver.keys[0])
    assert body["headline"].startswith("Daily performance report: ")
    report = body["report"]
    assert report["span"]["period"] == "daily"
    assert report["span"]["zone"] == "UTC"
    assert datetime.fromisoformat(report["span"]["until"]) <= now
    assert datetime.fromisoformat(report["span"]["since"]) == datetime.fromisoformat(report["span"]["until"]) - DAY


def test_of_those_that_were_missed_one_is_sent(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Five days in which nothing ran are not five reports."""
    tick(paths.root)
    now = later(5 * DAY)
    tick(paths.root)
    tick(paths.root)
    (body,) = _bodies(receiver)
    assert now - datetime.fromisoformat(body["report"]["span"]["until"]) < 2 * DAY


def test_daily_and_weekly(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Each by its own time."""
    _set(receiver, reports='["weekly", "daily"]')
    tick(paths.root)
    for _ in range(14):
        later(DAY)
        tick(paths.root)
    periods = [body["report"]["span"]["period"] for body in _bodies(receiver)]
    assert sorted(periods) == ["daily"] * 14 + ["weekly"] * 2


def test_the_schedule_is_a_setting(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """A day is one of its zone; to tell it later in the day does not tell it again."""
    _set(receiver, first='report_daily_at = 00:30:00\nreport_time_zone = "Asia/Kolkata"')
    tick(paths.root)
    later(DAY)
    tick(paths.root)
    (body,) = _bodies(receiver)
    assert body["report"]["span"]["since"].endswith("T00:00:00+05:30")
    _set(receiver, first='report_daily_at = "00:45"\nreport_time_zone = "Asia/Kolkata"')
    later(HOUR)
    tick(paths.root)
    assert len(receiver.keys) <= 2  # the next day may have begun meanwhile, in any case only once


def test_a_day_without_queries_says_so(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Whoever gets no report would not know whether there was nothing, or nobody to tell it."""
    tick(paths.root)
    later(DAY)
    tick(paths.root)
    (body,) = _bodies(receiver)
    assert body["report"]["performance"]["execution_count"] == 0


def test_killed_between_sending_and_noting(
    paths: StorePaths, receiver: KeptReceiver, later: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent twice, with the same key and the same text, and not made anew."""

    def fail(*_: object) -> None:
        raise StoreError("it is gone")

    tick(paths.root)
    later(DAY)
    with monkeypatch.context() as patched:
        patched.setattr("querygauge.storage.outbox.note_sent", fail)
        tick(paths.root)
    later(timedelta(minutes=3))
    tick(paths.root)
    assert len(receiver.keys) == 2
    assert receiver.keys[0] == receiver.keys[1]
    assert receiver.bodies[0] == receiver.bodies[1]
    assert _status(paths) == [("sent", 2)]


def test_killed_while_it_is_sent(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """A collector that is gone for good leaves a message that the next one sends, with the same key."""
    _set(receiver, first='report_daily_at = "00:00"')
    keep_reports(paths, {("web", "daily"): datetime.now(UTC) - 3 * DAY}, [])
    receiver.hangs_until.clear()
    collector = subprocess.Popen([*COLLECT, str(paths.root)], stdout=subprocess.DEVNULL)
    assert receiver.came.acquire(timeout=60)
    collector.kill()
    collector.wait(30)
    receiver.hangs_until.set()
    assert _status(paths) == [("waiting", 1)]
    later(timedelta(minutes=3))
    tick(paths.root)
    assert receiver.keys[0] == receiver.keys[1]
    assert receiver.bodies[0] == receiver.bodies[1]
    assert _status(paths) == [("sent", 2)]


def test_killed_between_making_and_keeping(
    paths: StorePaths, receiver: KeptReceiver, later: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made is remembered with the message or not at all, so a later tick makes it."""

    def fail(*_: object) -> None:
        raise StoreError("it is full")

    tick(paths.root)
    later(DAY)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr("querygauge.storage.report_times.put_message", fail)
        tick(paths.root)
    assert [entry["event"] for entry in logs] == ["reports_not_made"]
    assert receiver.keys == []
    tick(paths.root)
    assert len(receiver.keys) == 1


def test_two_ticks_at_once(paths: StorePaths, receiver: KeptReceiver) -> None:
    """Of several processes one makes the report, and it is sent once."""
    _set(receiver, first='report_daily_at = "00:00"')
    keep_reports(paths, {("web", "daily"): datetime.now(UTC) - 3 * DAY}, [])
    ticks = [subprocess.Popen([*COLLECT, str(paths.root)], stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [each.wait(60) for each in ticks] == [0] * 4
    tick(paths.root)
    assert len(receiver.keys) == 1
    assert _status(paths) == [("sent", 1)]


def test_a_receiver_that_asks_for_a_pause_gets_one(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """As with any message."""
    tick(paths.root)
    later(DAY)
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    tick(paths.root)
    receiver.status = 200
    later(timedelta(minutes=9))
    tick(paths.root)
    assert len(receiver.keys) == 1
    later(timedelta(minutes=2))
    tick(paths.root)
    assert len(receiver.keys) == 2
    assert receiver.keys[0] == receiver.keys[1]


def test_a_report_is_never_only_a_number(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Where a channel has no room, it waits, as what is critical does."""
    _set(receiver, "max_messages = 1\n", reports='["daily", "weekly"]')
    tick(paths.root)
    later(7 * DAY)
    tick(paths.root)
    tick(paths.root)
    assert len(receiver.keys) == 1
    later(timedelta(minutes=11))
    tick(paths.root)
    assert sorted(body["report"]["span"]["period"] for body in _bodies(receiver)) == ["daily", "weekly"]
    assert {status for status, _ in _status(paths)} == {"sent"}


def test_a_report_for_each_service_of_a_channel(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Where it names some; what nobody runs is not told of."""
    _set(receiver, 'services = ["shop", "check*", "nobody"]\n')
    for service in ("shop", "checkout", "blog"):
        _execute(paths, 3, datetime.now(UTC), service)
    tick(paths.root)
    later(DAY)
    tick(paths.root)
    assert sorted(body["report"]["service"] for body in _bodies(receiver)) == ["checkout", "shop"]
    assert all(f"({body['report']['service']})" in body["headline"] for body in _bodies(receiver))


def test_nothing_is_remembered_where_nobody_gets_reports(
    paths: StorePaths, receiver: KeptReceiver, later: Pass
) -> None:
    """They are off unless a channel is named for them."""
    _set(receiver, reports="[]", first="")
    Path("querygauge.toml").write_text(Path("querygauge.toml").read_text().replace("rules = []\n", ""))
    for _ in range(3):
        tick(paths.root)
        later(DAY)
    assert receiver.keys == []
    assert reported_until(paths) == {}


def test_a_clock_that_was_ahead(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """For a year there would be no report; they go on with the next."""
    later(365 * DAY)
    tick(paths.root)
    later(DAY)
    tick(paths.root)
    later(-366 * DAY)
    tick(paths.root)
    assert len(receiver.keys) == 1
    later(DAY)
    tick(paths.root)
    assert len(receiver.keys) == 2


def test_a_mistake_in_a_report_holds_up_nothing_else(
    paths: StorePaths, receiver: KeptReceiver, later: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the log, and what waits is sent."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    tick(paths.root)
    later(DAY)
    receiver.status = 500
    tick(paths.root)
    receiver.status = 200
    later(DAY)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr("querygauge.storage.answers.performance_report.read_reports", fail)
        tick(paths.root)
    assert [entry["event"] for entry in logs] == ["reports_not_made"]
    assert len(receiver.keys) == 2
    assert receiver.keys[0] == receiver.keys[1]


def test_no_literal_is_sent(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """Statements as they were sent, which a store may have, are not in a report."""
    now = datetime.now(UTC)
    slow = SlowQuery(
        f"SELECT * FROM t WHERE password = '{SECRET}'",
        snapshot().queries[0].pattern_id,
        "SELECT t",
        "main",
        9_000.0,
        now,
        parameters=[SECRET],
        call_site="a.py:1 in f",
    )
    SpoolSink(paths.root, 10).write(replace(snapshot(5, ended=now), slow_queries=(slow,)))
    tick(paths.root)
    for _ in range(2):
        later(DAY)
        tick(paths.root)
    bodies = b"".join(receiver.bodies)
    assert b"SELECT ? FROM t1" in bodies
    assert SECRET.encode() not in bodies


def test_no_host_makes_reports(paths: StorePaths, receiver: KeptReceiver, later: Pass) -> None:
    """It takes a second, which is for those who send it; whoever comes later makes it."""
    tick(paths.root)
    known = reported_until(paths)
    later(DAY)
    tick(paths.root, sends=False)
    assert (reported_until(paths), _status(paths)) == (known, [])
    tick(paths.root)
    assert len(receiver.keys) == 1


def test_slack(paths: StorePaths, receiver: KeptReceiver, later: Pass, monkeypatch: pytest.MonkeyPatch) -> None:
    """As blocks."""
    monkeypatch.setenv("SLACK_URL", receiver.url)
    Path("querygauge.toml").write_text(
        '[alerts.channels.team]\ntype = "slack"\nurl = { environment = "SLACK_URL" }\nreports = ["daily"]\nrules = []\n'
    )
    tick(paths.root)
    later(DAY)
    tick(paths.root)
    (body,) = _bodies(receiver)
    assert body["blocks"][0]["text"]["text"].startswith("📊 Daily performance report: ")
    assert body["blocks"][1]["text"]["text"].startswith("No queries were executed.")


def test_log(paths: StorePaths, later: Pass) -> None:
    """As one event."""
    Path("querygauge.toml").write_text('[alerts.channels.log]\ntype = "log"\nreports = ["daily"]\nrules = []\n')
    tick(paths.root)
    later(DAY)
    with capture_logs() as logs:
        tick(paths.root)
    (event,) = logs
    assert (event["event"], event["log_level"], event["period"]) == ("performance_report", "info", "daily")
    assert event["summary"] == "No queries were executed."


async def test_email(paths: StorePaths, later: Pass) -> None:
    """As text and as HTML."""
    _execute(paths, 9, datetime.now(UTC))
    async with mail_server() as box:
        _set_mail(box.port)
        await asyncio.to_thread(tick, paths.root)
        for _ in range(2):
            later(DAY)
            await asyncio.to_thread(tick, paths.root)
    mails = [message_from_bytes(envelope.original_content or b"", policy=default) for envelope in box.envelopes]
    texts, pages = ([_part(mail, kind) for mail in mails] for kind in ("plain", "html"))
    assert len(mails) == 2
    assert all(mail["Subject"].startswith("Daily performance report: ") for mail in mails)
    assert sum("9 queries; 95 % took up to 2.00 ms" in text for text in texts) == 1
    assert sum("MOST TIME" in text for text in texts) == 1
    assert sum("<h2" in page and "SELECT t1" in page for page in pages) == 1


def _set_mail(port: int) -> None:
    Path("querygauge.toml").write_text(
        f'[alerts.channels.mail]\ntype = "email"\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
        'sender = "a@shop.example"\nrecipients = ["b@shop.example"]\nreports = ["daily"]\nrules = []\n'
    )


def _part(mail: Message, kind: str) -> str:
    assert isinstance(mail, EmailMessage)
    part = mail.get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content
