"""What hangs in a database is shown before it ends: in the report, in `top`, in JSON, and through the store."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from capture.held_statements import seen
from databases.engines import NewAsyncEngine, NewEngine
from querygauge import instrument, scope
from querygauge.gauge import Instrumentation
from querygauge.surfaces.cli import app
from querygauge.surfaces.stored import read_report

HERE = Path(__file__)
NAP = "SELECT pg_sleep(600)"
CANCEL = text("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")


def printed(*command: str, store: Path) -> str:
    """What a command says about a store."""
    result = CliRunner().invoke(app, [*command, "--store", str(store)])
    assert result.exit_code == 0, result.output
    return result.output


@contextmanager
def asleep(gauge: Instrumentation, nap: Callable[[], None], wake: Callable[[], None]) -> Iterator[None]:
    """A thread that sleeps in the database for the length of the block."""
    thread = threading.Thread(target=nap)
    thread.start()
    try:
        seen(gauge, lambda found: len(found) == 1 and found[0].age_ms > 20, "pg_sleep")
        yield
    finally:
        wake()
        thread.join(60)
        assert not thread.is_alive()


def test_it_is_shown_until_it_ends(new_engine: NewEngine, tmp_path: Path) -> None:
    """Its age, line, target and process, where anybody looks; and no trace of it once the next flush came."""
    engine, store = new_engine("psycopg"), tmp_path / "store"

    def nap() -> None:
        with suppress(DBAPIError), engine.connect() as connection:
            connection.execute(text(NAP))

    def wake() -> None:
        with engine.connect() as connection:
            connection.execute(CANCEL)

    gauge = instrument(
        engine, name="shop", store=store, collector="off", slow_query_threshold_ms=10, app_root=HERE.parent
    )
    with gauge, asleep(gauge, nap, wake):
        gauge.flush()
        pages = [gauge.report(), printed("report", store=store), printed("top", "--once", store=store)]
        live = gauge.report_data()
        kept = read_report(store, "1h", None)
        told = json.loads(printed("report", "--format", "json", store=store))
        wakened = gauge.running()
    for page in pages:
        assert "RUNNING NOW (1 under way; the slow ones" in page
        assert "test_running_shown.py" in page
        assert "@ shop" in page
    (process,) = kept.running
    assert (process.process, process.count) == (live.running[0].process, 1)
    (query,) = process.queries
    assert query.call_site is not None
    assert query.call_site.endswith(" in nap")
    assert query.query_pattern == "SELECT pg_sleep(?)"
    # As of the flush, and not of the reading.
    assert 20 < query.age_ms < live.running[0].queries[0].age_ms < wakened[0].age_ms
    assert query.started <= process.seen
    assert told["running"] == [process.to_dict()]
    for page in (gauge.report(), printed("report", store=store), printed("top", "--once", store=store)):
        assert "RUNNING NOW" not in page
    assert read_report(store, "1h", None).running == ()


async def test_a_task_has_its_scope(new_async_engine: NewAsyncEngine, tmp_path: Path) -> None:
    """Which endpoint hangs is seen as well, where tasks tell it."""
    engine, store = new_async_engine("asyncpg"), tmp_path / "store"

    async def nap() -> None:
        with scope("GET /slow"):
            async with engine.connect() as connection:
                await connection.execute(text(NAP))

    gauge = instrument(engine, name="shop", store=store, collector="off", slow_query_threshold_ms=10)
    with gauge:
        task = asyncio.create_task(nap())
        await asyncio.to_thread(
            seen, gauge, lambda found: bool(found and found[0].scope and found[0].age_ms > 20), "pg_sleep"
        )
        await asyncio.to_thread(gauge.flush)
        page = await asyncio.to_thread(printed, "report", store=store)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "[GET /slow]" in page
    assert "RUNNING NOW" not in printed("report", store=store)
