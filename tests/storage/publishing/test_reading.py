"""Weeks by the names that people have for them."""

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
from storage.making import NOON, snapshot


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
