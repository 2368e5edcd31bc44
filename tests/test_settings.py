"""Settings: who wins, and that every impossible value is named with its rule and where it came from."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from processes.programs import run
from querygauge.errors import SettingsError
from querygauge.settings import Settings, load_settings

NUMBERS = [f.name for f in fields(Settings) if f.type in {"float", "int", float, int}]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose pyproject.toml may be written."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def write(project: Path, text: str) -> None:
    """Writes its pyproject.toml."""
    (project / "pyproject.toml").write_text(text, encoding="utf-8")


def load(project: Path, environment: dict[str, str] | None = None, **keywords: Any) -> Settings:
    """The settings of a process that has nothing but these."""
    return load_settings(keywords, environment=environment or {}, directory=project)


def test_without_anything_the_defaults_hold(project: Path) -> None:
    """Nothing needs to be set."""
    assert load(project) == Settings()


def test_keyword_wins_over_environment_over_pyproject(project: Path) -> None:
    """Each place is asked for each setting apart."""
    write(project, "[tool.querygauge]\nmax_patterns = 1\nmax_history_size = 1\nsnapshot_history_size = 1\n")
    variables = {"QUERYGAUGE_MAX_PATTERNS": "2", "QUERYGAUGE_MAX_HISTORY_SIZE": "2"}
    settings = load(project, variables, max_patterns=3)
    assert (settings.max_patterns, settings.max_history_size, settings.snapshot_history_size) == (3, 2, 1)


def test_the_process_itself_is_asked_by_default(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment and its working directory, and the folders above it."""
    write(project, '[tool.querygauge]\nservice = "shop"\n')
    (project / "inner").mkdir()
    monkeypatch.chdir(project / "inner")
    monkeypatch.setenv("QUERYGAUGE_STORE", "none")
    settings = load_settings({})
    assert (settings.service, settings.store) == ("shop", None)


def test_only_the_nearest_pyproject_counts(project: Path) -> None:
    """A project inside another has its own settings."""
    write(project, '[tool.querygauge]\nservice = "outer"\n')
    inner = project / "inner"
    inner.mkdir()
    write(inner, "[project]\n")
    assert load(inner).service == Settings().service


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("enabled", "0", False),
        ("enabled", " Yes ", True),
        ("store", "none", None),
        ("store", "", None),
        ("store", "/var/lib/shop", Path("/var/lib/shop")),
        ("service", "shop", "shop"),
        ("collector", "inline", "inline"),
        ("history_threshold_ms", "None", None),
        ("history_threshold_ms", "2.5", 2.5),
        ("slow_query_threshold_ms", "0", 0.0),
        ("max_patterns", "12", 12),
        ("app_root", "src", Path("src")),
    ],
)
def test_a_variable_says_what_its_text_means(project: Path, name: str, text: str, value: object) -> None:
    """As people write it in a shell or a compose file."""
    found = getattr(load(project, {f"QUERYGAUGE_{name.upper()}": text}), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("variable", "text", "rule"),
    [
        ("ENABLED", "maybe", "must be one of 0, 1, false, no, off, on, true, yes; got 'maybe'"),
        ("FLUSH_INTERVAL_S", "soon", "must be a number; got 'soon'"),
        ("MAX_PATTERNS", "2.5", "must be a whole number; got '2.5'"),
        ("COLLECTOR", "sometimes", "must be one of auto, external, inline, off; got 'sometimes'"),
        ("SLOW_QUERY_THRESHOLD_MS", "-5", "must be >= 0; got -5"),
        ("HISTORY_THRESHOLD_MS", "nan", "must be a finite number >= 0 or None; got nan"),
        ("MAX_HISTORY_SIZE", "10000001", "must be <= 10,000,000; got 10000001"),
        ("SERVICE", " ", "must not be empty; name the application, or leave it out"),
    ],
)
def test_a_variable_of_no_use_is_named(project: Path, variable: str, text: str, rule: str) -> None:
    """The error names the variable, the rule and the value, whether it cannot be read or is out of range."""
    with pytest.raises(SettingsError) as raised:
        load(project, {f"QUERYGAUGE_{variable}": text})
    assert str(raised.value) == f"QUERYGAUGE_{variable} {rule}"


def test_an_unknown_variable_is_one_warning(project: Path) -> None:
    """It may belong to a newer version; it is named, with those that are known. Those of our tests are not ours."""
    with capture_logs() as logs:
        load(
            project, {"QUERYGAUGE_TRESHOLD": "5", "QUERYGAUGE_COLOUR": "red", "QUERYGAUGE_TEST_MYSQL": "x", "OTHER": ""}
        )
    assert [entry["variables"] for entry in logs] == [["QUERYGAUGE_COLOUR", "QUERYGAUGE_TRESHOLD"]]
    assert "QUERYGAUGE_SLOW_QUERY_THRESHOLD_MS" in logs[0]["known"]


def test_an_unknown_keyword_is_named(project: Path) -> None:
    """With all that are known, so that the typing error can be seen."""
    with pytest.raises(SettingsError, match=r"^unknown setting 'treshold'; known are enabled, service, store, "):
        load(project, treshold=5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tool.querygauge]\ntreshold = 5", "unknown setting 'treshold' in [tool.querygauge] of {path}; known are "),
        (
            '[tool.querygauge]\nmax_patterns = "many"',
            "max_patterns in [tool.querygauge] of {path} must be of type int; got 'many'",
        ),
        (
            "[tool.querygauge]\nenabled = 1",
            "enabled in [tool.querygauge] of {path} must be of type bool; got 1",
        ),
        ("[tool]\nquerygauge = 5", "[tool.querygauge] of {path} must be a table; got 5"),
        (
            "[tool.querygauge]\nflush_interval_s = -1",
            "flush_interval_s in [tool.querygauge] of {path} must be > 0; got -1",
        ),
        (
            "[tool.querygauge]\nmax_patterns = 10_000_001",
            "max_patterns in [tool.querygauge] of {path} must be <= 10,000,000; got 10000001",
        ),
    ],
)
def test_a_wrong_entry_in_pyproject_is_named(project: Path, table: str, message: str) -> None:
    """The error names the entry and the file."""
    write(project, table)
    with pytest.raises(SettingsError) as raised:
        load(project)
    assert str(raised.value).startswith(message.format(path=project / "pyproject.toml"))


@pytest.mark.parametrize("content", [b"[tool.querygauge", b"\xff\xfe", b"= 1"])
def test_a_pyproject_that_cannot_be_read_is_one_warning(project: Path, content: bytes) -> None:
    """Somebody else's broken file does not keep the host from starting; the warning names it."""
    (project / "pyproject.toml").write_bytes(content)
    with capture_logs() as logs:
        assert load(project) == Settings()
    assert [(entry["event"], entry["path"]) for entry in logs] == [
        ("pyproject_not_read", str(project / "pyproject.toml"))
    ]


@pytest.mark.parametrize("content", ["", "tool = 5", "[tool]", "[tool.querygauge]", "[tool.querygauge.alerts]\nx = 1"])
def test_a_pyproject_without_settings_sets_nothing(project: Path, content: str) -> None:
    """Neither do tables of other subjects."""
    write(project, content)
    assert load(project) == Settings()


@pytest.mark.parametrize("value", [-1, 0, math.nan, math.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_impossible_number_passes(project: Path, name: str, value: float) -> None:
    """Not for any setting: each error names the setting and the value."""
    keywords: dict[str, Any] = {name: value}
    if value == 0 and name in {"slow_query_threshold_ms", "keep_backups", "max_store_mb"}:
        assert getattr(load(project, **keywords), name) == 0
        return
    with pytest.raises(SettingsError, match=rf"^{name} must .*; got {value}$"):
        load(project, **keywords)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_an_upper_bound(project: Path, name: str) -> None:
    """Beyond it, something would overflow later; it is refused where it was given, however long it is."""
    keywords: dict[str, Any] = {name: 10**5000 if isinstance(getattr(Settings(), name), int) else 1e300}
    with pytest.raises(SettingsError, match=rf"^{name} must be <= [\d,]+; got (inf|1e\+300)$"):
        load(project, **keywords)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("slow_query_threshold_ms", 315_360_000_000),
        ("stats_retention_hours", 87_600),
        ("flush_interval_s", 315_360_000),
        ("max_history_size", 10_000_000),
        ("snapshot_history_size", 10_000_000),
    ],
)
def test_ten_years_and_ten_million_are_enough(project: Path, name: str, most: int) -> None:
    """The bounds themselves may be set; they stand in the error of what lies beyond."""
    keywords: dict[str, Any] = {name: most}
    assert getattr(load(project, **keywords), name) == most
    keywords = {name: most + 1}
    with pytest.raises(SettingsError, match=rf"^{name} must be <= {most:,}; got {most + 1}$"):
        load(project, **keywords)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"slow_query_threshold_ms": -5}, "slow_query_threshold_ms must be >= 0; got -5"),
        ({"history_threshold_ms": -5}, "history_threshold_ms must be >= 0 or None; got -5"),
        ({"exhaustion_threshold": 1.5}, "exhaustion_threshold must be <= 1; got 1.5"),
        ({"repetition_threshold": 1}, "repetition_threshold must be >= 2; got 1"),
        ({"service": " "}, "service must not be empty; name the application, or leave it out"),
        ({"store": ""}, "store must be a path or None; got an empty text"),
        ({"store": 5}, "store must be of type Path or None; got 5"),
        ({"collector": None}, "collector must be one of auto, external, inline, off; got None"),
        ({"enabled": "yes"}, "enabled must be of type bool; got 'yes'"),
        ({"max_patterns": True}, "max_patterns must be of type int; got True"),
        ({"max_patterns": 2.0}, "max_patterns must be of type int; got 2.0"),
        ({"flush_interval_s": 10**400}, "flush_interval_s must be a finite number > 0; got inf"),
        ({"service": None}, "service must be of type str; got None"),
    ],
)
def test_an_impossible_keyword_is_named(project: Path, keywords: dict[str, Any], message: str) -> None:
    """What: the rule; the value."""
    with pytest.raises(SettingsError) as raised:
        load(project, **keywords)
    assert str(raised.value) == message


def test_settings_errors_are_value_errors(project: Path) -> None:
    """Whoever catches those of Python catches these."""
    with pytest.raises(ValueError, match="max_patterns"):
        load(project, max_patterns=0)


def test_history_begins_at_the_slow_threshold(project: Path) -> None:
    """Unless it is said otherwise."""
    assert load(project, slow_query_threshold_ms=70).effective_history_threshold_ms == 70
    assert load(project, slow_query_threshold_ms=70, history_threshold_ms=5).effective_history_threshold_ms == 5


@pytest.mark.parametrize(
    ("name", "arguments", "service"),
    [
        ("shop", ["anything.py"], "shop"),
        ("  ", ["/srv/app/worker.py"], "worker"),
        ("", ["/usr/bin/gunicorn"], "gunicorn"),
        ("", [""], "python"),
        ("", ["-c"], "python"),
        ("", [], "python"),
    ],
)
def test_the_service_is_named_for_the_program(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: list[str], service: str
) -> None:
    """`OTEL_SERVICE_NAME` names it, else the program's name does."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", name)
    monkeypatch.setattr("sys.argv", arguments)
    assert Settings().service == service


def test_a_working_directory_that_is_gone_sets_nothing(tmp_path: Path) -> None:
    """A release that was removed under a running program does not keep it from working; its store needs a full path."""
    program = """
    from querygauge.settings import load_settings
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir(STORE.parent / "gone")
    assert load_settings({}).collector == "auto"
    """
    run(program, tmp_path / "store", folder=tmp_path)
