"""
Alerts as events of the log: one for each alert, with the same keys each time.

Through structlog if it is configured, else through `logging`. Deliberately not here: where the log goes.
"""

from dataclasses import dataclass
from typing import Any, Final

from querygauge.alerts.channels.fields import check_runbooks
from querygauge.alerts.wording import RUNBOOKS, headline, one_line, runbook_url, trend
from querygauge.logs import get_logger
from querygauge.rendering.answers.report_sections import summary
from querygauge.values.alerts import Alert, AlertMessage
from querygauge.values.answers.performance_report import PerformanceReport

__all__ = ["LogChannel"]

log = get_logger(__name__)

_LISTS: Final = ("slower", "new", "slow", "most_time", "repeated")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChannel:
    """
    Writes `alert` for each alert, at the level of its severity: `info`, `warning` or `critical`; an end is `info`.

    Attributes:
        runbooks: Where the pages of the rules are.
    """

    runbooks: str = RUNBOOKS

    def __post_init__(self) -> None:
        check_runbooks("log.runbooks", self.runbooks)

    async def send(self, message: AlertMessage) -> None:
        """Writes it; a log that cannot be written fails nobody."""
        for alert in message.alerts:
            level = "info" if alert.status == "resolved" or message.is_test else alert.finding.severity
            getattr(log, level)("alert", **self._values(alert), is_test=message.is_test, key=message.key)
        if message.held_back:
            log.warning("alerts_held_back", total=sum(message.held_back.values()), **_digest(message))
        if message.report is not None:
            log.info("performance_report", **_numbers(message.report), key=message.key)
        if message.is_test and not message.alerts:
            log.info("alert_test", headline=headline(message), key=message.key)

    def _values(self, alert: Alert) -> dict[str, Any]:
        finding = alert.finding
        return {
            "alert_id": alert.id,
            "status": alert.status,
            "severity": finding.severity,
            "rule": finding.rule,
            "sentence": one_line(finding.sentence),
            "advice": one_line(finding.advice),
            "service": finding.service,
            "target": finding.target,
            "pattern_id": finding.pattern_id,
            "pool": finding.pool,
            "objective": finding.objective,
            "pattern": finding.pattern,
            "call_site": finding.call_site,
            "value": finding.value,
            "threshold": finding.threshold,
            "unit": finding.unit,
            "trend": trend(finding) or None,
            "began_at": alert.began_at.isoformat(),
            "ended_at": None if alert.ended_at is None else alert.ended_at.isoformat(),
            "runbook": runbook_url(finding.rule, self.runbooks),
        }


def _numbers(report: PerformanceReport) -> dict[str, Any]:
    """What is told of a report: its numbers, and of each list the ids of its first entries."""
    did, before = report.performance, report.before
    return {
        "summary": one_line(summary(report)),
        "period": report.span.period,
        "since": report.span.since.isoformat(),
        "until": report.span.until.isoformat(),
        "service": report.service,
        "executions": did.execution_count,
        "errors": did.error_count,
        "total_duration_ms": did.total_duration_ms,
        "p95_ms": did.p95_duration_ms,
        "executions_before": 0 if before is None else before.execution_count,
        "p95_before_ms": None if before is None else before.p95_duration_ms,
        "counts": dict(report.counts),
        "alerts": dict(report.alerts),
        **{name: [entry.pattern_id for entry in getattr(report, name)] for name in _LISTS},
    }


def _digest(message: AlertMessage) -> dict[str, Any]:
    return {"rules": dict(message.held_back), "is_test": message.is_test, "key": message.key}
