"""
What a tick does about reports: it makes those that are due, and has them wait to be sent as alerts do.

They are made once for all processes, by whoever ticks and holds the election lock; that one was made is remembered with
it. By hand they are sent at once. Deliberately not here: when one is due, what it says, and how it is sent.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from querygauge.errors import StoreError
from querygauge.logs import get_logger
from querygauge.storage.election import elected

if TYPE_CHECKING:
    from querygauge.alerts.configuration import AlertSettings
    from querygauge.alerts.routes import Route
    from querygauge.storage.answers.performance_report import ReportLimits
    from querygauge.storage.paths import StorePaths
    from querygauge.values.alerts import AlertMessage
    from querygauge.values.answers.performance_report import PerformanceReport, ReportSpan

__all__ = ["limits_in", "make_reports", "send_reports", "span_until"]

log = get_logger(__name__)

_WEEK: Final = timedelta(days=7)


def make_reports(paths: "StorePaths", settings: "AlertSettings", now: datetime) -> None:
    """
    Has the reports that are due wait for their channels; what cannot be made is logged, and made by a later tick.

    Args:
        paths: The store, folded just now.
        settings: Who gets which, and when.
        now: UTC.
    """
    if not any(route.reports for route in settings.routes):
        return
    try:
        with elected(paths, 0.0) as is_elected:
            if is_elected:
                _make(paths, settings, now)
    except StoreError as error:
        log.warning("reports_not_made", store=paths.name, error=str(error))
    except Exception:  # a mistake in a report must keep no alert from being sent, and nothing from being rolled up
        log.exception("reports_not_made", store=paths.name)


def _make(paths: "StorePaths", settings: "AlertSettings", now: datetime) -> None:
    from querygauge.alerts.schedule import due
    from querygauge.storage.answers.performance_report import read_reports
    from querygauge.storage.report_times import keep_reports, reported_until

    known = reported_until(paths)
    ends: dict[tuple[str, str], datetime] = {}
    messages: list[tuple[str, AlertMessage]] = []
    made: dict[tuple[str, tuple[str, ...]], list[PerformanceReport]] = {}  # for channels that get the same
    for route in settings.routes:
        for period in route.reports:
            found = due(settings.schedule, period, known.get((route.name, period)), now)
            if found is None:
                continue
            ends[route.name, period] = found.span.until
            if found.is_sent:
                key = period, route.services
                made[key] = made.get(key) or read_reports(paths, found.span, limits_in(settings), route.services_of)
                messages += [(route.name, _message(report, now)) for report in made[key]]
    if ends:
        keep_reports(paths, ends, messages)


def _message(report: "PerformanceReport", now: datetime) -> "AlertMessage":
    from querygauge.values.alerts import AlertMessage

    return AlertMessage(os.urandom(8).hex(), now, report=report)


def limits_in(settings: "AlertSettings", entries: int | None = None) -> "ReportLimits":
    """From where on something is told in a report, which is what alerts call slow; `entries` of each list at most."""
    from querygauge.storage.answers.performance_report import ReportLimits

    found = settings.thresholds
    limits = ReportLimits(slow_ms=found.p95_ms, slow_ms_of=found.p95_ms_of, wait_ms=found.pool_wait_ms)
    return limits if entries is None else replace(limits, entries=entries)


def span_until(now: datetime, length: timedelta) -> "ReportSpan":
    """A span that ends now, in whole minutes, beside the same a week before."""
    from querygauge.values.answers.performance_report import ReportSpan

    until = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    since = until - length
    return ReportSpan(period="span", since=since, until=until, before_since=since - _WEEK, before_until=until - _WEEK)


def send_reports(
    paths: "StorePaths", route: "Route", span: "ReportSpan", service: str | None, limits: "ReportLimits", now: datetime
) -> list[tuple[str, str | None]]:
    """
    Sends a report at once, for somebody who asks; it changes nothing about those that come by themselves.

    Args:
        paths: The store, folded just now.
        route: Where to.
        span: What it is about.
        service: One service; None is whatever the channel gets.
        limits: What is told.
        now: UTC.

    Returns:
        For each report its headline, and why it did not arrive; None if it did.

    Raises:
        SettingsError: If the channel takes no reports.
        StoreError: If the store cannot be read.
    """
    from querygauge.alerts.delivery import send_all
    from querygauge.alerts.routes import check_takes_reports
    from querygauge.rendering.answers.report_sections import headline
    from querygauge.storage.answers.performance_report import read_reports

    def chosen(known: Iterable[str]) -> Iterable[str | None]:
        return (service,) if service is not None else route.services_of(known)

    check_takes_reports(route.kind)
    reports = read_reports(paths, span, limits, chosen)
    outcomes = send_all([(route.name, _message(report, now)) for report in reports], {route.name: route})
    return [(headline(report), outcome.error) for report, outcome in zip(reports, outcomes, strict=True)]
