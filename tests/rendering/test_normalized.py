"""What people and machines get of the patterns that were found."""

from dataclasses import replace
from datetime import timedelta

import pytest

from querygauge.errors import SettingsError
from querygauge.histogram import Histogram
from querygauge.rendering.interchange import CSV_COLUMNS, report_to_csv
from querygauge.rendering.normalized import render_normalized
from querygauge.rendering.normalized_data import (
    NEVER,
    NormalizedData,
    Source,
    normalized_to_csv,
    normalized_to_dict,
)
from querygauge.values import QueryStats
from rendering.making import STARTED, Make

LONG = "SELECT id FROM some_rather_long_table_name WHERE another_rather_long_column_name = ? AND id IN (?)"


def untimed(stats: QueryStats) -> QueryStats:
    """The same, of a text that tells no times."""
    return replace(stats, durations=Histogram(), first_seen=NEVER, last_seen=NEVER)


def data(*stats: QueryStats, notes: tuple[str, ...] = ()) -> NormalizedData:
    """These statistics, read from a log."""
    source = Source(name="shop.log", format="postgresql-log (stderr)", dialect="postgresql", execution_count=1)
    return NormalizedData(sources=(source,), stats=stats, notes=notes)


def test_times_are_ranked_by_total_time(make: Make) -> None:
    """Where durations are known, what took most time comes first, whatever its count."""
    text = render_normalized(data(make.stats("SELECT a FROM t", 9), make.stats("SELECT b FROM t", 2, 100.0)))
    assert "  Read        shop.log: PostgreSQL log (stderr), read as postgresql" in text
    assert text.index("SELECT b FROM t") < text.index("SELECT a FROM t")
    assert "209 ms" in text


def test_without_times_there_are_no_columns_for_them(make: Make) -> None:
    """Nothing is shown that nobody told."""
    text = render_normalized(data(untimed(make.stats("SELECT a FROM t", 9)), untimed(make.stats("SELECT b FROM t", 1))))
    assert "PATTERNS BY FREQUENCY" in text
    assert [word in text for word in ("P95", " ms", "UTC", "Errors", " - ")] == [False] * 5


def test_errors_have_a_column_if_there_are_any(make: Make) -> None:
    """A log of failures says which they are."""
    text = render_normalized(data(make.stats("SELECT a FROM t", 4, errors=1), make.stats("SELECT b FROM t")))
    assert "Errors  Pattern" in text
    assert "  Errors      1 (20.0 %)" in text


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_line_leaves_the_page(make: Make, width: int) -> None:
    """A summary that has no room is cut; the text below it is folded as the report folds it."""
    stats = (make.stats(LONG, 1_234_567, 1234.5, errors=3), make.stats("SELECT b FROM t"))
    text = render_normalized(data(*stats, notes=("a note " * 40,)), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert make.pattern(LONG).id[:8] in text


def test_a_name_cannot_steer_the_terminal(make: Make) -> None:
    """Names of files and of tables are shown with their control characters spelled out."""
    source = Source(name="\x1b[2J.sql", format="sql", dialect="sqlite", execution_count=1)
    found = NormalizedData(sources=(source,), stats=(make.stats("SELECT a FROM \x1b[2J"), make.stats()))
    assert "\x1b" not in render_normalized(found)


def test_what_has_no_room_is_counted(make: Make) -> None:
    """A table that is cut says how much there is beyond."""
    stats = [make.stats(f"SELECT a FROM t{n}") for n in range(5)]
    assert render_normalized(data(*stats), limit=2).endswith("    and 3 more patterns; --limit shows them")


def test_notes_come_last(make: Make) -> None:
    """What could not be read is said below what was."""
    assert render_normalized(data(make.stats(), notes=("a line was cut",))).endswith("NOTES\n  - a line was cut")


@pytest.mark.parametrize("order", ["p95", "p99", "max", "total_duration", "avg_duration"])
def test_patterns_without_times_come_last(make: Make, order: str) -> None:
    """An order by durations is one of those that have them."""
    found = data(untimed(make.stats("SELECT a FROM t", 99)), make.stats("SELECT b FROM t"))
    assert [entry.query_pattern for entry in found.ranked(order, None)] == ["SELECT b FROM t", "SELECT a FROM t"]
    assert len(found.ranked(order, 1)) == 1


def test_an_unknown_order_is_refused(make: Make) -> None:
    """The orders are those of the report."""
    with pytest.raises(SettingsError, match="order_by must be one of"):
        render_normalized(data(make.stats()), order_by="speed")


def test_what_nobody_told_is_none_in_json(make: Make) -> None:
    """Durations, moments, rows and slow executions that are unknown are null, and not 0; what was told stays."""
    told = make.stats("SELECT b FROM t", rows=0)
    read = normalized_to_dict(data(untimed(make.stats("SELECT a FROM t", 9))))
    (query,) = read["queries"]
    unknown = ("total_duration_ms", "p99_duration_ms", "first_seen", "slow_count", "rows")
    assert (query["execution_count"], query["rows_known_count"]) == (9, 0)
    assert {query[name] for name in unknown} == {None}
    assert normalized_to_dict(data(told))["queries"][0]["rows"] == 0
    assert (read["overall"]["total_duration_ms"], read["overall"]["first_seen"]) == (None, None)


def test_a_query_in_json_has_its_whole_pattern(make: Make) -> None:
    """What a pattern knows of itself is there for a machine: what it complicates, what it does and to which tables."""
    entry = make.stats("SELECT a FROM t JOIN u ON t.id = u.id")
    (query,) = normalized_to_dict(data(entry))["queries"]
    assert query["pattern"] == entry.pattern.to_dict()
    assert set(query) == {"pattern", *CSV_COLUMNS}


def test_the_span_is_of_what_has_a_time(make: Make) -> None:
    """From the first execution to the last, over all patterns that tell."""
    early = replace(make.stats("SELECT b FROM t"), first_seen=STARTED - timedelta(hours=1))
    overall = normalized_to_dict(data(untimed(make.stats()), make.stats("SELECT a FROM t"), early))["overall"]
    assert (overall["first_seen"], overall["last_seen"]) == ("2026-01-01T11:00:00+00:00", "2026-01-01T12:01:02+00:00")


def test_csv_has_the_columns_of_the_report(make: Make) -> None:
    """Whoever reads the report's rows reads these, and there are columns where nothing was found."""
    assert normalized_to_csv([]) == report_to_csv([])
    assert normalized_to_csv([untimed(make.stats())]).splitlines()[0] == ",".join(CSV_COLUMNS)
