"""
Who is told of what: a channel by its name, and which alerts go there.

In goes a table of the settings, out comes a `Route`; the channel itself is only made when something is to be sent.
Deliberately not here: sending, and what each channel needs, which are the fields of its class.
"""

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from querygauge.alerts.rules import check_is_rule
from querygauge.alerts.secret import Secret
from querygauge.errors import SettingsError
from querygauge.protocols import AlertChannel
from querygauge.values.alerts import ALERT_SEVERITIES, Alert, AlertMessage, AlertSeverity
from querygauge.values.answers.performance_report import REPORT_PERIODS, ReportPeriod
from querygauge.values.choosing import is_chosen

__all__ = ["KINDS", "Route", "check_takes_reports", "route_of"]

KINDS: Final = types.MappingProxyType(
    {
        "alertmanager": "AlertmanagerChannel",
        "email": "EmailChannel",
        "log": "LogChannel",
        "pagerduty": "PagerDutyChannel",
        "slack": "SlackChannel",
        "webhook": "WebhookChannel",
    }
)
"""The types of channels, and the class of each."""

_MOST_MESSAGES: Final = 20
_OWN: Final = ("type", "severity", "rules", "services", "tags", "max_messages", "reports")
# What calls somebody, or groups what goes on, has no place for a report.
_WITHOUT_REPORTS: Final = frozenset({"alertmanager", "pagerduty"})
_KEEP_OPEN: Final = frozenset({"alertmanager", "pagerduty"})
_PLACES: Final = frozenset({"environment", "file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    One channel, and what goes there.

    Attributes:
        name: What it is called in the settings.
        kind: Its type, one of `KINDS`.
        fields: What its class takes.
        severity: What is less bad is not sent there.
        rules: Names of rules, `*` standing for any part of one, here and below.
        services: Names of applications; what is about the store goes to every channel.
        tags: Tags of statements as `key=value`, likewise; what has no tags goes to every channel.
        max_messages: In any ten minutes; what is more is told as numbers.
        reports: Which reports go there: `daily`, `weekly`.
    """

    name: str
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    severity: AlertSeverity = "warning"
    rules: tuple[str, ...] = ("*",)
    services: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ("*",)
    max_messages: int = _MOST_MESSAGES
    reports: tuple[ReportPeriod, ...] = ()

    @property
    def keeps_open(self) -> bool:
        """Whether what goes there stays open until its end is told."""
        return self.kind in _KEEP_OPEN

    def takes(self, alert: Alert) -> bool:
        """Whether an alert goes there."""
        finding = alert.finding
        return (
            ALERT_SEVERITIES.index(finding.severity) >= ALERT_SEVERITIES.index(self.severity)
            and any(is_chosen(finding.rule, wanted) for wanted in self.rules)
            and (not finding.service or any(is_chosen(finding.service, wanted) for wanted in self.services))
            and (not finding.tags or any(is_chosen(tag, wanted) for wanted in self.tags for tag in finding.tags))
        )

    def part_of(self, message: AlertMessage) -> AlertMessage | None:
        """What of a message goes there; None if nothing does."""
        taken = tuple(alert for alert in message.alerts if self.takes(alert))
        return AlertMessage(message.key, message.made_at, taken) if taken else None

    def services_of(self, known: Iterable[str]) -> tuple[str | None, ...]:
        """What it gets a report about: everything together, as None, or each of the services that go there."""
        if "*" in self.services:
            return (None,)
        return tuple(name for name in known if any(is_chosen(name, wanted) for wanted in self.services))

    def channel(self) -> AlertChannel:
        """
        The channel.

        Raises:
            SettingsError: If a field is unknown, missing or impossible.
            MissingExtraError: If a library is not installed.
        """
        made = getattr(import_module(f"querygauge.alerts.channels.{self.kind}"), KINDS[self.kind])
        hints = get_type_hints(made)
        for name in self.fields:
            if name not in hints:
                raise SettingsError(f"{name} is no setting of a channel of type {self.kind}; known are {_known(hints)}")
        for each in fields(made):
            if each.default is MISSING and each.default_factory is MISSING and each.name not in self.fields:
                raise SettingsError(f"{each.name} must be given for a channel of type {self.kind}")
        values = {name: _value(name, value, hints[name]) for name, value in self.fields.items()}
        channel: AlertChannel = made(**values)
        return channel


def route_of(name: str, table: Mapping[str, Any]) -> Route:
    """
    The route that a table of the settings describes; its channel's own fields are looked at when it is made.

    Raises:
        SettingsError: If a setting is impossible; it begins with the setting's name.
    """
    kind = table.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SettingsError(f"type must be one of {', '.join(KINDS)}; got {kind!r}")
    severity = table.get("severity", "warning")
    if severity not in ALERT_SEVERITIES:
        raise SettingsError(f"severity must be one of {', '.join(ALERT_SEVERITIES)}; got {severity!r}")
    most = table.get("max_messages", _MOST_MESSAGES)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise SettingsError(f"max_messages must be a whole number >= 1; got {most!r}")
    reports = _reports(kind, table)
    return Route(
        name=name,
        kind=kind,
        fields={given: value for given, value in table.items() if given not in _OWN},
        severity=severity,
        rules=_rules(table, may_be_empty=bool(reports)),
        services=_names("services", table),
        tags=_tags(table),
        max_messages=most,
        reports=reports,
    )


def check_takes_reports(kind: str) -> None:
    """
    Checks that channels of a type take reports.

    Raises:
        SettingsError: If they do not.
    """
    if kind in _WITHOUT_REPORTS:
        raise SettingsError(
            f"reports must go to a channel of type email, log, slack or webhook; got {kind}, which takes alerts only"
        )


def _names(setting: str, table: Mapping[str, Any], *, may_be_empty: bool = False) -> tuple[str, ...]:
    names = table.get(setting, ["*"])
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or not (names or may_be_empty):
        raise SettingsError(f"{setting} must be a list of names; got {names!r}")
    return tuple(names)


def _tags(table: Mapping[str, Any]) -> tuple[str, ...]:
    tags = _names("tags", table)
    for wanted in tags:
        if "=" not in wanted and "*" not in wanted:
            raise SettingsError(f"tags must be of the form key=value; got {wanted!r}")
    return tags


def _rules(table: Mapping[str, Any], *, may_be_empty: bool) -> tuple[str, ...]:
    names = _names("rules", table, may_be_empty=may_be_empty)
    for wanted in names:
        check_is_rule("rules", wanted)
    return names


def _reports(kind: str, table: Mapping[str, Any]) -> tuple[ReportPeriod, ...]:
    given = table.get("reports", [])
    if not isinstance(given, list) or not all(period in REPORT_PERIODS for period in given):
        raise SettingsError(f"reports must be a list of {' and '.join(REPORT_PERIODS)}; got {given!r}")
    if given:
        check_takes_reports(kind)
    return tuple(period for period in REPORT_PERIODS if period in given)


def _known(hints: Mapping[str, Any]) -> str:
    return ", ".join((*_OWN, *hints))


def _value(name: str, value: Any, hint: Any) -> Any:
    """A value as a channel takes it: a table that names a place is a secret that is there, and a file is a path."""
    made = _made(value)
    kinds = _kinds(hint)
    if Path in kinds and isinstance(made, str):
        return Path(made)
    if float in kinds and isinstance(made, int) and not isinstance(made, bool):
        return float(made)
    if not isinstance(made, tuple(kinds)) or (isinstance(made, bool) and bool not in kinds):
        # The value may be a secret that stands where its place belongs.
        wanted = "a table with environment or file" if kinds == {Secret} else f"of type {_names_of(kinds)}"
        raise SettingsError(f"{name} must be {wanted}; got something of type {type(value).__name__}")
    return made


def _made(value: Any) -> Any:
    if isinstance(value, dict):
        if value and set(value) <= _PLACES:
            file = value.get("file")
            return Secret(environment=value.get("environment"), file=None if file is None else Path(str(file)))
        return {name: _made(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _kinds(hint: Any) -> set[type]:
    """The classes that a hint allows."""
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return {kind for part in get_args(hint) for kind in _kinds(part)}
    if origin is Literal:
        return {type(choice) for choice in get_args(hint)}
    found = origin or hint
    return {found} if isinstance(found, type) else set()


def _names_of(kinds: set[type]) -> str:
    return " or ".join(sorted(kind.__name__ for kind in kinds if kind is not types.NoneType))
