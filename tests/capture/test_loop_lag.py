"""A blocked event loop is told apart from a slow query, and never more of it than there was."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from databases.engines import NewAsyncEngine, NewDatabase
from querygauge.capture import loop_lag
from querygauge.capture.loop_lag import BEAT_S, LoopLag, _Heart
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

MS = 1_000_000
BEAT_NS = int(BEAT_S * 1e9)
ONE = text("SELECT 1 AS one")


class Loop:
    """An event loop of which a test decides when its timers come."""

    def __init__(self) -> None:
        self.timer: Callable[[], None] | None = None

    def call_later(self, _delay: float, callback: Callable[[], None]) -> None:
        """Keeps the one timer there is."""
        self.timer = callback

    def beat(self) -> None:
        """Runs the timer."""
        timer, self.timer = self.timer, None
        assert timer is not None
        timer()


class Time:
    """A clock that only a test advances."""

    now_ns = 0

    def perf_counter_ns(self) -> int:
        """The moment."""
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """What hearts measure with."""
    fake = Time()
    monkeypatch.setattr(loop_lag, "time", SimpleNamespace(perf_counter_ns=fake.perf_counter_ns))
    return fake


def beating(loop: Any) -> _Heart:
    """A heart that has just begun."""
    heart = _Heart(loop)
    heart.is_wanted = True
    heart.begin(loop)
    return heart


def test_a_timer_that_is_on_time_tells_nothing(clock: Time) -> None:
    """A loop that nobody blocks has no lag, however long the query took."""
    loop = Loop()
    heart = beating(loop)
    for _ in range(50):
        clock.now_ns += BEAT_NS + MS // 2
        loop.beat()
    assert heart.blocked_ns(0, clock.now_ns) == 0


def test_a_late_timer_tells_how_late(clock: Time) -> None:
    """From when it was due until it came, as far as the query was under way then."""
    loop = Loop()
    heart = beating(loop)
    clock.now_ns = BEAT_NS + 80 * MS
    loop.beat()
    clock.now_ns += BEAT_NS
    loop.beat()
    assert heart.blocked_ns(0, clock.now_ns) == 80 * MS
    assert heart.blocked_ns(BEAT_NS + 50 * MS, clock.now_ns) == 30 * MS
    assert heart.blocked_ns(BEAT_NS + 80 * MS, clock.now_ns) == 0


def test_whoever_asks_before_the_late_timer_is_told_too(clock: Time) -> None:
    """What a query waited for may run before the timer does."""
    heart = beating(Loop())
    clock.now_ns = BEAT_NS + 80 * MS
    assert heart.blocked_ns(0, clock.now_ns) == 80 * MS


def test_the_timer_ends_with_the_use(clock: Time) -> None:
    """An application that sends nothing has no timer after two seconds at the latest, and one again when it goes on."""
    loop = Loop()
    heart = beating(loop)
    beats = 0
    while loop.timer is not None:
        beats += 1
        clock.now_ns += BEAT_NS
        loop.beat()
    assert beats == 2 / BEAT_S
    clock.now_ns += 10_000 * MS
    assert not heart.is_beating
    assert heart.blocked_ns(0, clock.now_ns) == 0


async def test_a_loop_is_not_kept_and_has_one_timer() -> None:
    """Whoever uses it, and however often."""
    one, other = LoopLag(), LoopLag()
    for _ in range(3):
        one.touch()
        other.touch()
    assert one._heart is other._heart
    assert one.loop is asyncio.get_running_loop()


def test_a_closed_loop_is_let_go() -> None:
    """Nothing of ours keeps it alive."""
    lag = LoopLag()

    async def use() -> "weakref.ref[asyncio.AbstractEventLoop]":
        lag.touch()
        return weakref.ref(asyncio.get_running_loop())

    loop_of = asyncio.run(use())
    gc.collect()
    assert loop_of() is None
    assert lag.loop is None


def block(seconds: float) -> None:
    """Keeps the loop from running anything else."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def blocked_meanwhile(send: Callable[[], Any]) -> None:
    """Sends a statement, and blocks the loop for 200 ms before its answer can be taken."""
    task = asyncio.ensure_future(send())
    await asyncio.sleep(0)  # it is on its way now
    block(0.2)
    await task


def one(gauge: Instrumentation, pattern: str) -> Any:
    """The statistics of a pattern."""
    return next(stats for stats in gauge.queries.get_query_stats() if stats.query_pattern == pattern)


@pytest.mark.parametrize("driver", ["asyncpg", "aiomysql"])
async def test_a_blocked_loop_is_no_slow_query(new_async_engine: NewAsyncEngine, driver: str) -> None:
    """The duration is what the application saw, and says that most of it was the loop's."""
    engine: AsyncEngine = new_async_engine(driver)
    with instrument(engine, store=None, slow_query_threshold_ms=100) as gauge:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 2"))
            await blocked_meanwhile(lambda: connection.execute(ONE))
        stats = one(gauge, "SELECT ? AS one")
        assert stats.durations.max_ms >= 150
        assert 150 * MS < stats.phases.loop_lag_ns <= stats.durations.total_ns
        assert stats.slow_count == 0
        assert not gauge.queries.get_slow_queries()


async def test_a_slow_query_stays_one(new_async_engine: NewAsyncEngine) -> None:
    """A loop that goes on while the server works is no excuse; one that is blocked for a part of it is told."""
    engine = new_async_engine("asyncpg")
    with instrument(engine, store=None, slow_query_threshold_ms=100) as gauge:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 2"))
            await blocked_meanwhile(lambda: connection.execute(text("SELECT pg_sleep(0.6)")))
        [slow] = gauge.queries.get_slow_queries()
    assert slow.duration_ms >= 600
    assert 150 < slow.loop_lag_ms < 500


async def test_raw_asyncpg_tells_it_too(new_database: NewDatabase) -> None:
    """In a pool, and on a connection that belongs to none."""
    url = new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)
    pool = await asyncpg.create_pool(url, min_size=1, max_size=1)
    single = await asyncpg.connect(url)
    with instrument(pool, single, store=None, slow_query_threshold_ms=100) as gauge:
        async with pool.acquire() as connection:
            await blocked_meanwhile(lambda: connection.fetch("SELECT 1 AS one"))
        await single.fetch("SELECT 2 AS two")
        await blocked_meanwhile(lambda: single.fetch("SELECT 2 AS two"))
        for pattern in ("SELECT ? AS one", "SELECT ? AS two"):
            assert one(gauge, pattern).phases.loop_lag_ns > 150 * MS
            assert one(gauge, pattern).slow_count == 0
    await single.close()
    await pool.close()
