"""What the hot path is made of: the calls of ours that a statement and a unit of work pass through, by number."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection, Engine, text

import querygauge
from databases.engines import NewAsyncEngine, NewEngine
from querygauge.instrumenting import instrument

OURS = str(Path(querygauge.__file__).parent)
ONE = text("SELECT 1 AS one")


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """Python functions of ours that `work` calls, by name, once everything is warm."""
    for _ in range(20):
        work()
    with noted_calls() as calls:
        work()
    return calls


@contextmanager
def noted_calls() -> Iterator[Counter[str]]:
    """Counts Python functions of ours that are called, and coroutines of ours that go on, by name."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            calls[frame.f_code.co_name] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def unit_of_work(engine: Engine) -> None:
    """Connect, one statement, commit, give back."""
    with engine.connect() as connection:
        connection.execute(ONE)
        connection.commit()


def test_a_unit_of_work_is_five_calls(new_engine: NewEngine) -> None:
    """Asking for a connection, finding the line that asked, the statement, the COMMIT, the connection's return."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None):
        calls = calls_of(lambda: unit_of_work(engine))
    assert calls == {"connect": 1, "find": 1, "timed": 1, "commit": 1, "return_connection": 1}


def test_a_repeated_statement_is_one_call(new_engine: NewEngine) -> None:
    """A statement that goes on with a long streak passes through one function, and its line is not looked for."""
    engine = new_engine("sqlite3")

    def send(connection: Connection) -> None:
        connection.execute(ONE)

    with instrument(engine, store=None), engine.connect() as connection:
        calls = calls_of(lambda: send(connection))
    assert calls == {"timed": 1}


def test_call_sites_that_are_off_cost_a_null_object(new_engine: NewEngine) -> None:
    """With `call_sites="off"` a function that does nothing stands where the line would be found."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None, call_sites="off"):
        calls = calls_of(lambda: unit_of_work(engine))
    assert calls == {"connect": 1, "_find_nothing": 1, "timed": 1, "commit": 1, "return_connection": 1}


async def test_a_unit_of_work_over_asyncpg_is_26_calls(new_async_engine: NewAsyncEngine) -> None:
    """The five of any engine, the line beyond the greenlet, and whether somebody above counts what asyncpg sends."""
    engine = new_async_engine("asyncpg")

    async def unit() -> None:
        async with engine.connect() as connection:
            await connection.execute(ONE)
            await connection.commit()

    with instrument(engine, store=None):
        for _ in range(5):
            await unit()
        with noted_calls() as calls:
            await unit()
    for of_a_timer in ("_beat", "_take_beat", "_set"):
        del calls[of_a_timer]
    of_any_engine = {"connect": 1, "find": 1, "commit": 1, "return_connection": 1}
    beyond = {"touch": 1, "_parent_of": 1, "_beyond_greenlet": 1}
    # A coroutine that waits for the server is called twice; BEGIN and COMMIT pass through one that is called `timed`.
    beneath = {"timed": 1 + 4, "_begin_query": 2, "_begun": 2, "_end_query": 1, "_add_phase": 1, "bind_execute": 2}
    asked = {"_is_counted_above": 3, "is_counted": 3}
    assert calls == {**of_any_engine, **beyond, **beneath, **asked}
