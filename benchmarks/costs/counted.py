"""
One of them at its work in a process whose instructions are counted, by a tool that tells them of each process.

Two children are forked, the one to do more of the same than the other, so that their difference has neither start nor
end in it. Told to standard output: process id and operations of each.
"""

import gc
import os
import sys

from costs.arms import ARMS
from costs.work import WORK

__all__ = ["OPERATIONS"]

# Whole folds of querygauge's, which counts 257 executions at a time.
OPERATIONS = (257, 4 * 257)


def main(arm: str, work: str, url: str) -> None:
    """Works, twice."""
    run = WORK[work](ARMS[arm](), url)
    run(OPERATIONS[0])
    # One collection of garbage in some thousand operations is more than the thousandth part of it for the arm it meets.
    gc.collect()
    gc.freeze()
    for times in OPERATIONS:
        child = os.fork()
        if child == 0:
            run(times)
            os._exit(0)
        os.waitpid(child, 0)
        print(child, times, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
