"""
When reports are due, and what they are about: pure, no clock and no store.

A day is one by the calendar of a zone, from midnight to midnight, so where clocks are changed it has 23 or 25 hours. A
time of day that is left out then is an hour later on that day, and of one that comes twice the first counts.

Deliberately not here: what was sent already, which whoever asks tells.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

from querygauge.errors import SettingsError
from querygauge.values.answers.performance_report import ReportPeriod, ReportSpan

__all__ = ["Due", "Schedule", "due", "newest", "span_back", "weekday_of", "zone_of"]

_DAY: Final = timedelta(days=1)
_EARLIEST: Final = time(0, 5)  # what was flushed before midnight is folded by then
_DAYS: Final = {"daily": 1, "weekly": 7}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SUNDAY: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """
    When reports come.

    Attributes:
        daily_at: The time of day of the daily one.
        weekly_on: The weekday of the weekly one; 0 is Monday.
        weekly_at: The time of day of that.
        zone_name: The zone all of this is in.
        zone: The same.
    """

    daily_at: time = time(9)
    weekly_on: int = _SUNDAY
    weekly_at: time = time(10)
    zone_name: str = "UTC"
    zone: tzinfo = UTC

    def __str__(self) -> str:
        weekday = _WEEKDAYS[self.weekly_on].capitalize()
        return f"daily at {self.daily_at:%H:%M}, weekly on {weekday} {self.weekly_at:%H:%M}, {self.zone_name}"


class Due(NamedTuple):
    """What the last report was to be about, and whether it is sent, or only remembered from now on."""

    span: ReportSpan
    is_sent: bool


def zone_of(name: str) -> tzinfo:
    """
    A time zone by its name, such as `Europe/Berlin`.

    Raises:
        SettingsError: If there is none of that name, or no database of time zones.
    """
    # It needs no database, and no tick has to load what reads one.
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            "must be the name of a time zone such as Europe/Berlin, which the system knows, or the package tzdata; got "
            f"{name!r}"
        ) from None


def weekday_of(name: str) -> int:
    """
    The number of a weekday by its English name; 0 is Monday.

    Raises:
        SettingsError: If it is none.
    """
    if name.lower() not in _WEEKDAYS:
        raise SettingsError(f"must begin with a weekday such as Sunday; got {name!r}")
    return _WEEKDAYS.index(name.lower())


def due(schedule: Schedule, period: ReportPeriod, told_until: datetime | None, now: datetime) -> Due | None:
    """
    What is to be done about a report now; None if nothing is.

    Of those that were missed only the last one is sent. Where nothing is known of any, as of a channel that was named a
    moment ago, none was missed.

    Args:
        schedule: When they come.
        period: Which.
        told_until: The end of what the last one was about.
        now: An aware datetime.
    """
    last = newest(schedule, period, now)
    # What was told of the future was so under a clock that was ahead.
    if told_until is None or told_until > now:
        return Due(last, is_sent=False)
    return Due(last, is_sent=True) if told_until < last.until else None


def newest(schedule: Schedule, period: ReportPeriod, now: datetime) -> ReportSpan:
    """What the last report of a schedule was to be about, whether it was sent or not."""
    day = now.astimezone(schedule.zone).date()
    at = max(_EARLIEST, schedule.weekly_at if period == "weekly" else schedule.daily_at)
    # Around midnight, a change of clocks may put a moment of tomorrow before one of today.
    candidates = (day + back * _DAY for back in range(1, -_DAYS["weekly"] - 2, -1))
    on = next(
        candidate
        for candidate in candidates
        if (period == "daily" or candidate.weekday() == schedule.weekly_on) and _moment(candidate, at, schedule) <= now
    )
    return _days(schedule, period, on)


def span_back(schedule: Schedule, period: ReportPeriod, now: datetime) -> ReportSpan:
    """The day, or the seven days, that ended at the last midnight, whenever reports come."""
    return _days(schedule, period, now.astimezone(schedule.zone).date())


def _days(schedule: Schedule, period: ReportPeriod, end: date) -> ReportSpan:
    since = end - _DAYS[period] * _DAY
    if _midnight(since, schedule) == _midnight(end, schedule):  # Samoa had no 30th of December in 2011
        since -= _DAY
    moments = (since, end, since - 7 * _DAY, end - 7 * _DAY)
    first, last, before_first, before_last = (_midnight(day, schedule) for day in moments)
    return ReportSpan(
        period=period,
        since=first,
        until=last,
        before_since=before_first,
        before_until=before_last,
        zone=schedule.zone_name,
    )


def _moment(day: date, at: time, schedule: Schedule) -> datetime:
    # In UTC: two moments of one zone are compared by what its clocks show.
    return datetime.combine(day, at, tzinfo=schedule.zone).astimezone(UTC)


def _midnight(day: date, schedule: Schedule) -> datetime:
    """With the offset of that moment, and no zone that somebody else would have to know."""
    local = _moment(day, time(0), schedule).astimezone(schedule.zone)
    return local.replace(tzinfo=timezone(local.utcoffset() or timedelta(0)))
