"""The phases of some queries are shown with their shares, and nothing where nothing could be told apart."""

from dataclasses import replace

from querygauge.rendering.phases import render_phases
from querygauge.rendering.report import render_report
from querygauge.values import PhaseTimes, QueryStats
from rendering.making import Make

MS = 1_000_000
TEXT = "SELECT a FROM t WHERE id = ?"


def phased(make: Make, **nanoseconds: int) -> QueryStats:
    """Ten executions that took 100 ms together, and these phases."""
    stats = make.stats(TEXT, 10)
    durations = replace(stats.durations, total_ns=100 * MS)
    return replace(stats, durations=durations, phases=PhaseTimes(**nanoseconds))


def test_what_takes_no_time_has_no_line(make: Make) -> None:
    """Shares are of all phases together, those outside of the execution too, in the order they happen."""
    lines = render_phases([phased(make, pool_wait_ns=200 * MS, prepare_ns=40 * MS, commit_ns=100 * MS)], width=100)
    assert [line.split("  ")[1].strip() for line in lines] == [
        "Phase",
        "Waiting for a connection",
        "Preparing",
        "Executing, transferring rows",
        "COMMIT",
    ]
    assert [" ".join(line.split()[-4:]) for line in lines[1:]] == [
        "50.0 % 20.0 ms",
        "10.0 % 4.00 ms",
        "15.0 % 6.00 ms",
        "25.0 % 10.0 ms",
    ]


def test_a_blocked_loop_is_in_no_sum(make: Make) -> None:
    """It lies within the other phases."""
    lines = render_phases([phased(make, loop_lag_ns=80 * MS, commit_ns=100 * MS)], width=100)
    assert [line.split("%")[0].split()[-1] for line in lines[1:]] == ["50.0", "50.0", "40.0"]
    assert lines[-1].strip().startswith("of these, event loop blocked")


def test_executing_alone_is_nothing_new(make: Make) -> None:
    """No table repeats what stands above it."""
    assert render_phases([phased(make)], width=100) == []
    assert render_phases([], width=100) == []
    assert "WHERE THE TIME WENT" not in render_report(make.report(phased(make)))


def test_the_report_has_them(make: Make) -> None:
    """Of all queries together."""
    report = render_report(make.report(phased(make, connect_ns=300 * MS), phased(make, pool_wait_ns=MS)))
    assert "WHERE THE TIME WENT (all queries)" in report
    assert "Opening a connection" in report
