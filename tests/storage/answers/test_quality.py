"""Scores are what the buckets of the snapshots say, failures being frustrated."""

import json
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.histogram import Histogram, bucket_of
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.values import OutcomeCounts, QueryStats, Snapshot
from querygauge.values.answers.quality import Quality, QualityReport
from storage.answers.making import days, stored, within
from storage.making import NOON, snapshot, stats

DAY = timedelta(days=1)
THRESHOLDS = {"shop": 8.0, "mail": 20.0}


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_list_adds_up(paths: StorePaths, seed: int, is_rolled_up: bool) -> None:
    """With the threshold of each service, from minutes or from hours."""
    snapshots = [replace(each, slow_threshold_ms=THRESHOLDS[each.service]) for each in days(seed, snapshots=60)]
    stored(paths, snapshots, rolled_up_at=NOON + 2 * DAY if is_rolled_up else None)
    span = (NOON.replace(second=0), NOON + 4 * DAY)
    found = open_store(paths).quality(span)
    counts: dict[Hashable, Counter[str]] = {}
    for whole, each in within(snapshots, *span):
        for key in ("all", *_keys(each, whole.ended)):
            counts.setdefault(key, Counter()).update(_counted(each, THRESHOLDS[whole.service]))
    assert found.thresholds_ms == THRESHOLDS
    assert _by_key(found) == {key: Quality.of(**count) for key, count in counts.items()}
    scores = [entry.quality.score for entry in found.by_pattern]
    assert scores == sorted(scores, key=lambda score: score or 0.0)


def _keys(each: QueryStats, ended: datetime) -> Iterable[Hashable]:
    return (
        each.pattern_id,
        ("operation", each.operation),
        ("complexity", each.pattern.complexity),
        (ended.isoweekday(), ended.hour),
    )


def _counted(each: QueryStats, threshold_ms: float) -> dict[str, int]:
    within_quarter, within_all = (
        sum(count for k, count in each.durations.buckets.items() if k <= bucket_of(round(1e6 * ms)))
        for ms in (threshold_ms / 4, threshold_ms)
    )
    return {
        "executions": each.execution_count,
        "satisfied": within_quarter,
        "tolerating": within_all - within_quarter,
        "errors": each.outcomes.error,
        "timeouts": each.outcomes.timeout,
    }


def _by_key(found: QualityReport) -> dict[Hashable, Quality]:
    return {
        "all": found.overall,
        **{entry.pattern.id: entry.quality for entry in found.by_pattern},
        **{("operation", entry.operation): entry.quality for entry in found.by_operation},
        **{("complexity", entry.complexity): entry.quality for entry in found.by_complexity},
        **{(entry.weekday, entry.hour): entry.quality for entry in found.by_weekday_hour},
    }


_counts = st.integers(0, 50)


@given(_counts, _counts, _counts, st.data())
def test_nothing_is_lost_to_failures(satisfied: int, tolerating: int, slow: int, data: st.DataObject) -> None:
    """They only make a score lower, and those that are as many as there are make it 0."""
    executions = satisfied + tolerating + slow
    errors = data.draw(st.integers(0, executions))
    timeouts = data.draw(st.integers(0, executions - errors))
    without = Quality.of(executions, satisfied, tolerating, errors=0, timeouts=0)
    quality = Quality.of(executions, satisfied, tolerating, errors=errors, timeouts=timeouts)
    assert (without.satisfied_count, without.tolerating_count) == (satisfied, tolerating)
    assert quality.execution_count == executions
    assert min(quality.satisfied_count, quality.tolerating_count, quality.frustrated_count) >= 0
    assert quality.frustrated_count >= max(errors, timeouts, errors + timeouts - slow)
    assert (quality.score or 0.0) <= (without.score or 0.0)
    assert Quality.of(executions, satisfied, tolerating, errors=executions, timeouts=0).score in {None, 0.0}


@pytest.mark.parametrize(
    ("counts", "score", "grade"),
    [
        ((9, 0, 1), 90.0, "excellent"),
        ((5, 5, 0), 75.0, "good"),
        ((1, 1, 0), 75.0, "good"),
        ((2, 8, 0), 60.0, "fair"),
        ((0, 1, 0), 50.0, "poor"),
        ((0, 0, 1), 0.0, "poor"),
        ((0, 0, 0), None, None),
    ],
)
def test_a_score_has_its_grade(counts: tuple[int, int, int], score: float | None, grade: str | None) -> None:
    """From its lower bound on."""
    quality = Quality(*counts)
    assert (quality.score, quality.grade) == (score, grade)


def test_the_last_process_has_the_threshold(paths: StorePaths) -> None:
    """Of one that did not say it is the default of the setting."""
    early, late = replace(snapshot(4), slow_threshold_ms=1.0), replace(snapshot(4, process="web:2"))
    stored(paths, [early, _later(late, 4.0)])
    found = open_store(paths).quality((NOON - DAY, NOON + DAY))
    assert (found.thresholds_ms, found.overall) == ({"shop": 4.0}, Quality(0, 8, 0))


def test_a_process_that_says_nothing_has_the_default(paths: StorePaths) -> None:
    """One execution of 2 ms is within a quarter of a second."""
    stored(paths, [snapshot(1)])
    found = open_store(paths).quality((NOON - DAY, NOON + DAY))
    assert (found.thresholds_ms, found.overall.score) == ({"shop": 1_000.0}, 100.0)


def test_a_threshold_of_nothing_frustrates_everybody(paths: StorePaths) -> None:
    """Everything is slow then."""
    slow = Histogram.of([2_000_000] * 3)
    entry = replace(stats(), durations=slow, outcomes=OutcomeCounts(ok=3))
    stored(paths, [replace(snapshot(), queries=(entry,), slow_threshold_ms=0.0)])
    assert open_store(paths).quality((NOON - DAY, NOON + DAY)).overall == Quality(0, 0, 3)


def test_an_empty_span_has_no_score(paths: StorePaths) -> None:
    """And can be written as JSON; a service is chosen in every list."""
    stored(paths, [snapshot(3), snapshot(4, service="mail")])
    store = open_store(paths)
    assert store.quality((NOON - DAY, NOON + DAY), service="mail").overall.execution_count == 4
    empty = store.quality((NOON + DAY, NOON + 2 * DAY))
    assert (empty.overall.score, empty.by_pattern, empty.by_weekday_hour) == (None, (), ())
    assert json.loads(json.dumps(empty.to_dict()))["overall"]["grade"] is None


def _later(one: Snapshot, threshold_ms: float) -> Snapshot:
    return replace(one, ended=one.ended + timedelta(seconds=20), slow_threshold_ms=threshold_ms)
