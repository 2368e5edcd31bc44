"""
What somebody has set about alerts: `[alerts]` in querygauge.toml, or `[tool.querygauge.alerts]` in pyproject.toml.

The file is looked for in a directory and those above it; in one that has both, querygauge.toml is read. Every error
names the file and the line.

Deliberately not here: what the numbers mean, which `Thresholds` says.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

from querygauge.alerts.numbers import is_number
from querygauge.alerts.objectives import objective_of
from querygauge.alerts.overrides import override_of
from querygauge.alerts.places import line_of, setting_in
from querygauge.alerts.routes import Route, route_of
from querygauge.alerts.schedule import Schedule
from querygauge.alerts.schedule_settings import SCHEDULE_SETTINGS, schedule_of
from querygauge.alerts.thresholds import NUMBERS, Thresholds
from querygauge.errors import SettingsError
from querygauge.logs import get_logger
from querygauge.protocols import AlertChannel
from querygauge.values.objectives import Objective

__all__ = ["AlertSettings", "alert_settings_in_force", "checked_channel", "load_alert_settings"]

log = get_logger(__name__)

_Made = TypeVar("_Made")
_OWN_FILE: Final = "querygauge.toml"
_FILES: Final = ((_OWN_FILE, ("alerts",)), ("pyproject.toml", ("tool", "querygauge", "alerts")))
_TYPES: Final = get_type_hints(Thresholds)
_LONGEST_HOURS: Final = 24.0 * 3_650
_SETTINGS: Final = (
    "enabled",
    "repeat_hours",
    *SCHEDULE_SETTINGS,
    "thresholds",
    "overrides",
    "objectives",
    "channels",
)
_NOTHING: Final[Mapping[str, Any]] = {}
_LOG_ONLY: Final = (Route(name="log", kind="log"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """
    How the collector watches.

    Attributes:
        enabled: Whether it does.
        repeat_hours: After so many hours of the same somebody is told again.
        thresholds: From where on something is wrong.
        objectives: What is to be attained over a month.
        routes: Who is told of what; the log of the collector alone if nobody is named.
        schedule: When reports come, for those channels that get any.
        path: The file that says so; None if nothing is set.
        is_whole: Whether all that is set could be used. If not there may be other channels.
    """

    enabled: bool = True
    repeat_hours: float = 12.0
    thresholds: Thresholds = field(default_factory=Thresholds)
    objectives: tuple[Objective, ...] = ()
    routes: tuple[Route, ...] = _LOG_ONLY
    schedule: Schedule = field(default_factory=Schedule)
    path: Path | None = None
    is_whole: bool = True

    @property
    def repeat(self) -> timedelta:
        """The same as a span."""
        return timedelta(hours=self.repeat_hours)


def load_alert_settings(directory: Path) -> AlertSettings:
    """
    What is set for whoever runs in `directory`; the defaults where nothing is.

    Raises:
        SettingsError: If a file cannot be read, or a setting in it is unknown or impossible.
    """
    return _read(directory, _refuse)


def alert_settings_in_force(directory: Path) -> AlertSettings:
    """The same for whoever goes on where some of them are wrong: with the defaults for those, which is logged."""
    wrong: list[SettingsError] = []
    try:
        found = _read(directory, wrong.append)
    except (SettingsError, OSError) as error:
        found = AlertSettings(is_whole=False)
        log.warning("alert_settings_not_used", error=str(error), remedy="querygauge alerts check")
    for each in wrong:
        log.warning("alert_settings_not_used", error=str(each), remedy="querygauge alerts check")
    return replace(found, is_whole=False) if wrong else found


def _read(directory: Path, refuse: Callable[[SettingsError], None]) -> AlertSettings:
    for folder in (directory, *directory.parents):
        for name, place in _FILES:
            path = folder / name
            if (table := _table(path, place)) is not None:
                return _Reading(path, ".".join(place), refuse).settings(table)
    return AlertSettings()


def _refuse(error: SettingsError) -> None:
    raise error from None


def checked_channel(settings: AlertSettings, route: Route) -> AlertChannel:
    """
    The channel of a route.

    Raises:
        SettingsError: If it cannot be made; with the file and the line.
        MissingExtraError: If a library is not installed.
    """
    try:
        return route.channel()
    except SettingsError as error:
        if settings.path is None:
            raise
        place = next(place for name, place in _FILES if settings.path.name == name)
        table = ".".join((*place, "channels", route.name))
        raise SettingsError(f"[{table}] of {_place(settings.path, table, error)}: {error}") from None


def _place(path: Path, table: str, error: SettingsError, number: int = 1) -> str:
    """The file, and the line of what an error is about, if it has one."""
    text = path.read_text(encoding="utf-8")
    setting = setting_in(str(error))
    line = line_of(text, table, setting, number=number) or line_of(text, table, number=number)
    return str(path) if line is None else f"{path}, line {line}"


def _table(path: Path, place: tuple[str, ...]) -> Any:
    """What is at a place in a file; None if there is no such file, or nothing at that place."""
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError of its own
        raise SettingsError(f"{path} could not be read: {error}") from error
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found


class _Reading:
    """
    One table of one file.

    What is wrong is told to `refuse`. If that raises nothing, the rest is read, and the default holds in its place.
    """

    def __init__(self, path: Path, table: str, refuse: Callable[[SettingsError], None]) -> None:
        self._path = path
        self._table = table
        self._refuse = refuse

    def settings(self, table: Any) -> AlertSettings:
        if not isinstance(table, dict):
            raise SettingsError(f"[{self._table}] of {self._path} must be a table; got {table!r}")
        usual = AlertSettings()
        self._or(lambda: self._check_names(table, _SETTINGS, self._table), None)
        enabled = self._or(lambda: self._enabled(table), usual.enabled)
        repeat_hours = self._or(lambda: self._repeat_hours(table), usual.repeat_hours)
        thresholds = self._thresholds(table)
        return AlertSettings(
            enabled=enabled,
            repeat_hours=repeat_hours,
            thresholds=thresholds,
            objectives=self._or(lambda: self._objectives(table), usual.objectives),
            path=self._path,
            routes=tuple(self._routes(table)) or _LOG_ONLY,
            schedule=self._or(lambda: self._schedule(table), usual.schedule),
        )

    def _or(self, read: Callable[[], _Made], default: _Made) -> _Made:
        try:
            return read()
        except SettingsError as error:
            self._refuse(error)
            return default

    def _enabled(self, table: dict[str, Any]) -> bool:
        enabled = table.get("enabled", True)
        if not isinstance(enabled, bool):
            raise SettingsError(f"{self._where('enabled')} must be true or false; got {enabled!r}")
        return enabled

    def _repeat_hours(self, table: dict[str, Any]) -> float:
        hours = self._number("repeat_hours", table.get("repeat_hours", AlertSettings().repeat_hours))
        if not 0 < hours <= _LONGEST_HOURS:
            raise SettingsError(f"{self._where('repeat_hours')} must be > 0 and at most ten years; got {hours!r}")
        return hours

    def _thresholds(self, table: dict[str, Any]) -> Thresholds:
        given = self._or(lambda: self._table_in(table, "thresholds"), _NOTHING)
        self._or(lambda: self._check_names(given, NUMBERS, f"{self._table}.thresholds"), None)
        known = {name: value for name, value in given.items() if name in NUMBERS}
        numbers = {name: self._or(partial(self._threshold, name, value), None) for name, value in known.items()}
        overrides = self._or(lambda: tuple(self._each("overrides", table, override_of)), Thresholds().overrides)
        return Thresholds(**{name: value for name, value in numbers.items() if value is not None}, overrides=overrides)

    def _routes(self, table: dict[str, Any]) -> Iterator[Route]:
        for name, channel in self._or(lambda: self._table_in(table, "channels"), _NOTHING).items():
            if (route := self._or(partial(self._route, name, channel), None)) is not None:
                yield route

    def _table_in(self, table: dict[str, Any], name: str) -> Mapping[str, Any]:
        found = table.get(name, {})
        if not isinstance(found, dict):
            raise SettingsError(f"{self._where(name)} must be a table; got {found!r}")
        return found

    def _objectives(self, table: dict[str, Any]) -> tuple[Objective, ...]:
        found: dict[str, Objective] = {}
        for each in self._each("objectives", table, objective_of):
            if each.name in found:
                named = f"[[{self._table}.objectives]] of {self._path}"
                self._refuse(SettingsError(f"name of {named} must be unique; got {each.name!r}"))
            found.setdefault(each.name, each)
        return tuple(found.values())

    def _schedule(self, table: dict[str, Any]) -> Schedule:
        try:
            return schedule_of(table)
        except SettingsError as error:
            name, _, rule = str(error).partition(" ")
            raise SettingsError(f"{self._where(name)} {rule}") from None

    def _each(self, name: str, table: dict[str, Any], made: Callable[[Any], _Made]) -> Iterator[_Made]:
        """What each table of a list describes."""
        tables = table.get(name, [])
        if not isinstance(tables, list):
            raise SettingsError(f"{self._where(name)} must be a list of tables; got {tables!r}")
        for number, each in enumerate(tables, 1):
            try:
                yield made(each)
            except SettingsError as error:
                place = self._place(f"{self._table}.{name}", error, number)
                self._refuse(SettingsError(f"[[{self._table}.{name}]] number {number} of {place}: {error}"))

    def _route(self, name: str, table: Any) -> Route:
        where = f"[{self._table}.channels.{name}] of {self._path}"
        if not isinstance(table, dict):
            raise SettingsError(f"{where} must be a table; got a {type(table).__name__}")
        try:
            return route_of(name, table)
        except SettingsError as error:
            place = self._place(f"{self._table}.channels.{name}", error)
            raise SettingsError(f"[{self._table}.channels.{name}] of {place}: {error}") from None

    def _place(self, table: str, error: SettingsError, number: int = 1) -> str:
        return _place(self._path, table, error, number)

    def _check_names(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for name in table:
            if name not in known:
                raise SettingsError(f"{self._where(name)} is no setting of [{where}]; known are {', '.join(known)}")

    def _threshold(self, name: str, value: Any) -> Any:
        number = self._number(name, value)
        if number < 0:
            raise SettingsError(f"{self._where(name)} must be >= 0; got {value!r}")
        if _TYPES[name] is int and not isinstance(value, int):
            raise SettingsError(f"{self._where(name)} must be a whole number; got {value!r}")
        return value if _TYPES[name] is int else number

    def _number(self, name: str, value: Any) -> float:
        if not is_number(value):
            raise SettingsError(f"{self._where(name)} must be a number; got {value!r}")
        return float(value)

    def _where(self, name: str) -> str:
        """The setting, its file and its line; whoever wrote it in another way than `name = …` is told no line."""
        text = self._path.read_text(encoding="utf-8")
        begins = re.compile(rf"""\s*(?:\[+.*\b)?["']?{re.escape(name)}["']?\s*[=.\]]""")
        known = [line_of(text, table, name) for table in (f"{self._table}.thresholds", self._table)]
        lines = [number for number, line in enumerate(text.splitlines(), 1) if begins.match(line)]
        line = next((each for each in (*known, *lines) if each is not None), None)
        return f"{name} in {self._path}" if line is None else f"{name} in {self._path}, line {line},"
