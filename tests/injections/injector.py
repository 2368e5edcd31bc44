"""
Raises in the middle of querygauge: at a call that code of ours makes while it runs inside a call of the host.

A path names such a call: the functions of ours from the hook inwards, each with the line that it is at, and what is
about to be called. A profile function sees every call, of Python's functions and of C's, and what it raises is raised
there; Python takes it off by that, so that nothing else fails afterwards. The entry of a hook itself is no call of
ours, and neither is the call by which a hook hands on what the host wanted, which fails only if that does.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from types import CodeType, FrameType
from typing import Any

from querygauge import patterns

__all__ = ["OursError", "Path", "paths_noted", "raising_at"]

Path = tuple[str, ...]

_OURS = "querygauge."

# What the application itself asks for: the object of its `with` block, and the parts of its own response.
_ASKED_FOR = ("Scope.__init__", "_Response.")
# By what a hook holds the host's own function under, or hands the request on to.
_HANDING_ON = frozenset({"original", "acquire", "found"})
# Steps of the interpreter that have no way to fail, since what they are given is ours.
_PURE = frozenset(
    f"querygauge.patterns.{file.stem}"
    for file in FilePath(patterns.__file__).parent.glob("*.py")
    if file.stem != "cache"
)
_INFALLIBLE = frozenset(
    {
        "perf_counter_ns",
        "id",
        "ContextVar.get",
        "ContextVar.set",
        "ContextVar.reset",
        "dict.get",
        "dict.pop",
        "deque.append",
        "set.discard",
    }
)


class OursError(Exception):
    """What goes wrong in our code; its message is a value that must not come out."""


@contextmanager
def paths_noted(within: str = _OURS, *, is_full: bool = False) -> Iterator[Counter[Path]]:
    """
    Counts the calls that are made inside, by their paths.

    Args:
        within: Beginning of the modules whose calls are counted.
        is_full: Whether to count those too that are made where nothing is kept, and all that fails comes out.
    """
    paths: Counter[Path] = Counter()

    def note(frame: FrameType, event: str, called: Any) -> None:
        name = _called(frame, event, called)
        caller = frame.f_back if event == "call" else frame
        module = "" if caller is None else _module(caller)
        if name is not None and module.startswith(within) and (is_full or module not in _PURE):
            paths[_path(caller, name)] += 1

    with _profiled(note):
        yield paths


@contextmanager
def raising_at(wanted: Path) -> Iterator[list[Path]]:
    """Raises at the first call of that path; gives a list that it is in once that has happened."""
    raised: list[Path] = []

    def strike(frame: FrameType, event: str, called: Any) -> None:
        name = None if raised else _called(frame, event, called)
        if name == wanted[-1] and _path(frame.f_back if event == "call" else frame, name) == wanted:
            raised.append(wanted)
            raise OursError("mark-7f3a9c")

    with _profiled(strike):
        yield raised


@contextmanager
def _profiled(note: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def _called(frame: FrameType, event: str, called: Any) -> str | None:
    """What is called by code of ours; None if it is another event, or none of ours."""
    if event == "c_call":
        name = called.__qualname__
        is_ours = _is_ours(frame) and not frame.f_code.co_qualname.startswith(_ASKED_FOR)
        return name if is_ours and not _is_of_host(called) and name not in _INFALLIBLE else None
    if event != "call" or not _is_ours(frame) or not _is_ours(frame.f_back):
        return None
    code = frame.f_code
    # A coroutine or generator that goes on is no call.
    if frame.f_lineno != code.co_firstlineno or "caught" in code.co_names or _hands_on(code):
        return None
    if code.co_qualname.startswith(_ASKED_FOR):
        return None
    return code.co_qualname


def _path(frame: FrameType | None, name: str) -> Path:
    steps = [name]
    while frame is not None and _is_ours(frame):
        steps.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(reversed(steps))


def _is_ours(frame: FrameType | None) -> bool:
    # By the module, as what a dataclass makes stands in no file.
    return frame is not None and _module(frame).startswith(_OURS)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _is_of_host(called: Any) -> bool:
    return type(getattr(called, "__self__", None)).__module__.startswith(("asyncpg", "sqlalchemy", "sqlite3"))


def _hands_on(code: CodeType) -> bool:
    return not _HANDING_ON.isdisjoint(code.co_freevars + code.co_varnames)
