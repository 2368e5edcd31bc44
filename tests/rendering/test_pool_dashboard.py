"""The pool dashboard shows what it is given, aligned and within its width."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from querygauge.histogram import Histogram
from querygauge.rendering.pool_dashboard import PoolView, render_pool_dashboard
from querygauge.values import HealthCheck, Holder, PoolMetrics, PoolSnapshot

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MS = 1_000_000
STATE = PoolSnapshot(NOW, 10, 12, 0, 3, 2, 15, 83.0, (Holder(83.0, "shop/orders.py:12 in load", "00000000000000ab"),))
VIEW = PoolView(
    pool="shop",
    level="WARNING",
    reasons=("12 of 15 connections in use",),
    trend="rising",
    snapshot=STATE,
    metrics=PoolMetrics(
        total_requests=12_345,
        total_checkouts=12_330,
        total_checkins=12_318,
        total_timeouts=12,
        total_errors=3,
        wait=Histogram.of([MS, 2 * MS]),
        use=Histogram.of([40 * MS]),
        peak_active=15,
        peak_waiting=9,
        health_checks=60,
        health_checks_failed=1,
        leaks=1,
        lost_to_cancellation=2,
    ),
    p95_recent_wait_ms=2.0,
    history=tuple(
        replace(STATE, timestamp=NOW - timedelta(seconds=5 * age), active_connections=15 - age // 4)
        for age in range(60, -1, -1)
    ),
    health_checks=(
        HealthCheck(NOW - timedelta(minutes=1), 1.2),
        HealthCheck(NOW, 5000.0, "no answer within 5 s"),
    ),
    last_error=(NOW, "OperationalError: connection refused"),
)
SECTIONS = ("CONNECTION POOL", "Utilisation", "PERFORMANCE", "STATISTICS", "HEALTH CHECKS", "UTILISATION", "HOLDERS")


def parts(view: PoolView) -> dict[str, list[str]]:
    """The lines of each part, by its first word."""
    found = [part.split("\n") for part in render_pool_dashboard(view).split("\n\n")]
    return {next(name for name in SECTIONS if lines[0].startswith(name)): lines for lines in found}


def test_every_part_is_there_in_order() -> None:
    """Status, bar, performance, statistics, health checks, trend and holders, each a part of its own."""
    assert tuple(parts(VIEW)) == SECTIONS


def test_no_line_is_wider_than_promised() -> None:
    """However long the names and messages, a line has at most 96 columns and no blanks at its end."""
    long = replace(
        VIEW,
        pool="p" * 40,
        snapshot=replace(STATE, holders=(Holder(1.0, "/srv/" + "x" * 200 + "/orders.py:12 in load", "ab" * 8),)),
        last_error=(NOW, "y" * 300),
        health_checks=(HealthCheck(NOW, 1.0, "z" * 300),),
    )
    for view in (VIEW, long):
        lines = render_pool_dashboard(view).split("\n")
        assert max(len(line) for line in lines) <= 96
        assert [line for line in lines if line != line.rstrip()] == []


def test_status_names_its_reasons() -> None:
    """The level, and under it one line a reason."""
    lines = parts(VIEW)["CONNECTION POOL"]
    assert lines[2:] == ["Status       WARNING", "             - 12 of 15 connections in use"]


def test_the_bar_is_as_long_as_the_share() -> None:
    """80 % of fifty places are forty."""
    bar, counts = parts(VIEW)["Utilisation"]
    assert (bar.count("█"), bar.count("░")) == (40, 10)
    assert bar.endswith("80.0 %")
    assert counts.strip() == "12 of 15 in use (10 + 5 overflow) · 0 idle · 3 waiting · 2 above the pool's size"


def test_a_pool_over_its_size_does_not_break_the_bar() -> None:
    """More than everything fills the bar and no more."""
    bar = parts(replace(VIEW, snapshot=replace(STATE, active_connections=30)))["Utilisation"][0]
    assert bar.count("█") == 50
    assert bar.endswith("200.0 %")


def test_without_a_limit_there_is_no_bar() -> None:
    """A pool without a limit has no share in use; connections are counted instead, and charted."""
    unlimited = replace(VIEW, snapshot=replace(STATE, max_connections=0))
    text = render_pool_dashboard(unlimited)
    assert "no limit on connections" in text
    assert "12 in use ·" in text
    assert "CONNECTIONS IN USE, LAST FIVE MINUTES  rising" in text
    assert "100 %" not in text


def test_performance_has_units_and_dashes() -> None:
    """Each clock has its count and its durations; what was never measured is a dash."""
    lines = parts(VIEW)["PERFORMANCE"]
    assert lines[0].split() == ["PERFORMANCE", "Count", "Avg", "Median", "P95", "P99", "Max"]
    assert "1.50 ms" in lines[1]
    assert "40.0 ms" in lines[2]
    assert lines[3].split() == ["Opening", "a", "connection", "0", "-", "-", "-", "-", "-"]
    assert lines[4] == "In the last minute, 95 % of waits took up to 2.00 ms."
    assert len({len(line) for line in lines[:4]}) == 1


def test_a_minute_without_waits_says_so() -> None:
    """Nothing measured is not the same as zero."""
    assert "Nobody obtained" in parts(replace(VIEW, p95_recent_wait_ms=None))["PERFORMANCE"][4]


def test_statistics_are_aligned_and_separated() -> None:
    """Counts carry thousands separators and end in one column."""
    lines = parts(VIEW)["STATISTICS"]
    assert lines[1].startswith("Requests      12,345")
    assert "Timeouts  12   0.1 % of requests" in lines[1]
    assert len({line[:20].rstrip()[-1].isdigit() for line in lines[1:6]}) == 1
    assert lines[6] == "Last error    2026-01-01 12:00:00 UTC  OperationalError: connection refused"


def test_health_checks_are_the_last_ones() -> None:
    """The share that succeeded, and the last five with their errors."""
    lines = parts(VIEW)["HEALTH CHECKS"]
    assert lines == [
        "HEALTH CHECKS  98.3 % of 60 succeeded",
        "11:59:00  ok      1.20 ms",
        "12:00:00  FAILED   5.00 s  no answer within 5 s",
    ]
    many = replace(VIEW, health_checks=VIEW.health_checks * 10)
    assert len(parts(many)["HEALTH CHECKS"]) == 6
    assert parts(replace(VIEW, health_checks=()))["HEALTH CHECKS"] == ["HEALTH CHECKS  none yet"]


def test_the_chart_rises_with_the_pool() -> None:
    """Sixty columns, five seconds each, and a full pool reaches the top."""
    title, *rows, axis, legend = parts(VIEW)["UTILISATION"]
    assert title == "UTILISATION, LAST FIVE MINUTES  rising"
    assert len(rows) == 4
    assert rows[0].startswith(" 100 % │")
    assert rows[0].endswith("█")
    assert [row.count("█") for row in rows] == sorted(row.count("█") for row in rows)
    assert len(rows[3].partition("│")[2]) == 60
    assert axis == "   0 % └" + "─" * 60
    assert legend.split() == ["5", "min", "ago", "now"]


def test_the_chart_says_when_there_is_nothing_to_show() -> None:
    """Before the first snapshot there is no chart."""
    assert parts(replace(VIEW, history=()))["UTILISATION"][1:] == ["no snapshot yet"]


def test_holders_name_age_line_and_pattern() -> None:
    """Who holds a connection, since when, from where and with what, what it is at, and whether that is known."""
    lines = parts(VIEW)["HOLDERS"]
    assert lines[0] == "HOLDERS  1 of 12, oldest first"
    assert lines[2].split() == ["1", "min", "23", "s", "shop/orders.py:12", "in", "load", "00000000000000ab", "-"]
    held = replace(STATE.holders[0], activity="idle in transaction", reason="listens")
    known = parts(replace(VIEW, snapshot=replace(STATE, holders=(held,))))["HOLDERS"]
    assert known[2].endswith("00000000000000ab  idle in transaction, known: listens")
    nobody = replace(STATE, active_connections=0, holders=())
    assert parts(replace(VIEW, snapshot=nobody))["HOLDERS"] == ["HOLDERS  nobody"]


def test_names_cannot_steer_a_terminal() -> None:
    """Control characters in names and messages are spelled out."""
    text = render_pool_dashboard(replace(VIEW, pool="\x1b[31m", last_error=(NOW, "\x1b[0m\nnext")))
    assert "\x1b" not in text
    assert r"\x1b[31m" in text
