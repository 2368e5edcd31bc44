"""
One foreign test run: a suite, with us or without → how its tests ended.

What pytest wrote stays in a directory of the run, to be looked at. Deliberately not here: comparing.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hosts.comparison import Run
from hosts.recording import DIRECTORY, OUTCOMES, WATCHED
from hosts.server import VARIABLE, new_database, programs, sqlalchemy_server
from hosts.suites import Suite, unpacked

__all__ = ["Runner", "runner"]

_TESTS: Final = Path(__file__).resolve().parent.parent
# Plugins of our own tests that would change those of others; a hang ends the process, which counts as a failed test.
_OPTIONS: Final = (
    "-p", "no:randomly", "-p", "no:asyncio", "-p", "no:hypothesispytest", "-p", "no:cacheprovider",
    "--timeout", "300", "--timeout-method", "thread", "--maxfail", "0", "-n", "2", "-q",
)  # fmt: skip
# These look at the library's source and at the machine, and run nothing of it.
_NOT_RUN: Final = ("--ignore", "tests/test__sourcecode.py", "--ignore", "tests/test__environment.py")
_ENVIRONMENT: Final = {
    # SQLAlchemy's tests would import the library from their own tree, and not what is installed.
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONPATH": str(_TESTS),
}


@dataclass(frozen=True, slots=True)
class Runner:
    """
    Runs suites.

    Attributes:
        results: Each run leaves a directory in it.
        sources: The unpacked libraries, by name.
        programs: The directory of PostgreSQL's programs.
        server: The URL of a server for SQLAlchemy's tests; empty if no suite asks for one.
    """

    results: Path
    sources: Mapping[str, Path]
    programs: Path
    server: str

    def run(self, suite: Suite, paths: Iterable[str], *, watched: bool, repetition: int = 0) -> Run:
        """Runs some files of a suite, with us or without."""
        directory = self.results / f"{suite.name}-{'watched' if watched else 'without'}-{repetition}"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        database = ("--dburi", f"{suite.driver}{new_database(self.server)}") if suite.driver else ()
        plugins = ("-p", "hosts.recording", *(("-p", "hosts.watching") if watched else ()))
        command = [sys.executable, "-m", "pytest", *plugins, *_OPTIONS, *_NOT_RUN, *database, *paths]
        started = time.monotonic()
        with (directory / "log").open("w") as log:
            subprocess.run(
                command,
                cwd=self.sources[suite.library],
                env=self._environment(directory),
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return _read(directory, time.monotonic() - started)

    def _environment(self, directory: Path) -> dict[str, str]:
        others = ("QUERYGAUGE_TEST_", "PG", "PYT")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        return {**kept, **_ENVIRONMENT, VARIABLE: str(self.programs), DIRECTORY: str(directory)}


@contextmanager
def runner(suites: Iterable[Suite], results: Path) -> Iterator[Runner]:
    """
    What runs these suites: their sources are unpacked, and a server runs if one is needed, until the end.

    Args:
        suites: What is going to be run.
        results: Where each run leaves a directory.
    """
    with TemporaryDirectory(prefix="querygauge-hosts-") as made, ExitStack() as stack:
        directory = Path(made)
        directory.chmod(0o755)  # root's server runs as another user, and reads certificates of asyncpg's tests
        found = programs(directory)
        needs_server = any(suite.driver for suite in suites)
        yield Runner(
            results=results,
            sources={name: unpacked(name, directory) for name in {suite.library for suite in suites}},
            programs=found,
            server=stack.enter_context(sqlalchemy_server(found)) if needs_server else "",
        )


def _read(directory: Path, seconds: float) -> Run:
    outcomes = directory / OUTCOMES
    if not outcomes.exists():
        raise SystemExit(f"pytest did not come to its end: see {directory / 'log'}")
    seen = [json.loads(file.read_text()) for file in directory.glob(WATCHED)]
    return Run(
        json.loads(outcomes.read_text()),
        statements=sum(one["statements"] for one in seen),
        failures=tuple(failure for one in seen for failure in one["failures"]),
        seconds=seconds,
    )
