"""What `top` shows follows from the statistics and the moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querygauge.rendering.tables import text_width
from querygauge.storage.spool_sink import SpoolSink
from querygauge.surfaces.top import Picture, View, picture_of, render_picture
from querygauge.values import QueryStats, RunningQuery, RunningState, Snapshot
from rendering.making import ENDED, STARTED, Make


def picture(*stats: QueryStats, limit: int = 9, order_by: str = "total_duration") -> Picture:
    """The picture of a minute before `ENDED`."""
    since = ENDED - timedelta(minutes=1)
    return picture_of(stats, since, ENDED, service="shop", order_by=order_by, limit=limit)


def test_rates_are_per_second_of_the_span(make: Make) -> None:
    """Sixty executions in a minute are one a second."""
    stats = replace(make.stats(count=60, ms=10.0), first_seen=STARTED)
    (row,) = picture(stats).rows
    assert row[:7] == ("600 ms", "100.0 %", "1.0", "10.0 ms", "10.0 ms", "60", "0")


def test_a_young_application_is_not_diluted(make: Make) -> None:
    """Rates count from the first execution, if that was within the span."""
    stats = replace(make.stats(count=60), first_seen=ENDED - timedelta(seconds=10))
    assert picture(stats).rows[0][2] == "6.0"


def test_transaction_control_counts_and_is_not_listed(make: Make) -> None:
    """The totals are of everything, the table is of queries."""
    shown = picture(make.stats(), make.stats("COMMIT", 4, category="transaction"))
    assert "5 in all" in shown.totals
    assert len(shown.rows) == 1


def test_what_has_no_room_is_counted(make: Make) -> None:
    """A small terminal says how much it does not show."""
    shown = picture(*(make.stats(f"SELECT a FROM t{n}") for n in range(5)), limit=2)
    assert (len(shown.rows), shown.hidden) == (2, 3)
    assert render_picture(shown).endswith("and 3 more queries")


def test_nothing_in_the_span_is_said() -> None:
    """An empty window is no error."""
    assert "no queries in this span" in render_picture(picture())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_every_width_tells_which_query(make: Make, width: int) -> None:
    """No line is wider than the terminal; the id has its eight digits, and the summary both its ends."""
    stats = make.stats("INSERT INTO a FROM trial_intermediate_values", 12_345, 9.87, errors=321)
    lines = render_picture(picture(stats), width).splitlines()
    assert max(map(text_width, lines)) <= width
    assert f"{stats.pattern_id[:8]}  INSERT" in lines[-1]
    assert lines[-1].endswith("values")


def test_a_narrow_terminal_loses_what_tells_least(make: Make) -> None:
    """Columns give way to the name of the query, shares and rates first."""
    stats = make.stats("INSERT INTO a FROM trial_intermediate_values", 12_345, 9.87, errors=321)
    titles = {width: picture(stats).table(width)[0].split() for width in (100, 80, 60)}
    assert titles[100] == ["Total", "Share", "Exec/s", "Avg", "P95", "Executions", "Errors", "Pattern"]
    assert titles[80] == ["Total", "Avg", "Executions", "Errors", "Pattern"]
    assert titles[60] == ["Total", "Avg", "Executions", "Pattern"]


def hanging(make: Make, count: int, now: datetime) -> Snapshot:
    """A snapshot in which so many executions have not ended, and a table's worth of queries have."""
    started = now - timedelta(seconds=9)
    long = [
        RunningQuery(make.pattern(f"SELECT {n} FROM t"), "shop", 9e3 - n, started, 1.0, "a.py:1 in f")
        for n in range(count)
    ]
    stats = tuple(replace(make.stats(f"SELECT a FROM t{n}"), first_seen=started, last_seen=now) for n in range(30))
    running = (RunningState("shop", count, 9e3, tuple(long)),)
    return Snapshot("shop", "host:1", started, now, stats, running=running, flush_interval_s=10.0)


@pytest.mark.parametrize(("height", "running", "queries"), [(24, 1, 10), (40, 4, 17), (None, 5, 30)])
def test_what_runs_leaves_room_for_the_queries(
    make: Make, tmp_path: Path, height: int | None, running: int, queries: int
) -> None:
    """It takes half of a terminal at most; each has its pattern and line, and the last says that there are more."""
    SpoolSink(tmp_path / "store", max_mb=1.0).write(hanging(make, 9, datetime.now(UTC)))
    shown = View(tmp_path / "store", "5m", None, "total_duration", 99).picture(80, height)
    assert sum("from  a.py:1 in f" in line for line in shown.running) == running
    assert shown.running[3] == "     SELECT 0 FROM t"
    assert shown.running[-1] == "    and younger ones"
    assert len(shown.rows) == queries
    lines = render_picture(shown, 80).splitlines()
    assert height is None or len(lines) < height
    assert lines[3] == "RUNNING NOW (9 under way; the slow ones, oldest first)"


def test_of_another_service_nothing_runs(make: Make, tmp_path: Path) -> None:
    """Whoever looks at one service sees that of it."""
    SpoolSink(tmp_path / "store", max_mb=1.0).write(hanging(make, 1, datetime.now(UTC)))
    assert View(tmp_path / "store", "5m", "jobs", "total_duration", 99).picture(80).running == ()


def test_what_the_queries_are_ordered_by_stays(make: Make) -> None:
    """Whoever asks for the order of P95 sees the P95, however narrow the terminal."""
    assert "P95" in picture(make.stats(), order_by="p95").table(60)[0]


def test_two_targets_are_told_apart(make: Make) -> None:
    """The same statement on two databases is two rows, each with its target; one database needs no name."""
    both = picture(make.stats(), make.stats(target="replica"))
    assert both.table(60)[0].endswith("Target")
    assert [line.rpartition("@ ")[2] for line in both.table(60)[1:]] == ["primary", "replica"]
    assert "Target" not in picture(make.stats()).table(60)[0]
