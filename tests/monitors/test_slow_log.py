"""Slow queries reach the log, ten a second at most, and the rest is counted in one line."""

from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitors.executions import SteppingClock
from querygauge.monitors.slow_log import SlowLog, alert_about
from querygauge.values import SlowQuery, SlowQueryAlert

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def slow_log(clock: SteppingClock) -> SlowLog:
    """A log that nothing was written to."""
    return SlowLog(clock)


def alert(duration_ms: float = 2_500.0) -> SlowQueryAlert:
    """An alert about a threshold of one second."""
    query = SlowQuery(
        "SELECT a FROM t WHERE id = ?", "0123456789abcdef", "SELECT t", "primary", duration_ms,
        datetime(2026, 1, 1, tzinfo=UTC), call_site="shop/orders.py:12 in show",
    )  # fmt: skip
    return alert_about(query, 1_000.0, "shop")


def not_logged(lines: Lines) -> list[int]:
    """The counts in the lines about lines left out."""
    return [line["count"] for line in lines if line["event"] == "slow_queries_not_logged"]


@pytest.mark.parametrize(
    ("duration_ms", "severity"),
    [
        (1_000.0, "low"),
        (1_999.999, "low"),
        (2_000.0, "medium"),
        (4_999.999, "medium"),
        (5_000.0, "high"),
        (9_999.999, "high"),
        (10_000.0, "critical"),
    ],
)
def test_severity_follows_how_far_over_the_threshold(duration_ms: float, severity: str) -> None:
    """Medium from twice the threshold, high from five times, critical from ten times, else low."""
    assert alert(duration_ms).severity == severity


def test_a_line_names_the_query_and_nothing_personal(slow_log: SlowLog, lines: Lines) -> None:
    """A slow query is one WARNING with these keys, neither statement nor parameters among them."""
    slow_log.write([alert()])
    assert lines == [
        {
            "event": "slow_query",
            "log_level": "warning",
            "pattern_id": "0123456789abcdef",
            "summary": "SELECT t",
            "duration_ms": 2_500.0,
            "threshold_ms": 1_000.0,
            "severity": "medium",
            "call_site": "shop/orders.py:12 in show",
            "service": "shop",
            "target": "primary",
        }
    ]


def test_ten_lines_a_second_and_one_about_the_rest(slow_log: SlowLog, clock: SteppingClock, lines: Lines) -> None:
    """Ten pass within a second; a second later one line says how many did not, and ten more may pass."""
    slow_log.write([alert()] * 14)
    assert (len(lines), not_logged(lines)) == (10, [])
    clock.advance(0.5)
    slow_log.write([alert()] * 2)
    assert (len(lines), not_logged(lines)) == (10, [])
    clock.advance(0.5)
    slow_log.write([alert()] * 3)
    assert (len(lines), not_logged(lines)) == (14, [6])
    clock.advance(60)
    slow_log.write([])
    assert (len(lines), not_logged(lines)) == (14, [6])


def test_what_never_arrived_is_counted_with_the_rest(slow_log: SlowLog, clock: SteppingClock, lines: Lines) -> None:
    """Slow queries that came too fast to be handed over are in the same count."""
    slow_log.write([alert()] * 11, missed=500)
    clock.advance(1)
    slow_log.write([])
    assert not_logged(lines) == [501]


def test_the_end_does_not_wait_for_the_second(slow_log: SlowLog, lines: Lines) -> None:
    """When the monitor stops, the count is written at once, and only once."""
    slow_log.write([alert()] * 12)
    slow_log.finish()
    slow_log.finish()
    assert not_logged(lines) == [2]


def test_nothing_left_out_is_not_mentioned(slow_log: SlowLog, clock: SteppingClock, lines: Lines) -> None:
    """Without lines left out there is no line about them."""
    slow_log.write([alert()])
    clock.advance(5)
    slow_log.write([])
    slow_log.finish()
    assert [line["event"] for line in lines] == ["slow_query"]
