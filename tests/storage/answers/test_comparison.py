"""What has changed between two spans, or two stores."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from querygauge.errors import SettingsError, StoreError
from querygauge.histogram import Histogram
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.values import OutcomeCounts, QueryStats, Snapshot
from querygauge.values.answers.comparison import Comparison
from storage.answers.making import stored
from storage.making import NOON, snapshot, stats

DAY = timedelta(days=1)
TODAY = (NOON - timedelta(hours=1), NOON + timedelta(hours=1))
YESTERDAY = (TODAY[0] - DAY, TODAY[1] - DAY)


def test_slower_faster_new_and_gone_are_told_apart(paths: StorePaths) -> None:
    """What is as before is in no list; what changed says in which measure, and how sure that is."""
    found = _compare(
        paths,
        before={1: _drawn(300), 2: _drawn(300), 3: _drawn(300), 4: _drawn(50)},
        after={1: _drawn(300, 2.0), 2: _drawn(300, 0.5), 3: _drawn(300), 5: _drawn(50)},
    )
    assert [_number(change.pattern.id) for change in found.regressed] == [1]
    assert [_number(change.pattern.id) for change in found.improved] == [2]
    assert [_number(change.pattern.id) for change in found.new] == [5]
    assert [_number(change.pattern.id) for change in found.gone] == [4]
    slower = found.regressed[0]
    assert slower.measures[0] == "median"
    assert slower.p_value is not None
    assert slower.p_value < 1e-9
    assert slower.median_change_percent == pytest.approx(100, abs=25)
    assert (found.compared_count, found.too_few_count) == (3, 0)
    assert json.loads(json.dumps(found.to_dict()))["regressed"][0]["pattern"]["id"] == f"{1:016x}"


def test_a_longer_tail_is_seen_where_the_median_is_the_same(paths: StorePaths) -> None:
    """One in seven executions misses the cache instead of one in twenty-five."""
    found = _compare(paths, before={1: _drawn(2_000, misses=0.04)}, after={1: _drawn(2_000, misses=0.15)})
    assert found.regressed[0].measures[-1] == "p95"


def test_failures_are_a_measure(paths: StorePaths) -> None:
    """A query that fails at once is not faster: what did both has become worse."""
    failing = replace(_drawn(300, 0.3), outcomes=OutcomeCounts(ok=200, error=60, timeout=40))
    found = _compare(paths, before={1: _drawn(300)}, after={1: failing})
    assert found.regressed[0].measures == ("errors",)
    assert found.improved == ()


def test_a_small_change_is_none_however_sure_it_is(paths: StorePaths) -> None:
    """Five percent in ten thousand executions are no chance, and nothing to act on unless somebody wants to know."""
    sides = {"before": {1: _drawn(10_000)}, "after": {1: _drawn(10_000, 1.06)}}
    assert _compare(paths, **sides).regressed == ()
    found = open_store(paths).compare(YESTERDAY, TODAY, min_change_percent=2)
    assert found.regressed[0].measures[0] == "median"


def test_a_few_executions_tell_nothing(paths: StorePaths) -> None:
    """Nine are too few, whatever they look like; they are counted."""
    found = _compare(paths, before={1: _drawn(9), 2: _drawn(1)}, after={1: _drawn(9, 100), 2: _drawn(1, 100)})
    assert (found.compared_count, found.too_few_count, found.regressed) == (0, 2, ())


def test_the_default_is_the_last_day_and_the_one_before(paths: StorePaths) -> None:
    """The two have no minute in common; a length is compared with the same length before it."""
    stored(paths, [snapshot()])
    store = open_store(paths)
    before, after = store.compare().before, store.compare(after="7d").before
    assert str(paths.root) in before
    assert before != after
    assert store.compare("2025-12-31/2026-01-01", "2026-01-01/2026-01-02").new[0].after is not None


def test_no_minute_is_on_both_sides(paths: StorePaths) -> None:
    """Where one span ends the next begins, though it be in the middle of a minute."""
    stored(paths, [snapshot(20)])
    found = open_store(paths).compare(after=(NOON, NOON + DAY))
    assert (len(found.new), found.compared_count, found.too_few_count) == (1, 0, 0)


def test_two_stores_are_compared_whole(paths: StorePaths, tmp_path: Path) -> None:
    """Unless ranges say otherwise; the targets of the two may have other names."""
    other = StorePaths(tmp_path / "baseline")
    stored(other, [_side({1: _drawn(300)}, timedelta(days=-50))])
    stored(paths, [_side({1: replace(_drawn(300, 3.0), target="elsewhere")}, timedelta(0))])
    found = open_store(paths).compare(baseline=open_store(other.root))
    assert [_number(change.pattern.id) for change in found.regressed] == [1]
    assert (found.before, found.after) == (f"{other.root}, everything", f"{paths.root}, everything")
    ranged = open_store(paths).compare(YESTERDAY, TODAY, baseline=open_store(other.root))
    assert len(ranged.new) == 1


def test_an_empty_store_and_impossible_questions(paths: StorePaths) -> None:
    """Nothing is compared with nothing; a service nobody heard of is an error, as is no range."""
    stored(paths, [])
    store = open_store(paths)
    assert (store.compare().compared_count, store.compare().new) == (0, ())
    with pytest.raises(StoreError, match="no service 'nobody'"):
        store.compare(service="nobody")
    with pytest.raises(SettingsError, match="a range must be"):
        store.compare("yesterday")
    for percent in (float("nan"), float("inf"), -1.0):
        with pytest.raises(SettingsError, match="min_change_percent must be a finite number >= 0; got"):
            store.compare(min_change_percent=percent)


@pytest.mark.parametrize("draw", [random.Random.random, lambda dice: dice.lognormvariate(0, 1)])
def test_nothing_new_is_called_changed_in_a_hundred_patterns(
    paths: StorePaths, draw: Callable[[random.Random], float]
) -> None:
    """Drawn alike, no pattern of a hundred is named; the seed is fixed, as one comparison in a hundred may name one."""
    dice = random.Random(5)

    def side() -> dict[int, QueryStats]:
        return {number: _of([draw(dice) for _ in range(60)]) for number in range(1, 101)}

    found = _compare(paths, before=side(), after=side())
    assert (found.compared_count, found.regressed, found.improved) == (100, (), ())


_DICE = random.Random(7)


def _drawn(count: int, factor: float = 1.0, misses: float = 0.05) -> QueryStats:
    return _of([factor * _DICE.lognormvariate(0, 0.5) * (8 if _DICE.random() < misses else 1) for _ in range(count)])


def _of(draws: list[float]) -> QueryStats:
    durations = Histogram.of([1 + round(1e6 * each) for each in draws])
    return replace(stats(), outcomes=OutcomeCounts(ok=durations.count), durations=durations, rows_known_count=0)


def _side(drawn: dict[int, QueryStats], moved: timedelta) -> Snapshot:
    queries = tuple(replace(each, pattern=stats(number=number).pattern) for number, each in drawn.items())
    return replace(snapshot(ended=NOON + moved), queries=queries)


def _compare(paths: StorePaths, before: dict[int, QueryStats], after: dict[int, QueryStats]) -> Comparison:
    stored(paths, [_side(before, -DAY), _side(after, timedelta(0))])
    return open_store(paths).compare(YESTERDAY, TODAY)


def _number(pattern_id: str) -> int:
    return int(pattern_id, 16)
