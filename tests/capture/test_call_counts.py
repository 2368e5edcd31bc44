"""What the hot path is made of: the calls of ours that a statement and a unit of work pass through, by number."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection, Engine, text

import querygauge
from databases.engines import NewEngine
from querygauge.instrumenting import instrument

OURS = str(Path(querygauge.__file__).parent)
ONE = text("SELECT 1 AS one")


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """Python functions of ours that `work` calls, by name, once everything is warm."""
    for _ in range(20):
        work()
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            calls[frame.f_code.co_name] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


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
