"""A signal whose handler raises ends a unit of work as it would without us, wherever in it the signal arrives."""

import dis
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from sqlalchemy import Engine, text

import querygauge
from databases.engines import NewEngine
from querygauge.instrumenting import instrument

OURS = str(Path(querygauge.__file__).parent)
# After these the interpreter looks whether a signal has arrived; so it does where a function begins.
LOOKS_AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD"}

Place = tuple[str, str, int]
"""File, function and line."""


class TooLong(Exception):  # noqa: N818  # named as task queues name theirs
    """Ends a job."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """A handler that ends the job, and no garbage collection that would be traced at random moments."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGUSR1, end)
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGUSR1, before)


@cache
def operations(code: CodeType) -> dict[int, str]:
    """The names of a function's instructions, by offset."""
    return {instruction.offset: instruction.opname for instruction in dis.get_instructions(code)}


@contextmanager
def signal_at(number: int) -> Iterator[list[Place]]:
    """Has the signal arrive when the interpreter looks for one for so many times; the place, if it comes so far."""
    places: list[Place] = []
    looks = 0
    before: dict[FrameType, str] = {}

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal looks
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and not places:
            last = before.get(frame)
            before[frame] = operations(frame.f_code).get(frame.f_lasti, "")
            if last is None or last in LOOKS_AFTER:
                looks += 1
                if looks > number:
                    places.append((frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno))
                    signal.raise_signal(signal.SIGUSR1)
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        yield places
    finally:
        sys.settrace(tracing)
        before.clear()


def commit(engine: Engine) -> None:
    """A statement, and a commit."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.commit()


def roll_back(engine: Engine) -> None:
    """A statement, and what the end of a block does that commits nothing."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def endings(engine: Engine, work: Callable[[Engine], None], settle: Callable[[], Any]) -> set[tuple[Place, str]]:
    """Where a signal arrived in `work`, and what came of it: each place once for each ending."""
    found: set[tuple[Place, str]] = set()
    number = 0
    while True:
        engine.dispose()
        work(engine)
        settle()
        ending = "nothing"
        try:
            with signal_at(number) as places:
                work(engine)
        except BaseException as error:  # noqa: BLE001  # whatever it is, that it is the same is what is asked
            ending = type(error).__name__
        if not places:
            return found
        found.add((places[0], ending))
        number += 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("work", [commit, roll_back])
def test_at_every_place(new_engine: NewEngine, work: Callable[[Engine], None]) -> None:
    """
    In SQLAlchemy and the driver every place ends as it does without us, and in our code all let the exception pass.

    Some of SQLAlchemy's own places swallow it, or turn it into an `AssertionError` that says nothing.
    """
    engine = new_engine("sqlite3")
    bare = endings(engine, work, lambda: None)
    with instrument(engine, store=None, flush_interval_s=3_600) as gauge:
        measured = endings(engine, work, lambda: (gauge.queries.get_query_stats(), gauge.pool.get_metrics()))
        assert gauge.report_data().self_metrics.hook_errors == 0
    ours = {(place, ending) for place, ending in measured if place[0].startswith(OURS)}
    assert measured - ours == bare
    assert {ending for _, ending in ours} == {"TooLong"}
