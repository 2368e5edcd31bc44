"""The documentation agrees with the program: commands, defaults, links."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

from project import ROOT
from querygauge.settings import Settings
from querygauge.surfaces.cli import app

_REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
_PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def test_every_command_and_option_is_in_the_reference() -> None:
    """Each command has a heading, and below it a row for each of its options."""
    missing = []
    for name, command in _commands("querygauge", typer.main.get_command(app)):
        section = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", _REFERENCE, re.MULTILINE | re.DOTALL)
        rows = section[1] if section else ""
        missing += [f"{name} {option}" for option in _options(command) if f"| `{option}` |" not in rows]
        missing += [] if section else [name]
    assert missing == []


def test_every_default_in_the_reference_is_the_real_one() -> None:
    """The row of a setting begins its default with the one that is in force."""
    wrong = []
    for field in fields(Settings):
        row = re.search(rf"^\| `{field.name}` \| ([^|]+) \|", _REFERENCE, re.MULTILINE)
        shown = row[1].strip("` ") if row else "no row"
        if field.default is not MISSING and not shown.startswith(str(field.default)):
            wrong.append(f"{field.name}: {shown}, is {field.default}")
    assert wrong == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_name_a_heading_that_is_there(page: Path) -> None:
    """Every link leads to a file that is there, and to a heading that is in it."""
    broken = []
    for link in _LINK.finditer(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / link[1] if link[1] else page
        if not target.exists() or (link[2] and link[2] not in _anchors(target)):
            broken.append(link[0])
    assert broken == []


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for child, found in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {child}", found)
    if not hasattr(command, "commands"):
        yield name, command


def _options(command: Any) -> list[str]:
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]


def _anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them: lower case, words joined by hyphens, nothing else."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
