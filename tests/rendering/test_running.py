"""What has not ended, as a section: each with its age, its line and its process."""

from datetime import timedelta

import pytest

from querygauge.rendering.interchange import report_to_dict
from querygauge.rendering.report import render_report
from querygauge.rendering.running import render_running
from querygauge.rendering.tables import text_width
from querygauge.values import ProcessRunning, RunningQuery, RunningState
from rendering.making import ENDED, Make


def query(make: Make, age_ms: float, text: str = "SELECT a FROM t", **members: str) -> RunningQuery:
    """An execution that has run for so long."""
    started = ENDED - timedelta(milliseconds=age_ms)
    return RunningQuery(make.pattern(text), "primary", age_ms, started, age_ms, **members)


def process(*queries: RunningQuery, more: int = 0, name: str = "web-1:4711") -> ProcessRunning:
    """A process in which these run, and more that are young."""
    return ProcessRunning("shop", name, ENDED, (RunningState("primary", len(queries) + more, 9.0, queries),))


def test_each_has_its_age_line_and_process(make: Make) -> None:
    """The oldest of all processes first, and how many run in all."""
    windows = [
        process(query(make, 3_200.0, call_site="shop/orders.py:12 in show", scope="GET /orders"), more=2),
        process(query(make, 75_000.0, "LISTEN a", reason="listens"), name="web-1:4712"),
    ]
    oldest, younger = (window.queries[0].pattern_id[:8] for window in reversed(windows))
    assert render_running(windows, limit=5, width=100) == [
        "RUNNING NOW (4 under way; the slow ones, oldest first)",
        "         Age  Pattern             Target     Process     As of (UTC)",
        f"  1 min 15 s  {oldest}  LISTEN    @ primary  web-1:4712  12:01:02",
        "            [long hold: listens]",
        f"      3.20 s  {younger}  SELECT t  @ primary  web-1:4711  12:01:02",
        "      from  shop/orders.py:12 in show  [GET /orders]",
    ]


def test_nothing_slow_is_nothing_shown(make: Make) -> None:
    """A busy application always has something under way."""
    assert render_running([process(more=7)], limit=5, width=100) == []
    assert "RUNNING NOW" not in render_report(make.report(make.stats(), running=(process(more=7),)))


def test_long_lists_are_cut(make: Make) -> None:
    """And say so; how many there are in all stands above."""
    lines = render_running([process(*(query(make, 9.0 - n) for n in range(7)))], limit=2, width=100)
    assert lines[0] == "RUNNING NOW (7 under way; the slow ones, oldest first)"
    assert [line.split()[0] for line in lines[2:]] == ["9.00", "8.00", "and"]
    assert lines[-1] == "    and younger ones"


def test_a_report_of_an_application_whose_first_query_hangs(make: Make) -> None:
    """Nothing has ended, and yet statements were seen; the text of the pattern stands there."""
    text = render_report(make.report(running=(process(query(make, 3_200.0)),)))
    assert "No statements were seen" not in text
    assert "     SELECT a FROM t\n" in text
    assert text.index("OVERALL METRICS") < text.index("RUNNING NOW")


def test_json_has_what_is_young_too(make: Make) -> None:
    """Whoever draws a curve wants the number of all."""
    (found,) = report_to_dict(make.report(running=(process(query(make, 3_200.0), more=2),)))["running"]
    assert (found["process"], found["seen"], found["count"]) == ("web-1:4711", ENDED.isoformat(), 3)
    (state,) = found["states"]
    assert state["queries"][0]["query_pattern"] == "SELECT a FROM t"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_every_width_tells_which_query(make: Make, width: int) -> None:
    """What tells least gives way: first the moment, then the process, then the target."""
    long = query(
        make, 3_200.0, "INSERT INTO a FROM trial_intermediate_values", call_site="shop/a/long/path.py:1 in f" * 3
    )
    lines = render_running([process(long, name="a-very-long-host-name:4711")], limit=5, width=width)
    assert max(map(text_width, lines)) <= width
    del lines[0]
    assert f"{long.pattern_id[:8]}  INSER" in lines[1]
    assert ("As of" in lines[0], "Process" in lines[0], "Target" in lines[0]) == (width > 60, width >= 60, width > 40)


def test_a_scope_cannot_steer_a_terminal(make: Make) -> None:
    """Names come from outside."""
    lines = render_running([process(query(make, 9.0, scope="GET /\x1b[2J"))], limit=5, width=100)
    assert "GET /\\x1b[2J" in lines[-1]
