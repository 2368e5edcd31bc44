"""
Two runs of the same tests → what is different with us.

A test may end now so, now so, whoever watches. One that ended differently is therefore run again both ways, and its
shares decide. Pure: comes in, outcomes; goes out, a verdict.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import filter as matching
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["Difference", "Run", "Verdict", "differing_tests", "verdict_on"]

MISSING: Final = "not run"
_PROVEN: Final = 2  # of all runs with us; one may be chance
_APART: Final = 0.5  # of the runs, where the test is unstable without us too


@dataclass(frozen=True, slots=True)
class Run:
    """
    One run of a suite.

    Attributes:
        outcomes: By test id.
        statements: That we recorded.
        failures: Of our hooks, each with its traceback.
        seconds: That it took.
    """

    outcomes: Mapping[str, str]
    statements: int = 0
    failures: tuple[str, ...] = ()
    seconds: float = 0.0

    def outcome(self, test: str) -> str:
        """How a test ended."""
        return self.outcomes.get(test, MISSING)


@dataclass(frozen=True, slots=True)
class Difference:
    """
    How one test ended, run by run.

    Attributes:
        test: Its id.
        without: Outcomes without us.
        watched: Outcomes with us.
    """

    test: str
    without: tuple[str, ...]
    watched: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """Whether chance does not explain it; what was not repeated is taken for ours."""
        if len(self.without) == 1:
            return True
        usual = Counter(self.without).most_common(1)[0][0]
        odd_without = sum(outcome != usual for outcome in self.without)
        odd_watched = sum(outcome != usual for outcome in self.watched)
        if odd_without == 0:
            return odd_watched >= _PROVEN
        return odd_watched / len(self.watched) - odd_without / len(self.without) >= _APART


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a suite has shown.

    Attributes:
        without: The run without us.
        watched: The run with us.
        differing: Tests that end differently because of us.
        unstable: Tests that ended differently, by chance as their repetitions showed.
        explained: Those of the differing that are expected, with the reason.
        outdated: Expected differences that are none.
    """

    without: Run
    watched: Run
    differing: tuple[Difference, ...] = ()
    unstable: tuple[Difference, ...] = ()
    explained: Mapping[str, str] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()

    @property
    def faults(self) -> list[str]:
        """Why the suite fails; nothing if it does not."""
        faults = [
            f"{one.test}: without us {', '.join(one.without)}; with us {', '.join(one.watched)}"
            for one in self.differing
        ]
        faults += [f"{test}: no difference; take it out of differences.toml" for test in self.outdated]
        for failure, count in Counter(self.watched.failures).items():
            faults.append(f"a hook failed{f', {count} times' if count > 1 else ''}: {failure}")
        if not self.watched.statements:
            faults.append("no statement was seen")
        return faults


def differing_tests(without: Run, watched: Run) -> list[str]:
    """Tests that ended differently."""
    tests = without.outcomes.keys() | watched.outcomes.keys()
    return sorted(test for test in tests if without.outcome(test) != watched.outcome(test))


def verdict_on(without: Sequence[Run], watched: Sequence[Run], expected: Mapping[str, str]) -> Verdict:
    """
    Compares runs both ways: a full one first, then repetitions of what was different in it.

    Args:
        without: Runs without us.
        watched: As many with us.
        expected: By test id, why it ends differently with us; `*` stands for what names a version.
    """
    found = [_difference(test, without, watched) for test in differing_tests(without[0], watched[0])]
    ours = [one for one in found if one.is_ours]
    reasons = {
        one.test: reason for one in ours for pattern, reason in expected.items() if fnmatchcase(one.test, pattern)
    }
    known = without[0].outcomes.keys() | watched[0].outcomes.keys()
    return Verdict(
        without[0],
        watched[0],
        differing=tuple(one for one in ours if one.test not in reasons),
        unstable=tuple(one for one in found if one not in ours),
        explained=reasons,
        outdated=tuple(pattern for pattern in expected if matching(known, pattern) and not matching(reasons, pattern)),
    )


def _difference(test: str, without: Sequence[Run], watched: Sequence[Run]) -> Difference:
    # A repetition runs only some of the tests.
    pairs = [pair for pair in zip(without, watched, strict=True) if any(test in run.outcomes for run in pair)]
    return Difference(
        test,
        tuple(run.outcome(test) for run, _ in pairs),
        tuple(run.outcome(test) for _, run in pairs),
    )
