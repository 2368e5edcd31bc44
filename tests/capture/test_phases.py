"""Where the time of a pattern went is told as far as it can be told apart, and nothing of it twice."""

import time
from types import SimpleNamespace
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool, QueuePool

from databases.engines import NewAsyncEngine, NewDatabase
from querygauge.capture import sqlalchemy_engine, sqlalchemy_pool
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.values import PhaseTimes, QueryStats

ONE, TWO = text("SELECT 1"), text("SELECT 2 AS two")
NS_PER_S = 1_000_000_000


class Time:
    """A clock that only a test advances."""

    def __init__(self) -> None:
        self.now_ns = 1

    def perf_counter_ns(self) -> int:
        """The moment."""
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """What the hooks of engines and pools measure with that are attached from now on."""
    fake = Time()
    for module in (sqlalchemy_engine, sqlalchemy_pool):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter_ns=fake.perf_counter_ns))
    return fake


def slow_engine(clock: Time, pool: Any, **options: Any) -> Engine:
    """An engine on which opening a connection takes 5 s, a statement 1 s, and a COMMIT 2 s."""
    engine = create_engine("sqlite://", poolclass=pool, **options)

    @event.listens_for(engine, "do_connect")
    def connecting(*_: object) -> None:
        clock.now_ns += 5 * NS_PER_S

    for name, seconds in (("do_execute", 1), ("do_commit", 2)):
        method = getattr(engine.dialect, name)

        def slowed(*arguments: Any, _method: Any = method, _seconds: int = seconds) -> Any:
            clock.now_ns += _seconds * NS_PER_S
            return _method(*arguments)

        setattr(engine.dialect, name, slowed)
    return engine


def stats_of(gauge: Instrumentation, pattern: str) -> QueryStats:
    """The statistics of one pattern."""
    return next(stats for stats in gauge.queries.get_query_stats() if stats.query_pattern == pattern)


@pytest.mark.parametrize("pool", [QueuePool, NullPool])
def test_waiting_is_told_apart_from_opening(clock: Time, pool: Any) -> None:
    """What opening a connection takes is its create time, and no part of the wait of the one who needed it."""
    engine = slow_engine(clock, pool)
    with instrument(engine, store=None) as gauge:
        with engine.connect() as connection:
            connection.execute(ONE)
        metrics = gauge.pool.get_metrics()
        assert (metrics.create.total_ns, metrics.wait.total_ns, metrics.wait.count) == (5 * NS_PER_S, 0, 1)
        assert stats_of(gauge, "SELECT ?").phases == PhaseTimes(connect_ns=5 * NS_PER_S)
    engine.dispose()


def test_a_connection_that_was_opened_before_is_not_told_twice(clock: Time) -> None:
    """Whoever obtains it next waited for nothing."""
    engine = slow_engine(clock, QueuePool)
    with instrument(engine, store=None) as gauge:
        for _ in range(3):
            with engine.connect() as connection:
                connection.execute(ONE)
        assert stats_of(gauge, "SELECT ?").phases.connect_ns == 5 * NS_PER_S
        assert gauge.pool.get_metrics().wait.total_ns == 0
    engine.dispose()


def test_each_phase_is_its_patterns(clock: Time) -> None:
    """The first statement of a checkout takes what came before, the last before a COMMIT takes that."""
    engine = slow_engine(clock, QueuePool)
    with instrument(engine, store=None) as gauge:
        with engine.connect() as connection:
            connection.execute(ONE)
            connection.execute(TWO)
            connection.commit()
        first, second = stats_of(gauge, "SELECT ?"), stats_of(gauge, "SELECT ? AS two")
        assert first.phases == PhaseTimes(connect_ns=5 * NS_PER_S)
        assert second.phases == PhaseTimes(commit_ns=2 * NS_PER_S)
        assert first.execute_ms == second.execute_ms == 1_000.0
        assert first.to_dict()["connect_ms"] == 5_000.0
        assert second.to_dict()["commit_ms"] == 2_000.0
    engine.dispose()


def test_a_commit_after_a_flush_is_told_with_the_next_execution(clock: Time) -> None:
    """It belongs to a window in which its pattern was executed, and is not lost with the last one."""
    engine = slow_engine(clock, QueuePool)
    with instrument(engine, store=None) as gauge:
        with engine.connect() as connection:
            connection.execute(ONE)
            gauge.flush()
            connection.commit()
            gauge.flush()
            connection.execute(ONE)
        assert stats_of(gauge, "SELECT ?").phases.commit_ns == 2 * NS_PER_S
    engine.dispose()


async def test_asyncpg_tells_begin_and_prepare(new_async_engine: NewAsyncEngine) -> None:
    """Under SQLAlchemy the first statement of a transaction holds its BEGIN, and one that is new its PREPARE."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            await connection.execute(ONE)
            await connection.execute(TWO)
            await connection.commit()
        first, second = stats_of(gauge, "SELECT ?"), stats_of(gauge, "SELECT ? AS two")
        assert min(first.phases.begin_ns, first.phases.prepare_ns, second.phases.prepare_ns) > 0
        assert second.phases.begin_ns == first.phases.commit_ns == 0
        assert second.phases.commit_ns > 0
        assert first.execute_ms > 0
        assert first.phases.apart_ns < first.durations.total_ns


async def test_a_stream_tells_what_its_rows_took(new_async_engine: NewAsyncEngine) -> None:
    """Rows that are fetched after the execution was counted are a phase after it, and take nothing from it."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            result = await connection.stream(text("SELECT generate_series(1, 20000)"))
            assert len([row async for row in result]) == 20_000
        stats = stats_of(gauge, "SELECT generate_series(?)")
        assert stats.execution_count == 1
        assert stats.phases.stream_ns > stats.durations.total_ns, "or the test shows nothing"
        assert stats.phases.fetch_ns == 0
        assert 0 < stats.execute_ms <= stats.total_duration_ms


async def test_raw_asyncpg_tells_prepare_and_fetch(new_database: NewDatabase) -> None:
    """What is prepared for an execution is a phase within it, and so is what the rows of a cursor take."""
    url = new_database("asyncpg").set(drivername="postgresql")
    pool = await asyncpg.create_pool(url.render_as_string(hide_password=False), min_size=0, max_size=1)
    with instrument(pool, store=None) as gauge:
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetch("SELECT $1::int", 1)
            rows = [row async for row in connection.cursor("SELECT generate_series(1, 200)", prefetch=50)]
        await pool.release(await pool.acquire())
        begin, one = stats_of(gauge, "BEGIN"), stats_of(gauge, "SELECT ?")
        series = stats_of(gauge, "SELECT generate_series(?)")
    await pool.close()
    assert len(rows) == 200
    assert begin.phases.connect_ns > 0  # it was the first on the connection
    assert 0 < one.phases.prepare_ns < one.durations.total_ns
    assert series.phases.fetch_ns > 0
    assert series.phases.apart_ns < series.durations.total_ns


async def test_phases_reach_the_flushed_snapshot(new_async_engine: NewAsyncEngine) -> None:
    """What is written is what is shown."""
    engine: AsyncEngine = new_async_engine("asyncpg")
    with instrument(engine, store=None) as gauge:
        async with engine.connect() as connection:
            await connection.execute(ONE)
        [shown] = [stats for stats in gauge.snapshot().queries if stats.query_pattern == "SELECT ?"]
    assert shown.phases.prepare_ns > 0
    assert shown.durations.total_ns < time.perf_counter_ns()
