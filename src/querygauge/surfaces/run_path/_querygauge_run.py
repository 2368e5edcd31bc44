"""
Measures a process of `querygauge run` once it imports SQLAlchemy, asyncpg or querygauge; the one started tells of all.

It runs before the application, for whose imports it may matter that they are the first: gevent patches what nobody uses
yet. So it needs little of the standard library and nothing of querygauge, which is loaded when it is needed, if at all.

Deliberately not here: measuring (`surfaces.run_begin`), and starting anything (`surfaces.run_command`).
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

__all__ = ["prepare"]

_IMPORTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "imports.py")
# querygauge loads SQLAlchemy too, but when half of it is there; the package alone is whole, and has loaded nothing yet.
_SIGNS = ("sqlalchemy", "asyncpg", "querygauge")
_TARGETS_SHOWN = 3


def prepare(run: str) -> None:
    """
    Waits for the application to import what is measured.

    Args:
        run: The process that was started, a folder for tallies, and what to type to see more; a line each, all of
            them empty if nothing is to be said.
    """
    process, folder, command = run.split("\n")

    def tell() -> None:
        _tell(process, folder, command)

    beginning = _Beginning(folder, tell)
    when_imported = _loaded(_IMPORTS).when_imported
    for package in _SIGNS:
        when_imported(package, beginning.begin)
    if process == str(os.getpid()):
        atexit.register(tell)


class _Beginning:
    """Begins once, when there is something to measure."""

    def __init__(self, folder: str, tell: Callable[[], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._has_begun = False

    def begin(self) -> None:
        """Begins, unless it has."""
        if self._has_begun:
            return
        self._has_begun = True
        try:
            from querygauge.surfaces.run_begin import begin

            begin(self._folder, self._tell)
        except Exception as error:
            sys.stderr.write(f"querygauge: nothing is measured in process {os.getpid()}: {error}\n")


def _loaded(path: str) -> ModuleType:
    """A file as a module; `import` would run the package it lies in."""
    loader: Any = type(__spec__.loader)  # that of this file; what is named otherwise would have to be imported
    module = type(sys)("_querygauge_imports")
    loader(module.__name__, path).exec_module(module)
    return module


def _tell(process: str, folder: str, command: str) -> None:
    """Writes one line about all processes to standard error, in the one that was started."""
    if str(os.getpid()) != process:
        return
    try:
        sys.stderr.write(f"querygauge: {_summary(_tallies(folder), command)}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return  # the application closed it, or it is full


def _tallies(folder: str) -> list[dict[str, Any]]:
    """What each process has written, which is then removed."""
    import json

    tallies = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.endswith(".json"):
            with open(path, encoding="utf-8") as file:
                tallies.append(json.load(file))
        os.unlink(path)
    os.rmdir(folder)
    return tallies


def _summary(tallies: list[dict[str, Any]], command: str) -> str:
    statements = sum(tally["statements"] for tally in tallies)
    if not statements:
        return f"no statement was seen: {_reason(tallies)}"
    patterns = {pattern for tally in tallies for pattern in tally["patterns"]}
    targets = sorted({target for tally in tallies for target in tally["targets"]})
    processes = sum(tally["statements"] > 0 for tally in tallies)
    named = ", ".join(targets[:_TARGETS_SHOWN]) + (", …" if len(targets) > _TARGETS_SHOWN else "")
    counts = ", ".join(
        (
            _counted(statements, "statement"),
            _counted(len(patterns), "pattern"),
            f"{_counted(len(targets), 'target')} ({named})",
            _counted(processes, "process"),
        )
    )
    return f"{counts}; {command}"


def _reason(tallies: list[dict[str, Any]]) -> str:
    if not tallies:
        return "no process imported SQLAlchemy or asyncpg, or none could say so before it was killed"
    made = max(tally["made"] for tally in tallies)
    if not made:
        return "SQLAlchemy or asyncpg was imported, but no engine, pool or connection was made"
    return f"{_counted(made, 'engine, pool or connection', 'engines, pools or connections')} made, and nothing was sent"


def _counted(count: int, noun: str, plural: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + ('es' if noun.endswith('s') else 's')}"
