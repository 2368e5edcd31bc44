"""What the program prints for a shell can be typed where it was started."""

import sys
from pathlib import Path

import pytest

from querygauge.surfaces.program import command_line, program


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An installed program; its directory has a blank in its name."""
    path = tmp_path / "my tools" / "querygauge"
    path.parent.mkdir()
    path.touch(0o755)
    return path


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    """The process was started as `python -m querygauge`, by the interpreter beside the installed program."""
    python = str(script.with_name("python"))
    monkeypatch.setattr("sys.executable", python)
    monkeypatch.setattr("sys.orig_argv", [python, "-m", "querygauge", "demo"])
    monkeypatch.setattr("sys.argv", ["/lib/querygauge/__main__.py", "demo"])


def test_a_program_on_the_path_is_its_name(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    """What the shell finds needs no directory, even if it was started with one."""
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr("sys.argv", [str(script)])
    assert program() == "querygauge"


def test_a_program_elsewhere_is_its_path(monkeypatch: pytest.MonkeyPatch, script: Path, tmp_path: Path) -> None:
    """Without it on PATH, or with another of that name there, the path it was started with is told, quoted."""
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.setenv("PATH", "")
    assert program() == f"'{script}'"
    other = tmp_path / "other" / "querygauge"
    other.parent.mkdir()
    other.touch(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert program() == f"'{script}'"


@pytest.mark.usefixtures("module")
def test_a_module_is_run_by_the_same_interpreter(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    """`python -m querygauge` is typed again with the interpreter as it was typed, unless the program is on PATH."""
    monkeypatch.setenv("PATH", "")
    assert program() == f"'{sys.executable}' -m querygauge"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "querygauge"


def test_a_command_names_the_store_that_was_named(monkeypatch: pytest.MonkeyPatch, script: Path) -> None:
    """The store of the settings is found without a name; another one is quoted."""
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr("sys.argv", [str(script)])
    assert command_line("patterns list", None) == "querygauge patterns list"
    assert command_line("patterns list", Path("my store")) == "querygauge patterns list --store 'my store'"
