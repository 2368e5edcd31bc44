"""
Of programs that repeat their queries all are found, for what they are; of innocent ones none is called certain.

The table stands in the documentation; a program that is added, or that the code no longer tells, changes it there.
"""

import re
from collections import Counter
from collections.abc import Mapping

import pytest
import sqlalchemy

from databases.engines import NewDatabase
from project import ROOT
from querygauge.values import Repetition
from querygauge.values.repetitions import KINDS
from repetition.corpus import Scenario, all_scenarios, repetitions_of

SCENARIOS = all_scenarios()
GUILTY = [scenario for scenario in SCENARIOS if not scenario.exemption]
INNOCENT = [scenario for scenario in SCENARIOS if scenario.exemption]

_VERSION = tuple(int(number) for number in re.findall(r"\d+", sqlalchemy.__version__)[:3])
pytestmark = pytest.mark.skipif(
    _VERSION < (2, 0, 4), reason="before 2.0.4 SQLAlchemy does not tell what is refreshed from what has expired"
)
_ALL_S = 600  # for all programs, where no other test has run them before
_found: dict[str, list[Repetition]] = {}


def name_of(scenario: Scenario) -> str:
    """Its file and its program."""
    return f"{scenario.program.__module__.rpartition('.')[2]}.{scenario.name}"


def found_in(scenario: Scenario, new_database: NewDatabase) -> list[Repetition]:
    """What is found in it; it runs once, whichever test asks first."""
    if name_of(scenario) not in _found:
        _found[name_of(scenario)] = repetitions_of(scenario, new_database)
    return _found[name_of(scenario)]


def is_exact(scenario: Scenario, found: list[Repetition]) -> bool:
    """Whether all that is known to be found is, and nothing else."""
    expected = scenario.expected if scenario.found is None else scenario.found
    return len(found) == len(expected) and all(any(map(each.is_met_by, found)) for each in expected)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_what_is_found(scenario: Scenario, new_database: NewDatabase) -> None:
    """Exactly what the program says: kind, confidence and fix, and nothing besides."""
    found = found_in(scenario, new_database)
    assert is_exact(scenario, found), [
        (each.kind, each.confidence, each.fix, each.execution_count, each.call_site, each.pattern.text)
        for each in found
    ]


@pytest.mark.timeout(_ALL_S)
def test_the_totals(new_database: NewDatabase) -> None:
    """How many of each kind are found, and how many innocents of each exemption are flagged, are as documented."""
    table = "\n".join([*guilty_rows(new_database), "", *innocent_rows(new_database)])
    print(table)  # so that it can be copied there
    assert f"```text\n{table}\n```\n" in (ROOT / "docs" / "repetition.md").read_text(encoding="utf-8")


def test_half_of_them_are_innocent() -> None:
    """At least a hundred programs, each kind and each exemption in more than one shape."""
    assert len(SCENARIOS) >= 100
    assert len(INNOCENT) >= len(GUILTY)
    headings = Counter(scenario.heading for scenario in SCENARIOS)
    assert set(KINDS) <= set(headings)
    assert [heading for heading, count in headings.items() if count < 2] == []


@pytest.mark.timeout(_ALL_S)
def test_no_innocent_one_is_called_certain(new_database: NewDatabase) -> None:
    """Only what is certain may end a build, so there must be none of it where nothing is wrong."""
    assert [name_of(scenario) for scenario in INNOCENT if is_certain(found_in(scenario, new_database))] == []


def guilty_rows(new_database: NewDatabase) -> list[str]:
    """By kind, and in all: how many there are, how many are found, and of how many it is certain."""
    counts: dict[str, tuple[int, int, int]] = {}
    for kind in KINDS:
        scenarios = [scenario for scenario in GUILTY if scenario.heading == kind]
        findings = [[each for each in found_in(scenario, new_database) if each.kind == kind] for scenario in scenarios]
        counts[kind] = (sum(map(bool, findings)), len(findings), sum(map(is_certain, findings)))
    return [f"{name:<34}{found:>3} of {of:>3} found, {certain:>2} certain" for name, found, of, certain in sums(counts)]


def innocent_rows(new_database: NewDatabase) -> list[str]:
    """By exemption, and in all: how many there are, how many are flagged, and how many of them as certain."""
    counts: dict[str, tuple[int, int, int]] = {}
    for exemption in sorted({scenario.heading for scenario in INNOCENT}):
        findings = [found_in(scenario, new_database) for scenario in INNOCENT if scenario.heading == exemption]
        counts[exemption] = (sum(map(bool, findings)), len(findings), sum(map(is_certain, findings)))
    return [f"{name:<34}{found:>3} of {of:>3} flagged, {certain} certain" for name, found, of, certain in sums(counts)]


def is_certain(found: list[Repetition]) -> bool:
    """Whether any of it is."""
    return any(each.confidence == "certain" for each in found)


def sums(counts: Mapping[str, tuple[int, int, int]]) -> list[tuple[str, int, int, int]]:
    """Each, and at the end all together."""
    found, of, certain = map(sum, zip(*counts.values(), strict=True))
    return [*((name, *each) for name, each in counts.items()), ("together", found, of, certain)]
