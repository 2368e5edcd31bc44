"""
What somebody has set about when reports come: in go entries of `[alerts]`, out comes a `Schedule`.

Deliberately not here: which channels get them, which are settings of each.
"""

from collections.abc import Mapping
from datetime import time
from typing import Any, Final

from querygauge.alerts.schedule import Schedule, weekday_of, zone_of
from querygauge.errors import SettingsError

__all__ = ["SCHEDULE_SETTINGS", "schedule_of"]

SCHEDULE_SETTINGS: Final = ("report_daily_at", "report_weekly_on", "report_time_zone")
"""The names of these entries."""

_DAY_AND_TIME: Final = 2


def schedule_of(table: Mapping[str, Any]) -> Schedule:
    """
    The schedule that a table of the settings describes.

    Raises:
        SettingsError: If an entry is impossible; it begins with the name of it.
    """
    usual = Schedule()
    daily_at = table.get("report_daily_at", usual.daily_at)
    weekly = table.get("report_weekly_on")
    zone_name = table.get("report_time_zone", usual.zone_name)
    weekly_on, weekly_at = (usual.weekly_on, usual.weekly_at) if weekly is None else _day_and_time(weekly)
    return Schedule(
        daily_at=_time("report_daily_at", daily_at),
        weekly_on=weekly_on,
        weekly_at=weekly_at,
        zone_name=zone_name,
        zone=_named("report_time_zone", zone_of, zone_name),
    )


def _day_and_time(value: Any) -> tuple[int, time]:
    words = value.split() if isinstance(value, str) else []
    if len(words) != _DAY_AND_TIME:
        raise SettingsError(f"report_weekly_on must be a weekday and a time such as 'Sunday 10:00'; got {value!r}")
    return _named("report_weekly_on", weekday_of, words[0]), _time("report_weekly_on", words[1])


def _time(name: str, value: Any) -> time:
    """A time of day, whole minutes: as TOML has them, or in quotes."""
    try:
        at = value if isinstance(value, time) else time.fromisoformat(value)
    except (TypeError, ValueError):
        at = None
    if at is None or at.second or at.microsecond or at.tzinfo is not None:
        raise SettingsError(f"{name} must have a time of day such as 09:00; got {str(value)!r}")
    return at


def _named(name: str, find: Any, value: Any) -> Any:
    if not isinstance(value, str):
        raise SettingsError(f"{name} must be a text; got {value!r}")
    try:
        return find(value)
    except SettingsError as error:
        raise SettingsError(f"{name} {error}") from None
