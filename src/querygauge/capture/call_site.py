"""
The line of the application that sent a statement: the first frame outwards that is the application's own.

Not the application's: SQLAlchemy, this package, the standard library, and whatever is installed in site-packages;
with an `app_root`, whatever lies outside it. If no frame is the application's, the first one that is neither
SQLAlchemy's nor ours is taken, since a library's line is better than none.

Under an `AsyncEngine` the statement runs in a greenlet whose frames end inside SQLAlchemy; the application's await is
on the parent greenlet, one hop away. A coroutine that was handed straight to a task has no frame of the application's
outside of it: what runs the event loop is not who sent the statement. Deliberately not here: when to look;
`sqlalchemy_engine` decides that.
"""

import asyncio
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import sqlalchemy

__all__ = ["CallSiteFinder"]

_LINES_LIMIT: Final = 10_000  # resolved lines kept; a program has fewer that send SQL
_FRAMES_LIMIT: Final = 200  # a deep recursion is not worth walking to its end
_DEPTHS_LIMIT: Final = 8  # distances of the application's frame that are tried before walking
# Places in what is known of an instruction: its line as text, and how deep it was found; 0 if beyond a greenlet.
_TEXT: Final = 1
_DEPTH: Final = 2

_SKIPPED, _LIBRARY, _APPLICATION, _LOOP = 1, 2, 3, 4

# Asked for at import: the first question imports a file of Python's, which a process that has given up its rights by
# the time it attaches may not be allowed to read. SQLAlchemy asks the same from 2.0.44 on.
_PATHS: Final = sysconfig.get_paths()
_SKIPPED_FILES: Final = (
    str(Path(__file__).parents[1]) + os.sep,
    str(Path(sqlalchemy.__file__).parent) + os.sep,
    "<sqlalchemy ",  # code that SQLAlchemy generates
)
# An event loop calls whatever is ready: who runs the loop sent nothing of that.
_LOOP_FILES: Final = tuple(
    str(Path(asyncio.__file__).parent / name) for name in ("events.py", "base_events.py", "runners.py")
)


def _library_folders() -> tuple[str, ...]:
    folders = {_PATHS[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages(), [site.getusersitepackages()])
    # The longest first: site-packages usually lies inside the standard library's folder.
    return tuple(folder + os.sep for folder in sorted(folders, key=len, reverse=True))


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError:
        return Path(os.sep)  # somebody removed it; paths stay as they are


class CallSiteFinder:
    """
    Finds call sites, from one hook.

    It remembers for each file whose it is, and for each instruction which line it is: looking a line number up costs
    microseconds in a long function, reading the instruction's offset does not.
    """

    def __init__(self, app_root: Path | None = None) -> None:
        self._root = None if app_root is None else str(app_root.resolve()) + os.sep
        base = _working_directory() if app_root is None else app_root.resolve().parent
        self._libraries = _library_folders()
        self._bases = (str(base) + os.sep, *self._libraries)
        self._kinds: dict[str, int] = {}
        self._depths: tuple[int, ...] = ()
        self._lines: dict[tuple[int, int], tuple[CodeType, str, int]] = {}

    def find(self) -> str | None:
        """
        The call site of the statement under way, as `path:line in function`; None if there is no frame to name.

        The path is relative to the folder that holds `app_root`, else to the working directory at the start.
        """
        # Walking makes Python build an object for every frame, 0.3 µs each. The same instruction of the application,
        # found as deep again, has the same frames of SQLAlchemy's below it.
        try:
            for depth in self._depths:
                frame = sys._getframe(depth)  # noqa: SLF001
                known = self._lines.get((id(frame.f_code), frame.f_lasti))
                if known is not None and known[_DEPTH] == depth:
                    return known[_TEXT]
        except ValueError:
            pass  # the stack is not as deep as that
        return self._walk()

    def among(self, frames: Iterable[FrameType], *, otherwise: str | None) -> str | None:
        """
        The call site among the frames of somebody else's stack; None if there is nothing to name.

        Args:
            frames: From the innermost outwards.
            otherwise: What is better than a library's line, if no frame is the application's.
        """
        nearest: FrameType | None = None
        for frame in frames:
            filename = frame.f_code.co_filename
            kind = self._kinds.get(filename) or self._classify(filename)
            if kind == _APPLICATION:
                return self._line(frame, 0)
            if kind == _LOOP:
                break
            if kind == _LIBRARY and nearest is None:
                nearest = frame
        return self._line(nearest, 0) if otherwise is None and nearest is not None else otherwise

    def _walk(self) -> str | None:
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # inspect.currentframe() would be one more
        nearest: FrameType | None = None
        greenlet: Any = None
        for depth in range(1, _FRAMES_LIMIT):
            if frame is None:
                greenlet = _parent_of(greenlet)
                frame = None if greenlet is None else greenlet.gr_frame
                if frame is None:
                    break
            filename = frame.f_code.co_filename
            kind = self._kinds.get(filename) or self._classify(filename)
            if kind == _APPLICATION:
                return self._line(frame, depth if greenlet is None else 0)
            if kind == _LOOP:
                break
            if kind == _LIBRARY and nearest is None:
                nearest = frame
            frame = frame.f_back
        return None if nearest is None else self._line(nearest, 0)

    def _classify(self, filename: str) -> int:
        if filename.startswith(_SKIPPED_FILES):
            kind = _SKIPPED
        elif filename in _LOOP_FILES:
            kind = _LOOP
        elif self._root is not None:
            kind = _APPLICATION if filename.startswith(self._root) else _LIBRARY
        else:
            kind = _LIBRARY if filename.startswith((*self._libraries, "<frozen ")) else _APPLICATION
        if len(self._kinds) < _LINES_LIMIT:
            self._kinds[filename] = kind
        return kind

    def _line(self, frame: FrameType, depth: int) -> str:
        # The code object is kept with its line, so that its id is not given to another one meanwhile.
        code, instruction = frame.f_code, frame.f_lasti
        known = self._lines.get((id(code), instruction))
        if known is not None and known[_DEPTH] == depth:
            return known[_TEXT]
        text = f"{self._shortened(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
        if len(self._lines) < _LINES_LIMIT:
            self._lines[id(code), instruction] = (code, text, depth)
        if depth and depth not in self._depths and len(self._depths) < _DEPTHS_LIMIT:
            self._depths = tuple(sorted((*self._depths, depth)))
        return text

    def _shortened(self, filename: str) -> str:
        for base in self._bases:
            if filename.startswith(base):
                return filename[len(base) :]
        return filename


def _parent_of(greenlet: Any) -> Any:
    """The greenlet that waits for `greenlet`, or for the running one; None if greenlets are not in use."""
    library = sys.modules.get("greenlet")
    if library is None:
        return None
    return (library.getcurrent() if greenlet is None else greenlet).parent
