"""The tables that dashboards read tell what the rows beneath them add up to."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from querygauge.histogram import Histogram
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import PoolMetrics, PoolSnapshot, PoolWindow, Repetition, Snapshot
from storage.making import pattern, snapshot

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)


def _rows(paths: StorePaths, table: str, *given: Snapshot) -> list[dict[str, Any]]:
    sink = SpoolSink(paths.root, 100)
    for each in given:
        sink.write(each)
    fold(paths)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        cursor = connection.execute(f"FROM {table}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _pool(dice: random.Random, ended: datetime, process: str) -> Snapshot:
    waits = Histogram.of([round(dice.lognormvariate(12, 1)) for _ in range(dice.randrange(5))])
    uses = Histogram.of([round(dice.lognormvariate(14, 1)) for _ in range(dice.randrange(5))])
    timeouts, errors = dice.randrange(3), dice.randrange(2)
    metrics = PoolMetrics(
        total_requests=waits.count + timeouts + errors, total_checkouts=waits.count, total_timeouts=timeouts,
        total_errors=errors, wait=waits, use=uses, peak_active=dice.randrange(9),
    )  # fmt: skip
    state = PoolSnapshot(ended, 5, 1, 4, 0, 0, 15, 0.0, pool_class="QueuePool", driver="psycopg")
    return Snapshot("shop", process, ended - HOUR / 60, ended, pools=(PoolWindow("main", state, metrics),))


def test_pools_by_hour(paths: StorePaths) -> None:
    """Counts, averages and percentiles of all processes together; nothing from before the seven days."""
    dice = random.Random(1)
    ends = [NOW - dice.randrange(5) * HOUR + timedelta(minutes=dice.randrange(29)) for _ in range(60)]
    given = [_pool(dice, ended, dice.choice(["web:1", "web:2"])) for ended in ends]
    old = _pool(dice, NOW - 8 * DAY, "web:1")
    expected: dict[datetime, PoolMetrics] = defaultdict(PoolMetrics)
    told: dict[datetime, dict[str, set[datetime]]] = defaultdict(lambda: defaultdict(set))
    for each in given:
        hour = each.ended.replace(minute=0, second=0)
        expected[hour] = expected[hour].merged(each.pools[0].metrics)
        told[hour][each.process].add(each.ended)
    rows = _rows(paths, "pool_performance_hourly", *given, old)
    assert [row["hour"].replace(tzinfo=UTC) for row in rows] == sorted(expected)
    for row in rows:
        hour = row["hour"].replace(tzinfo=UTC)
        metrics = expected[hour]
        assert (row["checkouts"], row["succeeded"]) == (metrics.total_requests, metrics.total_checkouts)
        assert (row["timeouts"], row["errors"]) == (metrics.total_timeouts, metrics.total_errors)
        assert row["avg_wait_ms"] == pytest.approx(metrics.avg_wait_time_ms)
        assert row["p95_wait_ms"] == pytest.approx(metrics.p95_wait_time_ms)
        assert row["avg_use_ms"] == pytest.approx(metrics.avg_use_time_ms)
        assert row["peak_active"] == metrics.peak_active
        assert row["pool_size"] == 5 * _present(told[hour])
        assert (row["service"], row["pool"], row["pool_class"]) == ("shop", "main", "QueuePool")
        ended = metrics.total_checkouts + metrics.total_timeouts + metrics.total_errors
        assert row["success_rate"] == pytest.approx(100 * metrics.total_checkouts / ended)


def _present(told: dict[str, set[datetime]]) -> int:
    """How many processes had not ended, by the moments in different minutes at which each told."""
    newest = max(max(moments) for moments in told.values())
    count = 0
    for moments in told.values():
        every_s = (max(moments) - min(moments)).total_seconds() / max(1, len(moments) - 1)
        count += (newest - max(moments)).total_seconds() <= max(90, 2 * every_s)
    return count


def test_processes_that_flush_seldom_are_there_between_two_flushes(paths: StorePaths) -> None:
    """Four workers that flush every five minutes, one after the other."""
    dice = random.Random(3)
    given = [
        _pool(dice, NOW - timedelta(minutes=5 * place + number), f"web:{number}")
        for place in range(3)
        for number in range(4)
    ]
    (row,) = _rows(paths, "pool_performance_hourly", *given)
    assert row["pool_size"] == 4 * 5
    (pool,) = open_store(paths).pools()
    assert pool.state.pool_size == 4 * 5


def test_processes_that_took_the_place_of_others_have_their_connections(paths: StorePaths) -> None:
    """Four workers that were restarted within the hour are four, and not eight."""
    dice = random.Random(2)
    given = [_pool(dice, NOW - timedelta(minutes=10), f"web:{number}") for number in range(4)]
    given += [_pool(dice, NOW, f"web:{number}") for number in range(4, 8)]
    (row,) = _rows(paths, "pool_performance_hourly", *given)
    assert row["pool_size"] == 4 * 5


def _found(times: int, ended: datetime, number: int = 1, service: str = "shop") -> Snapshot:
    found = Repetition(
        pattern(number), "main", "app.py:1 in f", "GET /", times, 20 * times, 20, 5.0, parents_count=20 * times,
        compared_count=19 * times, parameters_count=19 * times, origins_count=times, cause="lazy",
        attribute="User.posts",
    )  # fmt: skip
    return replace(snapshot(ended=ended, number=number, service=service), repetitions=(found,))


def test_repetitions_by_day(paths: StorePaths) -> None:
    """How often, how many statements could be saved, and how; from five units of work on, over ninety days."""
    noon = NOW.replace(hour=12)
    rows = _rows(
        paths, "repetition_daily",
        _found(3, noon - 2 * DAY), _found(4, noon - 2 * DAY + HOUR), _found(5, noon - DAY),
        _found(4, noon - DAY, number=2), _found(9, noon - DAY, service="mail"), _found(9, noon - 100 * DAY),
    )  # fmt: skip
    told = [(row["day"].date(), row["service"], row["times_found"], row["avoidable"]) for row in rows]
    assert told == [
        ((noon - 2 * DAY).date(), "shop", 7, 7 * 19),
        ((noon - DAY).date(), "mail", 9, 9 * 19),
        ((noon - DAY).date(), "shop", 5, 5 * 19),
    ]
    assert {(row["class"], row["fix"]) for row in rows} == {
        ("lazy-load", "load them with their parents: selectinload(User.posts)")
    }
    assert (rows[0]["first_seen"], rows[0]["last_seen"]) == (
        (noon - 2 * DAY).replace(tzinfo=None),
        (noon - 2 * DAY + HOUR).replace(tzinfo=None),
    )
