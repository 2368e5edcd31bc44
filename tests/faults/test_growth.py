"""However often the network fails, as much of ours is alive in the end as after the first few times."""

import asyncio
import gc
from collections import Counter, deque
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import pytest

from conftest import FakeClock
from faults.applications import APPLICATIONS, Application
from faults.cancellations import CANCELLATIONS
from faults.outages import FAULTS
from faults.scenarios import Case, Faults, works
from querygauge.gauge import Instrumentation
from querygauge.settings import Settings

_WARM = 3
_ROUNDS = 8  # what is left once in a round shows: the clock stands still, and everything else is the same in each
_LET_GO = 50  # looks, a tenth of a second apart
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
    for _ in range(_WARM):
        await _round(cases, application, faults)
    before = await _settled(application, gauge)
    for _ in range(_ROUNDS):
        await _round(cases, application, faults)
    for _ in range(_LET_GO):
        grown = await _settled(application, gauge) - before
        if not grown:
            break
        await asyncio.sleep(0.1)  # a server that is busy may have a connection still to be let go of
    gauge.close()
    await application.aclose()
    assert not grown


async def _round(cases: list[Case], application: Application, faults: Faults) -> None:
    for case in cases:
        await case.scenario(application, faults)
        await application.renew()


async def _settled(application: Application, gauge: Instrumentation) -> Counter[str]:
    """What is alive once the next connection was made: what is left of those that are gone is let go of then."""
    gc.collect()
    await works(application)
    await application.renew()
    gauge.queries.drain()  # as a flush does; it takes along the examples of what failed
    gauge.report_data()  # folds what waits
    return alive() + held_by(gauge)


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
