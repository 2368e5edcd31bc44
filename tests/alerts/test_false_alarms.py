"""Quiet days raise nothing: what a real application sent, replayed for a day with the chance that is in every day."""

import json
import math
import random
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from querygauge.alerts.lifecycle import look
from querygauge.alerts.rules import PATIENCE, findings
from querygauge.alerts.thresholds import Thresholds
from querygauge.histogram import Histogram, bucket_bounds_ms
from querygauge.storage.answers.comparison import MIN_CHANGE_PERCENT, compared
from querygauge.values import OutcomeCounts, Pattern, QueryStats
from querygauge.values.alerts import Alert
from querygauge.values.observed import Observation, ObservedService, ObservedStore

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
A_MONTH = timedelta(days=30)
A_DAY = 24 * 60
PER_MINUTE = 80.0  # executions at the busiest hour; at the quietest a tenth of it

_STUDY: Final = Path(__file__).with_name("optuna_study.json")

Window = dict[str, Counter[int]]
"""Executions by pattern and bucket."""


@pytest.fixture(scope="module")
def real() -> tuple[QueryStats, ...]:
    """
    What Optuna's storage sent to SQLite in a study of 60 trials, with the times that took.

    Written down once, from the store of `querygauge demo --trials 60`: on a machine that is at its end, what the study
    takes is an alarm of its own.
    """
    return tuple(map(_stats_of, json.loads(_STUDY.read_text(encoding="utf-8"))))


def _stats_of(told: dict[str, Any]) -> QueryStats:
    pattern = Pattern(told["id"], told["text"], told["summary"], told["operation"], (), "sqlite", told["category"])
    durations = _histogram({int(bucket): count for bucket, count in told["buckets"].items()})
    return QueryStats(
        pattern, "optuna", OutcomeCounts(ok=durations.count), 0, 0, 0, durations, MIDNIGHT - A_MONTH, MIDNIGHT
    )


def _histogram(buckets: Mapping[int, int]) -> Histogram:
    """Each duration in the middle of its bucket."""
    middles_ns = {bucket: int(sum(bucket_bounds_ms(bucket)) / 2 * 1e6) for bucket in buckets}
    total_ns = sum(count * middles_ns[bucket] for bucket, count in buckets.items())
    return Histogram(sum(buckets.values()), total_ns, min(middles_ns.values()), max(middles_ns.values()), dict(buckets))


class Day:
    """A day of such traffic, minute by minute."""

    def __init__(self, real: tuple[QueryStats, ...], seed: int) -> None:
        self._random = random.Random(seed)
        self._real = {stats.pattern_id: stats for stats in real}
        total = sum(stats.execution_count for stats in real)
        self._shares = {stats.pattern_id: stats.execution_count / total for stats in real}

    def minute(self, number: int) -> Window:
        """What is sent in one minute of the day: as many as at that hour, give or take, each as long as any."""
        busy = 0.55 - 0.45 * math.cos(2 * math.pi * number / A_DAY)
        sent: Window = {}
        for pattern_id, share in self._shares.items():
            expected = PER_MINUTE * busy * share
            count = max(0, round(self._random.gauss(expected, math.sqrt(expected))))
            if count:
                buckets = self._real[pattern_id].durations.buckets
                drawn = self._random.choices(tuple(buckets), tuple(buckets.values()), k=count)
                sent[pattern_id] = Counter(drawn)
        return sent

    def stats(self, window: Mapping[str, Counter[int]]) -> tuple[QueryStats, ...]:
        """The same as statistics."""
        return tuple(self._stats(pattern_id, buckets) for pattern_id, buckets in window.items() if buckets)

    def _stats(self, pattern_id: str, buckets: Counter[int]) -> QueryStats:
        durations = _histogram(buckets)
        return replace(self._real[pattern_id], outcomes=OutcomeCounts(ok=durations.count), durations=durations)


def _windows(day: Day, length: int) -> Iterator[tuple[int, Window, Window]]:
    """For each minute, what was sent in it and in those before it, so many together."""
    kept: deque[Window] = deque()
    together: Window = {}
    for number in range(A_DAY):
        minute = day.minute(number)
        kept.append(minute)
        for pattern_id, buckets in minute.items():
            together.setdefault(pattern_id, Counter()).update(buckets)
        if len(kept) > length:
            for pattern_id, buckets in kept.popleft().items():
                together[pattern_id] -= buckets
        recent: Window = {}
        for each in list(kept)[-5:]:
            for pattern_id, buckets in each.items():
                recent.setdefault(pattern_id, Counter()).update(buckets)
        yield number, recent, together


@pytest.mark.parametrize("seed", range(10))
def test_a_quiet_day_raises_nothing(real: tuple[QueryStats, ...], seed: int) -> None:
    """Not one alert in a day of looks, a minute apart, with the default thresholds."""
    day = Day(real, seed)
    known: dict[str, Alert] = {}
    fired: list[Alert] = []
    for number, recent, hour in _windows(day, 60):
        now = MIDNIGHT + number * MINUTE
        service = ObservedService(
            "optuna", recent=day.stats(recent), hour=day.stats(hour), usual_count=1_000, slow_threshold_ms=1_000.0
        )
        found = findings(Observation(now, (service,), ObservedStore(50.0, 1, 0.1, 50.0)), Thresholds())
        seen = look(known.values(), found, now, patience=PATIENCE)
        known |= {alert.id: alert for alert in seen.alerts}
        for alert in seen.dropped:
            del known[alert.id]
        fired += seen.told
    assert fired == []


@pytest.mark.parametrize("seed", range(5))
def test_no_hour_is_taken_for_slower_than_the_same_of_another_week(real: tuple[QueryStats, ...], seed: int) -> None:
    """Of 24 hours with all patterns compared: chance alone looks like a regression once in a hundred hours at most."""
    this_week, last_week = Day(real, seed), Day(real, 1_000 + seed)
    hours = [
        [week.stats(hour) for number, _, hour in _windows(week, 60) if number % 60 == 59]
        for week in (last_week, this_week)
    ]
    slower = [
        change.pattern.summary
        for before, after in zip(*hours, strict=True)
        for change in compared(
            before, after, named=("before", "now"), service=None, min_change_percent=MIN_CHANGE_PERCENT
        ).regressed
    ]
    assert len(slower) <= 1


def test_an_hour_that_is_slower_is_found(real: tuple[QueryStats, ...]) -> None:
    """The same replay with one pattern three times as slow raises an alert about that one, so that it could."""
    day = Day(real, 0)
    (worst, *_) = sorted(real, key=lambda stats: -stats.execution_count)
    *_, (_, _, hour) = _windows(day, 60)
    slow_by = round(32 * math.log2(3))
    now = {
        pattern_id: Counter({bucket + slow_by * (pattern_id == worst.pattern_id): n for bucket, n in buckets.items()})
        for pattern_id, buckets in hour.items()
    }
    regressed = compared(
        day.stats(hour), day.stats(now), named=("before", "now"), service=None, min_change_percent=MIN_CHANGE_PERCENT
    ).regressed
    assert [change.pattern.id for change in regressed] == [worst.pattern_id]
    service = ObservedService("optuna", hour=day.stats(now), regressed=regressed)
    least = Thresholds(p95_ms=0.0)
    told = [finding.rule for finding in findings(Observation(MIDNIGHT, (service,)), least)]
    assert told.count("regression") == 1
