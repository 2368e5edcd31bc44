"""
Whether an hour of traffic leaves anything behind: memory that grows, or gauges that drift from what they measure.

Two processes do the same work against one PostgreSQL, one bare and one with querygauge, its store and its collector:
50 tasks over SQLAlchemy's asynchronous engine and over a pool of asyncpg, in scopes, with errors, cancellations,
timeouts, transactions, cursors and lost connections. 2,000 patterns come in every phase, a thousand texts over each of
the two; `--fresh` adds texts that one phase alone has, so that some patterns are counted together, and some forgotten
again. The wall clock is simulated: an hour passes with the statements, and with it some 300 flushes, 60 folds and four
retentions.

After each phase, when all tasks rest, it is compared: the executions with what asyncpg's query logger and SQLAlchemy's
own event count, the gauges and checkouts with the pools; in the end the store with the driver. Memory is resident,
after a garbage collection, and ours is the difference of the processes; the first third of the phases is to warm up.

Run with `make bench SCRIPT=soak.py`; `--statements` sets how many each process sends, `--json` prints the figures
for machines. Status 1 if a limit is broken; those of memory are for the full number, before which nothing is warm.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from databases.postgres import new_postgres_database, running_postgres
from querygauge import Snapshot, scope
from querygauge.gauge import Instrumentation, also_write
from querygauge.process_usage import process_usage
from querygauge.settings import Settings
from querygauge.storage.opening import open_store

_ARMS: Final = ("bare", "querygauge")
_TASKS: Final = 50
_PHASES: Final = 12
_WARM_UP: Final = 4  # phases
_POOL_SIZE: Final = 10  # of each pool, so that tasks wait for each other
_COMMON: Final = 1_000  # texts of every phase, each a pattern of the engine and one of the pool
_HOT: Final = 60  # of them are those that most statements have
_HOUR_US: Final = 3_600_000_000
_OURS_MB: Final = 30.0
_GROWTH_MB: Final = 3.0  # of ours between the warm-up and the end
_ENGINE, _RAW = "engine", "pool"


class Clock:
    """The machine's for durations; of the day, an hour passes while `total` statements are sent."""

    monotonic_ns = staticmethod(time.perf_counter_ns)

    def __init__(self, total: int) -> None:
        self.sent = 0
        self._total = total
        self._began_us = time.time_ns() // 1_000

    def now_us(self) -> int:
        """As `Clock.now_us`."""
        return self._began_us + _HOUR_US * self.sent // self._total


@dataclass
class Phase:
    """What one process is like after a phase: its memory, and for each number what is true and what the gauge says."""

    arm: str
    number: int
    sent: int
    memory_mb: float
    seconds: float
    numbers: dict[str, tuple[int, int]]


def _name(number: int) -> str:
    """A name without digits, as names that differ by a number are one in patterns."""
    letters = ""
    while number or not letters:
        number, letter = divmod(number, 26)
        letters += chr(ord("a") + letter)
    return letters


class Flushed:
    """
    A sink beside the store, which adds up what is flushed: a report would take memory of its own.

    Attributes:
        executions: So far.
        mistakes: Hooks that failed and statements that were dropped, so far.
    """

    def __init__(self) -> None:
        self.executions = self.mistakes = self.dropped = 0

    def write(self, snapshot: Snapshot) -> None:
        """As `SnapshotSink.write`."""
        self.executions += sum(stats.execution_count for stats in snapshot.queries)
        self.mistakes = snapshot.self_metrics.hook_errors + snapshot.self_metrics.statements_dropped


class Traffic:
    """
    The application.

    Args:
        fresh: Texts that one phase alone has, in each of them.
        truth: Counts what no driver counts.
    """

    def __init__(
        self, engine: AsyncEngine, pool: Any, clock: Clock, total: int, fresh: int, truth: Counter[str]
    ) -> None:
        self._truth = truth
        self._engine = engine
        self._pool = pool
        self._clock = clock
        self._total = total
        self._fresh = fresh
        self._random = random.Random(4)
        self._statements = [f"SELECT $1::int AS {_name(number)}" for number in range(_COMMON + _PHASES * fresh)]
        self._texts = [text(sent.replace("$1::int", "CAST(:value AS int)")) for sent in self._statements]

    async def phase(self, number: int) -> None:
        """Sends the statements of one phase, in 50 tasks."""
        until = self._total * (number + 1) // _PHASES
        async with asyncio.TaskGroup() as tasks:
            for task in range(_TASKS):
                tasks.create_task(self._work(number, task, until))

    async def _work(self, phase: int, task: int, until: int) -> None:
        unit = 0
        while self._clock.sent < until:
            unit += 1
            kind = self._random.random()
            with scope(f"GET /{_name(task)}", tenant=_name(unit % 7)):
                if kind < 0.01:
                    await self._lost()
                elif kind < 0.3:
                    await self._over_engine(phase, task, kind)
                else:
                    await self._over_pool(phase, task, kind)

    def _pattern(self, phase: int, task: int) -> int:
        """A pattern that all tasks have, or one of the task's own, or one of the phase's own."""
        kind = self._random.random()
        if kind < 0.92:
            return self._random.randrange(_HOT)
        if kind < 0.99 or not self._fresh:
            return self._random.randrange(task, _COMMON, _TASKS)
        return _COMMON + phase * self._fresh + self._random.randrange(task % self._fresh, self._fresh, _TASKS)

    async def _over_engine(self, phase: int, task: int, kind: float) -> None:
        async with self._engine.connect() as connection:
            for _ in range(8):
                pattern = self._pattern(phase, task)
                statement = self._texts[pattern]
                await connection.execute(statement, {"value": pattern})
                self._clock.sent += 1
            if kind < 0.03:
                with suppress(DBAPIError):
                    await connection.execute(text("SELECT * FROM nowhere"))
                self._clock.sent += 1
            else:
                await connection.commit()

    async def _over_pool(self, phase: int, task: int, kind: float) -> None:
        async with self._pool.acquire() as connection:
            self._truth["checkouts of the pool"] += 1
            for _ in range(20):
                pattern = self._pattern(phase, task)
                await connection.fetchval(self._statements[pattern], pattern)
                self._clock.sent += 1
            if kind < 0.32:
                with suppress(asyncpg.PostgresError):
                    await connection.fetch("SELECT * FROM nowhere")
                self._clock.sent += 1
            elif kind < 0.33:
                async with connection.transaction():
                    self._truth[_RAW] += 1  # the query logger does not tell of cursors
                    _ = [row async for row in connection.cursor("SELECT n FROM generate_series(1, 90) AS n")]
                self._clock.sent += 3
            elif kind < 0.332:
                with suppress(TimeoutError):
                    await connection.fetch("SELECT pg_sleep(0.02)", timeout=0.005)
                self._clock.sent += 1

    async def _lost(self) -> None:
        """A caller that loses its patience: while it waits for a connection, or for a statement."""
        if self._random.random() < 0.5:
            with suppress(TimeoutError):
                async with self._pool.acquire(timeout=0.001):
                    self._truth["checkouts of the pool"] += 1
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(0.03), self._engine.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(0.1)"))
        self._clock.sent += 1


async def _run(arm: str, url: str, total: int, fresh: int, store: Path, tell: Callable[[Phase], None]) -> None:
    """One process: the traffic, and after each phase what it looks like."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), pool_size=_POOL_SIZE, max_overflow=0
    )
    clock = Clock(total)
    truth: Counter[str] = Counter()

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda _: truth.update([_RAW]))

    async with asyncpg.create_pool(url, min_size=_POOL_SIZE, max_size=_POOL_SIZE, init=listen) as pool:
        traffic = Traffic(engine, pool, clock, total, fresh, truth)
        _count(engine, truth)
        async with engine.connect():
            pass  # SQLAlchemy asks the server what it is, of which no event tells
        truth.clear()
        flushed = Flushed()
        gauge = _gauge(engine, pool, clock, store) if arm == "querygauge" else None
        also_write(flushed)
        began = time.monotonic()
        for number in range(_PHASES):
            await traffic.phase(number)
            await asyncio.sleep(0.2)  # connections that were lost are being closed
            numbers = {} if gauge is None else _numbers(gauge, flushed, engine, pool, truth)
            tell(Phase(arm, number + 1, clock.sent, _memory_mb(), time.monotonic() - began, numbers))
    await engine.dispose()
    if gauge is not None:
        gauge.close()
        numbers = _stored(store, truth)
        tell(Phase(arm, _PHASES + 1, clock.sent, _memory_mb(), time.monotonic() - began, numbers))


def _count(engine: AsyncEngine, truth: Counter[str]) -> None:
    """Has SQLAlchemy count what it sends and hands out; in both processes, so that it costs both the same."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def executes(*_arguments: object) -> None:
        truth[_ENGINE] += 1

    @event.listens_for(engine.sync_engine, "checkout")
    def checks_out(*_arguments: object) -> None:
        truth["checkouts of the engine"] += 1


def _gauge(engine: AsyncEngine, pool: Any, clock: Clock, store: Path) -> Instrumentation:
    # As instrument() does, but for the clock.
    settings = Settings(store=store, service="soak", stats_retention_hours=0.25, enable_logging=False)
    gauge = Instrumentation(settings, lambda _: None, clock)
    gauge.attach(engine.sync_engine, _ENGINE)
    gauge.attach(pool, _RAW)
    gauge.start()
    return gauge


def _numbers(
    gauge: Instrumentation, flushed: Flushed, engine: AsyncEngine, pool: Any, truth: Counter[str]
) -> dict[str, tuple[int, int]]:
    """Every number that somebody else knows too, while nobody does anything."""
    gauge.flush()
    found: dict[str, tuple[int, int]] = {
        "executions": (truth[_ENGINE] + truth[_RAW], flushed.executions),
        "mistakes of ours": (0, flushed.mistakes),
    }
    sync: Any = engine.pool
    waiting = sync._pool._queue._queue  # noqa: SLF001  # checkedin() counts entries without a connection, too
    open_ones = sum(entry.dbapi_connection is not None for entry in waiting)
    true = {
        _ENGINE: (sync.checkedout(), open_ones),
        _RAW: (pool.get_size() - pool.get_idle_size(), pool.get_idle_size()),
    }
    for name, (in_use, idle) in true.items():
        monitor = gauge.pools[name]
        snapshot, metrics = monitor.get_current_snapshot(), monitor.get_metrics()
        found |= {
            f"{name}: in use": (in_use, snapshot.active_connections),
            f"{name}: idle": (idle, snapshot.idle_connections),
            f"{name}: waiting": (0, snapshot.waiting_count),
            f"{name}: held": (in_use, len(monitor.held)),
            f"{name}: checkouts": (truth[f"checkouts of the {name}"], metrics.total_checkouts),
        }
    return found


def _stored(store: Path, truth: Counter[str]) -> dict[str, tuple[int, int]]:
    """What the store says that was executed, beside what the drivers say."""
    opened = open_store(store)
    counted = {
        name: sum(stats.execution_count for stats in opened.query_stats(target=name)) for name in (_ENGINE, _RAW)
    }
    return {f"{name}: stored": (truth[name], counted[name]) for name in counted}


def _memory_mb() -> float:
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free, but not given back, is nobody's
    return (process_usage().memory_bytes or 0) / 2**20


@dataclass(frozen=True)
class Verdict:
    """
    What came of it.

    Attributes:
        ours_mb: Most that the one process had more than the other, after the warm-up.
        growth_mb: How much more that was at the end than at the beginning of what followed the warm-up, by a straight
            line through all of it.
        drifted: Numbers that differ from the truth: phase, name, truth, and what the gauge said.
    """

    statements: int
    ours_mb: float
    growth_mb: float
    drifted: list[tuple[int, str, int, int]]

    @property
    def holds(self) -> bool:
        """Whether no limit is broken."""
        return self.ours_mb <= _OURS_MB and self.growth_mb <= _GROWTH_MB and not self.drifted


def _verdict(phases: dict[str, list[Phase]]) -> Verdict:
    ours = [with_us.memory_mb - bare.memory_mb for bare, with_us in _pairs(phases)][_WARM_UP:]
    slope, _ = statistics.linear_regression(range(len(ours)), ours)
    drifted = [
        (phase.number, name, true, said)
        for phase in phases["querygauge"]
        for name, (true, said) in phase.numbers.items()
        if true != said
    ]
    return Verdict(phases["querygauge"][-1].sent, max(ours), slope * (len(ours) - 1), drifted)


def _pairs(phases: dict[str, list[Phase]]) -> list[tuple[Phase, Phase]]:
    return list(zip(phases["bare"][:_PHASES], phases["querygauge"][:_PHASES], strict=True))


def _both(server: URL, total: int, fresh: int) -> dict[str, list[Phase]]:
    """The two processes side by side, each over a database of its own, with their progress."""
    found: dict[str, list[Phase]] = {arm: [] for arm in _ARMS}
    with ExitStack() as stack:
        readers = []
        for arm in _ARMS:
            database = stack.enter_context(new_postgres_database(server))
            store = stack.enter_context(tempfile.TemporaryDirectory(prefix="querygauge-soak-"))
            dsn = database.render_as_string(hide_password=False)
            command = [
                sys.executable,
                __file__,
                "--arm",
                arm,
                "--url",
                dsn,
                "--statements",
                str(total),
                "--fresh",
                str(fresh),
                "--store",
                store,
            ]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            readers.append(threading.Thread(target=_read, args=(process, found[arm])))
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    if any(len(phases) < _PHASES for phases in found.values()):
        sys.exit("a process has ended before its time")
    return found


def _read(process: "subprocess.Popen[str]", phases: list[Phase]) -> None:
    for line in process.stdout or ():
        phase = Phase(**json.loads(line))
        phases.append(phase)
        told = f"{phase.arm:<12}phase {phase.number:>2}  {phase.sent:>9,} statements  {phase.memory_mb:7.1f} MB"
        print(f"{told}  {phase.seconds:6.0f} s", file=sys.stderr, flush=True)


def _print(phases: dict[str, list[Phase]], verdict: Verdict) -> None:
    print(f"\n{'phase':>5}{'statements':>13}{'bare MB':>10}{'with MB':>10}{'ours MB':>10}{'compared':>10}{'differ':>8}")
    for bare, ours in _pairs(phases):
        differ = sum(true != said for true, said in ours.numbers.values())
        memory = f"{bare.memory_mb:>10.1f}{ours.memory_mb:>10.1f}{ours.memory_mb - bare.memory_mb:>+10.1f}"
        print(f"{ours.number:>5}{ours.sent:>13,}{memory}{len(ours.numbers):>10}{differ:>8}")
    print(f"\nours after the warm-up: at most {verdict.ours_mb:.1f} MB (limit {_OURS_MB:.0f}), ", end="")
    print(f"grown by {verdict.growth_mb:+.1f} MB (limit {_GROWTH_MB:.0f})")
    for number, name, true, said in verdict.drifted:
        print(f"phase {number}: {name} is {true}, the gauge says {said}")
    print("holds" if verdict.holds else "a limit is broken")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--statements", type=int, default=1_000_000, help="how many each of both processes sends")
    parser.add_argument("--fresh", type=int, default=0, help="texts that each twelfth alone has, besides the 1,000")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--arm", choices=_ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        asyncio.run(_run(arguments.arm, arguments.url, arguments.statements, arguments.fresh, arguments.store, _tell))
        return
    with ExitStack() as stack:
        phases = _both(stack.enter_context(running_postgres()), arguments.statements, arguments.fresh)
    verdict = _verdict(phases)
    if arguments.json:
        told = {arm: [asdict(phase) for phase in found] for arm, found in phases.items()}
        print(json.dumps({**told, "verdict": {**asdict(verdict), "holds": verdict.holds}}, indent=1))
    else:
        _print(phases, verdict)
    sys.exit(not verdict.holds)


def _tell(phase: Phase) -> None:
    print(json.dumps(asdict(phase)), flush=True)


if __name__ == "__main__":
    main()
