"""
A pytest plugin for a foreign test run: how each test ended goes to a file, and nothing else changes.

Comes in: the run's reports; goes out: `outcomes.json`, test id → outcome, in the directory that `DIRECTORY` names.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["DIRECTORY", "OUTCOMES", "WATCHED"]

DIRECTORY: Final = "HOSTS_DIRECTORY"
OUTCOMES: Final = "outcomes.json"
WATCHED: Final = "watched-*.json"
"""What `watching` leaves in the same directory, one for each process."""

# A test that ends in two ways, in its body and afterwards, ended in the worse.
_WORST_LAST: Final = ("passed", "skipped", "xfailed", "xpassed", "failed", "error")


class _Recorder:
    def __init__(self, directory: Path) -> None:
        self._file = directory / OUTCOMES
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes note of one phase of a test."""
        before = self._outcomes.get(report.nodeid, "passed")
        self._outcomes[report.nodeid] = max(before, _outcome_of(report), key=_WORST_LAST.index)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Takes note of a file that could not be read, which has no tests to compare."""
        if report.failed:
            self._outcomes[report.nodeid] = "error"

    def pytest_sessionfinish(self) -> None:
        """Writes the file."""
        self._file.write_text(json.dumps(self._outcomes, indent=0, sort_keys=True))


def pytest_configure(config: pytest.Config) -> None:
    """Only the process that the workers of pytest-xdist report to knows of all tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(Path(os.environ[DIRECTORY])))


def _outcome_of(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return str(report.outcome)
