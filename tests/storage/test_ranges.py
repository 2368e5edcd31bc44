"""Spans of time as people type them."""

from datetime import UTC, datetime, timedelta

import pytest

from querygauge.errors import SettingsError
from querygauge.storage.ranges import Span, parse_range, span_of


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        (" 1H ", timedelta(hours=1)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_range_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    """Case and surrounding spaces do not matter."""
    assert parse_range(text) == span


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "1.5h", "1y", "0m", "999999w", "1234567s", "٣d", "1h 2m"])
def test_anything_else_is_an_error_with_examples(text: str) -> None:
    """Whoever mistypes a range reads some that work."""
    with pytest.raises(SettingsError, match="15m, 1h, 24h, 7d, 30d, 90d"):
        parse_range(text)


def test_a_length_ends_now() -> None:
    """The last day is that of whoever asks, and the day before ends where it begins."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    day = timedelta(days=1)
    assert span_of("24h", now) == Span(now - day, now)
    assert span_of("24h", now).before() == Span(now - 2 * day, now - day)


def test_two_moments_make_a_range() -> None:
    """As text they are UTC where they name no zone; as datetimes they have one."""
    monday, tuesday = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, 11, 30, tzinfo=UTC)
    assert span_of("2026-01-05/2026-01-06T12:30+01:00", tuesday) == Span(monday, tuesday)
    assert span_of((monday, tuesday), monday) == Span(monday, tuesday)


@pytest.mark.parametrize(
    ("range_", "rule"),
    [
        ("monday/tuesday", "a moment must be in ISO 8601.*got 'monday'"),
        ("2026-01-06/2026-01-05", "a range must begin before it ends"),
        ((datetime(2026, 1, 5), datetime(2026, 1, 6, tzinfo=UTC)), "the moments of a range must have a zone"),  # noqa: DTZ001
        ("1969-12-31/2026-01-01", "a range must lie between 1970 and 9999; got 1969-12-31"),
        ("0001-01-01T00:00+14:00/2026-01-01", "a range must lie between 1970 and 9999"),
        ("2026-01-01/9999-12-31T23:59-12:00", "a range must lie between 1970 and 9999"),
    ],
)
def test_what_is_no_range_is_an_error(range_: str, rule: str) -> None:
    """The rule is said, and what was given."""
    with pytest.raises(SettingsError, match=rule):
        span_of(range_, datetime(2026, 1, 7, tzinfo=UTC))


def test_what_is_before_a_very_long_range_begins_with_the_calendar() -> None:
    """A range may end when time does, and as long a one before it has no place."""
    span = span_of("2026-01-01/9999-12-31", datetime(2026, 1, 7, tzinfo=UTC))
    assert span.before() == Span(datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
