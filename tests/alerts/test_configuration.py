"""What is set about alerts, and what an error says."""

from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from querygauge.alerts.configuration import AlertSettings, alert_settings_in_force, load_alert_settings
from querygauge.alerts.overrides import Override
from querygauge.alerts.schedule import Schedule
from querygauge.alerts.thresholds import Thresholds
from querygauge.errors import SettingsError
from querygauge.values.objectives import Objective


def test_nothing_set_is_the_defaults(tmp_path: Path) -> None:
    """No file, or one of something else."""
    assert load_alert_settings(tmp_path) == AlertSettings()
    (tmp_path / "pyproject.toml").write_text("[tool.querygauge]\nservice = 'shop'\n[tool.other]\nalerts = 1\n")
    assert load_alert_settings(tmp_path) == AlertSettings()


@pytest.mark.parametrize(
    ("name", "table"), [("querygauge.toml", "alerts"), ("pyproject.toml", "tool.querygauge.alerts")]
)
def test_what_is_set(tmp_path: Path, name: str, table: str) -> None:
    """In either file, there or above."""
    (tmp_path / name).write_text(
        f"[{table}]\nenabled = false\nrepeat_hours = 6\n[{table}.thresholds]\np95_ms = 250\npending_critical = 50\n"
    )
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = load_alert_settings(below)
    assert settings == AlertSettings(
        enabled=False,
        repeat_hours=6.0,
        thresholds=Thresholds(p95_ms=250.0, pending_critical=50),
        path=tmp_path / name,
    )
    assert settings.repeat == timedelta(hours=6)


def test_thresholds_of_some_statements(tmp_path: Path) -> None:
    """Each table is one override, in their order."""
    (tmp_path / "querygauge.toml").write_text(
        "[[alerts.overrides]]\npattern = 'e106'\nservice = 'shop*'\np95_ms = 2000\n"
        "[[alerts.overrides]]\nscope = 'GET /export*'\ntarget = 'replica'\nslow_query_ms = 30000.5\n"
    )
    assert load_alert_settings(tmp_path).thresholds == Thresholds(
        overrides=(
            Override(pattern="e106", service="shop*", p95_ms=2_000.0),
            Override(scope="GET /export*", target="replica", slow_query_ms=30_000.5),
        )
    )


def test_what_is_to_be_attained(tmp_path: Path) -> None:
    """Each table is one objective, in their order."""
    (tmp_path / "querygauge.toml").write_text(
        "[[alerts.objectives]]\nname = 'fast'\nservice = 'shop'\nscope = 'POST /x'\np95_ms = 250\n"
        "[[alerts.objectives]]\nname = 'good'\nservice = 'shop'\npattern = 'e106'\nsuccess_percent = 99.9\n"
    )
    assert load_alert_settings(tmp_path).objectives == (
        Objective(name="fast", service="shop", scope="POST /x", p95_ms=250.0),
        Objective(name="good", service="shop", pattern="e106", success_percent=99.9),
    )


@pytest.mark.parametrize("at", ["07:30:00", '"07:30"', "'07:30:00'"])
def test_when_reports_come(tmp_path: Path, at: str) -> None:
    """A time is as TOML has it, or in quotes; what is not set is as usual."""
    (tmp_path / "querygauge.toml").write_text(
        f"[alerts]\nreport_daily_at = {at}\nreport_weekly_on = 'monday 06:00'\nreport_time_zone = 'Europe/Berlin'\n"
    )
    assert load_alert_settings(tmp_path).schedule == Schedule(
        daily_at=time(7, 30), weekly_on=0, weekly_at=time(6), zone_name="Europe/Berlin", zone=ZoneInfo("Europe/Berlin")
    )
    (tmp_path / "querygauge.toml").write_text("[alerts]\n")
    assert str(load_alert_settings(tmp_path).schedule) == "daily at 09:00, weekly on Sunday 10:00, UTC"


def test_a_line_is_that_of_its_own_table(tmp_path: Path) -> None:
    """And not of the first setting of that name; whatever the header looks like."""
    path = tmp_path / "pyproject.toml"
    path.write_text(
        "[[tool.querygauge.alerts.overrides]]\np95_ms = 3\n[ tool . querygauge.alerts.thresholds ]\n\n'p95_ms' = -3\n"
    )
    with pytest.raises(SettingsError, match=r"p95_ms in .*, line 5, must be >= 0; got -3"):
        load_alert_settings(tmp_path)
    path.write_text(
        "[tool.querygauge.alerts.channels]\n\n[tool.querygauge.alerts.channels.'on call']\ntype = 'pigeon'\n"
    )
    with pytest.raises(SettingsError, match=r"alerts.channels.on call\] of .*, line 4: type must be one of"):
        load_alert_settings(tmp_path)


def test_the_own_file_and_the_nearest_wins(tmp_path: Path) -> None:
    """Of two in one directory querygauge.toml, of two directories the one below."""
    (tmp_path / "pyproject.toml").write_text("[tool.querygauge.alerts]\nrepeat_hours = 1\n")
    (tmp_path / "querygauge.toml").write_text("[alerts]\nrepeat_hours = 2\n")
    assert load_alert_settings(tmp_path).repeat_hours == 2
    below = tmp_path / "below"
    below.mkdir()
    (below / "pyproject.toml").write_text("[tool.querygauge.alerts]\nrepeat_hours = 3\n")
    assert load_alert_settings(below).repeat_hours == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[alerts]\n\nenable = true\n", "enable in {path}, line 3, is no setting of [alerts]; known are enabled, "),
        ("alerts = 3\n", "[alerts] of {path} must be a table; got 3"),
        ("[alerts]\nenabled = 1\n", "enabled in {path}, line 2, must be true or false; got 1"),
        ("[alerts]\nrepeat_hours = 0\n", "repeat_hours in {path}, line 2, must be > 0 and at most ten years; got 0.0"),
        ("[alerts]\nrepeat_hours = nan\n", "repeat_hours in {path}, line 2, must be a number; got nan"),
        ("[alerts]\nthresholds = 3\n", "thresholds in {path}, line 2, must be a table; got 3"),
        ("[alerts.thresholds]\np95 = 3\n", "p95 in {path}, line 2, is no setting of [alerts.thresholds]; known are "),
        ("[alerts.thresholds]\np95_ms = -3\n", "p95_ms in {path}, line 2, must be >= 0; got -3"),
        ("[alerts.thresholds]\np95_ms = '3'\n", "p95_ms in {path}, line 2, must be a number; got '3'"),
        ("[alerts.thresholds]\np95_ms = true\n", "p95_ms in {path}, line 2, must be a number; got True"),
        (
            "[alerts.thresholds]\nmin_executions = 2.5\n",
            "min_executions in {path}, line 2, must be a whole number; got 2.5",
        ),
        (f"[alerts.thresholds]\np95_ms = {10**400}\n", "p95_ms in {path}, line 2, must be a number; got 1000"),
        (f"[alerts.thresholds]\np95_ms = {'9' * 5_000}\n", "{path} could not be read: "),
        (
            "[[alerts.overrides]]\np95_ms = 1e300\n",
            "[[alerts.overrides]] number 1 of {path}, line 2: p95_ms must be",
        ),
        (
            f"[[alerts.objectives]]\nname = 'a'\nservice = 'b'\np95_ms = {10**400}\n",
            "[[alerts.objectives]] number 1 of {path}, line 4: p95_ms must be a number; got 1000",
        ),
        ("[alerts]\nthresholds = { p95_ms = -3 }\n", "p95_ms in {path} must be >= 0; got -3"),
        ("[alerts\n", "{path} could not be read: "),
        (
            "[alerts]\nreport_daily_at = '9'\n",
            "report_daily_at in {path}, line 2, must have a time of day such as 09:00; ",
        ),
        (
            "[alerts]\nreport_daily_at = 9\n",
            "report_daily_at in {path}, line 2, must have a time of day such as 09:00; ",
        ),
        (
            "[alerts]\nreport_daily_at = 09:00:30\n",
            "report_daily_at in {path}, line 2, must have a time of day such as",
        ),
        (
            "[alerts]\nreport_weekly_on = 'Sunday'\n",
            "report_weekly_on in {path}, line 2, must be a weekday and a time such as 'Sunday 10:00'; got 'Sunday'",
        ),
        (
            "[alerts]\nreport_weekly_on = 'Sonntag 10:00'\n",
            "report_weekly_on in {path}, line 2, must begin with a weekday such as Sunday; got 'Sonntag'",
        ),
        (
            "[alerts]\nreport_weekly_on = 'Sunday 25:00'\n",
            "report_weekly_on in {path}, line 2, must have a time of day such as 09:00; got '25:00'",
        ),
        (
            "[alerts]\nreport_time_zone = 'Berlin'\n",
            "report_time_zone in {path}, line 2, must be the name of a time zone such as Europe/Berlin, ",
        ),
        ("[alerts]\nreport_time_zone = 1\n", "report_time_zone in {path}, line 2, must be a text; got 1"),
        ("[alerts]\noverrides = 3\n", "overrides in {path}, line 2, must be a list of tables; got 3"),
        ("[alerts]\noverrides = [3]\n", "[[alerts.overrides]] number 1 of {path}: overrides must be tables; got 3"),
        ("[alerts]\nobjectives = [3]\n", "[[alerts.objectives]] number 1 of {path}: objectives must be tables; got 3"),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\ntarget = 'c'\n",
            "[[alerts.objectives]] number 1 of {path}, line 4: target is no setting of an objective; known are name",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\np95_ms = 3\n",
            "[[alerts.objectives]] number 1 of {path}, line 1: service must be given for an objective",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\n",
            "[[alerts.objectives]] number 1 of {path}, line 1: one of p95_ms and success_percent must be given",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\np95_ms = 3\nsuccess_percent = 99\n",
            "[[alerts.objectives]] number 1 of {path}, line 1: one of p95_ms and success_percent must be given",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\nsuccess_percent = 100\n",
            "[[alerts.objectives]] number 1 of {path}, line 4: success_percent must be at least 95 and less than 100",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\np95_ms = 0\n",
            "[[alerts.objectives]] number 1 of {path}, line 4: p95_ms must be > 0; got 0",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = ''\np95_ms = 1\n",
            "[[alerts.objectives]] number 1 of {path}, line 3: service must be a text that is not empty; got ''",
        ),
        (
            2 * "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\np95_ms = 1\n",
            "name of [[alerts.objectives]] of {path} must be unique; got 'a'",
        ),
        (
            "[[alerts.overrides]]\np95_ms = 3\n[[alerts.overrides]]\np95 = 3\n",
            "[[alerts.overrides]] number 2 of {path}, line 4: p95 is no setting of an override; known are pattern",
        ),
        (
            "[[alerts.overrides]]\nslow_query_ms = 0\n",
            "[[alerts.overrides]] number 1 of {path}, line 2: slow_query_ms must be a number > 0; got 0",
        ),
        (
            "[[alerts.overrides]]\nscope = ''\np95_ms = 3\n",
            "[[alerts.overrides]] number 1 of {path}, line 2: scope must be a text that is not empty; got ''",
        ),
        (
            "[[alerts.overrides]]\npattern = 'SELECT orders'\np95_ms = 3\n",
            "[[alerts.overrides]] number 1 of {path}, line 2: pattern must be an id of a pattern, 16 hex",
        ),
        (
            "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\np95_ms = 3\npattern = 'E106'\n",
            "[[alerts.objectives]] number 1 of {path}, line 5: pattern must be an id of a pattern, 16 hex",
        ),
        (
            "[[alerts.overrides]]\nservice = 'shop'\n",
            "[[alerts.overrides]] number 1 of {path}, line 1: slow_query_ms or p95_ms must be given",
        ),
        (
            "[[alerts.overrides]]\nscope = 'GET /x'\np95_ms = 3\n",
            "[[alerts.overrides]] number 1 of {path}, line 3: p95_ms must stand without scope, as it is one of all",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    """The setting, the rule and the value."""
    path = tmp_path / "querygauge.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_alert_settings(tmp_path)
    assert str(raised.value).startswith(told.format(path=path))


def test_what_is_wrong_takes_nothing_else_along(tmp_path: Path) -> None:
    """Whoever goes on uses the rest: a slip in one number must not send what is urgent to the log."""
    path = tmp_path / "querygauge.toml"
    path.write_text(
        "[alerts]\nenable = true\nrepeat_hours = 0\nenabled = 'no'\nreport_daily_at = 9\n"
        "[alerts.thresholds]\np95_ms = '3'\np99_ms = 500\nnone = 3\n"
        "[[alerts.overrides]]\np95_ms = 0\n[[alerts.overrides]]\nservice = 'shop'\np95_ms = 2\n"
        + 2 * "[[alerts.objectives]]\nname = 'a'\nservice = 'b'\np95_ms = 1\n"
        + "[alerts.channels.pager]\ntype = 'pigeon'\n[alerts.channels.team]\ntype = 'log'\nseverity = 'info'\n"
    )
    with capture_logs() as logs:
        settings = alert_settings_in_force(tmp_path)
    assert {log["event"] for log in logs} == {"alert_settings_not_used"}
    assert len(logs) == 9
    assert not settings.is_whole
    assert (settings.enabled, settings.repeat_hours, settings.path) == (True, 12.0, path)
    assert settings.thresholds == Thresholds(p99_ms=500.0, overrides=(Override(service="shop", p95_ms=2.0),))
    assert [objective.name for objective in settings.objectives] == ["a"]
    assert [(route.name, route.severity) for route in settings.routes] == [("team", "info")]


@pytest.mark.parametrize("text", ["[alerts\n", "alerts = 3\n", "[alerts]\nchannels = 3\n"])
def test_where_nothing_can_be_read_there_may_be_channels(tmp_path: Path, text: str) -> None:
    """Until it can, the log is told."""
    (tmp_path / "querygauge.toml").write_text(text)
    settings = alert_settings_in_force(tmp_path)
    assert [(route.name, settings.is_whole) for route in settings.routes] == [("log", False)]
    (tmp_path / "querygauge.toml").write_text("[alerts]\n")
    assert alert_settings_in_force(tmp_path).is_whole
