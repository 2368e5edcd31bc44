"""Processes, as a table."""

from datetime import timedelta

from querygauge.rendering.processes import render_processes
from querygauge.rendering.report import render_report
from querygauge.values import ProcessWindow
from rendering.making import STARTED, Make

HOUR = STARTED + timedelta(hours=1)


def process(number: int, memory: int | None, limit: int | None, cpu_s: float | None) -> ProcessWindow:
    """A process that was seen for an hour."""
    return ProcessWindow("shop", f"web:{number}", STARTED, HOUR, memory, limit, cpu_s)


def test_each_process_has_a_line() -> None:
    """The most CPU time first; what is not known is left open."""
    windows = [process(1, 44_711_936, 512_000_000, 90.0), process(2, None, None, 5_400.0), process(3, 1, 2, None)]
    assert render_processes(windows, limit=5, width=100) == [
        "PROCESSES",
        "  Process         CPU  Of a core   Memory   Limit  Of limit",
        "  web:2    1 h 30 min    150.0 %        -       -         -",
        "  web:1    1 min 30 s      2.5 %  44.7 MB  512 MB     8.7 %",
        "  web:3             -          -      1 B     2 B    50.0 %",
    ]


def test_long_lists_are_cut() -> None:
    """And say how many there are more."""
    lines = render_processes([process(number, 1, 2, float(number)) for number in range(9)], limit=2, width=100)
    assert [line.split()[0] for line in lines[2:]] == ["web:8", "web:7", "and"]
    assert lines[-1] == "    and 7 more"


def test_nothing_known_is_nothing_shown(make: Make) -> None:
    """An old store knows of no process what it took."""
    assert render_processes([process(1, None, 5, None)], limit=5, width=100) == []
    assert render_processes([], limit=5, width=100) == []
    assert "PROCESSES" not in render_report(make.report(make.stats()))
    assert "PROCESSES" in render_report(make.report(make.stats(), processes=(process(1, 1, 2, 3.0),)))
