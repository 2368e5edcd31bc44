"""Where this project's own files are, for the tests that read them."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from missing import skip_or_fail

__all__ = ["ROOT", "pyproject", "tracked_files"]

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def tracked_files() -> list[Path]:
    """Every file that git tracks; the test that asks is skipped, or fails in CI, where there is no git."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        skip_or_fail("the tracked files are known to git alone, and there is no git or no repository here")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]
