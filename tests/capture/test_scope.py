"""Where a scope ends: it harms nobody who leaves it elsewhere, and reaches nothing that comes after it."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator

from sqlalchemy import text

from databases.engines import NewEngine
from querygauge import instrument, scope
from querygauge.capture.scope import CURRENT, Streak


def test_entered_and_left_in_different_contexts() -> None:
    """As a framework does that runs both ends of a generator in threads of their own."""
    entered = scope("GET /orders")
    contextvars.copy_context().run(entered.__enter__)
    contextvars.copy_context().run(entered.__exit__, None, None, None)


async def test_a_generator_that_is_not_exhausted() -> None:
    """Whoever closes it does so from another task."""

    async def rows() -> AsyncIterator[int]:
        with scope("GET /orders"):
            yield 1
            yield 2

    generator = rows()
    await asyncio.create_task(anext(generator))  # type: ignore[arg-type]  # anext() of a generator is a coroutine
    await generator.aclose()  # type: ignore[attr-defined]  # as above


async def test_a_task_that_outlives_its_scope(new_engine: NewEngine) -> None:
    """What it sends after the end of the scope belongs to none, or a loop which a request began would be its N+1."""
    engine, is_over = new_engine("sqlite3"), asyncio.Event()

    async def poll_for_ever() -> None:
        await is_over.wait()
        with engine.connect() as connection:
            for _ in range(6):
                connection.execute(text("SELECT abs(1) AS after"))

    with instrument(engine, store=None, history_threshold_ms=0) as gauge:
        with scope("GET /orders"):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1 AS inside"))
            task = asyncio.create_task(poll_for_ever())
        is_over.set()
        await task
        scopes = {slow.query: slow.scope for slow in gauge.queries.get_slow_queries(0)}
        repeated_in = [found.scope for found in gauge.queries.get_repetitions()]
    assert scopes == {"SELECT ? AS inside": "GET /orders", "SELECT abs(?) AS after": None}
    assert repeated_in == [None]


def test_what_it_is_called_is_bounded() -> None:
    """A name and a tag may come from a request, whose sender makes them as long as he likes."""
    with scope("x" * 1_000, tenant="y" * 1_000) as entered:
        assert entered.name == "x" * 200
        assert entered.tags == {"tenant": "y" * 200}


def test_what_is_left_of_it_in_a_context(new_engine: NewEngine) -> None:
    """A context may outlive its scope by minutes, as that of a timer; what was executed is let go of at the end."""
    engine = new_engine("sqlite3")

    def streaks() -> int:
        gc.collect()
        return sum(isinstance(each, Streak) for each in gc.get_objects())

    before = streaks()
    with instrument(engine, store=None) as gauge:
        with scope("GET /orders"), engine.connect() as connection:
            for _ in range(6):
                connection.execute(text("SELECT abs(1)"))
            context = contextvars.copy_context()
            assert streaks() == before + 1
        assert [found.execution_count for found in gauge.queries.get_repetitions()] == [6]
        assert streaks() == before
        assert CURRENT in context
