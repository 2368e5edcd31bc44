"""
How often `compare` calls something changed that is not, and how often it sees what is.

Durations are drawn from a log-normal distribution of sigma 0.6, one in twenty ten times as long, as if it had missed a
cache. False alarms: 100 patterns whose two sides are drawn alike, compared again and again. With `wobble` the whole
machine is slower or faster for each of sixty minutes by a factor drawn from a log-normal distribution, which all
executions of that minute share: samples of real databases are not independent. With `drift` nine tenths of that last
into the next minute, so that an hour is three samples rather than sixty. Found: one of 100 patterns has changed; how
often it is named with the right sign.

Run with `make bench SCRIPT=comparison.py`, five minutes; `--rounds` says how many comparisons each figure is of.
"""

import argparse
import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from querygauge.histogram import Histogram
from querygauge.storage.answers.comparison import MIN_CHANGE_PERCENT, compared
from querygauge.values import OutcomeCounts, Pattern, QueryStats
from querygauge.values.answers.comparison import Comparison

_PATTERNS: Final = 100
_MINUTES: Final = 60
_COUNTS: Final = (30, 100, 1_000)
_WOBBLES: Final = (0.0, 0.05, 0.1, 0.2)
_LASTING: Final = {"wobble": 0.0, "drift": 0.9}  # the share of a minute's factor that the next one has, in logarithms
_CHANGES: Final = {"+10 %": 1.1, "+20 %": 1.2, "+50 %": 1.5, "twice": 2.0}
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MS: Final = 1e6

Draw = Callable[[], float]


def _duration(dice: random.Random) -> float:
    return dice.lognormvariate(0, 0.6) * (10 if dice.random() < 0.05 else 1)


def _stats(number: int, draws: list[float]) -> QueryStats:
    pattern = Pattern(f"{number:016x}", f"SELECT {number}", f"SELECT t{number}", "SELECT", ("t",), "sqlite")
    durations = Histogram.of([max(1, round(_MS * draw)) for draw in draws])
    return QueryStats(pattern, "main", OutcomeCounts(ok=durations.count), 0, 0, 0, durations, _NOW, _NOW)


def _minutes(dice: random.Random, wobble: float, lasting: float) -> Iterator[float]:
    """By which factor each minute of an hour is slower."""
    level = None
    for _ in range(_MINUTES):
        fresh = dice.normalvariate(0, wobble) if wobble else 0.0
        level = fresh if level is None else lasting * level + math.sqrt(1 - lasting**2) * fresh
        yield math.exp(level)


def _side(dice: random.Random, count: int, wobble: float, lasting: float = 0.0) -> Iterator[QueryStats]:
    """A hundred patterns of `count` executions each, spread over the minutes of an hour that are not all alike."""
    minutes = list(_minutes(dice, wobble, lasting))
    for number in range(_PATTERNS):
        yield _stats(number, [_duration(dice) * minutes[place % _MINUTES] for place in range(count)])


def _compared(before: list[QueryStats], after: list[QueryStats]) -> Comparison:
    return compared(
        before, after, named=("before", "after"), service=None, min_change_percent=MIN_CHANGE_PERCENT
    )  # fmt: skip


def false_alarms(count: int, wobble: float, lasting: float, rounds: int) -> tuple[int, int]:
    """Of so many comparisons of nothing new: how many named anything, and how many patterns they named."""
    dice = random.Random(count)
    named = []
    for _ in range(rounds):
        found = _compared(*(list(_side(dice, count, wobble, lasting)) for _ in range(2)))
        named.append(len(found.regressed) + len(found.improved))
    return sum(each > 0 for each in named), sum(named)


def found(count: int, change: Callable[[random.Random], float], rounds: int) -> float:
    """The share of comparisons that name the one pattern that has changed, and as slower, in percent."""
    dice = random.Random(count)
    before, after = list(_side(dice, count, 0)), list(_side(dice, count, 0))
    hits = 0
    for _ in range(rounds):
        before[0] = _stats(0, [_duration(dice) for _ in range(count)])
        after[0] = _stats(0, [change(dice) for _ in range(count)])
        hits += any(each.pattern.id == before[0].pattern_id for each in _compared(before, after).regressed)
    return 100 * hits / rounds


def _slower(factor: float) -> Callable[[random.Random], float]:
    return lambda dice: factor * _duration(dice)


def _more_misses(dice: random.Random) -> float:
    return dice.lognormvariate(0, 0.6) * (10 if dice.random() < 0.15 else 1)


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=100, help="comparisons for each figure")
    rounds = parser.parse_args().rounds
    counts = [f"{count:,}" for count in _COUNTS]
    for name, lasting in _LASTING.items():
        alarms = Table(
            name, *counts, title=f"false alarms of {rounds} comparisons: any, patterns named of {_PATTERNS} each"
        )
        for wobble in _WOBBLES:
            cells = (false_alarms(count, wobble, lasting, rounds) for count in _COUNTS)
            alarms.add_row(f"{wobble:g}", *(f"{some}, {patterns}" for some, patterns in cells))
        Console().print(alarms)
    seen = Table("one pattern became", *counts, title="found in so many percent, by executions on each side")
    changes = {**{name: _slower(factor) for name, factor in _CHANGES.items()}, "15 % misses for 5 %": _more_misses}
    for name, change in changes.items():
        seen.add_row(name, *(f"{found(count, change, rounds):.0f}" for count in _COUNTS))
    Console().print(seen)


if __name__ == "__main__":
    main()
