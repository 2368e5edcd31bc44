"""The tables of statements and their patterns: the files of `patterns/cases/`."""

import tomllib
from pathlib import Path
from typing import Any

__all__ = ["groups"]


def groups() -> list[dict[str, Any]]:
    """Every group of every file: its reason, its dialects and its cases."""
    files = sorted((Path(__file__).parent / "patterns" / "cases").glob("*.toml"))
    return [group for file in files for group in tomllib.loads(file.read_text(encoding="utf-8"))["groups"]]
