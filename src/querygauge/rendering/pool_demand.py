"""
What the recorded demand of a pool says about its size, as one sentence.

In goes a window of a pool, out comes the sentence, or nothing where there is nothing to say. Deliberately not here: the
replay itself, which is `Demand.needed`.
"""

from typing import Final

from querygauge.rendering.formats import number, percent
from querygauge.values import PoolWindow
from querygauge.values.demand import SERVED

__all__ = ["demand_of", "is_too_small"]

_FEWEST_REQUESTS: Final = 1_000  # 99.9 % of fewer is all of them but none


def demand_of(window: PoolWindow) -> str | None:
    """How often the pool was used up, and how many connections would do; None without a limit or enough requests."""
    demand = window.metrics.demand
    if not demand.limit or demand.request_count < _FEWEST_REQUESTS:
        return None
    # Several processes have a pool each, whose limits are added up in the state.
    where = " in each process" if window.state.max_connections > demand.limit else ""
    was = f"all in use {percent(demand.full_percent)} of the time" if demand.full_ns else "never all in use"
    needed, served = demand.connections_needed, f"{percent(100 * SERVED)} of the requests"
    were = "was" if needed == 1 else "were"
    enough = f"would have served {served} without waiting" if needed > demand.limit else f"{were} enough for {served}"
    have = "1 connection was" if demand.limit == 1 else f"{number(demand.limit)} connections{where} were"
    return f"{have} {was}; {number(needed)} {enough}"


def is_too_small(window: PoolWindow) -> bool:
    """Whether more connections than the pool may open are needed for nearly nobody to wait."""
    demand = window.metrics.demand
    return demand_of(window) is not None and demand.connections_needed > demand.limit
