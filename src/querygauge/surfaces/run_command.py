"""
`querygauge run`: an application as its user starts it, with everything it makes measured.

Comes in: what to run, and settings; goes out: the same process, which is the application from then on. Python runs it
as it would otherwise, with its arguments, signals and exit status. What is ours are variables of the environment, by
which every Python process of the application comes by `run_path` first.

Deliberately not here: which command that is (`run_target`), and what happens in those processes.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, NoReturn

import typer

from querygauge.errors import SettingsError
from querygauge.settings import Settings, load_settings
from querygauge.surfaces.program import command_line
from querygauge.surfaces.run_target import command_of

__all__ = ["environment_of", "run_program"]

_RUN: Final = "_QUERYGAUGE_RUN"
_PATH: Final = Path(__file__).with_name("run_path")
_PREFIX: Final = "QUERYGAUGE_"


def run_program(
    arguments: Sequence[str], *, is_module: bool, assignments: Sequence[str], is_quiet: bool = False
) -> NoReturn:
    """
    Becomes the application.

    Args:
        arguments: A Python file, a command that is one, or a module, and what it is started with.
        is_module: Whether it is a module.
        assignments: Settings over those of the environment, each `name=value`.
        is_quiet: Whether nothing is said at the end.

    Raises:
        SettingsError: If this Python does not run it, or a setting is unknown or impossible.
    """
    command = command_of(arguments, is_module=is_module)
    environment = environment_of(os.environ, assignments, is_quiet=is_quiet)
    if _RUN not in environment and not is_quiet:
        typer.echo("querygauge: nothing is measured: enabled is false in the settings", err=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execve(command[0], command, environment)  # noqa: S606  # what the user asked for


def environment_of(environment: Mapping[str, str], assignments: Sequence[str], *, is_quiet: bool) -> dict[str, str]:
    """
    The variables with which an application is measured.

    Args:
        environment: The variables there are.
        assignments: As for `run_program`.
        is_quiet: As for `run_program`.

    Raises:
        SettingsError: If a setting is unknown or impossible.
    """
    # Within another run, this one is in force.
    wanted = {name: value for name, value in environment.items() if name != _RUN}
    wanted |= dict(map(_variable, assignments))
    settings = load_settings({}, environment=wanted)
    if not settings.enabled:
        return wanted
    remote, directory = settings.remote, settings.directory
    store = remote or (None if directory is None else directory.absolute())
    # Processes of one application may have working directories of their own, and have one store.
    wanted["QUERYGAUGE_STORE"] = "none" if store is None else remote.uri if remote else str(store)
    wanted["QUERYGAUGE_SPOOL"] = str(settings.spool.absolute())
    if remote and remote.data_path:
        wanted["QUERYGAUGE_DATA_PATH"] = remote.data_path
    wanted["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PATH), environment.get("PYTHONPATH")]))
    told = ["", "", ""] if is_quiet else [str(os.getpid()), mkdtemp(prefix="querygauge-run-"), _shown(store)]
    wanted[_RUN] = "\n".join(told)
    return wanted


def _variable(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    known = [field.name for field in fields(Settings)]
    if not equals:
        raise SettingsError(f"--set must be NAME=VALUE; got {assignment!r}")
    if name not in known:
        raise SettingsError(f"unknown setting {name!r}; known are {', '.join(known)}")
    return _PREFIX + name.upper(), value


def _shown(store: object) -> str:
    return "nothing of it is kept: store is none" if store is None else f"to see more: {command_line('report', store)}"
