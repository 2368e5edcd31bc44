"""
What counting costs the application: a sample of the time that a statement lost to its hook, and the CPU time of folds.

The statement that fills the queue hands over the moment its driver was done, so that one in so many is timed, and no
other pays for it. Deliberately not here: what a checkout, the flush and the collector cost.
"""

import statistics
import time
from collections import deque
from typing import Final

__all__ = ["OwnCost"]

_SAMPLES: Final = 1_000  # the latest; some hundred thousand statements
_FEWEST: Final = 30  # of fewer the median says little: what is among them by chance may be five times as dear
_FEWEST_COUNTED: Final = 1_000  # executions; of fewer most is what the first of a kind takes
_NS_PER_US: Final = 1e3


class OwnCost:
    """Since the process began; `sample` is for any thread, `folded` for one at a time."""

    __slots__ = ("_executions", "_fold_ns", "_samples")

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=_SAMPLES)
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self._samples.clear()
        self._executions = self._fold_ns = 0

    def sample(self, added_ns: int) -> None:
        """Takes the time between the end of one execution and the end of its hook."""
        self._samples.append(added_ns)

    def folded(self, executions: int, cpu_began_ns: int) -> None:
        """
        Takes the cost of a fold.

        Args:
            executions: How many it counted.
            cpu_began_ns: CPU time of this thread when it began.
        """
        if executions:  # an idle process flushes too
            self._executions += executions
            self._fold_ns += time.thread_time_ns() - cpu_began_ns

    @property
    def added_us(self) -> float:
        """The median of the samples; one that another thread interrupted does not move it. 0 while there are few."""
        samples = tuple(self._samples)
        return round(statistics.median(samples) / _NS_PER_US, 3) if len(samples) >= _FEWEST else 0.0

    @property
    def fold_us(self) -> float:
        """CPU time of counting one execution, on average. 0 while there are few."""
        executions = self._executions
        return round(self._fold_ns / _NS_PER_US / executions, 3) if executions >= _FEWEST_COUNTED else 0.0
