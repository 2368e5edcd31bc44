"""Days of several services with tags, and the same numbers once more from the snapshots themselves."""

import random
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from querygauge.histogram import Histogram
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, Pattern, QueryStats, Snapshot
from querygauge.values.answers.execution import Performance
from storage.making import NOON, pattern

OPERATIONS = ("SELECT", "INSERT", "UPDATE")
TENANTS: tuple[dict[str, str], ...] = ({}, {"tenant": "a"}, {"tenant": "b", "plan": "gold"})


def numbered(number: int) -> Pattern:
    """Pattern `number`, of one of three operations."""
    return replace(pattern(number), operation=OPERATIONS[number % 3])


def days(seed: int, *, count: int = 3, snapshots: int = 40) -> list[Snapshot]:
    """Snapshots of two services at random moments of so many days from `NOON` on, oldest first."""
    dice = random.Random(seed)
    ends = sorted(NOON + timedelta(seconds=dice.randrange(count * 86_400)) for _ in range(snapshots))
    return [_snapshot(dice, ended) for ended in ends]


def _snapshot(dice: random.Random, ended: datetime) -> Snapshot:
    queries = tuple(
        _stats(dice, number, scope, ended)
        for number in dice.sample(range(1, 7), 3)
        for scope in dice.sample(range(len(TENANTS)), 2)
    )
    return Snapshot(dice.choice(("shop", "mail")), "web:1", ended - timedelta(seconds=10), ended, queries)


def _stats(dice: random.Random, number: int, scope: int, ended: datetime) -> QueryStats:
    durations = Histogram.of([round(1e6 * number * dice.lognormvariate(0, 1)) for _ in range(dice.randrange(1, 30))])
    error = dice.randrange(0, 1 + durations.count // 4)
    timeout, cancelled = (1 if durations.count - error > 2 else 0), (1 if durations.count - error > 3 else 0)
    outcomes = OutcomeCounts(durations.count - error - timeout - cancelled, error, timeout, cancelled)
    return QueryStats(
        numbered(number), "main", outcomes, dice.randrange(0, durations.count), 0, 0, durations, ended, ended,
        lines={f"shop.py:{number} in find": durations.count}, scope=f"GET /{scope}" if TENANTS[scope] else None,
        tags=TENANTS[scope],
    )  # fmt: skip


def stored(paths: StorePaths, snapshots: Iterable[Snapshot], *, rolled_up_at: datetime | None = None) -> None:
    """The snapshots in a store, all of it rolled up as of a moment if there is one."""
    sink = SpoolSink(paths.root, 100)
    for snapshot in snapshots:
        sink.write(snapshot)
    fold(paths)
    if rolled_up_at is not None:
        roll_up(paths, rolled_up_at)


Keyed = tuple[Snapshot, QueryStats]


def within(snapshots: Iterable[Snapshot], since: datetime, until: datetime) -> Iterator[Keyed]:
    """Each statistic of the minutes of a span, with its snapshot."""
    first = since.replace(second=0, microsecond=0)
    for snapshot in snapshots:
        if first <= snapshot.ended.replace(second=0, microsecond=0) < until:
            yield from ((snapshot, stats) for stats in snapshot.queries)


def by(chosen: Iterable[Keyed], key: Callable[[Keyed], Iterable[Hashable]]) -> dict[Hashable, object]:
    """What is expected for each key, to be compared with a `Performance` or several."""
    found: dict[Hashable, QueryStats] = {}
    for each in chosen:
        for place in key(each):
            found[place] = found[place].merged(each[1]) if place in found else each[1]
    return {place: expected(stats) for place, stats in found.items()}


def expected(stats: QueryStats) -> object:
    """A `Performance` that may differ in the last digits of what is divided."""
    durations = stats.durations
    return approximately(
        Performance(
            outcomes=stats.outcomes,
            slow_count=stats.slow_count,
            total_duration_ms=durations.total_ms,
            min_duration_ms=durations.min_ms,
            median_duration_ms=durations.quantile_ms(0.5),
            p95_duration_ms=durations.quantile_ms(0.95),
            p99_duration_ms=durations.quantile_ms(0.99),
            max_duration_ms=durations.max_ms,
        )
    )


def approximately(performance: Performance) -> object:
    """The members of a `Performance` as numbers, to be compared with those of another."""
    return {name: pytest.approx(value) for name, value in flat(performance).items()}


def flat(performance: Performance) -> dict[str, float]:
    """The members of a `Performance` as numbers."""
    numbers = performance.to_dict()
    return {**numbers.pop("outcomes"), **numbers}
