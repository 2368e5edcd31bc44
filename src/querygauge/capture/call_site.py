"""
The line of the application that sent a statement: the first frame outwards that is the application's own.

Not the application's: SQLAlchemy, this package, the standard library, whatever is installed in site-packages, and the
commands that an installer writes to start it; with an `app_root`, whatever lies outside it. If no frame is the
application's, the first one that is neither SQLAlchemy's nor ours is taken, since a library's line is better than none.

Under an `AsyncEngine` the statement runs in a greenlet whose frames end inside SQLAlchemy; the application's await is
on the parent greenlet. A coroutine that was handed straight to a task has no frame of the application's outside of it:
what runs the event loop is not who sent the statement. Deliberately not here: when to look; `sqlalchemy_engine` decides
that.
"""

import asyncio
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import sqlalchemy

__all__ = ["CallSiteFinder"]

_LINES_LIMIT: Final = 10_000  # resolved lines kept; a program has fewer that send SQL
_FRAMES_LIMIT: Final = 200  # a deep recursion is not worth walking to its end
_DEPTHS_LIMIT: Final = 16  # distances of a frame that are tried before walking
_LAUNCHER_LIMIT: Final = 10_000  # bytes; they have some 200
_LAUNCHER_LINES: Final = 15
_LAUNCHER: Final = re.compile(r"^ *sys\.argv\[0\] = .*^ *sys\.exit\([\w.]+\(\)\)\s*\Z", re.DOTALL | re.MULTILINE).search
_TRUSTED: Final = 256  # times that a place is believed which could only be told for certain by walking

_CALLED_LIMIT: Final = 100  # functions that one instruction calls
_Place = tuple[int, int, CodeType, CodeType]
"""
Where a frame is: 1 for the one that called and so on, -1 for the first beyond the greenlet and so on, 0 for those
beyond another one; how many are within the first greenlet, once that has ended; what it called; and what the greenlet
began by.
"""

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

    Walking makes Python build an object for every frame, so that it takes microseconds. The same instruction of the
    application, found as deep again and calling the same function, nearly always has no other frame of the
    application's below it; so the frames at known depths are looked at first. Such a place is believed so many times,
    and then walked to again, which mends the rest. It remembers for each file whose it is, and for each instruction
    which line it is: looking a line number up costs microseconds in a long function, reading the instruction's offset
    does not.
    """

    def __init__(self, app_root: Path | None = None) -> None:
        self._root = None if app_root is None else str(app_root.resolve()) + os.sep
        base = _working_directory() if app_root is None else app_root.resolve().parent
        self._libraries = _library_folders()
        self._bases = (str(base) + os.sep, *self._libraries)
        self._kinds: dict[str, int] = {}
        self._forget()

    def _forget(self) -> None:
        # By the id of the code, its instruction and how deep it was found: the code, its line, and what it called
        # there. Codes are kept with their ids, so that none of these is given to another one meanwhile.
        self._lines: dict[tuple[int, int, int], tuple[CodeType, str, dict[Any, object]]] = {}
        self._depths: tuple[int, ...] = ()
        # How deep the last frame of a greenlet was, and how many frames beyond it the line was found.
        self._beyond: tuple[tuple[int, int], ...] = ()
        self._has_application = False
        self._trust = _TRUSTED

    def find(self) -> str | None:  # noqa: C901  # a call would be a frame more
        """
        The call site of the statement under way, as `path:line in function`; None if there is no frame to name.

        The path is relative to the folder that holds `app_root`, else to the working directory at the start.
        """
        lines = self._lines
        try:
            for depth in self._depths:
                called = sys._getframe(depth - 1)  # noqa: SLF001
                frame = called.f_back
                if frame is None:
                    break
                known = lines.get((id(frame.f_code), frame.f_lasti, depth))
                if known is not None:
                    if id(called.f_code) in known[2]:
                        self._trust = trust = self._trust - 1
                        if trust > 0:
                            return known[1]
                    return self._walk()
            for depth, hops in self._beyond:
                bottom = sys._getframe(depth)  # noqa: SLF001
                if bottom.f_back is None:
                    codes, outer = _beyond_greenlet(bottom, hops)
                    known = outer and lines.get((id(outer.f_code), outer.f_lasti, -hops))
                    if known and codes in known[2]:
                        self._trust = trust = self._trust - 1
                        if trust > 0:
                            return known[1]
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
                return self._line(frame)
            if kind == _LOOP:
                break
            if kind == _LIBRARY and nearest is None:
                nearest = frame
        return self._line(nearest) if otherwise is None and nearest is not None else otherwise

    def _walk(self) -> str | None:
        self._trust = _TRUSTED
        nearest: tuple[FrameType, _Place] | None = None
        # Of the one that called find(); inspect.currentframe() would be one more.
        for frame, place in islice(_outwards(sys._getframe(1)), _FRAMES_LIMIT):  # noqa: SLF001
            filename = frame.f_code.co_filename
            kind = self._kinds.get(filename) or self._classify(filename)
            if kind == _APPLICATION:
                if not self._has_application:
                    self._forget()
                    self._has_application = True
                return self._line(frame, place)
            if kind == _LOOP:
                break
            if kind == _LIBRARY and nearest is None:
                nearest = frame, place
        if nearest is None:
            return None
        return self._line(nearest[0], None if self._has_application else nearest[1])

    def _classify(self, filename: str) -> int:
        if filename.startswith(_SKIPPED_FILES):
            kind = _SKIPPED
        elif filename in _LOOP_FILES:
            kind = _LOOP
        elif self._root is not None:
            kind = _APPLICATION if filename.startswith(self._root) else _LIBRARY
        elif filename.startswith((*self._libraries, "<frozen ")) or _is_launcher(filename):
            kind = _LIBRARY
        else:
            kind = _APPLICATION
        if len(self._kinds) < _LINES_LIMIT:
            self._kinds[filename] = kind
        return kind

    def _line(self, frame: FrameType, place: "_Place | None" = None) -> str:
        """The line of a frame, which is remembered; with its place, if it is to be looked for there."""
        at, inside = place[:2] if place else (0, 0)
        if at > 0 and at not in self._depths and len(self._depths) < _DEPTHS_LIMIT:
            self._depths = tuple(sorted((*self._depths, at)))
        if at < 0 and (inside, -at) not in self._beyond and len(self._beyond) < _DEPTHS_LIMIT:
            self._beyond = tuple(sorted((*self._beyond, (inside, -at))))
        code, instruction = frame.f_code, frame.f_lasti
        known = self._lines.get((id(code), instruction, at))
        if known is None:
            text = f"{self._shortened(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
            known = code, text, {}
            if len(self._lines) < _LINES_LIMIT:
                self._lines[id(code), instruction, at] = known
        if place and len(known[2]) < _CALLED_LIMIT:
            _, _, called, bottom = place
            known[2][id(called) if at > 0 else (id(called), id(bottom))] = called, bottom
        return known[1]

    def _shortened(self, filename: str) -> str:
        for base in self._bases:
            if filename.startswith(base):
                return filename[len(base) :]
        return filename


def _is_launcher(filename: str) -> bool:
    """Whether a file is what an installer writes for a command, such as `bin/gunicorn`: it only calls a library."""
    if filename.endswith(".py"):
        return False
    file = Path(filename)
    try:
        # Reading anything but a plain file might wait, or take what somebody else is to read.
        if not file.is_file() or file.stat().st_size > _LAUNCHER_LIMIT:
            return False
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.count("\n") <= _LAUNCHER_LINES and _LAUNCHER(text) is not None


def _outwards(innermost: FrameType) -> Iterator[tuple[FrameType, _Place]]:
    """
    The frames from the one that called `innermost` outwards, and beyond the greenlets they run in.

    Yields:
        A frame, and where it is.
    """
    greenlet: Any = None
    at = inside = 0
    step = 1
    bottom, frame = innermost, innermost.f_back
    called: FrameType = innermost
    while frame is not None:
        at += step
        yield frame, (at, inside, called.f_code, bottom.f_code)
        called, frame = frame, frame.f_back
        if frame is None:
            greenlet = _parent_of(greenlet)
            frame = None if greenlet is None else greenlet.gr_frame
            if step > 0:
                inside, step, bottom = at, -1, called
            else:
                step = 0
            at = 0


def _parent_of(greenlet: Any) -> Any:
    """
    The greenlet that waits for `greenlet`, or for the running one; None if nobody does.

    Only SQLAlchemy's are waited for: the parent of gevent's is a loop, and that of the loop whoever began last.
    """
    library = sys.modules.get("greenlet")
    if library is None:
        return None
    greenlet = greenlet or library.getcurrent()
    return greenlet.parent if type(greenlet).__module__.startswith("sqlalchemy.") else None


def _beyond_greenlet(bottom: FrameType, hops: int) -> tuple[tuple[int, int], FrameType | None]:
    """
    The frame so far out from the running greenlet, 1 being the one that waits for it; None if there is none.

    Args:
        bottom: The outermost frame of the greenlet.
        hops: How far.

    Returns:
        The ids of what it called and of the outermost code within the greenlet, and the frame.
    """
    greenlet = _parent_of(None)
    called, frame = bottom, None if greenlet is None else greenlet.gr_frame
    while frame is not None and hops > 1:
        called, frame, hops = frame, frame.f_back, hops - 1
    return (id(called.f_code), id(bottom.f_code)), frame
