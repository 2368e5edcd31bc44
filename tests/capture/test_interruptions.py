"""An exception of the application that arrives while a hook runs reaches it: from a signal handler, or a thread."""

import ctypes
import decimal
import signal
import sqlite3
import struct
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from databases.engines import NewEngine
from querygauge import interruptions
from querygauge.instrumenting import instrument
from querygauge.interruptions import is_of_host
from querygauge.monitors.pool_counters import PoolCounters
from querygauge.monitors.query_table import QueryTable
from querygauge.monitors.repetition import RepetitionTable
from querygauge.patterns.cache import PatternCache


class TooLong(Exception):  # noqa: N818  # named as task queues name theirs
    """Ends a job."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """A handler that ends the job, as task queues install one."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGUSR1, end)
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupted(*_arguments: Any, **_keywords: Any) -> Any:
    """Stands for one of our functions in which the signal happens to arrive."""
    signal.raise_signal(signal.SIGUSR1)


def interrupted_when_crowded(_counters: PoolCounters, _active: int, waiting: int) -> None:
    """The same, but only for whoever finds no connection free."""
    if waiting:
        interrupted()


def test_in_a_hook(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes through the hook as it would have passed through the line after the statement."""
    monkeypatch.setattr(PatternCache, "pattern_for", interrupted)
    engine = new_engine("sqlite3")
    with instrument(engine, store=None) as gauge, engine.connect() as connection:
        with pytest.raises(TooLong):
            connection.execute(text("SELECT 1"))
        assert gauge.report_data().self_metrics.hook_errors == 0


def test_in_a_fold(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes through the fold, whose lock is free afterwards."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None, flush_interval_s=315_360_000) as gauge, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.execute(text("SELECT 1"))
        with monkeypatch.context() as patch:
            patch.setattr(RepetitionTable, "tally", interrupted)
            gauge.queries._recorder._fold.repetitions.tally = interrupted  # type: ignore[method-assign]
            with pytest.raises(TooLong):
                gauge.queries.get_query_stats()
        del gauge.queries._recorder._fold.repetitions.tally
        connection.execute(text("SELECT 2"))
        assert gauge.queries.get_query_stats()


def test_while_a_connection_is_given_back(new_engine: NewEngine) -> None:
    """The pool has its connection all the same, and nobody is counted as holding one."""
    engine = new_engine("sqlite3", pool_size=1, max_overflow=0, pool_timeout=0.01, poolclass=QueuePool)
    with instrument(engine, store=None) as gauge:
        connection = engine.connect()
        held: Any = gauge.pool.held
        for entry in held.values():
            entry[5] = interrupted  # stands for the weak reference that is asked while the signal arrives
        with pytest.raises(TooLong):
            connection.close()
        assert cast("QueuePool", engine.pool).checkedout() == 0
        engine.connect().close()
        assert gauge.pool.get_current_snapshot().active_connections == 0


def test_before_a_connection_is_asked_for(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left counted as waiting."""
    engine = new_engine("sqlite3", pool_size=1, max_overflow=0, pool_timeout=0.01, poolclass=QueuePool)
    monkeypatch.setattr(PoolCounters, "see", interrupted_when_crowded)
    with instrument(engine, store=None) as gauge, engine.connect():
        with pytest.raises(TooLong):
            engine.connect()
        assert gauge.pool.get_current_snapshot().waiting_count == 0


def test_a_handler_may_take_what_it_is_given() -> None:
    """A handler that names neither the signal nor the frame is one as well."""

    def end(*_arguments: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGUSR1, end)
    with pytest.raises(TooLong) as raised:
        interrupted()
    assert is_of_host(raised.value)


def test_from_another_thread(new_engine: NewEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As task queues end a job where there are no signals; neither a hook nor a fold keeps it to itself."""
    engine = new_engine("sqlite3")
    with instrument(engine, store=None, flush_interval_s=315_360_000) as gauge, engine.connect() as connection:
        with monkeypatch.context() as patch:
            patch.setattr(PatternCache, "pattern_for", _thrown())
            with pytest.raises(TooLong):
                connection.execute(text("SELECT 1"))
        connection.execute(text("SELECT 2"))
        with monkeypatch.context() as patch:
            patch.setattr(QueryTable, "open", _thrown())
            with pytest.raises(TooLong):
                gauge.queries.get_query_stats()
        assert gauge.report_data().self_metrics.hook_errors == 0


def _in_a_frame_of_ours(function: Any, *arguments: Any) -> Any:
    """A function that seems to stand in a file of ours, and calls another one."""
    scope: dict[str, Any] = {"function": function, "arguments": arguments}
    exec(compile("def called(*_, **__):\n    function(*arguments)", interruptions.__file__, "exec"), scope)
    return scope["called"]


def _thrown() -> Any:
    """Stands for one of our functions in which another thread's exception arrives."""
    identity, kind = ctypes.c_ulong(threading.get_ident()), ctypes.py_object(TooLong)
    return _in_a_frame_of_ours(ctypes.pythonapi.PyThreadState_SetAsyncExc, identity, kind)


def _raised_by(call: Any, *arguments: Any) -> BaseException:
    """What a function in C raises in a frame of ours."""
    try:
        _in_a_frame_of_ours(call, *arguments)()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error
    raise AssertionError


def test_what_functions_in_c_raise_is_ours() -> None:
    """Errors of Python, its library and of drivers, raised where a line of ours called them, go no further."""
    connection = sqlite3.connect(":memory:")
    connection.close()
    errors = [
        _raised_by(int, "x"),
        _raised_by(connection.execute, "SELECT 1"),
        _raised_by(decimal.Decimal(1).sqrt().__truediv__, decimal.Decimal(0)),
        _raised_by(struct.unpack, "q", b""),
    ]
    assert [type(error).__name__ for error in errors] == ["ValueError", "ProgrammingError", "DivisionByZero", "error"]
    assert not any(map(is_of_host, errors))


def test_other_errors_are_not_taken_for_one() -> None:
    """An ordinary exception, even one that passed a function with a frame of its own, is none."""
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("x")
    assert not is_of_host(raised.value)
