"""What database time cost is what the snapshots say at the price, and expected is what the weeks before say."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from querygauge.histogram import EMPTY, Histogram
from querygauge.storage.asking import asked
from querygauge.storage.database import open_database
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.values import OutcomeCounts, Snapshot
from querygauge.values.answers.cost import Cost
from storage.answers.making import days, stored, within
from storage.making import NOON, snapshot, stats

DAY = timedelta(days=1)
SPAN = (NOON + 3 * DAY, NOON + 6 * DAY)


@pytest.mark.parametrize("seed", range(3))
def test_every_list_adds_up(paths: StorePaths, seed: int) -> None:
    """By pattern, tag and service: actual from the time, expected from the median of the days before."""
    snapshots = days(seed, count=6, snapshots=80)
    stored(paths, snapshots, rolled_up_at=NOON + 4 * DAY)
    span = (SPAN[0].replace(second=0), SPAN[1])
    found = open_store(paths).cost(span, price_per_hour=7_200_000)  # 2 for each millisecond
    before: dict[tuple[str, str], Histogram] = {}
    for whole, each in within(snapshots, NOON - DAY, span[0]):
        durations = each.durations.coarsened(4)  # as days have them
        place = (whole.service, each.pattern_id)
        before[place] = before.get(place, EMPTY).merged(durations)
    actual: Counter[object] = Counter()
    expected: Counter[object] = Counter()
    for whole, each in within(snapshots, *span):
        for key in (each.pattern_id, *each.tags.items(), whole.service, "total"):
            actual[key] += 2 * each.total_duration_ms  # type: ignore[assignment]
            median = before.get((whole.service, each.pattern_id))
            expected_ms = each.total_duration_ms if median is None else each.execution_count * median.quantile_ms(0.5)
            expected[key] += 2 * expected_ms  # type: ignore[assignment]
    costs: dict[object, Cost] = {
        "total": found.total,
        **{entry.pattern.id: entry.cost for entry in found.by_pattern},
        **{(entry.tag, entry.value): entry.cost for entry in found.by_tag},
        **{entry.service: entry.cost for entry in found.by_service},
    }
    assert {key: cost.actual for key, cost in costs.items()} == pytest.approx(dict(actual))
    assert {key: cost.expected for key, cost in costs.items()} == pytest.approx(dict(expected))
    assert [entry.cost.actual for entry in found.by_pattern] == sorted(
        (entry.cost.actual for entry in found.by_pattern), reverse=True
    )
    assert found.total.saved == pytest.approx(found.total.expected - found.total.actual)


def test_what_became_faster_saved_something(paths: StorePaths) -> None:
    """A thousand executions of 3 ms instead of 5; what was executed five weeks ago no longer counts."""
    stored(paths, [_days_ago(36, 50.0), _days_ago(20, 5.0), _days_ago(6, 5.0), _days_ago(0, 3.0)])
    found = open_store(paths).cost((NOON - DAY, NOON + DAY), price_per_hour=3.6)
    (entry,) = found.by_pattern
    assert entry.median_before_ms == pytest.approx(5.0, rel=0.011)
    assert entry.cost.actual == pytest.approx(1_000 * 3e-6)
    assert entry.cost.saved == pytest.approx(1_000 * 2e-6, rel=0.03)


def _days_ago(count: int, ms: float) -> Snapshot:
    ended = NOON - count * DAY
    durations = Histogram.of([round(1e6 * ms)] * 1_000)
    entry = replace(stats(at=ended), durations=durations, outcomes=OutcomeCounts(ok=1_000), rows_known_count=0)
    return replace(snapshot(ended=ended), queries=(entry,))


def _two_services(day: datetime, executions: int, *ms: float) -> list[Snapshot]:
    """The same pattern in both, as quick or slow as each of them is."""
    made = []
    for service, each in zip(("mail", "shop"), ms, strict=True):
        durations = Histogram.of([round(1e6 * each)] * executions)
        entry = replace(stats(at=day), durations=durations, outcomes=OutcomeCounts(ok=executions), rows_known_count=0)
        made.append(replace(snapshot(service=service, ended=day), queries=(entry,)))
    return made


def test_a_service_is_measured_by_its_own_past(paths: StorePaths) -> None:
    """One that is as slow as ever saved nothing, alone or beside a quick one, as the view of days has it."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    span, yesterday = (midnight, midnight + DAY), midnight + DAY / 2
    snapshots = [*_two_services(yesterday - 3 * DAY, 1_000, 1.0, 200.0), *_two_services(yesterday, 10, 1.0, 200.0)]
    stored(paths, snapshots)
    store = open_store(paths)
    together = store.cost(span, price_per_hour=3_600_000)
    by_service = {entry.service: entry.cost for entry in together.by_service}
    assert by_service["shop"].expected == pytest.approx(2_000, rel=0.023)
    assert by_service["mail"].expected == pytest.approx(10, rel=0.023)
    for service, cost in by_service.items():
        assert store.cost(span, service=service, price_per_hour=3_600_000).total == cost
    assert together.by_pattern[0].median_before_ms == pytest.approx(100.5, rel=0.023)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        rows = asked(
            connection, "FROM pattern_performance_daily WHERE day = $day", {"day": span[0].replace(tzinfo=None)}
        )
    assert {row["service"]: row["expected_ms"] for row in rows} == {
        service: pytest.approx(cost.expected) for service, cost in by_service.items()
    }


def test_what_has_no_past_is_expected_to_cost_what_it_did(paths: StorePaths) -> None:
    """Nothing is saved by a new query."""
    stored(paths, [snapshot(1)])
    found = open_store(paths).cost((NOON - DAY, NOON + DAY), price_per_hour=1)
    assert (found.total.saved, found.by_pattern[0].median_before_ms) == (0.0, None)
    assert (found.by_tag, [entry.service for entry in found.by_service]) == ((), ["shop"])


def test_an_empty_span_costs_nothing(paths: StorePaths) -> None:
    """And can be written as JSON."""
    stored(paths, [])
    found = open_store(paths).cost()
    assert (found.total.actual, found.by_pattern, found.price_per_hour) == (0, (), 1.0)
    assert json.loads(json.dumps(found.to_dict()))["total"]["saved"] == 0
