"""A signal whose handler raises ends a unit of work as it would without us, wherever in it the signal arrives."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

import querygauge
from databases.engines import NewEngine
from interrupting import Place, raising_handler, signal_at
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
    with instrument(engine, store=None, flush_interval_s=3_600) as gauge:
        measured = endings(engine, work, lambda: (gauge.queries.get_query_stats(), gauge.pool.get_metrics()))
        assert gauge.report_data().self_metrics.hook_errors == 0
    ours = {(place, ending) for place, ending in measured if place[0].startswith(OURS)}
    assert measured - ours == bare
    assert {ending for _, ending in ours} == {"TooLong"}
