"""An exception that a signal handler of the application raises while a hook runs reaches the application."""

import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from databases.engines import NewEngine
from querygauge.instrumenting import instrument
from querygauge.interruptions import is_of_signal_handler
from querygauge.monitors.pool_counters import PoolCounters
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
    with instrument(engine, store=None, flush_interval_s=3_600) as gauge, engine.connect() as connection:
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
    assert is_of_signal_handler(raised.value)


def test_other_errors_are_not_taken_for_one() -> None:
    """An ordinary exception, even one that passed a function with a frame of its own, is none."""
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("x")
    assert not is_of_signal_handler(raised.value)
