"""What a report says of the health checks of a pool."""

from dataclasses import replace
from datetime import timedelta

from querygauge.rendering.pool_checks import failed_checks_of
from querygauge.rendering.report import render_report
from querygauge.values import HealthCheck, PoolWindow
from rendering.making import ENDED, Make


def _checked(window: PoolWindow, made: int, failed: int, *checks: HealthCheck) -> PoolWindow:
    metrics = replace(window.metrics, health_checks=made, health_checks_failed=failed)
    return replace(window, metrics=metrics, health_checks=checks)


def test_the_last_that_failed_is_told(make: Make) -> None:
    """With its moment and its reason, which reaches no terminal as it is."""
    checks = (
        HealthCheck(ENDED - timedelta(minutes=2), 1.0, "refused"),
        HealthCheck(ENDED - timedelta(minutes=1), 5_000.0, "no answer\x1b within 5 s"),
        HealthCheck(ENDED, 1.0),
    )
    told = failed_checks_of(_checked(make.pool(), 1_440, 2, *checks))
    moment = f"{ENDED - timedelta(minutes=1):%Y-%m-%d %H:%M:%S} UTC"
    assert told == f"2 of 1,440 health checks failed, the last one on {moment}: no answer\\x1b within 5 s"


def test_nothing_is_said_where_none_failed(make: Make) -> None:
    """Nor is a moment where none is known."""
    assert failed_checks_of(_checked(make.pool(), 60, 0, HealthCheck(ENDED, 1.0))) is None
    assert failed_checks_of(_checked(make.pool(), 60, 3)) == "3 of 60 health checks failed"


def test_the_report_says_it_below_the_pools(make: Make) -> None:
    """Windows of one pool count together."""
    windows = (
        _checked(make.pool(), 60, 1, HealthCheck(ENDED, 1.0, "refused")),
        _checked(make.pool(), 60, 0, HealthCheck(ENDED, 1.0)),
    )
    report = render_report(make.report(make.stats(), pools=windows))
    assert "  - primary: 1 of 120 health checks failed, the last one on " in report
