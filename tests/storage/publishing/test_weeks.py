"""The report of a week says what happened in that week, to the last execution."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from querygauge.histogram import EMPTY, Histogram
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.publishing.weeks import monday_of, week_number
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts
from storage.making import snapshot

NOW = datetime(2027, 2, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
# Around each of them, the year of the calendar and that of the week differ.
NEW_YEARS = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def write(
    paths: StorePaths,
    at: datetime,
    ms: Iterable[float] = (2.0,),
    *,
    number: int = 1,
    service: str = "shop",
    failed: int = 0,
) -> None:
    """One snapshot of a pattern, with executions of these durations, of which so many failed."""
    durations = Histogram.of([round(1e6 * each) for each in ms])
    made = snapshot(1, ended=at, number=number, service=service)
    outcomes = OutcomeCounts(ok=durations.count - failed, error=failed)
    (stats,) = made.queries
    SpoolSink(paths.root, 100).write(
        replace(made, queries=(replace(stats, durations=durations, outcomes=outcomes, rows_known_count=0),))
    )


def weeks_of(paths: StorePaths, order: str = "week_start, pattern_id") -> list[dict[str, Any]]:
    """What the view of all weeks has."""
    with duckdb.connect(str(paths.views), read_only=True) as connection:
        cursor = connection.execute(f"SELECT * FROM perf_all_weeks ORDER BY {order}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def published(paths: StorePaths, now: datetime = NOW) -> list[dict[str, Any]]:
    """What the weeks are once everything was folded and published."""
    fold(paths)
    roll_up(paths, now)
    publish(paths, Limits(), now)
    return weeks_of(paths)


@pytest.mark.parametrize(
    ("at", "week", "monday"),
    [
        ("2024-12-29T23:59:59", 202452, "2024-12-23"),
        ("2024-12-30T00:00:00", 202501, "2024-12-30"),
        ("2026-12-31T23:59:59", 202653, "2026-12-28"),
        ("2027-01-03T23:59:59", 202653, "2026-12-28"),
        ("2027-01-04T00:00:00", 202701, "2027-01-04"),
    ],
)
def test_a_week_is_that_of_the_iso_year(paths: StorePaths, at: str, week: int, monday: str) -> None:
    """From Monday 00:00 UTC on; its number has the year that the week belongs to."""
    write(paths, datetime.fromisoformat(at).replace(tzinfo=UTC))
    (row,) = published(paths)
    assert (row["week"], row["week_start"], row["samples"]) == (week, date.fromisoformat(monday), 1)


_executions = st.tuples(
    st.sampled_from(NEW_YEARS),
    st.timedeltas(-15 * DAY, 15 * DAY),
    st.lists(st.floats(0.001, 10_000), min_size=1, max_size=4),
    st.integers(1, 3),
    st.sampled_from(["shop", "mail"]),
)


# Each example is a store of its own; to make one smaller would take minutes.
@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(
    early=st.lists(_executions, min_size=1, max_size=6), late=st.lists(_executions, max_size=4), between=st.booleans()
)
def test_a_week_has_what_was_executed_in_it(early: list[Any], late: list[Any], between: bool) -> None:
    """Samples, time and percentiles of all services and of what came late, across the ends of years."""
    expected: dict[tuple[int, str], Histogram] = defaultdict(lambda: EMPTY)
    with TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder) / "store")
        for part in (early, late):
            for year, offset, durations, number, service in part:
                at = (year + offset).replace(microsecond=0)
                write(paths, at, durations, number=number, service=service)
                place = week_number(monday_of(at.date())), f"{number:016x}"
                expected[place] = expected[place].merged(Histogram.of([round(1e6 * each) for each in durations]))
            if between:
                published(paths)
        rows = {(row["week"], row["pattern_id"]): row for row in published(paths)}
    assert rows.keys() == expected.keys()
    for place, durations in expected.items():
        row = rows[place]
        assert row["samples"] == durations.count
        assert row["total_ms"] == pytest.approx(durations.total_ms)
        for name, q in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            assert row[name] == pytest.approx(durations.quantile_ms(q))


def test_a_week_is_compared_with_the_one_before(paths: StorePaths) -> None:
    """By its Monday: before 202601 comes 202552, and a week without the pattern is none before."""
    mondays = [date(2025, 12, 22), date(2025, 12, 29), date(2026, 1, 12)]
    for monday, ms in zip(mondays, (10.0, 15.0, 30.0), strict=True):
        write(paths, datetime.combine(monday, datetime.min.time(), UTC), [ms])
    told = [
        (row["week"], row["previous_p95_ms"], row["change_percent"], row["weeks_present"]) for row in published(paths)
    ]
    assert told == [(202552, None, None, 1), (202601, 10.0, pytest.approx(50.0), 2), (202603, None, None, 3)]


def test_what_comes_late_is_in_the_weeks_that_follow(paths: StorePaths) -> None:
    """In what they are compared with, and in how many weeks a pattern was seen."""
    for weeks, ms in ((1, 10.0), (2, 20.0)):
        write(paths, NOW - 10 * WEEK + weeks * WEEK, [ms])
    before = published(paths)
    assert [row["weeks_present"] for row in before] == [1, 2]
    write(paths, NOW - 10 * WEEK, [5.0])
    write(paths, NOW - 9 * WEEK, [40.0, 40.0])
    rows = published(paths)
    assert [(row["samples"], row["weeks_present"]) for row in rows] == [(1, 1), (3, 2), (1, 3)]
    assert [row["previous_p95_ms"] for row in rows] == [None, 5.0, pytest.approx(40.0)]


def test_the_columns_of_a_pattern(paths: StorePaths) -> None:
    """Shares add up to 100, errors are among what ended by itself, and a slow one is over the threshold."""
    write(paths, NOW, [200.0, 200.0], failed=1)
    write(paths, NOW, [50.0] * 12, number=2, service="mail")
    write(paths, NOW - 5 * WEEK, [100.0], number=3)
    old, first, second = published(paths)
    assert (first["pattern"], first["summary"], first["services"]) == ("SELECT ? FROM t1", "SELECT t1", ["shop"])
    assert (first["share_percent"], second["share_percent"]) == (40.0, 60.0)
    assert (first["error_rate"], second["error_rate"], first["errors"]) == (50.0, 0.0, 1)
    assert (first["slow_flag"], second["slow_flag"], old["slow_flag"]) == (True, False, False)
    assert (first["first_seen"], old["call_sites"]) == (NOW.replace(tzinfo=None), [])


def test_the_threshold_is_a_setting(paths: StorePaths) -> None:
    """Another one is in every week's report from then on."""
    write(paths, NOW, [50.0])
    write(paths, NOW - WEEK, [50.0])
    assert [row["slow_flag"] for row in published(paths)] == [False, False]
    publish(paths, Limits(weekly_slow_ms=49.5), NOW)
    assert [row["slow_flag"] for row in weeks_of(paths)] == [True, True]


def test_call_sites_are_those_that_sent_most(paths: StorePaths) -> None:
    """Three of them, the first with most executions, whatever service they are of."""
    for service, lines in (("shop", {"a": 3, "b": 1}), ("mail", {"b": 9, "c": 2, "d": 1})):
        made = snapshot(20, ended=NOW, service=service)
        (stats,) = made.queries
        SpoolSink(paths.root, 100).write(replace(made, queries=(replace(stats, lines=lines),)))
    (row,) = published(paths)
    assert row["call_sites"] == ["b", "a", "c"]
