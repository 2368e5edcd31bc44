"""A signal whose handler raises ends a unit of work as it would without us, wherever in it the signal arrives."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

import querygauge
from databases.engines import NewEngine
from interrupting import Place, TooLong, raising_handler, signal_at
from querygauge.capture.endings import ENDINGS
from querygauge.gauge import Instrumentation
from querygauge.instrumenting import instrument

OURS = str(Path(querygauge.__file__).parent)


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Ends the job."""
    with raising_handler():
        yield


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
    with instrument(engine, store=None, flush_interval_s=315_360_000) as gauge:
        measured = endings(engine, work, lambda: (gauge.queries.get_query_stats(), gauge.pool.get_metrics()))
        assert gauge.report_data().self_metrics.hook_errors == 0
    ours = {(place, ending) for place, ending in measured if place[0].startswith(OURS)}
    assert measured - ours == bare
    assert {ending for _, ending in ours} == {"TooLong"}


def ours_on(owner: object) -> list[str]:
    """What of ours stands in the place of one of its methods."""
    return [name for name, value in vars(owner).items() if "querygauge" in str(getattr(value, "__module__", ""))]


def executions_in(store: Path) -> int:
    """How many the files in its spool tell."""
    files = (store / "spool").iterdir()
    lines = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    return sum(line["query"]["durations"]["count"] for line in lines if "query" in line)


def close_at(number: int, gauge: Instrumentation) -> Place | None:
    """Closes it, interrupted once, and again; the place, if it comes so far."""
    try:
        with signal_at(number, within=OURS) as places:
            gauge.close()
    except TooLong:
        assert places
    gauge.close()
    return places[0] if places else None


@pytest.mark.filterwarnings("ignore")
def test_close_goes_on_where_it_was_cut_short(new_engine: NewEngine, tmp_path: Path) -> None:
    """Nothing of ours is left on the engine, and what was counted is in the store, or told as dropped, and once."""
    number, lost, takers = 0, [], ENDINGS._takers
    while True:
        engine = new_engine("sqlite3")
        store = tmp_path / str(number)
        gauge = instrument(engine, store=store, collector="off", flush_interval_s=315_360_000)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        place = close_at(number, gauge)
        if place is None:
            break
        number += 1
        # Of a function of ours the interpreter looks for signals only within, not where it returns to.
        if (Path(place[0]).name, place[1]) in {("gauge.py", "close"), ("fold_lock.py", "held")}:
            gauge.after_fork_in_child()  # with locks that nobody has taken
            gauge.queries.after_fork_in_child()
            gauge.close()
            continue
        assert [*ours_on(engine.dialect), *ours_on(engine.pool)] == [], place
        dropped = gauge.report_data().self_metrics.statements_dropped
        assert executions_in(store) + dropped == 1, place
        lost += [place] if dropped else []
    assert number > 100
    assert ENDINGS._takers == takers
    assert {Path(file).parent.name for file, _, _ in lost} <= {"monitors"}
