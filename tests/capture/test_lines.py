"""Of every pattern a line is known, and finding it is left out where it would tell nothing new."""

from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from sqlalchemy import Engine, create_engine, text

from databases.engines import NewDatabase
from querygauge.capture.call_site import CallSiteFinder
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument
from querygauge.storage.opening import open_store

ONE, TWO = text("SELECT 1 AS one"), text("SELECT 2 AS two")


def lines(gauge: Instrumentation) -> dict[str, dict[str, int]]:
    """By pattern, the functions that sent it and how often they were found."""
    return {
        stats.query_pattern: {line.rpartition(" in ")[2]: count for line, count in stats.lines.items()}
        for stats in gauge.queries.get_query_stats()
    }


def send(engine: Engine, *statements: Any) -> None:
    """A unit of work for each."""
    for statement in statements:
        with engine.connect() as connection:
            connection.execute(statement)


def again(engine: Engine) -> None:
    """Another line that sends the same."""
    send(engine, ONE)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the functions from which a line was looked for, as often as it was."""
    made: list[str] = []
    find = CallSiteFinder.find

    def noted(self: CallSiteFinder) -> str | None:
        made.append("line")
        return find(self)

    monkeypatch.setattr(CallSiteFinder, "find", noted)
    return made


def test_the_first_execution_of_a_pattern_tells_its_line() -> None:
    """Once; what follows on connections of its own is neither slow nor repeated."""
    engine = create_engine("sqlite://")
    with instrument(engine, store=None) as gauge:
        send(engine, ONE, TWO, ONE, ONE)
        assert lines(gauge) == {"SELECT ? AS one": {"send": 1}, "SELECT ? AS two": {"send": 1}}


def test_a_line_is_looked_for_once_a_pattern(searches: list[str]) -> None:
    """Besides those of the checkouts, which have one each."""
    engine = create_engine("sqlite://")
    with instrument(engine, store=None):
        send(engine, *[ONE] * 10)
        assert len(searches) == 10 + 1


def test_with_all_call_sites_every_line_is_counted() -> None:
    """As in development."""
    engine = create_engine("sqlite://")
    with instrument(engine, store=None, call_sites="all") as gauge:
        with engine.connect() as connection:
            connection.execute(ONE)
        again(engine)
        again(engine)
        found = lines(gauge)["SELECT ? AS one"]
        assert found == {"test_with_all_call_sites_every_line_is_counted": 1, "send": 2}
        [stats] = gauge.queries.get_query_stats()
        assert stats.call_site is not None
        assert stats.call_site.endswith("in send")


def test_lines_are_bounded() -> None:
    """A pattern that is sent from everywhere keeps eight of its lines."""
    engine = create_engine("sqlite://")
    source = "\n".join(f"def f{n}(c, s): c.execute(s)" for n in range(30))
    names: dict[str, Any] = {}
    exec(compile(source, "many.py", "exec"), names)
    with instrument(engine, store=None, call_sites="all") as gauge:
        for number in range(30):
            with engine.connect() as connection:
                names[f"f{number}"](connection, ONE)
            gauge.flush()
        assert len(lines(gauge)["SELECT ? AS one"]) == 8


def test_the_store_keeps_them(tmp_path: Any) -> None:
    """Added up over flushes."""
    engine = create_engine("sqlite://")
    with instrument(engine, store=tmp_path / "store", call_sites="all", collector="off") as gauge:
        for _ in range(3):
            send(engine, ONE)
            gauge.flush()
    [stats] = open_store(tmp_path / "store").query_stats()
    assert list(stats.lines.values()) == [3]
    assert stats.call_site is not None
    assert stats.call_site.endswith("in send")


async def test_asyncpg_tells_the_first_line_too(new_database: NewDatabase) -> None:
    """Of a pattern that it has not met."""
    url = new_database("asyncpg").set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    with instrument(connection, store=None) as gauge:
        await connection.fetch("SELECT 1 AS one")
        assert lines(gauge) == {"SELECT ? AS one": {"test_asyncpg_tells_the_first_line_too": 1}}
    await connection.close()
