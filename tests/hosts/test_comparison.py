"""What counts as a difference between the runs of somebody else's tests, with us and without."""

import pytest

from hosts.comparison import Difference, Run, Verdict, differing_tests, verdict_on
from hosts.table import table

P, F = "passed", "failed"


def run(**outcomes: str) -> Run:
    """A run that saw statements."""
    return Run(outcomes, statements=1)


def test_the_same_outcomes_are_no_difference() -> None:
    """Whatever they are: what fails without us too is not ours."""
    verdict = verdict_on([run(a=P, b=F)], [run(a=P, b=F)], {})
    assert verdict.faults == []


@pytest.mark.parametrize(("without", "watched"), [(P, F), (F, P), (P, "skipped"), (P, "error")])
def test_any_other_outcome_is_a_difference(without: str, watched: str) -> None:
    """In either direction, since a test that passes only with us shows that we change something."""
    verdict = verdict_on([run(a=without)], [run(a=watched)], {})
    assert verdict.faults == [f"a: without us {without}; with us {watched}"]


def test_a_test_that_did_not_run_is_a_difference() -> None:
    """It may have ended the process, or its file may not have been read."""
    assert differing_tests(run(a=P, b=P), run(a=P)) == ["b"]
    assert differing_tests(run(a=P), run(a=P, b=P)) == ["b"]


@pytest.mark.parametrize(
    ("without", "watched", "is_ours"),
    [
        ("P", "F", True),
        ("PPPPP", "FFFFF", True),
        ("PPPPP", "FPPFP", True),
        ("PPPPP", "FPPPP", False),
        ("FPPPP", "PPPPP", False),
        ("PFPFP", "FPFPP", False),
        ("PFPPP", "FFFFF", True),
    ],
)
def test_repetitions_decide(without: str, watched: str, is_ours: bool) -> None:
    """Chance explains what never came again, and what comes without us about as often."""
    named = {"P": P, "F": F}
    one = Difference("a", tuple(named[letter] for letter in without), tuple(named[letter] for letter in watched))
    assert one.is_ours is is_ours


def test_only_the_runs_of_a_test_decide() -> None:
    """A repetition of other files says nothing of it."""
    verdict = verdict_on([run(a=P, b=P), run(b=P)], [run(a=F, b=F), run(b=P)], {})
    assert [one.test for one in verdict.differing] == ["a"]
    assert [one.test for one in verdict.unstable] == ["b"]


def test_an_expected_difference_is_no_fault() -> None:
    """It is listed with its reason, of whatever version its id speaks."""
    verdict = verdict_on([run(a_15=P)], [run(a_15=F)], {"a_*": "it looks at the class"})
    assert verdict.faults == []
    assert verdict.explained == {"a_15": "it looks at the class"}


def test_an_expected_difference_that_is_none_is_a_fault() -> None:
    """Else the line would hide the next that comes; tests of another version are left alone."""
    verdict = verdict_on([run(a=P)], [run(a=P)], {"a": "it looks at the class", "of_another_version": "so does it"})
    assert verdict.faults == ["a: no difference; take it out of differences.toml"]


def test_a_run_that_saw_nothing_is_a_fault() -> None:
    """It would prove nothing."""
    verdict = verdict_on([Run({"a": P})], [Run({"a": P})], {})
    assert verdict.faults == ["no statement was seen"]


def test_a_hook_that_failed_is_a_fault() -> None:
    """Though no test noticed."""
    verdict = verdict_on([run(a=P)], [Run({"a": P}, statements=1, failures=("connect: TypeError",))], {})
    assert verdict.faults == ["a hook failed: connect: TypeError"]
    verdict = verdict_on([run(a=P)], [Run({"a": P}, statements=1, failures=("connect: TypeError",) * 3)], {})
    assert verdict.faults == ["a hook failed, 3 times: connect: TypeError"]


def test_the_table_names_what_is_different() -> None:
    """By suite: the counts of both ways, and each test that needs to be looked at."""
    verdicts = {
        "engine": verdict_on(
            [run(a=P, b=P, c="skipped", d=P), run(b=P, d=P), run(b=P, d=P)],
            [run(a=F, b=F, c="xfailed", d=F), run(b=P, d=F), run(b=P, d=P)],
            {"c": "it looks at the class"},
        ),
        "orm": Verdict(run(a=P), run(a=P)),
    }
    assert table(verdicts).splitlines() == [
        "suite            passed  failed  skipped  differing  explained  unstable  statements  hook errors  seconds",
        "engine  without       3       0        1                                                                 0",
        "        with          0       3        1          2          1         1           1            0        0",
        "orm     without       1       0        0                                                                 0",
        "        with          1       0        0          0          0         0           1            0        0",
        "",
        "engine: wrong",
        "  a: without us passed; with us failed",
        "  d: without us passed, passed, passed; with us failed, failed, passed",
        "",
        "engine: explained",
        "  c: it looks at the class",
        "",
        "engine: unstable, whoever watches",
        "  b: without us passed, passed, passed; with us failed, passed, passed",
    ]
