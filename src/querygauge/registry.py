"""
The gauges of this process, and which target each of them measures.

In go gauges as they are made and closed; out come the gauge of a target, and names that are free. Deliberately not
here: making one (`instrument`, `instrument_all`).
"""

import itertools
import threading
from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Engine

from querygauge.capture.asyncpg_target import asyncpg_name
from querygauge.capture.sqlalchemy_target import target_name
from querygauge.forking import survive_forks
from querygauge.gauge import Instrumentation

__all__ = ["Registry", "name_of", "registry"]


class Registry:
    """
    The gauges that are not closed.

    Attributes:
        lock: Held while a gauge is made or closed, or gets a target.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._gauges: list[Instrumentation] = []
        survive_forks(self)

    def after_fork_in_child(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self.lock = threading.RLock()

    def add(self, gauge: Instrumentation) -> None:
        """Takes in a gauge; before its first target, which another thread may ask for at once."""
        self._gauges = [*self._gauges, gauge]

    def remove(self, gauge: Instrumentation) -> None:
        """Forgets a gauge that is closed."""
        with self.lock:
            self._gauges = [known for known in self._gauges if known is not gauge]

    def gauge_of(self, target: Any) -> Instrumentation | None:
        """The gauge that measures this target; None if none does."""
        # A gauge may be closing in another thread.
        return next((gauge for gauge in self._gauges if gauge.watches(target) and not gauge.is_closed), None)

    def free_name(self, name: str, numbers: Iterable[int] | None = None) -> tuple[str, int]:
        """
        A name that nothing else goes by which is measured, and its number.

        Args:
            name: Wanted; its number is 1, and `name#2` has 2.
            numbers: Those to try, without end; by default all in their order.
        """
        for number in itertools.count(1) if numbers is None else numbers:
            free = name if number == 1 else f"{name}#{number}"
            if not any(gauge.uses(free) for gauge in self._gauges):
                break
        return free, number


registry = Registry()


def name_of(target: Any) -> str:
    """The name of a target's database, without credentials."""
    return target_name(target) if isinstance(target, Engine) else asyncpg_name(target)
