"""The line of the application that sent a statement, under every way to send one."""

import asyncio
import inspect
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from greenlet import greenlet  # type: ignore[import-untyped]  # it has no stubs
from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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


async def test_again_and_again(async_engine: AsyncEngine) -> None:
    """What is found by its depth is the same line that walking finds, by whichever way the statement came."""
    expected: list[str] = []

    async def repository(connection: AsyncConnection) -> None:
        await connection.execute(ONE)
        expected.append(here(1))

    def query(connection: Connection) -> None:
        connection.execute(ONE)
        expected.append(here(1))

    with measured(async_engine) as gauge:
        for _ in range(300):
            async with async_engine.connect() as connection:
                await repository(connection)
                await connection.run_sync(query)
                await connection.execute(ONE)
                expected.append(here(1))
        found = [query.call_site for query in gauge.queries.get_slow_queries() if query.query == "SELECT ?"]
    assert Counter(found) == Counter(expected)


def function(filename: Path | str, source: str) -> Any:
    """The function that a file defines."""
    names: dict[str, Any] = {}
    exec(compile(source, str(filename), "exec"), names)  # the sources below
    return names.popitem()[1]


def test_without_a_frame_of_the_application_for_long(tmp_path: Path) -> None:
    """A library's line is found by its depth as well, and gives way to the application's soon after that is there."""
    send = function("/lib/orm.py", "def send(find):\n return find()")
    view = function(tmp_path / "views.py", "def view(send, find):\n return send(find)")
    finder = CallSiteFinder(tmp_path)
    library, application = "/lib/orm.py:2 in send", f"{tmp_path.name}/views.py:2 in view"
    assert {send(finder.find) for _ in range(500)} == {library}
    lines = [view(send, finder.find) for _ in range(300)]
    assert set(lines[257:]) == {application}
    assert {send(finder.find) for _ in range(500)} == {library}
    assert view(send, finder.find) == application


def test_one_line_that_calls_now_a_library_and_now_the_application(sync_engine: Engine) -> None:
    """As deep again, from the same instruction, there may be another frame of the application's in between."""

    def retry(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    def load(connection: Connection, statement: Any) -> Any:
        return connection.execute(statement).scalar()

    with measured(sync_engine) as gauge, sync_engine.connect() as connection:
        retry(connection.scalar, text("SELECT 1 AS a"))
        for _ in range(100):
            retry(load, connection, text("SELECT 2 AS b"))
        lines = {stats.query_pattern: stats.lines for stats in gauge.queries.get_query_stats()}
    assert [line.rpartition(" ")[2] for line in lines["SELECT ? AS a"]] == ["retry"]
    assert {line.rpartition(" ")[2]: times for line, times in lines["SELECT ? AS b"].items()} == {"load": 100}


async def test_one_line_that_awaits_now_a_library_and_now_the_application(async_engine: AsyncEngine) -> None:
    """The same beyond a greenlet."""

    async def retry(function: Any, *arguments: Any) -> Any:
        return await function(*arguments)

    async def load(connection: AsyncConnection, statement: Any) -> Any:
        return (await connection.execute(statement)).scalar()

    with measured(async_engine) as gauge:
        async with async_engine.connect() as connection:
            for _ in range(3):
                await retry(connection.scalar, text("SELECT 1 AS a"))
            for _ in range(100):
                await retry(load, connection, text("SELECT 2 AS b"))
        lines = {stats.query_pattern: stats.lines for stats in gauge.queries.get_query_stats()}
    assert [line.rpartition(" ")[2] for line in lines["SELECT ? AS a"]] == ["retry"]
    assert {line.rpartition(" ")[2]: times for line, times in lines["SELECT ? AS b"].items()} == {"load": 100}


def test_a_greenlet_of_gevents_was_sent_by_nobody_who_waits_elsewhere() -> None:
    """Only SQLAlchemy's greenlets are waited for by who sent the statement."""
    send = function("/lib/pool.py", "def send(find):\n return find()")
    found = greenlet(send).switch(CallSiteFinder(Path("/srv")).find)
    assert found == "/lib/pool.py:2 in send"
    assert greenlet(CallSiteFinder().find).switch() is None


def test_a_command_that_an_installer_wrote_sends_nothing(tmp_path: Path) -> None:
    """Of an application that is installed, `bin/gunicorn` would be the only line there is."""
    launcher = tmp_path / "gunicorn"
    launcher.write_text(
        "#!/usr/bin/python\nimport re\nimport sys\nfrom gunicorn.app.wsgiapp import run\nif __name__ == '__main__':\n"
        "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    sys.exit(run())\n"
    )
    script = tmp_path / "nightly"
    script.write_text("import sys\nif len(sys.argv) > 3:\n    print('usage:', sys.argv[0])\nwork()\nsys.exit(0)\n")
    source = "def run(find):\n return find()"
    found = function(launcher, source)(CallSiteFinder().find)
    assert found is not None
    assert found.endswith(here(2))
    assert function(script, source)(CallSiteFinder().find) == f"{script}:2 in run"


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
