"""`querygauge alerts`, as a shell runs it."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querygauge.storage.alerting import keep_alerts
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.values.alerts import Alert, Finding

Command = Callable[..., subprocess.CompletedProcess[str]]

HOUR = timedelta(hours=1)


@pytest.fixture
def alerts(store: Path) -> Path:
    """The store, in which one thing fires, one is pending, and one ended two days ago."""
    now = datetime.now(UTC)
    wait = Finding(
        "pool_wait",
        "warning",
        "pool main: 5 % of 90 callers waited 2.00 s or longer",
        "look at who holds them",
        "shop",
        pool="main",
        call_site="shop/orders.py:12 in show",
        value=2_000.0,
        threshold=1_000.0,
        unit="ms",
    )
    failing = Finding("error_rate", "critical", "30.0 % of 200 statements failed", "querygauge errors", "shop")
    size = Finding("store_too_large", "warning", "the store's database has 600 MB", "keep fewer days", value=600.0)
    paths = StorePaths(store)
    fold(paths)
    keep_alerts(
        paths,
        [
            Alert("a" * 16, wait, "firing", now - 2 * HOUR, now, now - 2 * HOUR, None, now - 2 * HOUR, "warning"),
            Alert("b" * 16, size, "pending", now, now),
            Alert("c" * 16, failing, "resolved", now - 50 * HOUR, now - 49 * HOUR, now - 50 * HOUR, now - 48 * HOUR),
        ],
        (),
    )
    return store


def test_what_is_wrong_now(run: Command, alerts: Path, store: Path) -> None:
    """How bad, what, since when, and what to do."""
    text = run("alerts", "list", "--store", alerts).stdout
    assert text.startswith("WARNING pool_wait shop main\n")
    assert "State        firing for 2 h 00 min, since 20" in text
    assert "What         pool main: 5 % of 90 callers waited 2.00 s or longer\n" in text
    assert "Called from  shop/orders.py:12 in show\n" in text
    assert "What to do   look at who holds them\n" in text
    assert "error_rate" not in text
    assert "store_too_large" not in text


def test_what_was_wrong(run: Command, alerts: Path) -> None:
    """In a range; what was only pending never was."""
    assert "CRITICAL error_rate" in run("alerts", "history", "--store", alerts).stdout
    assert "resolved after 2 h 00 min" in run("alerts", "history", "--store", alerts).stdout
    assert "error_rate" not in run("alerts", "history", "--store", alerts, "--range", "24h").stdout
    assert "and 1 more; --limit shows them" in run("alerts", "history", "--store", alerts, "--limit", 1).stdout
    nothing = run("alerts", "history", "--store", alerts, "--range", "2020-01-01/2020-01-02").stdout
    assert nothing == "nothing was wrong in 2020-01-01/2020-01-02\n"


def test_alerts_for_programs(run: Command, alerts: Path) -> None:
    """The same as JSON and as CSV."""
    (told,) = json.loads(run("alerts", "list", "--store", alerts, "--format", "json").stdout)["alerts"]
    assert (told["id"], told["status"], told["finding"]["pool"]) == ("a" * 16, "firing", "main")
    (row,) = csv.DictReader(io.StringIO(run("alerts", "list", "--store", alerts, "--format", "csv").stdout))
    assert (row["alert_id"], row["rule"], row["subject"], row["value"]) == ("a" * 16, "pool_wait", "main", "2000.0")
    assert row["is_silenced"] == "False"


def test_silences(run: Command, alerts: Path) -> None:
    """Made, listed, shown beside the alert, and taken back."""
    assert "nothing is silenced" in run("alerts", "silences", "--store", alerts).stdout
    chosen = ("--rule", "pool_*", "--service", "shop", "--subject", "main", "--note", "a larger pool is on its way")
    made = run("alerts", "silence", "--store", alerts, "--until", "2h", *chosen).stdout
    (listed,) = csv.DictReader(io.StringIO(run("alerts", "silences", "--store", alerts, "--format", "csv").stdout))
    assert f"querygauge alerts unsilence {listed['silence_id']} takes it back" in made
    assert (listed["rule"], listed["note"]) == ("pool_*", "a larger pool is on its way")
    text = run("alerts", "silences", "--store", alerts).stdout
    assert "rule pool_*, service shop, subject main\n" in text
    assert "nobody is told, as it is silenced" in run("alerts", "list", "--store", alerts).stdout
    assert run("alerts", "unsilence", listed["silence_id"], "--store", alerts).returncode == 0
    again = run("alerts", "unsilence", listed["silence_id"], "--store", alerts)
    assert again.returncode == 2
    assert "there is no silence " in again.stderr
    nothing = run("alerts", "silence", "--store", alerts, "--until", "2h", "--rule", "slow_quer")
    assert nothing.returncode == 2
    assert "rule must name rules; got 'slow_quer', known are burn_rate, " in nothing.stderr
    wrong = run("alerts", "silence", "--store", alerts, "--until", "soon")
    assert (wrong.returncode, "--until must be a day, a moment or a length" in wrong.stderr) == (2, True)


def test_nothing_wrong_is_said(run: Command, store: Path) -> None:
    """And an unknown service is an error."""
    assert (
        run("alerts", "list", "--store", store).stdout == "nothing is wrong; querygauge alerts history tells what was\n"
    )
    assert "no service 'blog'" in run("alerts", "list", "--store", store, "--service", "blog").stderr


def test_objectives(run: Command, store: Path, tmp_path: Path) -> None:
    """What is to be attained and what is left, as a page, as JSON and as CSV; and how to set one."""
    assert "[[alerts.objectives]] in querygauge.toml sets them" in run("objectives", "--store", store).stdout
    (tmp_path / "querygauge.toml").write_text(
        "[[alerts.objectives]]\nname = 'fast'\nservice = 'shop'\np95_ms = 0.000001\n"
        "[[alerts.objectives]]\nname = 'good'\nservice = 'shop'\nscope = 'nowhere'\nsuccess_percent = 99.9\n"
    )
    title, fast, good = run("objectives", "--store", store).stdout.splitlines()[2:]
    assert title.split()[:2] == ["Objective", "Of"]
    assert fast.split()[:2] == ["fast", "shop"]
    assert "-1900.0 %" in fast
    assert good.split()[-6:] == 6 * ["-"]
    told = json.loads(run("objectives", "--store", store, "--format", "json").stdout)["states"]
    assert [state["objective"]["name"] for state in told] == ["fast", "good"]
    assert told[0]["burn_rates"]["5m"] == pytest.approx(20.0)
    rows = [*csv.DictReader(io.StringIO(run("objectives", "--store", store, "--format", "csv").stdout))]
    assert [(row["name"], row["count"] != "0", row["burn_rate_1h"]) for row in rows] == [
        ("fast", True, "20.0"),
        ("good", False, "0.0"),
    ]


def test_settings_are_checked(run: Command, tmp_path: Path) -> None:
    """What is in force and from where; what is wrong ends with its line."""
    assert run("alerts", "check").stdout.startswith(
        "nothing is set here; all is as by default\nrepeated after 12 hours\n"
    )
    settings = tmp_path / "querygauge.toml"
    settings.write_text("[alerts]\nenabled = false\n[alerts.thresholds]\np95_ms = 250\n")
    told = run("alerts", "check").stdout
    assert told.startswith(f"read from {settings}\nalerts are switched off\n")
    assert "p95_ms                           250  by default 100\n" in told
    settings.write_text("[[alerts.overrides]]\npattern = 'e106'\nscope = 'GET /x'\nslow_query_ms = 1_500\n")
    assert run("alerts", "check").stdout.endswith("\noverride for pattern e106…, scope GET /x: slow_query_ms 1500\n")
    about = "[[alerts.objectives]]\nname = '{}'\nservice = 'shop'\n"
    settings.write_text(
        about.format("fast")
        + "scope = 'GET /x'\np95_ms = 250\n"
        + about.format("good")
        + "pattern = 'e106'\nsuccess_percent = 99.95\n"
    )
    assert run("alerts", "check").stdout.endswith(
        "\nobjective fast: shop, scope GET /x: p95_ms 250\nobjective good: shop, pattern e106…: success_percent 99.95\n"
    )
    settings.write_text("[alerts.thresholds]\np95_ms = -3\n")
    wrong = run("alerts", "check")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"p95_ms in {settings}, line 2, must be >= 0; got -3" in wrong.stderr


def test_channels_are_checked_and_tried(run: Command, tmp_path: Path) -> None:
    """Each is made; a test says of each whether it arrived."""
    settings = tmp_path / "querygauge.toml"
    settings.write_text(
        '[alerts.channels.journal]\ntype = "log"\nrules = ["pool_*"]\n'
        '[alerts.channels.web]\ntype = "webhook"\nurl = "http://127.0.0.1:1/"\nseverity = "critical"\n'
    )
    told = run("alerts", "check").stdout
    assert "channel journal: log, warning and worse, rules pool_*, all services, at most 20 messages" in told
    assert "channel web: webhook, critical and worse, all rules" in told
    tried = run("alerts", "test")
    assert tried.returncode == 2
    assert tried.stdout.splitlines()[0] == "journal: arrived"
    assert tried.stdout.splitlines()[1].startswith("web: ")
    assert run("alerts", "test", "--channel", "journal").returncode == 0
    assert (
        "there is no channel 'pager'; the settings here have journal, web"
        in run("alerts", "test", "--channel", "pager").stderr
    )
    settings.write_text('[alerts.channels.web]\ntype = "webhook"\ncolour = "red"\n')
    wrong = run("alerts", "check")
    assert (wrong.returncode, f"[alerts.channels.web] of {settings}, line 3: colour is no setting" in wrong.stderr) == (
        2,
        True,
    )
    assert "colour is no setting of a channel of type webhook" in wrong.stderr


def test_doctor_tells_of_wrong_settings(run: Command, alerts: Path, tmp_path: Path) -> None:
    """With the line, or the channel that cannot be made; where they are right it is silent."""
    assert "alert settings" not in run("doctor", "--store", alerts, "--format", "csv").stdout
    for text, told in (
        ("[alerts.thresholds]\np95_ms = -1\n", "line 2, must be >= 0; got -1"),
        ("[alerts.channels.team]\ntype = 'webhook'\n", "line 1: url must be given for a channel of type webhook"),
    ):
        (tmp_path / "querygauge.toml").write_text(text)
        made = run("doctor", "--store", alerts, "--format", "csv")
        (row,) = (row for row in csv.DictReader(io.StringIO(made.stdout)) if row["check"] == "alert settings")
        assert (row["severity"], told in row["message"]) == ("warning", True)
        assert made.returncode == 1
