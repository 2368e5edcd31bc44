"""Values about what is wrong: what a rule found, the alert that it became, and what a channel is given to send."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Literal

from querygauge.values.answers.performance_report import PerformanceReport
from querygauge.values.base import Value
from querygauge.values.choosing import is_chosen

__all__ = [
    "ALERT_SEVERITIES",
    "MOST_TAGS",
    "Alert",
    "AlertMessage",
    "AlertSeverity",
    "AlertStatus",
    "Alerts",
    "Finding",
    "Silence",
]

AlertSeverity = Literal["info", "warning", "critical"]
AlertStatus = Literal["pending", "firing", "resolved"]

ALERT_SEVERITIES: Final[tuple[AlertSeverity, ...]] = ("info", "warning", "critical")
"""From the least on."""

MOST_TAGS: Final = 50
"""Tags of one alert: a tag may have a value for each customer."""


@dataclass(frozen=True, slots=True)
class Finding(Value):
    """
    What a rule found wrong at one moment.

    Two findings of the same rule, service, target and subject are about the same thing.

    Attributes:
        rule: Name of the rule, such as `error_rate`.
        severity: How bad it is.
        sentence: What happened, with its numbers.
        advice: What to look at.
        service: The application; empty if it is about the store.
        target: The database; empty if it is about all of them.
        pattern_id: The pattern it is about, if it is about one.
        pool: The pool it is about, if it is about one.
        objective: The name of the objective it is about, if it is about one.
        pattern: The pattern's text.
        call_site: The line to look at first, as `path:line in function`.
        value: What was measured.
        threshold: What it must not reach.
        unit: Of both: `ms`, `%`, `/s`, `MB`, or empty for a number.
        tags: Tags of the scopes in which its statements were executed, as `key=value`; empty if there are none, or
            nobody is told by them.
        trend: How the value went before, in equal parts of a span, the oldest first; None where there was none, and
            empty if nothing is known.
        trend_s: Seconds that the trend covers; 0 if that is not known.
    """

    rule: str
    severity: AlertSeverity
    sentence: str
    advice: str
    service: str = ""
    target: str = ""
    pattern_id: str | None = None
    pool: str | None = None
    objective: str | None = None
    pattern: str | None = None
    call_site: str | None = None
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    tags: tuple[str, ...] = ()
    trend: tuple[float | None, ...] = ()
    trend_s: float = 0.0

    @property
    def subject(self) -> str:
        """The objective, pattern or pool it is about; empty if it is about the whole service, or the store."""
        return self.objective or self.pattern_id or self.pool or ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """By which it is told from other findings."""
        return self.rule, self.service, self.target, self.subject


@dataclass(frozen=True, slots=True)
class Alert(Value):
    """
    Something that is or was wrong, from when it was first found until it was well again.

    Attributes:
        id: 16 hex digits, the same in everything that is ever sent about it.
        finding: The latest finding; its severity is the highest so far.
        status: `pending` until it has lasted for as long as its rule asks, `firing` then, and `resolved` in the end.
        began_at: When it was first found.
        seen_at: When it was last found.
        fired_at: When it began to fire; None before that.
        ended_at: When it was well again; None as long as it is not.
        told_at: When a message about it was last made; None if nobody was told.
        told_severity: What that message said; None likewise.
        times: How often the same came within an hour of having been well again, this time included.
    """

    id: str
    finding: Finding
    status: AlertStatus
    began_at: datetime
    seen_at: datetime
    fired_at: datetime | None = None
    ended_at: datetime | None = None
    told_at: datetime | None = None
    told_severity: AlertSeverity | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Silence(Value):
    """
    What nobody wants to be told for a while; each member that is None stands for any.

    Attributes:
        id: 8 hex digits.
        made_at: When it began.
        until: When it ends.
        rule: Name of a rule; `*` stands for any part of it, here and below.
        service: Name of an application.
        subject: Id of a pattern, or name of a pool or an objective.
        note: Why.
    """

    id: str
    made_at: datetime
    until: datetime
    rule: str | None = None
    service: str | None = None
    subject: str | None = None
    note: str | None = None

    def covers(self, finding: Finding, now: datetime) -> bool:
        """Whether nobody is to be told of it now."""
        pairs = ((self.rule, finding.rule), (self.service, finding.service), (self.subject, finding.subject))
        return now < self.until and all(wanted is None or is_chosen(name, wanted) for wanted, name in pairs)


@dataclass(frozen=True, slots=True)
class AlertMessage(Value):
    """
    What a channel is given to send: alerts of one rule and service that began or ended together, or a report.

    Attributes:
        key: The same for every attempt to send it, so that a receiver can tell a second one.
        made_at: When it was made.
        alerts: What it is about, the worst first; empty in a digest and a report.
        held_back: In a digest, the alerts that were not sent because there were too many, as numbers by rule.
        is_test: Whether nothing is wrong, and somebody only tries the channel.
        report: What happened in a day, a week or another span; None in a message about alerts.
    """

    key: str
    made_at: datetime
    alerts: tuple[Alert, ...] = ()
    held_back: Mapping[str, int] = field(default_factory=dict)
    is_test: bool = False
    report: PerformanceReport | None = None
    _derived: ClassVar[tuple[str, ...]] = ("status", "severity")

    def by_rule(self) -> dict[str, int]:
        """The number of its alerts by their rule, those held back included."""
        return dict(Counter(alert.finding.rule for alert in self.alerts) + Counter(self.held_back))

    @property
    def status(self) -> AlertStatus:
        """`resolved` if everything in it is."""
        return "resolved" if self.alerts and all(alert.status == "resolved" for alert in self.alerts) else "firing"

    @property
    def severity(self) -> AlertSeverity:
        """The highest in it; `info` in a digest."""
        found = {alert.finding.severity for alert in self.alerts}
        return max(found, key=ALERT_SEVERITIES.index, default="info")


@dataclass(frozen=True, slots=True)
class Alerts(Value):
    """
    What is or was wrong, and what nobody wants to be told.

    Attributes:
        alerts: Alerts, those that began to fire last first.
        silences: Silences that are in force, the one that ends next first.
    """

    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
