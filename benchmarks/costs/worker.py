"""
One of them at its work in a process of its own, since tracing products change classes that all would share.

Told on its standard input: a line for each round, answered by a line with its figure.
"""

import sys

from costs.arms import ARMS
from costs.work import TIMES, WORK

_WARM_UP = 5


def main(arm: str, work: str, url: str) -> None:
    """Works until there is no more input."""
    run = WORK[work](ARMS[arm](), url)
    for _ in range(_WARM_UP):
        run(TIMES[work])
    print("ready", flush=True)
    for _ in sys.stdin:
        print(run(TIMES[work]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
