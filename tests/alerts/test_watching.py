"""Ticks look for what is wrong, and remember it in the store."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from querygauge.collector import tick
from querygauge.errors import SettingsError, StoreError
from querygauge.histogram import Histogram
from querygauge.storage.alerting import silence, silences_in_force, unsilence
from querygauge.storage.backup import back_up
from querygauge.storage.database import open_database
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.restore import restore
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, SlowQuery
from querygauge.values.alerts import Alert, Silence
from storage.making import snapshot, stats

MINUTE = timedelta(minutes=1)
Pass = Callable[[timedelta], datetime]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorePaths:
    """A store in a directory where nothing is set."""
    monkeypatch.chdir(tmp_path)
    return StorePaths(tmp_path / "store")


def _fail(paths: StorePaths, executions: int = 200, *, service: str = "shop") -> None:
    """All of so many statements failed two minutes ago."""
    ended = datetime.now(UTC) - 2 * MINUTE
    failed = replace(stats(executions, at=ended), outcomes=OutcomeCounts(error=executions))
    SpoolSink(paths.root, 10).write(replace(snapshot(executions, service=service, ended=ended), queries=(failed,)))


def _told(paths: StorePaths) -> list[tuple[str, str, str]]:
    return [(alert.finding.rule, alert.status, alert.finding.severity) for alert in tick(paths.root).told]


def _alerts(paths: StorePaths) -> tuple[Alert, ...]:
    now = datetime.now(UTC)
    return open_store(paths.root).alerts((now - timedelta(days=1), now + timedelta(days=1))).alerts


def test_what_lasts_is_told_once_whoever_ticks(paths: StorePaths, later: Pass) -> None:
    """Its memory is in the store: each tick goes on where the last one stopped."""
    _fail(paths)
    told = []
    for _ in range(8):
        told += _told(paths)
        later(MINUTE)
    assert told == [("error_rate", "firing", "critical")]
    (alert,) = _alerts(paths)
    assert alert.finding.sentence.startswith("100.0 % of 200 statements of the last hour failed")
    assert alert.fired_at is not None
    assert alert.fired_at - alert.began_at >= 5 * MINUTE
    assert alert.told_at == alert.fired_at
    assert alert.told_severity == "critical"


def test_the_end_is_told_too(paths: StorePaths, later: Pass) -> None:
    """An hour after the last failure, and five minutes more."""
    _fail(paths)
    for _ in range(6):
        tick(paths.root)
        later(MINUTE)
    later(50 * MINUTE)
    assert _told(paths) == []
    told = [message for _ in range(10) if later(MINUTE) for message in _told(paths)]
    assert told == [("error_rate", "resolved", "critical")]
    (alert,) = _alerts(paths)
    assert (alert.status, alert.ended_at is not None) == ("resolved", True)


def test_an_objective_that_is_missed_is_told(paths: StorePaths, tmp_path: Path) -> None:
    """At once, by its name; of one that is attained nothing is."""
    (tmp_path / "querygauge.toml").write_text(
        "[[alerts.objectives]]\nname = 'orders are found'\nservice = 'shop'\nsuccess_percent = 99\n"
        "[[alerts.objectives]]\nname = 'somewhere else'\nservice = 'shop'\nscope = 'GET /x'\nsuccess_percent = 99\n"
    )
    _fail(paths)
    (alert,) = tick(paths.root).told
    finding = alert.finding
    assert (finding.rule, finding.severity, finding.subject) == ("burn_rate", "critical", "orders are found")
    assert finding.sentence.startswith(
        "orders are found uses its budget 100.0 times too fast: 100.0 % of 200 statements"
    )
    assert [each.finding for each in _alerts(paths)] == [replace(finding, trend=(), trend_s=0.0)]


def _slow_for(paths: StorePaths, team: str, number: int, ended: datetime) -> None:
    """A pattern was slow, in scopes of a team."""
    durations = Histogram.of([500_000_000] * 50)
    slow = replace(stats(50, number=number, at=ended), durations=durations, scope="GET /x", tags={"team": team})
    SpoolSink(paths.root, 10).write(replace(snapshot(service="shop", ended=ended), queries=(slow,)))


def test_teams_are_told_of_their_own(paths: StorePaths, tmp_path: Path, later: Pass) -> None:
    """By the tags under which a pattern was executed; of the end too, when nothing is executed any more."""
    channels = "".join(
        f"[alerts.channels.{team}]\ntype = 'log'\nrules = ['slow_pattern']\ntags = ['team={team}']\n"
        for team in ("payments", "search")
    )
    (tmp_path / "querygauge.toml").write_text(channels)
    sent = []
    for minute in range(16):
        now = later(MINUTE)
        if minute < 6:
            _slow_for(paths, "payments", 1, now)
            _slow_for(paths, "search", 2, now)
        with capture_logs() as logs:
            tick(paths.root)
        sent += [(each["status"], each["pattern_id"][-1]) for each in logs if each["event"] == "alert"]
    assert sent == [
        ("firing", "1"),
        ("firing", "2"),
        ("resolved", "1"),
        ("resolved", "2"),
    ]
    assert _alerts(paths)[0].finding.tags in {("team=payments",), ("team=search",)}


def test_a_channel_by_tags_that_is_set_later_keeps_no_end_from_others(
    paths: StorePaths, tmp_path: Path, later: Pass
) -> None:
    """Whoever was told of the beginning is told of the end."""
    settings = tmp_path / "querygauge.toml"
    pager = "[alerts.channels.pager]\ntype = 'log'\nrules = ['slow_pattern']\n"
    settings.write_text(pager)
    sent = []
    for minute in range(16):
        now = later(MINUTE)
        if minute < 6:
            _slow_for(paths, "payments", 1, now)
        if minute == 6:
            settings.write_text(f"{pager}tags = ['team=search']\n")
        with capture_logs() as logs:
            tick(paths.root)
        sent += [each["status"] for each in logs if each["event"] == "alert"]
    assert sent == ["firing", "resolved"]


def test_what_was_no_alert_is_forgotten(paths: StorePaths, later: Pass) -> None:
    """A pending one is none; nobody reads of it."""
    _fail(paths)
    tick(paths.root)
    assert _alerts(paths) == ()
    later(timedelta(hours=2))
    tick(paths.root)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT count(*) FROM alerts").fetchall() == [(0,)]


def test_a_silence_is_kept_and_ends(paths: StorePaths, later: Pass) -> None:
    """What still lasts is told afterwards; one taken back holds nothing back."""
    _fail(paths)
    tick(paths.root)
    now = later(timedelta(0))
    made = silence(paths, now + 7 * MINUTE, rule="error_*", note="we know", now=now)
    told = [(minute, *message) for minute in range(9) if later(MINUTE) for message in _told(paths)]
    assert told == [(6, "error_rate", "firing", "critical")]
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert silences_in_force(connection, now) == [
            Silence(made.id, now, now + 7 * MINUTE, "error_*", None, None, "we know")
        ]
    unsilence(paths, made.id)
    with pytest.raises(StoreError, match=rf"there is no silence '{made.id}'; querygauge alerts silences lists"):
        unsilence(paths, made.id)
    with pytest.raises(SettingsError, match="until must be in the future; got 2026-01-01 00:00 UTC"):
        silence(paths, datetime(2026, 1, 1, tzinfo=UTC))


def test_settings_are_read_at_each_tick(paths: StorePaths, later: Pass) -> None:
    """Where the collector runs; what cannot be read is logged, and the defaults hold."""
    settings = Path("querygauge.toml")
    percents = ("errors_warning", "errors_critical", "success_warning", "success_critical")
    lines = [f"{name}_percent = {100 * name.startswith('errors')}\n" for name in percents]
    settings.write_text("".join(["[alerts.thresholds]\n", *lines]))
    _fail(paths)
    for _ in range(8):
        assert _told(paths) == []
        later(MINUTE)
    settings.write_text("[alerts.thresholds]\nerrors_warning_percent = -1\n")
    with capture_logs() as logs:
        told = [message for _ in range(8) if later(MINUTE) for message in _told(paths)]
    assert told == [("error_rate", "firing", "critical")]
    assert {entry["event"] for entry in logs} == {"alert_settings_not_used", "alert"}
    assert "errors_warning_percent in " in logs[0]["error"]
    settings.write_text("[alerts]\nenabled = false\n")
    later(timedelta(hours=3))
    assert _told(paths) == []
    assert [alert.status for alert in _alerts(paths)] == ["firing"]


def test_a_store_that_cannot_be_looked_at_is_folded_all_the_same(
    paths: StorePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and the tick goes on."""

    def fail(*_: object) -> None:
        raise StoreError("it is full")

    _fail(paths)
    monkeypatch.setattr("querygauge.storage.alerting.keep_alerts", fail)
    with capture_logs() as logs:
        assert tick(paths.root).folded.files == 1
    assert [entry["event"] for entry in logs] == ["alerts_not_looked_at"]


def test_a_mistake_in_a_rule_holds_up_nothing_else(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours are rolled up, and the day has its backup; the mistake is in the log."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    ended = datetime.now(UTC) - timedelta(days=2)
    SpoolSink(paths.root, 10).write(snapshot(5, ended=ended))
    monkeypatch.setattr("querygauge.alerts.rules.findings", fail)
    with capture_logs() as logs:
        tick(paths.root)
        tick(paths.root)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["alerts_not_looked_at"] * 2
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT sum(executions)::INT FROM query_stats_hourly").fetchall() == [(5,)]


def test_alerts_are_in_a_backup(paths: StorePaths, later: Pass) -> None:
    """A restored store neither forgets nor repeats."""
    _fail(paths)
    for _ in range(7):
        tick(paths.root)
        later(MINUTE)
    taken = back_up(paths, folder=paths.root.with_name("backups"))
    assert taken is not None
    other = StorePaths(paths.root.with_name("other"))
    restore(taken.path, other)
    assert _alerts(other) == _alerts(paths)
    assert _told(other) == []


def test_what_was_found_is_json_for_whoever_reads_the_table(paths: StorePaths, later: Pass) -> None:
    """With the columns to choose by beside it."""
    _fail(paths)
    tick(paths.root)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        ((rule, service, subject, severity, status, finding),) = connection.execute(
            "SELECT rule, service, subject, severity, status, finding FROM alerts"
        ).fetchall()
    assert (rule, service, subject, severity, status) == ("error_rate", "shop", "", "critical", "pending")
    assert json.loads(finding)["threshold"] == 25.0


def test_what_is_told_says_how_it_went_before(paths: StorePaths, later: Pass) -> None:
    """In the last two hours; what is only remembered does not."""
    _fail(paths)
    told = [alert for _ in range(8) if later(MINUTE) for alert in tick(paths.root).told]
    (finding,) = (alert.finding for alert in told)
    assert [value for value in finding.trend if value is not None] == [100.0]
    assert len(finding.trend) == 24
    assert 7_140 <= finding.trend_s <= 7_200
    (alert,) = _alerts(paths)
    assert alert.finding.trend == ()


def test_a_trend_that_cannot_be_read_keeps_nobody_from_being_told(
    paths: StorePaths, later: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a picture, and no more."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    _fail(paths)
    monkeypatch.setattr("querygauge.storage.series.read_series", fail)
    with capture_logs() as logs:
        told = [alert for _ in range(8) if later(MINUTE) for alert in tick(paths.root).told]
    assert [(alert.finding.rule, alert.finding.trend) for alert in told] == [("error_rate", ())]
    assert [entry["error"] for entry in logs if entry["event"] == "trends_not_read"] == ["ZeroDivisionError: "]


def test_a_pager_is_told_of_every_end(paths: StorePaths, tmp_path: Path, later: Pass) -> None:
    """Of what happened once, people are told once; an incident is closed an hour later."""
    (tmp_path / "querygauge.toml").write_text(
        "[alerts.channels.team]\ntype = 'log'\n"
        "[alerts.channels.pager]\ntype = 'pagerduty'\nrouting_key = {file = 'there-is-none'}\n"
    )
    _slow_once(paths, later(MINUTE))
    for _ in range(6):
        tick(paths.root)
        later(15 * MINUTE)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        rows = connection.execute("SELECT channel, message FROM alert_messages ORDER BY made_at, channel").fetchall()
    assert [(channel, json.loads(message)["status"]) for channel, message in rows] == [
        ("pager", "firing"),
        ("team", "firing"),
        ("pager", "resolved"),
    ]


def _slow_once(paths: StorePaths, at: datetime) -> None:
    """One execution took a minute."""
    slow = SlowQuery("SELECT ?", f"{1:016x}", "SELECT t1", "main", 60_000.0, at)
    once = replace(snapshot(1, service="shop", ended=at), slow_queries=(slow,), slow_threshold_ms=1_000.0)
    SpoolSink(paths.root, 10).write(once)
