"""What `integrations/` starts is a command of ours, and the unit is one that systemd takes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from missing import skip_or_fail
from project import ROOT

_FOLDER = ROOT / "integrations"
_UNIT = _FOLDER / "systemd" / "querygauge-collect.service"
_COMMANDS = {
    _UNIT: r"^ExecStart=\S+/querygauge (.*)$",
    _FOLDER / "containers" / "Dockerfile": r'^ENTRYPOINT \["querygauge", (.*)\]$',
}


@pytest.mark.parametrize("path", _COMMANDS, ids=lambda path: path.name)
def test_what_is_started_is_ours(path: Path, tmp_path: Path) -> None:
    """With a store of the test's own, and one tick instead of the loop, it runs."""
    found = re.search(_COMMANDS[path], path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    words = [word.strip('",') for word in found[1].split()]
    assert words[:2] == ["collect", "--store"]
    command = [sys.executable, "-m", "querygauge", *words[:2], str(tmp_path / "store"), *words[3:], "--once"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "nothing waits\n"), answer.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """It names nothing that systemd does not know."""
    if shutil.which("systemd-analyze") is None:
        skip_or_fail("systemd-analyze is not there; it is in the package systemd")
    text = _UNIT.read_text(encoding="utf-8")
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE)
    unit = tmp_path / _UNIT.name
    unit.write_text(re.sub(r"^User=.*$", "User=root", text, flags=re.MULTILINE), encoding="utf-8")
    answer = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    ours = [line for line in (answer.stdout + answer.stderr).splitlines() if unit.name in line]
    assert ours == []
