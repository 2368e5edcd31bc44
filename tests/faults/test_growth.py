"""However often the network fails, as much of ours is alive in the end as after the first few times."""

import gc
from collections import Counter, deque
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import pytest

from conftest import FakeClock
from faults.applications import APPLICATIONS
from faults.cancellations import CANCELLATIONS
from faults.outages import FAULTS
from faults.scenarios import Faults, works
from querygauge.gauge import Instrumentation
from querygauge.settings import Settings

_WARM = 3
_ROUNDS = 8  # what is left once in a round shows: the clock stands still, and everything else is the same in each
_EACH_ROUND = (
    "cut by a reset while idle", "cut while fetching", "cut while connecting", "terminated while executing", "refused",
    "exhausted", "waiting", "connecting", "executing", "giving back",
)  # fmt: skip
# Durations differ from round to round, and so do the buckets they fall into. So does what a loop was blocked for, of
# which the last thousand times are kept. A demand is of moments, and those of the clock that stands still are others
# than those that capture reads.
_MEASURED = frozenset({"Histogram", "Durations", "Counters", "_Heart", "Demand"})


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", APPLICATIONS)
async def test_nothing_grows(kind: str, faults: Faults, clock: FakeClock) -> None:
    """Neither the number of our objects nor what our containers hold."""
    table = {**FAULTS, **CANCELLATIONS}
    cases = [table[name] for name in _EACH_ROUND if kind in table[name].kinds]
    application = APPLICATIONS[kind](faults.proxy)
    await application.open()
    gauge = Instrumentation(Settings(store=None, call_sites="off"), lambda _: None, clock)
    engine = getattr(application.target, "sync_engine", application.target)
    gauge.attach(engine, "shop")
    found: list[Counter[str]] = []
    for rounds in (_WARM, _ROUNDS):
        for _ in range(rounds):
            for case in cases:
                await case.scenario(application, faults)
                await application.renew()
        # What is left of pools and connections that are gone is let go of when the next one is made.
        gc.collect()
        await works(application)
        await application.renew()
        gauge.report_data()  # folds what waits
        found.append(alive() + held_by(gauge))
    gauge.close()
    await application.aclose()
    # A server that is busy may leave one connection more to be let go of in the first rounds.
    assert not found[1] - found[0]


def alive() -> Counter[str]:
    """How many objects of our classes and functions there are, by name."""
    gc.collect()
    kinds = (each if type(each) is FunctionType else type(each) for each in gc.get_objects())
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if is_ours(kind))


def held_by(gauge: Instrumentation) -> Counter[str]:
    """How much the containers hold that can be reached from a gauge, by whose they are."""
    sizes: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("gauge", gauge)]
    while waiting:
        owner, each = waiting.pop()
        if id(each) in seen or type(each).__name__ in _MEASURED:
            continue
        seen.add(id(each))
        if isinstance(each, dict | list | tuple | set | deque):
            sizes[f"held by {owner}"] += len(each)
        elif is_ours(type(each)):
            owner = type(each).__qualname__
        elif not isinstance(each, CellType | MethodType | partial):
            # A function's globals are the module's.
            waiting += [(owner, cell) for cell in getattr(each, "__closure__", None) or ()]
            continue
        waiting += [(owner, one) for one in gc.get_referents(each) if not isinstance(one, type)]
    return sizes


def is_ours(kind: Any) -> bool:
    """Whether a class or function is of this package."""
    return str(kind.__module__).startswith("querygauge.")
