"""Weeks by the names that people have for them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.errors import SettingsError
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.publishing.reading import monday_named, weekly_report
from querygauge.storage.publishing.weeks import monday_of, week_number
from querygauge.storage.spool_sink import SpoolSink
from storage.making import NOON, pattern, snapshot, stats


@given(st.dates(date(1970, 1, 5), date(9999, 12, 1)))
def test_a_week_has_several_names(day: date) -> None:
    """Its number, the one of ISO 8601, and each of its days."""
    monday = monday_of(day)
    number = f"{week_number(monday)}"
    names = (number, f"{number[:4]}-W{number[4:]}", f" {number[:4]}w{number[4:]} ", str(day), str(monday))
    assert {monday_named(name) for name in names} == {monday}


@pytest.mark.parametrize(
    "name", ["", "2026", "202654", "202600", "2026-W1", "2026-13-01", "last", "\u0662\u0660\u0662\u0666-W01"]
)
def test_what_names_no_week(name: str) -> None:
    """The error shows how one is named."""
    with pytest.raises(SettingsError, match="a week must be one of ISO 8601, such as 202653"):
        monday_named(name)


def test_the_last_week_that_is_over(paths: StorePaths) -> None:
    """However long ago, and not one of a clock that is ahead; without any it is the one under way."""
    sink = SpoolSink(paths.root, 10)
    for weeks in (0, 2):
        sink.write(snapshot(1, ended=NOON + timedelta(weeks=weeks)))
        fold(paths)
        publish(paths, Limits(), NOON)
    assert weekly_report(paths, None, NOON).week == 202601
    sink.write(snapshot(1, ended=NOON - timedelta(weeks=3)))
    fold(paths)
    publish(paths, Limits(), NOON)
    report = weekly_report(paths, None, NOON)
    assert (report.week, report.is_over) == (202550, True)


def test_what_was_published_no_longer_was_seen_before(paths: StorePaths) -> None:
    """A file that is gone makes nothing new: the store knows when it was executed first."""
    sink = SpoolSink(paths.root, 10)
    for number, weeks in ((1, 0), (2, 0), (1, 3)):
        sink.write(snapshot(1, ended=NOON - timedelta(weeks=weeks), number=number))
    fold(paths)
    publish(paths, Limits(), NOON)
    assert weekly_report(paths, NOON.date() - timedelta(days=3), NOON).new_patterns == 1
    publish(paths, Limits(daily_days=7), NOON)
    sink.write(snapshot(1))
    fold(paths)
    publish(paths, Limits(daily_days=7), NOON)
    report = weekly_report(paths, NOON.date() - timedelta(days=3), NOON)
    assert [pattern.weeks_present for pattern in report.patterns] == [1, 1]
    assert report.new_patterns == 1


def test_what_is_slow_is_counted_as_it_is_listed(paths: StorePaths) -> None:
    """Queries; to commit takes the time it takes."""
    slow = stats(5)
    commit = replace(stats(5, number=2), pattern=replace(pattern(2), category="transaction"))
    SpoolSink(paths.root, 10).write(replace(snapshot(), queries=(slow, commit)))
    fold(paths)
    publish(paths, Limits(weekly_slow_ms=1), NOON)
    totals = weekly_report(paths, None, NOON).totals
    assert (totals.patterns, totals.slow_patterns, totals.slow_ms) == (2, 1, 1.0)
