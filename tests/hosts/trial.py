"""
A suite without us and with us → a verdict: what ended differently is run again, since some tests end now so, now so.

Deliberately not here: how a run is made, and what counts as a difference.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hosts.comparison import Verdict, verdict_on
from hosts.running import Runner
from hosts.suites import Suite

__all__ = ["try_out"]

_EXPECTED: Final = Path(__file__).with_name("differences.toml")
_REPETITIONS: Final = 4
# So many differences at once are no chance, and would take an hour to repeat.
_MOST_REPEATED: Final = 50


def try_out(run: Runner, suite: Suite, paths: Iterable[str]) -> Verdict:
    """Runs some files of a suite both ways."""
    expected = tomllib.loads(_EXPECTED.read_text()).get(suite.name, {})
    without = [run.run(suite, paths, watched=False)]
    watched = [run.run(suite, paths, watched=True)]
    different = [one.test for one in verdict_on(without, watched, expected).differing]
    if 0 < len(different) <= _MOST_REPEATED:
        # The whole files, since what a test meets may have been left by those before it.
        files = sorted({test.partition("::")[0] for test in different})
        for repetition in range(1, _REPETITIONS + 1):
            without.append(run.run(suite, files, watched=False, repetition=repetition))
            watched.append(run.run(suite, files, watched=True, repetition=repetition))
    return verdict_on(without, watched, expected)
