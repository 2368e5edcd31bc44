"""
`python -m hosts [--quick] [suite ...]`: runs the suites without us and with us, and tells what is different.

Ends with 1 if anything is different that should not be. What pytest wrote of every run stays in `.hosts/runs`.
"""

import sys
from typing import Final

from hosts.running import runner
from hosts.suites import CACHE, SUITES
from hosts.table import table
from hosts.trial import try_out

__all__ = ["main"]

_RUNS: Final = CACHE / "runs"


def main(arguments: list[str]) -> int:
    """Runs what is asked for; the exit status."""
    is_quick = "--quick" in arguments
    names = [argument for argument in arguments if argument != "--quick"]
    unknown = sorted(set(names) - {suite.name for suite in SUITES})
    if unknown:
        raise SystemExit(f"no such suite: {', '.join(unknown)}; there are {', '.join(suite.name for suite in SUITES)}")
    suites = [suite for suite in SUITES if (suite.name in names or not names) and (suite.quick or not is_quick)]
    verdicts = {}
    with runner(suites, _RUNS) as run:
        for suite in suites:
            paths = suite.quick if is_quick else suite.paths
            verdicts[suite.name] = try_out(run, suite, paths)
            # One by one, for the whole takes a while.
            print(table({suite.name: verdicts[suite.name]}), end="\n\n", flush=True)
    if len(suites) > 1:
        print(table(verdicts))
    return int(any(verdict.faults for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
