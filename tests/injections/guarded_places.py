"""
Where the source guards itself: every `except` whose body hands the exception to `Guard.caught`.

Deliberately not here: reaching them.
"""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import querygauge
from querygauge.capture.guard import Guard

__all__ = ["guarded_places", "places_reached"]

_SOURCE = Path(querygauge.__file__).parent


def guarded_places() -> set[str]:
    """All of them, each as the function that it is in, with a number where there are several."""
    return {place for file in _SOURCE.rglob("*.py") for place in _places_in(file).values()}


@contextmanager
def places_reached() -> Iterator[set[str]]:
    """The places that caught something inside."""
    reached: set[str] = set()
    found = Guard.caught

    def caught(guard: Guard, hook: str, error: Exception) -> None:
        frame = sys._getframe(1)
        reached.add(_places_in(Path(frame.f_code.co_filename))[frame.f_lineno])
        found(guard, hook, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guard, "caught", caught)
        yield reached


_known: dict[Path, dict[int, str]] = {}


def _places_in(file: Path) -> dict[int, str]:
    """By the line of the call."""
    if file not in _known:
        calls = list(_calls(ast.parse(file.read_text()), ()))
        names = [name for _, name in calls]
        _known[file] = {
            line: f"{file.stem}: {name}" + (f" ({names[:place].count(name) + 1})" if names.count(name) > 1 else "")
            for place, (line, name) in enumerate(calls)
        }
    return _known[file]


def _calls(node: ast.AST, within: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        within = (*within, node.name)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "caught":
        yield node.lineno, ".".join(within)
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, within)
