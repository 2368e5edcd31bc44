"""
A pytest plugin for a foreign test run: instruments every engine, asyncpg pool and asyncpg connection that is made.

Comes in: whatever the tests make; goes out: one `watched-*.json` for each process, in the directory that `DIRECTORY`
names, with what was seen and what failed inside our hooks.
"""

import json
import os
import traceback
from pathlib import Path

import pytest

from hosts.recording import DIRECTORY, WATCHED
from querygauge import instrument_all
from querygauge.capture.guard import Guard


class _Watcher:
    """The gauge of everything that is made in this process."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / WATCHED.replace("*", str(os.getpid()))
        self._failures: list[str] = []
        self._note_failures()
        # As in an application, but for the collector, which would take the tests' processor.
        self._gauge = instrument_all(store=directory / "store", collector="off")

    def pytest_sessionfinish(self) -> None:
        """Takes everything off again, and writes the file."""
        self._gauge.close()
        metrics = self._gauge.report_data().self_metrics
        seen = {
            "statements": sum(stats.execution_count for stats in self._gauge.queries.get_query_stats()),
            "hook_errors": metrics.hook_errors,
            "failures": self._failures,
        }
        self._file.write_text(json.dumps(seen, indent=1))

    def _note_failures(self) -> None:
        # The log names the line where a hook failed; what led there is told here.
        caught = Guard.caught

        def noted(guard: Guard, hook: str, error: Exception) -> None:
            self._failures.append(f"{hook}: {''.join(traceback.format_exception(error))}")
            caught(guard, hook, error)

        Guard.caught = noted  # type: ignore[assignment, method-assign]


def pytest_configure(config: pytest.Config) -> None:
    """Begins before any test is read, for some make engines then."""
    config.pluginmanager.register(_Watcher(Path(os.environ[DIRECTORY])))
