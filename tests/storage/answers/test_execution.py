"""What was executed in a span is what the snapshots of that span say, however it is spread."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import cast

import pytest

from querygauge.errors import SettingsError, StoreError
from querygauge.histogram import EMPTY, Histogram
from querygauge.storage.answers.execution import execution_statistics
from querygauge.storage.answers.measured import Asked
from querygauge.storage.database import Connection
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.ranges import Span
from querygauge.values import PoolMetrics, PoolSnapshot, PoolWindow, Snapshot
from storage.answers.making import Keyed, by, days, expected, flat, stored, within
from storage.making import NOON, snapshot, stats

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
# Within an hour, over hours, over days with ends in the middle of hours, and everything.
SPANS = [
    (NOON + DAY, NOON + DAY + 50 * MINUTE),
    (NOON + 90 * MINUTE, NOON + 400 * MINUTE),
    (NOON + 7 * MINUTE, NOON + 2 * DAY + 13 * MINUTE),
    (NOON - DAY, NOON + 9 * DAY),
]


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_everything_adds_up(paths: StorePaths, seed: int, is_rolled_up: bool) -> None:
    """From minutes, or from minutes, hours and days."""
    snapshots = days(seed, snapshots=120)
    stored(paths, snapshots, rolled_up_at=NOON + 2 * DAY if is_rolled_up else None)
    for since, until in SPANS:
        chosen = list(within(snapshots, since, until.replace(second=0)))
        found = open_store(paths).execution_statistics((since, until.replace(second=0)))
        assert {"all": flat(found.performance)} == (by(chosen, lambda _: ["all"]) or {"all": flat(found.performance)})
        assert {(t.tag, t.value): flat(t.performance) for t in found.by_tag} == by(
            chosen, lambda each: each[1].tags.items()
        )
        assert {o.name: flat(o.performance) for o in found.by_operation} == by(
            chosen, lambda each: [each[1].pattern.operation]
        )
        assert {s.name: flat(s.performance) for s in found.top_services} == by(chosen, lambda each: [each[0].service])
        assert {p.pattern: flat(p.performance) for p in found.top_patterns} == by(
            chosen, lambda each: [each[1].pattern]
        )
        if (width_s := found.width_s) < 86_400:
            series = by(chosen, partial(_place_in_series, width_s))
            assert {p.at: flat(p.performance) for p in found.time_series} == series


def _place_in_series(width_s: float, each: Keyed) -> list[datetime]:
    return [_begin(each[0].ended, width_s)]


def _begin(moment: datetime, width_s: float) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + (moment - day) // timedelta(seconds=width_s) * timedelta(seconds=width_s)


def test_a_month_is_told_by_days(paths: StorePaths) -> None:
    """Counts are exact; percentiles are those of buckets twice as wide."""
    snapshots = days(1, count=20, snapshots=80)
    stored(paths, snapshots, rolled_up_at=NOON + 40 * DAY)
    found = open_store(paths).execution_statistics((NOON - DAY, NOON + 29 * DAY))
    found_at = {point.at: point.performance for point in found.time_series}
    per_day: dict[datetime, Histogram] = {}
    for each in within(snapshots, NOON - DAY, NOON + 29 * DAY):
        day = _begin(each[0].ended, 86_400)
        per_day[day] = per_day.get(day, EMPTY).merged(each[1].durations.coarsened(4))
    assert list(found_at) == sorted(per_day)
    for day, durations in per_day.items():
        assert found_at[day].execution_count == durations.count
        assert found_at[day].p95_duration_ms == pytest.approx(durations.quantile_ms(0.95))


def test_one_execution_is_its_own_percentile(paths: StorePaths) -> None:
    """One row, exact in each of its numbers."""
    stored(paths, [snapshot(1)])
    found = open_store(paths).execution_statistics((NOON - MINUTE, NOON + MINUTE))
    assert flat(found.performance) == expected(stats(1))
    assert [point.at for point in found.time_series] == [NOON.replace(second=0)]
    assert (found.by_tag, found.by_pool, found.top_call_sites) == ((), (), ())


def test_a_service_is_chosen_everywhere(paths: StorePaths) -> None:
    """What other services did is in none of the lists."""
    snapshots = days(2)
    stored(paths, snapshots)
    found = open_store(paths).execution_statistics((NOON, NOON + 4 * DAY), service="mail")
    chosen = [each for each in within(snapshots, NOON, NOON + 4 * DAY) if each[0].service == "mail"]
    assert {"all": flat(found.performance)} == by(chosen, lambda _: ["all"])
    assert [entry.name for entry in found.top_services] == ["mail"]
    with pytest.raises(StoreError, match=r"no service 'nobody' in store .*; it knows mail, shop"):
        open_store(paths).execution_statistics(service="nobody")


def test_lines_are_ranked_by_how_often_they_were_found(paths: StorePaths) -> None:
    """A line that sends two queries is one line, with both of them."""
    one, two = (replace(stats(3, number=number), lines={"a.py:1 in f": 3}) for number in (1, 2))
    other = replace(stats(4, number=3), lines={"b.py:2 in g": 4})
    stored(paths, [replace(snapshot(), queries=(one, two, other))])
    sites = open_store(paths).execution_statistics((NOON - MINUTE, NOON + MINUTE)).top_call_sites
    assert [(site.call_site, site.found_count, len(site.pattern_ids)) for site in sites] == [
        ("a.py:1 in f", 6, 2),
        ("b.py:2 in g", 4, 1),
    ]
    limited = open_store(paths).execution_statistics((NOON - MINUTE, NOON + MINUTE), limit=1)
    assert (len(limited.top_call_sites), len(limited.top_patterns), len(limited.top_services)) == (1, 1, 1)


def test_pools_are_added_up_over_processes_and_time(paths: StorePaths) -> None:
    """Counts, and the waits in their buckets."""
    state = PoolSnapshot(NOON, 5, 1, 4, 0, 0, 15, 0.0)
    waits = [[1_000_000 * step for step in range(1, 20)], [50_000_000], [3_000_000] * 7]
    written = [
        Snapshot("shop", f"web:{place % 2}", ended - timedelta(seconds=10), ended, pools=(_pool(state, ended, each),))
        for place, each in enumerate(waits)
        for ended in [NOON + place * MINUTE]
    ]
    stored(paths, written)
    (pool,) = open_store(paths).execution_statistics((NOON - MINUTE, NOON + 9 * MINUTE)).by_pool
    together = Histogram.of([wait for each in waits for wait in each])
    assert (pool.service, pool.pool, pool.request_count, pool.timeout_count) == ("shop", "main", 27 + 3, 3)
    assert pool.p95_wait_ms == pytest.approx(together.quantile_ms(0.95))
    assert pool.avg_wait_ms == pytest.approx(together.mean_ms)
    assert pool.success_rate == pytest.approx(90.0)


def _pool(state: PoolSnapshot, ended: datetime, waits: list[int]) -> PoolWindow:
    count = len(waits)
    metrics = PoolMetrics(
        total_requests=count + 1,
        total_checkouts=count,
        total_checkins=count,
        total_timeouts=1,
        wait=Histogram.of(waits),
        use=Histogram.of([5_000_000] * count),
        peak_active=2,
    )
    return PoolWindow("main", replace(state, timestamp=ended), metrics)


def test_an_empty_span_has_empty_lists(paths: StorePaths) -> None:
    """Zeros, and JSON that can be written; a range that is none is an error."""
    stored(paths, [snapshot()])
    found = open_store(paths).execution_statistics("1h")
    assert (found.performance.execution_count, found.performance.avg_duration_ms) == (0, 0.0)
    assert (found.time_series, found.top_patterns) == ((), ())
    assert json.loads(json.dumps(found.to_dict()))["by_tag"] == []
    with pytest.raises(SettingsError, match="a range must be"):
        open_store(paths).execution_statistics("yesterday")


def test_the_span_is_read_three_times(paths: StorePaths) -> None:
    """Once for all lists of performance, once over time, and once for lines: it may have millions of buckets."""
    stored(paths, days(2))
    reads: list[str] = []
    with open_store(paths)._open() as connection:
        watched = _Watched(connection, reads)
        question = Asked(cast("Connection", watched), Span(NOON, NOON + 2 * DAY))
        assert execution_statistics(question, 10).by_tag
    assert len(reads) == 3


class _Watched:
    """A connection that lists the statements which look at the history of the store, and not at what is in memory."""

    def __init__(self, connection: Connection, reads: list[str]) -> None:
        self._connection = connection
        self._reads = reads

    def execute(self, sql: str, *parameters: object) -> Connection:
        ((path,),) = self._connection.execute("SELECT current_setting('search_path')").fetchall()
        if not path.startswith("memory") and ("FROM history_by(" in sql or "FROM query_history(" in sql):
            self._reads.append(sql)
        return self._connection.execute(sql, *parameters)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_is_an_error(paths: StorePaths, limit: int) -> None:
    """In words of ours, whatever is asked."""
    stored(paths, [snapshot()])
    store = open_store(paths)
    for ask in (store.execution_statistics, store.errors, partial(store.similar, "0")):
        with pytest.raises(SettingsError, match=f"limit must be >= 1; got {limit}"):
            ask(limit=limit)
