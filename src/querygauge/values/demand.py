"""How many connections a pool was asked for at once, over time: enough to tell how many it should have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from querygauge.values.base import Value

__all__ = ["NO_DEMAND", "SERVED", "Demand", "level_of"]

SERVED: Final = 0.999
"""The fraction of requests that an advice is about."""

_EXACT_BITS: Final = 8  # levels below 2**8 are kept as they are, higher ones rounded up by less than 1 %


def level_of(count: int) -> int:
    """The level under which a number of connections is kept: the number itself, or less than 1 % more from 256 on."""
    step = 1 << max(0, count.bit_length() - _EXACT_BITS)
    return -(-count // step) * step


@dataclass(frozen=True, slots=True)
class Demand(Value):
    """
    The demand of one pool of one process: connections in use and callers that wait for one, together.

    Attributes:
        limit: Connections there could be at most, the highest of several; 0 where there was no limit.
        full_ns: Nanoseconds in which all of them were wanted, or more.
        times_ns: Nanoseconds by level of demand.
        requests: Requests by the demand they met, themselves not counted.
    """

    limit: int = 0
    full_ns: int = 0
    times_ns: Mapping[int, int] = field(default_factory=dict)
    requests: Mapping[int, int] = field(default_factory=dict)
    _derived: ClassVar[tuple[str, ...]] = ("full_percent", "connections_needed")

    @property
    def request_count(self) -> int:
        """Requests, those among them that got no connection."""
        return sum(self.requests.values())

    @property
    def full_percent(self) -> float:
        """Percentage of the time in which all connections were wanted; 0 while no time has passed."""
        total_ns = sum(self.times_ns.values())
        return 100.0 * self.full_ns / total_ns if total_ns else 0.0

    @property
    def connections_needed(self) -> int:
        """Connections with which 99.9 % of the requests would not have waited; 0 while there were none."""
        return self.needed(SERVED)

    def needed(self, fraction: float) -> int:
        """
        Connections with which at least a fraction of the requests would not have waited; 0 while there were none.

        With a limit above the present one, demand is never higher than it was: who does not wait is done earlier. So
        this is enough if requests come as they came and hold their connection as long, and may be too much where many
        waited long.
        """
        rank, served = math.ceil(fraction * self.request_count), 0
        for level in sorted(self.requests):
            served += self.requests[level]
            if served >= rank:
                return level + 1
        return 0

    def merged(self, other: "Demand") -> "Demand":
        """Both together; exact, and independent of the order of merging."""
        return Demand(
            max(self.limit, other.limit),
            self.full_ns + other.full_ns,
            _added(self.times_ns, other.times_ns),
            _added(self.requests, other.requests),
        )


def _added(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    total = dict(one)
    for level, count in other.items():
        total[level] = total.get(level, 0) + count
    return total


NO_DEMAND: Final = Demand()
