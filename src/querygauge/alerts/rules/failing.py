"""Rules about statements that fail, and about those that are not there at all."""

from collections.abc import Iterator

from querygauge.alerts.thresholds import Thresholds
from querygauge.rendering.formats import counted, number, percent
from querygauge.values.alerts import AlertSeverity, Finding
from querygauge.values.observed import ObservedService
from querygauge.values.queries import OutcomeCounts, QueryStats

__all__ = ["error_rate", "errors_per_second", "no_queries", "success_rate"]


def error_rate(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Too large a share of the last hour's statements failed."""
    outcomes = _outcomes(service.hour)
    severity = _from(outcomes.error_rate, limits.errors_warning_percent, limits.errors_critical_percent)
    if outcomes.total < limits.min_statements or severity is None:
        return
    yield Finding(
        "error_rate",
        severity,
        f"{percent(outcomes.error_rate)} of {number(outcomes.total)} statements of the last hour failed: "
        f"{number(outcomes.error)} with an error, {number(outcomes.timeout)} in a timeout; {_mostly(service.hour)}",
        _errors_of(service),
        service.service,
        value=outcomes.error_rate,
        threshold=limits.errors_warning_percent if severity == "warning" else limits.errors_critical_percent,
        unit="%",
    )


def success_rate(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Too small a share of them succeeded, as many were cancelled; where they fail, `error_rate` says so."""
    outcomes = _outcomes(service.hour)
    if outcomes.total < limits.min_statements or outcomes.error_rate > limits.errors_warning_percent:
        return
    rate = 100.0 * outcomes.ok / outcomes.total
    severity = _from(100.0 - rate, 100.0 - limits.success_warning_percent, 100.0 - limits.success_critical_percent)
    if severity is None:
        return
    yield Finding(
        "success_rate",
        severity,
        f"only {percent(rate)} of {number(outcomes.total)} statements of the last hour succeeded: "
        f"{number(outcomes.cancelled)} were cancelled, as their caller left, and {number(outcomes.failed)} failed",
        _errors_of(service)
        if outcomes.failed > outcomes.cancelled
        else "whoever calls gives up before the answer is there: compare the timeouts of clients and proxies with "
        f"querygauge metrics --service {service.service}",
        service.service,
        value=rate,
        threshold=limits.success_warning_percent if severity == "warning" else limits.success_critical_percent,
        unit="%",
    )


def errors_per_second(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """More fail than anybody can look at, however small their share."""
    failed = _outcomes(service.recent).failed
    rate = failed / service.recent_s
    if rate <= limits.errors_per_s:
        return
    yield Finding(
        "errors_per_second",
        "warning",
        f"{rate:,.1f} statements a second failed in the last five minutes, {number(failed)} together; "
        f"{_mostly(service.recent)}",
        _errors_of(service),
        service.service,
        value=rate,
        threshold=limits.errors_per_s,
        unit="/s",
    )


def no_queries(service: ObservedService, limits: Thresholds) -> Iterator[Finding]:
    """Nothing was executed for an hour in which there used to be something."""
    if service.hour or service.usual_count is None or service.usual_count < limits.min_statements:
        return
    state = "its processes still report" if service.processes else "none of its processes reports"
    yield Finding(
        "no_queries",
        "warning",
        f"nothing was executed in the last hour, and {number(service.usual_count)} statements in the same hour before; "
        f"{state}",
        "see whether the application runs and is reached; querygauge doctor tells where it flushes to",
        service.service,
        value=0.0,
        threshold=float(service.usual_count),
    )


def _outcomes(stats: tuple[QueryStats, ...]) -> OutcomeCounts:
    together = OutcomeCounts()
    for each in stats:
        together = together.merged(each.outcomes)
    return together


def _from(value: float, warning: float, critical: float) -> AlertSeverity | None:
    if value > critical:
        return "critical"
    return "warning" if value > warning else None


def _mostly(stats: tuple[QueryStats, ...]) -> str:
    """Which pattern fails most; the caller knows that one does."""
    most = max(stats, key=lambda each: (each.outcomes.failed, each.pattern_id))
    return f"{most.pattern.summary} ({most.pattern_id}) {counted(most.outcomes.failed, 'time')}"


def _errors_of(service: ObservedService) -> str:
    return f"querygauge errors --service {service.service} shows by SQLSTATE and pattern how they fail, and since when"
