"""The tables of days tell what the snapshots add up to, with their quality, their cost and what was expected."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final

import pytest

from querygauge.collector import tick
from querygauge.histogram import EMPTY, Histogram, bucket_of
from querygauge.storage.agreeing import agree
from querygauge.storage.asking import asked
from querygauge.storage.database import open_database
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import NOTHING_KEPT, kept
from querygauge.values import QueryStats, Snapshot
from querygauge.values.answers.quality import Quality
from storage.answers.making import days, stored
from storage.making import NOON

DAY: Final = timedelta(days=1)
TODAY: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
AT_NOON: Final = NOON.replace(tzinfo=None)
THRESHOLD_MS: Final = 8.0
Keyed = tuple[Snapshot, QueryStats]


def _snapshots(seed: int) -> list[Snapshot]:
    """Forty days up to today, and one that is too old for any table."""
    dice = random.Random(seed)
    made = days(seed, count=40, snapshots=150)
    shift = TODAY - DAY - max(each.ended for each in made).replace(hour=0, minute=0, second=0, microsecond=0)
    recent = [replace(_moved(each, shift), slow_threshold_ms=THRESHOLD_MS) for each in made]
    return [*recent, replace(_moved(dice.choice(made), shift - 100 * DAY), slow_threshold_ms=THRESHOLD_MS)]


def _moved(one: Snapshot, by: timedelta) -> Snapshot:
    queries = tuple(
        replace(each, first_seen=each.first_seen + by, last_seen=each.last_seen + by) for each in one.queries
    )
    return replace(one, started=one.started + by, ended=one.ended + by, queries=queries)


def _rows(paths: StorePaths, view: str) -> list[dict[str, Any]]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return asked(connection, f"FROM {view}", {})


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _entries(snapshots: Iterable[Snapshot]) -> list[Keyed]:
    return [(each, stats) for each in snapshots for stats in each.queries]


def _coarse(durations: Histogram) -> Histogram:
    """As days keep it: half as many buckets."""
    counts: Counter[int] = Counter()
    for k, count in durations.buckets.items():
        counts[-(-k // 2)] += count
    return replace(durations, buckets=dict(counts))


def _by(
    entries: Iterable[Keyed], key: Callable[[Keyed], Iterable[Hashable]]
) -> dict[Hashable, tuple[QueryStats, Quality]]:
    found: dict[Hashable, list[QueryStats]] = defaultdict(list)
    for each in entries:
        for place in key(each):
            found[place].append(each[1])
    return {place: (_together(some), _quality(some)) for place, some in found.items()}


def _together(some: list[QueryStats]) -> QueryStats:
    merged = some[0]
    for each in some[1:]:
        merged = merged.merged(each)
    return merged


def _quality(some: list[QueryStats]) -> Quality:
    buckets: Counter[int] = Counter()
    for each in some:
        buckets.update(_coarse(each.durations).buckets)
    within_quarter, within_all = (
        sum(count for k, count in buckets.items() if k <= -(-bucket_of(round(1e6 * ms)) // 2))
        for ms in (THRESHOLD_MS / 4, THRESHOLD_MS)
    )
    return Quality.of(
        sum(each.execution_count for each in some),
        within_quarter,
        within_all - within_quarter,
        errors=sum(each.outcomes.error for each in some),
        timeouts=sum(each.outcomes.timeout for each in some),
    )


def _check(row: dict[str, Any], stats: QueryStats, quality: Quality) -> None:
    outcomes, durations = stats.outcomes, stats.durations
    assert (row["executions"], row["succeeded"]) == (outcomes.total, outcomes.ok)
    assert row["errors"] == outcomes.error + outcomes.timeout
    assert row["total_ms"] == pytest.approx(durations.total_ms)
    assert row["avg_ms"] == pytest.approx(durations.total_ms / outcomes.total)
    assert row["p95_ms"] == pytest.approx(durations.quantile_ms(0.95), rel=0.04)
    assert dict(zip(row["bucket_k"], row["bucket_n"], strict=True)) == _coarse(durations).buckets
    assert row["scale"] == 4
    assert row["cost"] == pytest.approx(2.5 * durations.total_ms / 3_600_000)
    assert row["quality"] == pytest.approx(quality.score)


@pytest.mark.parametrize("seed", range(2))
def test_days_are_told(paths: StorePaths, seed: int) -> None:
    """Thirty days of them, by pattern and by tag."""
    snapshots = _snapshots(seed)
    stored(paths, snapshots, rolled_up_at=TODAY)
    agree(paths, NOTHING_KEPT, Limits(price_per_hour=2.5), AT_NOON)
    _check_patterns(paths, _entries(snapshots))
    _check_tags(paths, _entries(snapshots))


def _check_patterns(paths: StorePaths, entries: list[Keyed]) -> None:
    """What was expected is by the median of the four weeks before each day."""
    expected = _by(entries, lambda each: [(_day(each[0].ended), each[0].service, each[1].pattern_id)])
    shown = {place: found for place, found in expected.items() if place[0] >= TODAY - 30 * DAY}  # type: ignore[index]
    rows = _rows(paths, "pattern_performance_daily")
    assert len(rows) == len(shown) > 100
    with_history = 0
    for row in rows:
        day = row["day"].replace(tzinfo=UTC)
        stats, quality = shown[day, row["service"], row["pattern_id"]]
        _check(row, stats, quality)
        assert (row["summary"], row["operation"]) == (stats.pattern.summary, stats.operation)
        before = [
            entry.durations
            for whole, entry in entries
            if (whole.service, entry.pattern_id) == (row["service"], row["pattern_id"])
            and day - 28 * DAY <= _day(whole.ended) < day
        ]
        with_history += bool(before)
        if not before:
            assert row["expected_ms"] is None
            continue
        durations = EMPTY
        for each in before:
            durations = durations.merged(each)
        assert row["expected_ms"] == pytest.approx(stats.execution_count * durations.quantile_ms(0.5), rel=0.04)
    assert with_history > 100


def _check_tags(paths: StorePaths, entries: list[Keyed]) -> None:
    """Each value of each tag, by operation."""
    expected = _by(
        (each for each in entries if _day(each[0].ended) >= TODAY - 30 * DAY),
        lambda each: [(_day(each[0].ended), each[0].service, *tag, each[1].operation) for tag in each[1].tags.items()],
    )
    rows = _rows(paths, "tag_performance_daily")
    assert len(rows) == len(expected) > 100
    for row in rows:
        place = (row["day"].replace(tzinfo=UTC), row["service"], row["tag"], row["value"], row["operation"])
        _check(row, *expected[place])


def test_a_score_is_that_of_the_value(paths: StorePaths) -> None:
    """However many of four executions were quick, middling or slow, and failed."""
    cases = [
        (satisfied, tolerating, errors, timeouts)
        for satisfied, tolerating, errors, timeouts in product(range(5), repeat=4)
        if satisfied + tolerating <= 4 and errors + timeouts <= 4
    ]
    assert len(cases) > 100
    (one,) = days(1, count=1, snapshots=1)
    made = []
    for number, (satisfied, tolerating, errors, timeouts) in enumerate(cases):
        slow = 4 - satisfied - tolerating
        durations = Histogram.of([1_000_000] * satisfied + [4_000_000] * tolerating + [40_000_000] * slow)
        stats = replace(
            one.queries[0],
            pattern=replace(one.queries[0].pattern, id=f"{number:016x}"),
            durations=durations,
            outcomes=replace(
                one.queries[0].outcomes,
                ok=4 - errors - timeouts, error=errors, timeout=timeouts, cancelled=0,
            ),
            slow_count=0,
            lines={},
        )  # fmt: skip
        made.append((stats, Quality.of(4, satisfied, tolerating, errors=errors, timeouts=timeouts)))
    snapshot = replace(
        _moved(replace(one, queries=tuple(stats for stats, _ in made)), TODAY - DAY - _day(one.ended)),
        slow_threshold_ms=THRESHOLD_MS,
    )
    stored(paths, [snapshot])
    found = {row["pattern_id"]: row for row in _rows(paths, "pattern_performance_daily")}
    assert {key: row["quality"] for key, row in found.items()} == {
        stats.pattern_id: pytest.approx(quality.score) for stats, quality in made
    }
    assert {row["cost"] for row in found.values()} == {None}  # no collector told a price


def test_the_collector_keeps_what_views_go_by(paths: StorePaths) -> None:
    """The first is followed at once, and another one once an hour, whoever comes by turns."""
    stored(paths, days(1, count=1, snapshots=1))
    written: list[tuple[int, float]] = []
    for minute in range(180):
        limits = Limits(price_per_hour=1.0 + minute % 2)
        with open_database(paths, read_only=True, timeout_s=1) as connection:
            known = kept(connection)
        agree(paths, known, limits, AT_NOON + timedelta(minutes=minute))
        if (price := _rows(paths, "meta")[0]["price_per_hour"]) != (written[-1][1] if written else None):
            written.append((minute, price))
    assert written == [(0, 1.0), (61, 2.0), (122, 1.0)]
    tick(paths.root, Limits(price_per_hour=2.5))
    assert _rows(paths, "meta")[0]["price_per_hour"] == 2.5
