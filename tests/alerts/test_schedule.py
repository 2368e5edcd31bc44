"""When reports are due, and what they are about."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.alerts.schedule import Due, Schedule, due, newest, span_back, weekday_of, zone_of
from querygauge.errors import SettingsError
from querygauge.values.answers.performance_report import ReportPeriod

USUAL = Schedule()
DAY = timedelta(days=1)


def _zone(name: str, daily_at: time = USUAL.daily_at) -> Schedule:
    return Schedule(zone_name=name, zone=ZoneInfo(name), daily_at=daily_at)


def _at(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


BERLIN = _zone("Europe/Berlin")
NIGHT = _zone("Europe/Berlin", daily_at=time(2, 30))


@pytest.mark.parametrize(
    ("schedule", "period", "now", "since", "until"),
    [
        # The day that ended before nine o'clock, from then on until nine of the next.
        (USUAL, "daily", "2026-03-04T09:00", "2026-03-03", "2026-03-04"),
        (USUAL, "daily", "2026-03-04T08:59:59", "2026-03-02", "2026-03-03"),
        (USUAL, "daily", "2026-03-04T23:59", "2026-03-03", "2026-03-04"),
        (USUAL, "daily", "2026-03-05T00:01", "2026-03-03", "2026-03-04"),
        # Leap days, and the turn of a year.
        (USUAL, "daily", "2028-03-01T09:00", "2028-02-29", "2028-03-01"),
        (USUAL, "daily", "2026-03-01T09:00", "2026-02-28", "2026-03-01"),
        (USUAL, "daily", "2027-01-01T09:00", "2026-12-31", "2027-01-01"),
        # On Sunday at ten: the seven days that ended at midnight.
        (USUAL, "weekly", "2026-03-08T10:00", "2026-03-01", "2026-03-08"),
        (USUAL, "weekly", "2026-03-08T09:59", "2026-02-22", "2026-03-01"),
        (USUAL, "weekly", "2026-03-14T23:59", "2026-03-01", "2026-03-08"),
        (USUAL, "weekly", "2028-03-05T10:00", "2028-02-27", "2028-03-05"),
        # Not before what was flushed before midnight is folded.
        (Schedule(daily_at=time(0)), "daily", "2026-03-04T00:04", "2026-03-02", "2026-03-03"),
        (Schedule(daily_at=time(0)), "daily", "2026-03-04T00:05", "2026-03-03", "2026-03-04"),
        # By the calendar of the zone.
        (BERLIN, "daily", "2026-01-05T07:59", "2026-01-03T00:00+01:00", "2026-01-04T00:00+01:00"),
        (BERLIN, "daily", "2026-01-05T08:00", "2026-01-04T00:00+01:00", "2026-01-05T00:00+01:00"),
        (BERLIN, "daily", "2026-07-05T07:00", "2026-07-04T00:00+02:00", "2026-07-05T00:00+02:00"),
        # Clocks go forward on 2026-03-29: the day has 23 hours; and back on 2026-10-25: 25.
        (BERLIN, "daily", "2026-03-30T07:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        (BERLIN, "daily", "2026-10-26T08:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        (BERLIN, "weekly", "2026-03-29T08:00", "2026-03-22T00:00+01:00", "2026-03-29T00:00+01:00"),
        # Half past two is left out then, and an hour later; half past two that comes twice is the first.
        (NIGHT, "daily", "2026-03-29T01:29", "2026-03-27T00:00+01:00", "2026-03-28T00:00+01:00"),
        (NIGHT, "daily", "2026-03-29T01:30", "2026-03-28T00:00+01:00", "2026-03-29T00:00+01:00"),
        (NIGHT, "daily", "2026-10-25T00:29", "2026-10-23T00:00+02:00", "2026-10-24T00:00+02:00"),
        (NIGHT, "daily", "2026-10-25T00:30", "2026-10-24T00:00+02:00", "2026-10-25T00:00+02:00"),
        (NIGHT, "daily", "2026-10-25T01:30", "2026-10-24T00:00+02:00", "2026-10-25T00:00+02:00"),
        # Where midnight is left out, the day begins at one.
        (_zone("Africa/Cairo"), "daily", "2026-04-25T07:00", "2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"),
        # A day that a whole country left out is none.
        (_zone("Pacific/Apia"), "daily", "2011-12-31T00:00", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00"),
        (_zone("Asia/Kolkata"), "daily", "2026-03-04T03:30", "2026-03-03T00:00+05:30", "2026-03-04T00:00+05:30"),
    ],
)
def test_the_last_report(schedule: Schedule, period: ReportPeriod, now: str, since: str, until: str) -> None:
    """Is about the days that were over when it was to be sent, from midnight to midnight."""
    span = newest(schedule, period, _at(now))
    assert (span.since.isoformat(), span.until.isoformat()) == (_at(since).isoformat(), _at(until).isoformat())
    assert (span.period, span.zone) == (period, schedule.zone_name)


def test_it_is_compared_with_the_same_days_of_the_week_before() -> None:
    """By the calendar, so that both are from midnight to midnight."""
    span = newest(BERLIN, "daily", _at("2026-04-01T12:00"))
    assert (span.since, span.until) == (_at("2026-03-31T00:00+02:00"), _at("2026-04-01T00:00+02:00"))
    assert (span.before_since, span.before_until) == (_at("2026-03-24T00:00+01:00"), _at("2026-03-25T00:00+01:00"))
    week = newest(USUAL, "weekly", _at("2026-03-08T10:00"))
    assert (week.before_since, week.before_until) == (_at("2026-02-22"), _at("2026-03-01"))


@pytest.mark.parametrize(
    ("told_until", "now", "is_sent"),
    [
        # Nothing is known: a channel that was named just now has missed nothing, and gets the next one.
        (None, "2026-03-04T12:00", False),
        # Sent already, and the next one is not due.
        ("2026-03-04", "2026-03-04T12:00", None),
        ("2026-03-04", "2026-03-05T08:59", None),
        ("2026-03-04", "2026-03-05T09:00", True),
        # Five days in which nothing ran: the last one, once.
        ("2026-02-27", "2026-03-04T12:00", True),
        # A clock that was a year ahead: what was told under it counts for nothing.
        ("2027-03-04", "2026-03-04T12:00", False),
        # The schedule is later in the day now: what was told is not told again.
        ("2026-03-05", "2026-03-05T08:00", None),
    ],
)
def test_what_is_due(told_until: str | None, now: str, is_sent: bool | None) -> None:
    """By what was told last: a report is sent once, and one that was missed, too."""
    moment = _at(now)
    found = due(USUAL, "daily", None if told_until is None else _at(told_until), moment)
    assert found == (None if is_sent is None else Due(newest(USUAL, "daily", moment), is_sent))


_zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut"]
)
_times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
_moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(_zones, _times, st.integers(0, 6), _moments, st.lists(st.floats(0.01, 60), min_size=1, max_size=60))
@settings(deadline=None, max_examples=100)
def test_every_day_is_told_once(zone: str, at: time, weekday: int, begin: datetime, pauses_h: list[float]) -> None:
    """However long nobody looked in between: no day is told twice, and what is told is over."""
    schedule = Schedule(daily_at=at, weekly_on=weekday, weekly_at=at, zone_name=zone, zone=zone_of(zone))
    for period, days in (("daily", 1), ("weekly", 7)):
        told_until, now = None, begin
        spans = []
        for pause_h in pauses_h:
            now += timedelta(hours=pause_h)
            found = due(schedule, period, told_until, now)  # type: ignore[arg-type]  # one of them
            if found is not None:
                told_until = found.span.until
                spans += [found.span] if found.is_sent else []
                assert found.span.until <= now
                assert now - found.span.until <= (days + 1) * DAY + timedelta(hours=3)
        assert all(earlier.until <= later.since for earlier, later in pairwise(spans))
        assert all(abs(span.until - span.since - days * DAY) <= timedelta(hours=1) for span in spans)


def test_by_hand_it_is_about_what_is_over() -> None:
    """Whenever reports come."""
    now = _at("2026-03-04T00:30")
    assert span_back(USUAL, "daily", now).until == _at("2026-03-04")
    assert span_back(USUAL, "weekly", now).since == _at("2026-02-25")


def test_zones_and_weekdays() -> None:
    """By their names."""
    assert zone_of("UTC") is UTC
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert [weekday_of(name) for name in ("Monday", "sunday")] == [0, 6]
    for name in ("Berlin", "", "../../etc/passwd", "\0"):
        with pytest.raises(SettingsError, match="must be the name of a time zone such as Europe/Berlin"):
            zone_of(name)
    with pytest.raises(SettingsError, match="must begin with a weekday such as Sunday; got 'Sonntag'"):
        weekday_of("Sonntag")


def test_a_schedule_in_words() -> None:
    """For whoever checks the settings."""
    assert str(BERLIN) == "daily at 09:00, weekly on Sunday 10:00, Europe/Berlin"
    assert date(2026, 3, 8).weekday() == USUAL.weekly_on
