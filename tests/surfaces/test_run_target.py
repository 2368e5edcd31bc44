"""What a user names → the command that runs it."""

import os
import stat
import sys
from pathlib import Path

import pytest

from querygauge.errors import SettingsError
from querygauge.surfaces.run_target import command_of

OURS = Path(sys.executable).parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, first on PATH, in which we are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), str(OURS), "/usr/bin", "/bin"]))
    return tmp_path


def script(folder: Path, name: str, text: str | bytes) -> str:
    """An executable file of that text; its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_files_and_modules() -> None:
    """Whether they are there is for Python to tell; what follows is theirs."""
    assert command_of(["app.py", "-x", "--module"], is_module=False) == (sys.executable, "app.py", "-x", "--module")
    assert command_of(["uvicorn", "app:app"], is_module=True) == (sys.executable, "-m", "uvicorn", "app:app")


@pytest.mark.parametrize(
    ("head", "options"),
    [
        (f"#!{OURS}/python\n", []),
        (f"#!{OURS}/python3 -u\n", ["-u"]),
        (f"#! {OURS}/python -sP\n", ["-sP"]),
        ("#!/usr/bin/env python\n", []),
        ("#!/usr/bin/env -S python -u\n", ["-u"]),
        (f"#!/bin/sh\n'''exec' \"{OURS}/python\" \"$0\" \"$@\"\n' '''\n", []),
        (f"#!/bin/sh\n'''exec' {OURS}/python -s \"$0\" \"$@\"\n' '''\n", ["-s"]),
    ],
)
def test_a_script_on_path(folder: Path, head: str, options: list[str]) -> None:
    """It runs on this Python, with the options that its first line gives."""
    path = script(folder, "serve", f"{head}print('serving')\n")
    assert command_of(["serve", "-w", "4"], is_module=False) == (sys.executable, *options, path, "-w", "4")
    assert command_of([path], is_module=False) == (sys.executable, *options, path)


def test_a_python_on_path(folder: Path) -> None:
    """As it is typed before `querygauge run` is put before it."""
    assert command_of(["python", "-m", "app"], is_module=False) == (sys.executable, "-m", "app")
    assert command_of(["python3", "app.py", "-I"], is_module=False) == (sys.executable, "app.py", "-I")
    others = ("-WError", "-X", "dev", "-um", "app", "-I")
    assert command_of(["python", *others], is_module=False) == (sys.executable, *others)


def test_a_folder_and_an_archive(folder: Path) -> None:
    """Python runs both; a name that is a command is the command."""
    (folder / "application").mkdir()
    script(folder, "app.pyz", b"PK")
    assert command_of(["application"], is_module=False) == (sys.executable, "application")
    assert command_of(["./app.pyz"], is_module=False) == (sys.executable, "./app.pyz")
    (folder / "python").mkdir()
    assert command_of(["python", "app.py"], is_module=False) == (sys.executable, "app.py")


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 0\n", b"\x7fELF", b"", "#!\n", "#!/bin/sh 'open\n", "print(1)\n"])
def test_what_is_no_python(folder: Path, text: str | bytes) -> None:
    """Is refused by its path."""
    path = script(folder, "serve", text)
    with pytest.raises(SettingsError) as raised:
        command_of(["serve"], is_module=False)
    assert str(raised.value).startswith("what is run must be a Python file, a command on PATH that is one, or ")
    assert str(raised.value).endswith(f"got {path!r}, which is something else")


@pytest.mark.parametrize("name", ["nowhere", "./nowhere"])
def test_what_is_not_there(folder: Path, name: str) -> None:
    """Is refused by its name."""
    with pytest.raises(SettingsError, match=name):
        command_of([name], is_module=False)


@pytest.mark.parametrize("python", ["/opt/other/bin/python3", "python3.99"])
def test_a_script_of_another_python(folder: Path, python: str) -> None:
    """It would miss querygauge there, and its packages here; the error says where to install."""
    script(folder, "serve", f"#!{python}\n")
    with pytest.raises(SettingsError) as raised:
        command_of(["serve"], is_module=False)
    message = f"'serve' must run on the Python of {str(OURS)!r}, where querygauge is installed; got {python!r}; install"
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("option", ["-I", "-E", "-S", "-sE"])
def test_a_python_that_looks_at_no_variable(folder: Path, option: str) -> None:
    """Nothing of ours would be found, so it is refused rather than not measured."""
    message = f"must let Python look at its environment; got the option {option}; leave it out$"
    with pytest.raises(SettingsError, match=message):
        command_of(["python", "-u", "-W", "error", option, "app.py"], is_module=False)
    script(folder, "serve", f"#!{OURS}/python {option}\n")
    with pytest.raises(SettingsError, match=message):
        command_of(["serve"], is_module=False)
