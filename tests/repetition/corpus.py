"""
What the corpus is made of: small programs, each with what is to be found in it, or with the reason why nothing is.

A program takes what its `on` names (an `Engine`, an `AsyncEngine`, or an `asyncpg.Pool`) over a shop that has been
filled, and runs within one scope unless it is to run without. Its clock ticks with each look at it and is moved on by
`wait`, so that nobody waits and no busy machine makes a pause. Deliberately not here: the programs.
"""

import asyncio
import importlib
import inspect
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from databases.engines import ASYNC_DRIVERS, NewDatabase
from querygauge import instrument, scope
from querygauge.settings import Settings
from querygauge.values import Repetition
from querygauge.values.repetitions import Confidence, Kind
from repetition.shop import Base, fill

__all__ = [
    "THRESHOLD",
    "Expected",
    "Program",
    "Scenario",
    "all_scenarios",
    "finds",
    "innocent",
    "repetitions_of",
    "wait",
]

THRESHOLD: Final = Settings().repetition_threshold
"""Executions that make a finding."""

Program = Callable[[Any], Any]

_ROOMS: Final = (
    "batches", "eager_loads", "lazy_loads", "loops", "many_at_once", "on_purpose", "once_each", "refreshes",
    "same_again", "walks", "writes",
)  # fmt: skip
_FILLS: Final = {"aiosqlite": "sqlite3", "asyncpg": "psycopg", "aiomysql": "pymysql", "pool": "psycopg"}
_POOL: Final = "pool"
_CONNECTIONS: Final = 10  # open in advance, so that tasks that begin together send together
_TICK_NS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Expected:
    """
    One finding.

    Attributes:
        kind: What the executions have in common.
        confidence: How sure it is.
        fix: Words of its fix.
    """

    kind: Kind
    confidence: Confidence
    fix: str = ""

    def is_met_by(self, found: Repetition) -> bool:
        """Whether `found` is it."""
        return (found.kind, found.confidence) == (self.kind, self.confidence) and self.fix in found.fix


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    One program.

    Attributes:
        program: What runs.
        on: A driver of `databases.engines`, or `pool` for asyncpg without SQLAlchemy.
        is_scoped: Whether all of it is one scope.
        expected: What is to be found.
        found: What is found where that is something else.
        exemption: Why nothing is to be found; empty if something is.
    """

    program: Program = field(repr=False)
    on: str
    is_scoped: bool
    expected: tuple[Expected, ...]
    found: tuple[Expected, ...] | None = None
    exemption: str = ""

    @property
    def name(self) -> str:
        """The program's."""
        return str(self.program.__name__)

    @property
    def heading(self) -> str:
        """What it is counted under."""
        return self.exemption or self.expected[0].kind


_SCENARIOS: Final[list[Scenario]] = []


def finds(
    kind: Kind,
    confidence: Confidence,
    fix: str,
    *and_too: Expected,
    on: str = "sqlite3",
    is_scoped: bool = True,
    is_missed: bool = False,
) -> Callable[[Program], Program]:
    """Enters a program in which exactly this is to be found; `is_missed` says that nothing is."""

    def enter(program: Program) -> Program:
        expected = (Expected(kind, confidence, fix), *and_too)
        _SCENARIOS.append(Scenario(program, on, is_scoped, expected, () if is_missed else None))
        return program

    return enter


def innocent(
    exemption: str, *, on: str = "sqlite3", is_scoped: bool = True, flagged: tuple[Expected, ...] | None = None
) -> Callable[[Program], Program]:
    """Enters a program in which nothing is to be found; `flagged` is what still is."""

    def enter(program: Program) -> Program:
        _SCENARIOS.append(Scenario(program, on, is_scoped, (), flagged, exemption))
        return program

    return enter


def all_scenarios() -> list[Scenario]:
    """All of them, in the order in which they are written."""
    for room in _ROOMS:
        importlib.import_module(f"repetition.{room}")
    return list(_SCENARIOS)


class _Clock:
    """Nanoseconds that go on with each look, and by what is waited."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1_000_000_000, _TICK_NS)
        self.waited_ns = 0

    def __call__(self) -> int:
        return next(self._ticks) + self.waited_ns


_CLOCK: Final = _Clock()


def wait(seconds: float) -> None:
    """Lets time pass for querygauge, and for nobody else."""
    _CLOCK.waited_ns += int(seconds * 1e9)


def repetitions_of(scenario: Scenario, new_database: NewDatabase) -> list[Repetition]:
    """What is found in a scenario, on a database of its own."""
    filling = _FILLS.get(scenario.on, scenario.on)
    url = new_database(filling)
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter_ns", _CLOCK)
        if scenario.on == _POOL:
            return asyncio.run(_run_on_pool(scenario, url))
        if scenario.on in ASYNC_DRIVERS:
            return asyncio.run(_run_on_async_engine(scenario, url))
        return _run_on_engine(scenario, url)


@contextmanager
def _measured(scenario: Scenario, target: Any) -> Iterator[list[Repetition]]:
    """What will have been found on `target` at the end."""
    found: list[Repetition] = []
    with instrument(target, store=None) as gauge:
        with scope("GET /shop") if scenario.is_scoped else nullcontext():
            yield found
        found += gauge.queries.get_repetitions()


def _run_on_engine(scenario: Scenario, url: URL) -> list[Repetition]:
    engine = create_engine(url)
    try:
        with _measured(scenario, engine) as found:
            scenario.program(engine)
    finally:
        engine.dispose()
    return found


async def _run_on_async_engine(scenario: Scenario, url: URL) -> list[Repetition]:
    driver = {"aiosqlite": "sqlite+aiosqlite", "asyncpg": "postgresql+asyncpg", "aiomysql": "mysql+aiomysql"}
    options = {"pool_size": _CONNECTIONS} if scenario.on == "asyncpg" else {}
    engine = create_async_engine(url.set(drivername=driver[scenario.on]), **options)
    try:
        with _measured(scenario, engine) as found:
            answer = scenario.program(engine)
            assert inspect.isawaitable(answer)
            await answer
    finally:
        await engine.dispose()
    return found


async def _run_on_pool(scenario: Scenario, url: URL) -> list[Repetition]:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with asyncpg.create_pool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS) as pool:
        with _measured(scenario, pool) as found:
            await scenario.program(pool)
    return found
