"""
Of programs that repeat their queries all are found, for what they are; of innocent ones none is called certain.

The table is what the documentation states; a program that is added, or that the code no longer tells, changes it.
"""

from collections import Counter

import pytest

from databases.engines import NewDatabase
from querygauge.values import Repetition
from querygauge.values.repetitions import KINDS
from repetition.corpus import Scenario, all_scenarios, repetitions_of

SCENARIOS = all_scenarios()
GUILTY = [scenario for scenario in SCENARIOS if not scenario.exemption]
INNOCENT = [scenario for scenario in SCENARIOS if scenario.exemption]

TOTALS = """
lazy-load                             22 of  22 found,  21 certain
refresh                               13 of  13 found,  11 certain
loop                                  28 of  28 found,   0 certain
repeat-same-parameters                16 of  16 found,   0 certain
fan-out                                6 of   6 found,   0 certain
write-loop                            16 of  16 found,   0 certain

below the threshold                    0 of   7 flagged, 0 certain
disjoint long IN chunks                0 of   6 flagged, 0 certain
eager-loader chunks                    0 of  12 flagged, 0 certain
executemany                            0 of   6 flagged, 0 certain
health checks                          0 of   4 flagged, 0 certain
insertmanyvalues                       0 of   3 flagged, 0 certain
moving limit                           0 of   5 flagged, 0 certain
moving pagination                      1 of  15 flagged, 0 certain
one helper for many                    2 of   2 flagged, 0 certain
polling                                0 of   7 flagged, 0 certain
queues, sequences and locks            0 of   8 flagged, 0 certain
retries                                0 of   4 flagged, 0 certain
scopes of their own                    0 of   4 flagged, 0 certain
server-side cursors                    0 of   6 flagged, 0 certain
several tasks with one query each      0 of   6 flagged, 0 certain
the catalogue                          0 of   3 flagged, 0 certain
transaction control                    0 of   5 flagged, 0 certain
two lines with the same text           0 of   3 flagged, 0 certain
unit of work                           0 of  11 flagged, 0 certain
"""
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
    """Whether all that is expected is found, and nothing else."""
    expected = scenario.expected or scenario.flagged
    return len(found) == len(expected) and all(any(map(each.is_met_by, found)) for each in expected)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_what_is_found(scenario: Scenario, new_database: NewDatabase) -> None:
    """Exactly what the program says: kind, confidence and fix, and nothing besides."""
    found = found_in(scenario, new_database)
    assert is_exact(scenario, found), [
        (each.kind, each.confidence, each.fix, each.execution_count, each.call_site, each.pattern.text)
        for each in found
    ]


def test_the_totals(new_database: NewDatabase) -> None:
    """How many of each kind are found, and how many innocents of each exemption are flagged, are as documented."""
    table = "\n".join([*guilty_rows(new_database), "", *innocent_rows(new_database)])
    print(table)
    assert table == TOTALS.strip()


def test_half_of_them_are_innocent() -> None:
    """At least a hundred programs, each kind and each exemption in more than one shape."""
    assert len(SCENARIOS) >= 100
    assert len(INNOCENT) >= len(GUILTY)
    headings = Counter(scenario.heading for scenario in SCENARIOS)
    assert set(KINDS) <= set(headings)
    assert [heading for heading, count in headings.items() if count < 2] == []


def test_no_innocent_one_is_called_certain(new_database: NewDatabase) -> None:
    """Only what is certain may end a build, so there must be none of it where nothing is wrong."""
    certain = [
        name_of(scenario)
        for scenario in INNOCENT
        if any(found.confidence == "certain" for found in found_in(scenario, new_database))
    ]
    assert certain == []


def guilty_rows(new_database: NewDatabase) -> list[str]:
    """By kind: how many there are, how many are found, and of how many it is certain."""
    rows = []
    for kind in KINDS:
        scenarios = [scenario for scenario in GUILTY if scenario.heading == kind]
        exact = [scenario for scenario in scenarios if is_exact(scenario, found_in(scenario, new_database))]
        certain = sum(scenario.expected[0].confidence == "certain" for scenario in exact)
        rows.append(f"{kind:<36}{len(exact):>4} of {len(scenarios):>3} found, {certain:>3} certain")
    return rows


def innocent_rows(new_database: NewDatabase) -> list[str]:
    """By exemption: how many there are, how many are flagged, and how many of them as certain."""
    rows = []
    for exemption in sorted({scenario.heading for scenario in INNOCENT}):
        findings = [found_in(scenario, new_database) for scenario in INNOCENT if scenario.heading == exemption]
        certain = sum(any(each.confidence == "certain" for each in found) for found in findings)
        rows.append(f"{exemption:<36}{sum(map(bool, findings)):>4} of {len(findings):>3} flagged, {certain} certain")
    return rows
