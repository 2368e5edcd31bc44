"""Weeks by the names that people have for them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.errors import SettingsError
from querygauge.storage.publishing.reading import monday_named
from querygauge.storage.publishing.weeks import monday_of, week_number


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
