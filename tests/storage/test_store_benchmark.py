"""The benchmark of the store in its smallest form: it runs, measures everything, and tells what is over its limit."""

import json
import subprocess
import sys
from typing import Any

import pytest

from project import ROOT

ROWS = "1000"


@pytest.fixture(scope="module")
def ended() -> subprocess.CompletedProcess[str]:
    """One round of a store of a thousand rows."""
    command = [sys.executable, str(ROOT / "benchmarks" / "store.py"), "--rows", ROWS, "--rounds", "1", "--minutes", "2"]
    return subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)


@pytest.fixture
def told(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What it printed."""
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def test_whatever_has_a_limit_is_measured(told: dict[str, Any]) -> None:
    """By the same name, or it would never be over it; and each is more than nothing, but for what must not be."""
    figures = told["sizes"][ROWS]
    assert set(told["limits"]) <= set(figures)
    assert [name for name, value in figures.items() if value <= 0] in ([], ["similar: not among the first three, %"])


def test_what_is_over_its_limit_is_named_and_ends_with_status_1(
    ended: subprocess.CompletedProcess[str], told: dict[str, Any]
) -> None:
    """However fast the machine is."""
    figures = told["sizes"][ROWS]
    over = [name for name, (limit, _) in told["limits"].items() if limit is not None and figures[name] > limit]
    assert {name.partition(" at ")[0] for name in told["exceeded"]} == set(over)
    assert ended.returncode == bool(over)
    assert ended.stderr.count("over its limit: ") == len(over)


def test_a_store_of_200_patterns_grows(told: dict[str, Any]) -> None:
    """By rows that hosts flushed and somebody folded."""
    assert told["growth"]["bytes a row by minute"] > 0
