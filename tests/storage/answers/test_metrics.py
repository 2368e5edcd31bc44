"""Durations, cost and resources of a span are what the snapshots of that span say."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from querygauge.errors import SettingsError
from querygauge.histogram import EMPTY, Histogram
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.values import ProcessUsage, Snapshot
from storage.answers.making import days, stored, within
from storage.making import NOON, snapshot

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("seed", range(3))
def test_durations_and_cost_are_of_all_executions(paths: StorePaths, seed: int) -> None:
    """Percentiles of everything together, and database time at the price of an hour."""
    snapshots = days(seed)
    stored(paths, snapshots, rolled_up_at=NOON + 2 * DAY)
    together = EMPTY
    for _, stats in within(snapshots, NOON, NOON + 3 * DAY):
        together = together.merged(stats.durations)
    found = open_store(paths).performance_metrics((NOON, NOON + 3 * DAY), price_per_hour=2.5)
    assert found.execution_count == together.count
    assert found.duration.to_dict() == pytest.approx(
        {"avg": together.mean_ms, **{f"p{round(100 * q)}": together.quantile_ms(q) for q in (0.5, 0.95, 0.99)}}
    )
    assert found.cost.total == pytest.approx(2.5 * together.total_ms / 3_600_000)
    assert found.cost.avg == pytest.approx(found.cost.total / together.count)
    assert sum(point.performance.execution_count for point in found.time_series) == together.count


def test_memory_and_cpu_are_those_of_each_minute(paths: StorePaths) -> None:
    """A process is told by what its CPU seconds grew by; what it had taken before the span is not counted."""
    written = [
        _used("web:1", minute, memory=100 + minute, cpu_s=10.0 + 2 * minute, begins=-60) for minute in range(-1, 20)
    ] + [_used("web:2", minute, memory=500, cpu_s=1.5 * (minute - 9), begins=10) for minute in range(10, 20)]
    stored(paths, written)
    metrics = open_store(paths).performance_metrics((NOON.replace(second=0), NOON + 20 * MINUTE))
    memory = sorted([100 + minute for minute in range(20)] + [500] * 10)
    assert metrics.resources.avg_memory_mb == pytest.approx(sum(memory) / 30)
    assert metrics.resources.p95_memory_mb == memory[28]  # the 29th of 30, by nearest rank
    # The first minute of web:1 has nothing before it in the span, so what it took then is not known.
    assert metrics.resources.cpu_s == pytest.approx(2.0 * 19 + 1.5 * 10)
    points = metrics.resources_over_time
    assert [point.process_count for point in points] == [1, 1, 2, 2]
    assert [point.cpu_s for point in points] == pytest.approx([8.0, 10.0, 17.5, 17.5])
    assert [point.max_memory_mb for point in points] == [104, 109, 500, 500]


def test_a_name_that_another_process_had(paths: StorePaths) -> None:
    """Its CPU seconds begin anew, and no minute takes less than none."""
    cpu_s = {0: 100.0, 1: 130.0, 5: 1.0, 6: 3.0}
    stored(paths, [_used("web:1", minute, memory=1, cpu_s=taken, begins=0) for minute, taken in cpu_s.items()])
    metrics = open_store(paths).performance_metrics((NOON + MINUTE, NOON + 20 * MINUTE))
    assert metrics.resources.cpu_s == 1.0 + 2.0  # of minute 1 there is nothing before it in the span
    metrics = open_store(paths).performance_metrics((NOON, NOON + 20 * MINUTE))
    assert [point.cpu_s for point in metrics.resources_over_time] == [130.0, 3.0]


def test_a_process_of_two_services_is_one(paths: StorePaths) -> None:
    """Both tell of all of it, the one that is measured for longer of more; each alone is told as it tells."""
    used = [_used("web:1", minute, memory=100, cpu_s=2.0 * minute, begins=0) for minute in range(10)]
    later = [_used("web:1", minute, memory=102, cpu_s=2.0 * (minute - 5), begins=5) for minute in range(5, 10)]
    stored(paths, [*used, *(replace(each, service="mail") for each in later)])
    store, span = open_store(paths), (NOON, NOON + timedelta(minutes=20))
    found = store.performance_metrics(span)
    assert found.resources.cpu_s == pytest.approx(2.0 * 9)
    assert found.resources.avg_memory_mb == pytest.approx(101.0)
    assert [(point.process_count, point.cpu_s) for point in found.resources_over_time] == [(1, 8.0), (1, 10.0)]
    assert store.performance_metrics(span, service="mail").resources.cpu_s == pytest.approx(2.0 * 4)


def _used(process: str, minute: int, *, memory: int, cpu_s: float, begins: int) -> Snapshot:
    """The snapshot of a minute; of the first one of a process, the start is when it began."""
    ended = NOON + minute * MINUTE
    usage = ProcessUsage(memory * 1_000_000, None, cpu_s)
    return Snapshot("shop", process, ended - timedelta(seconds=10), ended, usage=usage)


def test_what_is_not_known_is_none(paths: StorePaths) -> None:
    """Without executions there is no duration, and without a system that tells there is no memory."""
    stored(paths, [snapshot()])
    found = open_store(paths).performance_metrics((NOON + DAY, NOON + 2 * DAY))
    assert (found.duration.avg, found.duration.p95, found.cost.total, found.cost.avg) == (None, None, 0.0, None)
    assert (found.resources.avg_memory_mb, found.resources.cpu_s) == (None, None)
    assert json.loads(json.dumps(found.to_dict()))["duration"] == {"avg": None, "p50": None, "p95": None, "p99": None}


def test_the_price_is_the_setting(paths: StorePaths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless it is given; nothing is for free."""
    stored(paths, [snapshot()])
    monkeypatch.setenv("QUERYGAUGE_PRICE_PER_HOUR", "3.5")
    store = open_store(paths)
    span = (NOON - DAY, NOON + DAY)
    assert store.performance_metrics(span).price_per_hour == 3.5
    assert store.performance_metrics(span, price_per_hour=2).price_per_hour == 2.0
    with pytest.raises(SettingsError, match="price_per_hour must be > 0; got -1"):
        store.performance_metrics(span, price_per_hour=-1)


def test_one_execution_is_exact(paths: StorePaths) -> None:
    """Its duration is every percentile."""
    once = snapshot(1)
    stored(paths, [replace(once, queries=(replace(once.queries[0], durations=Histogram.of([7_000_000])),))])
    found = open_store(paths).performance_metrics((NOON - MINUTE, NOON + MINUTE))
    assert set(found.duration.to_dict().values()) == {7.0}
