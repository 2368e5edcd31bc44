"""
`python -m hosts [--quick] [suite ...]`: runs the suites without us and with us, and tells what is different.

Ends with 1 if anything is different that should not be. What pytest wrote of every run stays in `.hosts/runs`.
"""

import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from hosts.comparison import Verdict, verdict_on
from hosts.running import Runner, runner
from hosts.suites import SUITES, Suite
from hosts.table import table
from project import ROOT

__all__ = ["main"]

_CACHE: Final = ROOT / ".hosts"
_EXPECTED: Final = Path(__file__).with_name("differences.toml")
_REPETITIONS: Final = 4
# So many differences at once are no chance, and would take an hour to repeat.
_MOST_REPEATED: Final = 50


def main(arguments: list[str]) -> int:
    """Runs what is asked for; the exit status."""
    is_quick = "--quick" in arguments
    names = [argument for argument in arguments if argument != "--quick"]
    unknown = sorted(set(names) - {suite.name for suite in SUITES})
    if unknown:
        raise SystemExit(f"no such suite: {', '.join(unknown)}; there are {', '.join(suite.name for suite in SUITES)}")
    suites = [suite for suite in SUITES if (suite.name in names or not names) and (suite.quick or not is_quick)]
    expected = tomllib.loads(_EXPECTED.read_text())
    verdicts = {}
    with runner(suites, _CACHE) as run:
        for suite in suites:
            paths = suite.quick if is_quick else suite.paths
            verdicts[suite.name] = _verdict(run, suite, paths, expected.get(suite.name, {}))
            # One by one, for the whole takes a while.
            print(table({suite.name: verdicts[suite.name]}), end="\n\n", flush=True)
    if len(suites) > 1:
        print(table(verdicts))
    return int(any(verdict.faults for verdict in verdicts.values()))


def _verdict(run: Runner, suite: Suite, paths: Iterable[str], expected: Mapping[str, str]) -> Verdict:
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
