"""
The documentation runs as it stands.

The Python blocks of a file run first, as one program in an empty directory; then its `querygauge` commands, in order,
in the same directory. `DATABASE_URL` names an empty PostgreSQL database meanwhile. Runbooks have `test_runbooks.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from guards.snippets import blocks_of
from project import ROOT

_PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FILES = [path for path in _PAGES if path.parent.name != "runbooks" and blocks_of(path)]
_PROGRAM = Path(__file__).with_name("snippets.py")
_LIMIT_S = 90.0


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_snippets_run(path: Path, tmp_path: Path, postgres_url: URL) -> None:
    """Every Python block and every command of a file runs without an error, in the order a reader meets them."""
    environment = _environment(postgres_url)
    _run([sys.executable, str(_PROGRAM), str(path)], tmp_path, environment)
    for block in blocks_of(path):
        for command in [] if block.exempt is not None else block.commands:
            _run(["/bin/sh", "-c", command], tmp_path, environment)


def test_every_exemption_gives_its_reason() -> None:
    """A block that is not run says why; `make check` prints them all."""
    exempt = [(path, block) for path in _FILES for block in blocks_of(path) if block.exempt is not None]
    for path, block in exempt:
        print(f"{path.relative_to(ROOT)}:{block.line}: not run: {block.exempt}")
    assert all(block.exempt for _, block in exempt)


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> None:
    answer = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        timeout=_LIMIT_S,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout}"


def _environment(database: URL) -> dict[str, str]:
    """This process's environment as a reader of the documentation would have it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QUERYGAUGE_", "PYTEST_"))}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    kept["DATABASE_URL"] = database.render_as_string(hide_password=False)
    return kept
