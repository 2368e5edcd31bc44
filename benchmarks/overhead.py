"""
What querygauge adds to a statement and to a unit of work, in CPU time, beside an empty listener pair.

Four arms, interleaved round by round in one process: bare, bare again (the spread of the measuring itself), an empty
`before_cursor_execute`/`after_cursor_execute` pair, and querygauge with everything on that is on by default. Each arm
has an engine of its own over in-memory SQLite, so that the database is as small a part as it can be. Figures are the
medians of the rounds' differences to bare. Two kinds of work:

- statement: `connection.execute(select)` on one connection, in one transaction, 500 a round;
- unit of work: connect, one select, commit, give back.

Run with `make bench`; `--json` prints the figures for machines, `--rounds` sets how many.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, event, insert, select
from sqlalchemy.pool import QueuePool

import querygauge

_ROWS = 10
_STATEMENTS = 500
_UNITS = 200

metadata = MetaData()
items = Table("items", metadata, Column("id", Integer, primary_key=True), Column("name", String(20)))
ONE_ITEM = select(items.c.id, items.c.name).where(items.c.id == 5)

Arm = Callable[[Engine], object]


@dataclass(frozen=True)
class Figure:
    """Median over the rounds, in microseconds of CPU time per operation, and its middle half."""

    arm: str
    total_us: float
    added_us: float
    low_us: float
    high_us: float


def _engine() -> Engine:
    # One connection in a queue pool, as an application has; a memory database lives as long as its connection.
    engine = create_engine("sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(items), [{"id": number, "name": f"item {number}"} for number in range(_ROWS)])
    return engine


def _nothing(_engine: Engine) -> None:
    """Leaves the engine as it is."""


def _empty_pair(engine: Engine) -> None:
    @event.listens_for(engine, "before_cursor_execute")
    def before(*_arguments: object) -> None:
        """Does nothing."""

    @event.listens_for(engine, "after_cursor_execute")
    def after(*_arguments: object) -> None:
        """Does nothing."""


def _querygauge(engine: Engine) -> querygauge.Instrumentation:
    return querygauge.instrument(engine, store=None)


ARMS: dict[str, Arm] = {
    "bare": _nothing,
    "bare again": _nothing,
    "empty listener pair": _empty_pair,
    "querygauge": _querygauge,
}


def statements(engine: Engine) -> float:
    """CPU microseconds per statement, on one open connection."""
    with engine.connect() as connection:
        connection.execute(ONE_ITEM).all()
        started = time.process_time_ns()
        for _ in range(_STATEMENTS):
            connection.execute(ONE_ITEM).all()
        return (time.process_time_ns() - started) / _STATEMENTS / 1e3


def units_of_work(engine: Engine) -> float:
    """CPU microseconds per connect, select, commit and return."""
    started = time.process_time_ns()
    for _ in range(_UNITS):
        with engine.connect() as connection:
            connection.execute(ONE_ITEM).all()
            connection.commit()
    return (time.process_time_ns() - started) / _UNITS / 1e3


def measure(work: Callable[[Engine], float], rounds: int) -> list[Figure]:
    """Runs every arm once a round, in turn from a different first arm, and compares within the round."""
    engines = {name: _engine() for name in ARMS}
    for name, prepare in ARMS.items():
        prepare(engines[name])
        for _ in range(3):
            work(engines[name])
    samples: dict[str, list[float]] = {name: [] for name in ARMS}
    names = list(ARMS)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(work(engines[name]))
    for engine in engines.values():
        querygauge.uninstrument(engine)
        engine.dispose()
    return [_figure(name, samples[name], samples["bare"]) for name in names]


def _figure(name: str, values: list[float], bare: list[float]) -> Figure:
    added = [value - base for value, base in zip(values, bare, strict=True)]
    low, _, high = statistics.quantiles(added, n=4)
    return Figure(name, statistics.median(values), statistics.median(added), low, high)


def _print(title: str, figures: list[Figure]) -> None:
    pair = next(figure.added_us for figure in figures if figure.arm == "empty listener pair")
    print(f"\n{title}")
    print(f"{'arm':<22}{'CPU µs':>10}{'added µs':>10}{'middle half':>18}{'of the pair':>13}")
    for figure in figures:
        middle = f"{figure.low_us:+.2f} … {figure.high_us:+.2f}"
        of_pair = figure.added_us / pair
        print(f"{figure.arm:<22}{figure.total_us:>10.2f}{figure.added_us:>+10.2f}{middle:>18}{of_pair:>13.2f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=60, help="rounds per kind of work")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_args()
    found = {
        "statement": measure(statements, arguments.rounds),
        "unit of work": measure(units_of_work, arguments.rounds),
    }
    if arguments.json:
        print(json.dumps({title: [asdict(figure) for figure in figures] for title, figures in found.items()}, indent=1))
        return
    for title, figures in found.items():
        _print(title, figures)


if __name__ == "__main__":
    main()
