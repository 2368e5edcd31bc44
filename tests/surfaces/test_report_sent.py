"""The report as it is sent, and sending it by hand, as a shell gets them."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.receivers import KeptReceiver
from querygauge.storage.paths import StorePaths
from querygauge.storage.report_times import reported_until
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot

Command = Callable[..., subprocess.CompletedProcess[str]]
DAY = timedelta(days=1)
YESTERDAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - DAY


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """A store with eight days, on each of them as many executions of a pattern as it is days ago, and one of today."""
    root = tmp_path / "days"
    sink = SpoolSink(root, 10)
    for days in range(9):
        sink.write(snapshot(days + 1, ended=YESTERDAY - days * DAY))
    return root


def test_yesterday_and_the_last_seven_days(run: Command, week: Path) -> None:
    """Beside the week before, by the calendar."""
    told = run("report", "--daily", "--store", week).stdout
    assert told.startswith(f"DAILY PERFORMANCE REPORT: {YESTERDAY:%A}".upper())
    assert _row(told, "Queries") == ["1", "8", "-87.5", "%"]
    told = run("report", "--weekly", "--store", week).stdout
    assert told.startswith(f"WEEKLY PERFORMANCE REPORT: {YESTERDAY - 6 * DAY:%Y-%m-%d} TO {YESTERDAY:%Y-%m-%d}\n")
    assert _row(told, "Queries") == ["28", "17", "+64.7", "%"]


def _row(told: str, name: str) -> list[str]:
    return next(line.split()[1:] for line in told.splitlines() if line.strip().startswith(f"{name} "))


def test_for_machines_and_browsers(run: Command, week: Path) -> None:
    """All of it, or a page that is complete in itself."""
    report = json.loads(run("report", "--daily", "--store", week, "--format", "json").stdout)
    assert report["performance"]["execution_count"] == 1
    page = run("report", "--since", "3d", "--store", week, "--format", "html").stdout
    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("</html>\n")
    assert "Performance report: " in page


def test_it_is_sent_by_hand(run: Command, week: Path, tmp_path: Path) -> None:
    """At once, whenever reports come; what comes by itself comes all the same."""
    with KeptReceiver().serving() as receiver:
        (tmp_path / "querygauge.toml").write_text(f'[alerts.channels.web]\ntype = "webhook"\nurl = "{receiver.url}"\n')
        done = run("report", "--daily", "--send", "web", "--store", week)
        assert done.returncode == 0
        assert done.stdout.startswith("web: Daily performance report: ")
        assert done.stdout.endswith(": arrived\n")
        run("report", "--send", "web", "--since", "30h", "--service", "shop", "--limit", "1", "--store", week)
        receiver.status = 404
        failed = run("report", "--weekly", "--send", "web", "--store", week)
    assert failed.returncode == 2
    assert "answers 404" in failed.stdout
    first, second, _ = (json.loads(body) for body in receiver.bodies)
    assert (first["type"], first["report"]["span"]["period"], first["report"]["service"]) == ("report", "daily", None)
    assert (second["report"]["span"]["period"], second["report"]["service"]) == ("span", "shop")
    assert len(set(receiver.keys)) == 3
    assert reported_until(StorePaths(week)) == {}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--send", "nobody"], "there is no channel 'nobody'; the settings here have log, pager"),
        (["--send", "pager"], "reports must go to a channel of type email, log, slack or webhook; got alertmanager"),
        (["--daily", "--weekly"], "a report as it is sent is of one span and everything in it; leave out "),
        (["--daily", "--scope", "GET /"], "a report as it is sent is of one span"),
        (["--weekly", "--format", "csv"], "a report as it is sent is of one span"),
        (["--daily", "--service", "nobody"], "no service 'nobody' in store"),
    ],
)
def test_what_cannot_be_sent(run: Command, week: Path, tmp_path: Path, arguments: list[str], fault: str) -> None:
    """Is said in one line."""
    (tmp_path / "querygauge.toml").write_text(
        '[alerts.channels.log]\ntype = "log"\n[alerts.channels.pager]\ntype = "alertmanager"\nurl = "http://127.0.0.1:9"\n'
    )
    failed = run("report", *arguments, "--store", week)
    assert failed.returncode == 2
    assert failed.stderr.startswith(f"querygauge: {fault}")


def test_the_zone_is_a_setting(run: Command, week: Path, tmp_path: Path) -> None:
    """As for those that come by themselves; checking the settings tells when that is."""
    (tmp_path / "querygauge.toml").write_text(
        '[alerts]\nreport_time_zone = "Asia/Kolkata"\n[alerts.channels.log]\ntype = "log"\nreports = ["daily"]\n'
    )
    report = json.loads(run("report", "--daily", "--store", week, "--format", "json").stdout)
    assert report["span"]["zone"] == "Asia/Kolkata"
    assert report["span"]["since"].endswith("T00:00:00+05:30")
    told = run("alerts", "check").stdout
    assert "reports come daily at 09:00, weekly on Sunday 10:00, Asia/Kolkata\n" in told
    assert (
        "channel log: log, warning and worse, all rules, all services, at most 20 messages in ten minutes, and daily"
        in told
    )
