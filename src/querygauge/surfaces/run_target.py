"""
What a user wants to run → the command of this Python that runs it.

In go a Python file, a module, or a command on PATH that is a script for Python, each with its arguments. A command of
another Python's environment is refused: it would not find querygauge there, and the wrong packages here.

Deliberately not here: the environment, and running anything.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from querygauge.errors import SettingsError

__all__ = ["command_of"]

_PYTHON: Final = re.compile(r"python[\d.]*t?|pypy[\d.]*")
# Options of Python that make it look at no variable of the environment, or run nothing at its start.
_DEAF: Final = re.compile(r"-[bBdhiOPqRsuvVx]*[EIS]")
_WITH_VALUE: Final = frozenset({"-W", "-X"})
_HEAD_BYTES: Final = 4_096  # what names the Python of a script stands in its first two lines


def command_of(arguments: Sequence[str], *, is_module: bool) -> tuple[str, ...]:
    """
    The command, with the path of its Python first.

    Args:
        arguments: What to run and its arguments.
        is_module: Whether that is a module.

    Raises:
        SettingsError: If this Python does not run it, or could not measure it.
    """
    program, *rest = arguments
    if is_module:
        return (sys.executable, "-m", program, *rest)
    if program.endswith(".py"):
        return (sys.executable, program, *rest)
    path = program if os.sep in program else shutil.which(program)
    if path is None and Path(program).exists():
        path = program
    if path is None:
        raise SettingsError(
            "what is run must be a Python file, a command on PATH that is one, or with --module a module; "
            f"got {program!r}, which is not there"
        )
    if _PYTHON.fullmatch(Path(path).name):
        _check_python(program, [path, *_options(rest)])
        return (sys.executable, *rest)
    if Path(path).is_dir() or path.endswith((".pyz", ".zip")):
        return (sys.executable, path, *rest)
    interpreter = _interpreter_of(path)
    if not interpreter or not _PYTHON.fullmatch(Path(interpreter[0]).name):
        raise SettingsError(
            "what is run must be a Python file, a command on PATH that is one, or with --module a module; "
            f"got {path!r}, which is something else"
        )
    _check_python(program, interpreter)
    return (sys.executable, *interpreter[1:], path, *rest)


def _interpreter_of(path: str) -> list[str]:
    """The Python that the first line of a script names, and the options it gets; empty if there is no such line."""
    try:
        with Path(path).open("rb") as file:
            first, second, *_ = [*file.read(_HEAD_BYTES).split(b"\n"), b""]
    except OSError as error:
        raise SettingsError(f"{path!r} could not be read: {error.strerror}") from error
    if not first.startswith(b"#!"):
        return []
    # Of a path too long for such a line, the shell is named, and on the second line has to run Python.
    is_long = second.startswith(b"'''exec'")
    words = _words(second)[1:-2] if is_long else _words(first[2:])
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if word != "-S" and "=" not in word]
        words[:1] = [shutil.which(word) or word for word in words[:1]]
    return words


def _options(arguments: Sequence[str]) -> Iterator[str]:
    """Those of Python itself, before what it is to run."""
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith("-") or argument in {"-", "-c", "-m"}:
            return
        yield argument
        if argument in _WITH_VALUE:
            next(remaining, None)


def _words(line: bytes) -> list[str]:
    try:
        return shlex.split(line.decode("utf-8", errors="replace"))
    except ValueError:  # a quote that is not closed: no line that a system would take
        return []


def _check_python(program: str, interpreter: Sequence[str]) -> None:
    python, *options = interpreter
    theirs, ours = Path(python).parent, Path(sys.executable).parent
    if theirs.resolve() != ours.resolve():
        raise SettingsError(
            f"{program!r} must run on the Python of {str(ours)!r}, where querygauge is installed; got {python!r}; "
            "install querygauge there, or run it with --module"
        )
    deaf = next(filter(_DEAF.match, options), None)
    if deaf is not None:
        raise SettingsError(f"{program!r} must let Python look at its environment; got the option {deaf}; leave it out")
