"""The line of the application that sent a statement, under every way to send one."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from querygauge.capture.call_site import CallSiteFinder
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

HERE = Path(__file__)
ONE = text("SELECT 1")


def measured(engine: Engine | AsyncEngine) -> Instrumentation:
    """A gauge that keeps every execution with its call site."""
    return instrument(
        engine, store=None, call_sites="all", slow_query_threshold_ms=0, app_root=HERE.parent, enable_logging=False
    )


def sites(gauge: Instrumentation) -> set[str | None]:
    """The call sites of the statement under test."""
    return {query.call_site for query in gauge.queries.get_slow_queries() if query.query == "SELECT ?"}


def here(lines_back: int) -> str:
    """The call site that lies so many lines above the caller's line."""
    frame = inspect.currentframe()
    assert frame is not None
    caller = frame.f_back
    assert caller is not None
    return f"capture/{HERE.name}:{caller.f_lineno - lines_back} in {caller.f_code.co_name}"


def test_sync(sync_engine: Engine) -> None:
    """A statement is attributed to the line that called SQLAlchemy."""
    with measured(sync_engine) as gauge, sync_engine.connect() as connection:
        connection.execute(ONE)
        expected = here(1)
        assert sites(gauge) == {expected}


def test_thread(sync_engine: Engine) -> None:
    """In a thread the line is that of the thread's own function."""
    found: list[str] = []

    def work() -> None:
        with sync_engine.connect() as connection:
            connection.execute(ONE)
            found.append(here(1))

    with measured(sync_engine) as gauge:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert sites(gauge) == set(found)


def test_generator(sync_engine: Engine) -> None:
    """Inside a generator the line is the generator's."""
    found: list[str] = []

    def rows() -> Iterator[Any]:
        with sync_engine.connect() as connection:
            yield from connection.execute(ONE)
            found.append(here(1))

    with measured(sync_engine) as gauge:
        assert len(list(rows())) == 1
        assert sites(gauge) == set(found)


async def test_async(async_engine: AsyncEngine) -> None:
    """Under an AsyncEngine the line is that of the await, beyond the greenlet."""
    with measured(async_engine) as gauge:
        async with async_engine.connect() as connection:
            await connection.execute(ONE)
            expected = here(1)
        assert sites(gauge) == {expected}


async def test_gather(async_engine: AsyncEngine) -> None:
    """In a task of its own the line is still that of the await."""
    found: list[str] = []

    async def work() -> None:
        async with async_engine.connect() as connection:
            await connection.execute(ONE)
            found.append(here(1))

    with measured(async_engine) as gauge:
        await asyncio.gather(work(), work())
        assert sites(gauge) == set(found)


async def test_run_sync(async_engine: AsyncEngine) -> None:
    """A synchronous function under `run_sync` is found as it is, without a hop."""
    found: list[str] = []

    def work(connection: Connection) -> None:
        connection.execute(ONE)
        found.append(here(1))

    with measured(async_engine) as gauge:
        async with async_engine.connect() as connection:
            await connection.run_sync(work)
        assert sites(gauge) == set(found)


async def test_a_coroutine_that_is_a_task_itself_has_no_line(async_engine: AsyncEngine) -> None:
    """Nobody awaits it: who runs the event loop, or the loop itself, is not the sender."""
    with measured(async_engine) as gauge:
        async with async_engine.connect() as connection:
            await asyncio.ensure_future(connection.execute(ONE))
        assert sites(gauge) == {None}


def test_library_is_better_than_nothing(tmp_path: Path) -> None:
    """Where no frame is the application's, the nearest one that is neither SQLAlchemy's nor ours is named."""
    site = CallSiteFinder(app_root=tmp_path).find()
    assert site is not None
    assert HERE.name in site


@pytest.mark.parametrize("root", [None, HERE.parents[1]])
def test_paths_are_short(root: Path | None) -> None:
    """A path is relative to what holds the application, so that it reads the same on every machine."""
    site = CallSiteFinder(app_root=root).find()
    assert site is not None
    assert site.startswith(("tests/", "capture/")), site
