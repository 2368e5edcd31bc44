"""One query in full: nothing about it is cut, and nothing is invented."""

from querygauge.rendering.pattern_page import PatternData, render_pattern, render_patterns
from querygauge.values import QueryStats
from rendering.making import ENDED, STARTED, Make


def page(make: Make, text: str, *stats: QueryStats) -> str:
    """The page of a query with these statistics."""
    data = PatternData(pattern=make.pattern(text), services=("shop",), first_seen=STARTED, last_seen=ENDED, stats=stats)
    return render_pattern(data, width=80)


def test_the_text_is_whole(make: Make) -> None:
    """A thousand columns are wrapped, not cut."""
    text = "SELECT " + ", ".join(f"column_{n}" for n in range(300)) + " FROM t"
    shown = page(make, text)
    assert text in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_each_target_has_its_line(make: Make) -> None:
    """The same query on two databases is measured apart."""
    text = "SELECT a FROM t WHERE id = ?"
    shown = page(make, text, make.stats(text, 5), make.stats(text, 7, target="replica"))
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith(("  primary", "  replica"))] == [
        ["primary", "5"],
        ["replica", "7"],
    ]


def test_unknown_rows_are_not_zero(make: Make) -> None:
    """Where the driver did not tell, the page says so."""
    text = "SELECT a FROM t WHERE id = ?"
    assert "unknown" in page(make, text, make.stats(text, rows=None))
    assert "unknown" not in page(make, text, make.stats(text, rows=0))


def test_a_query_outside_the_span_is_still_shown(make: Make) -> None:
    """Its text is known, its numbers of the span are none."""
    assert "no executions in this span" in page(make, "SELECT a FROM t")


def test_the_list_says_how_much_it_leaves_out(make: Make) -> None:
    """Cut lists name what is missing."""
    entries = [make.stats(f"SELECT a FROM t{n}") for n in range(5)]
    assert render_patterns(entries, limit=3).endswith("and 2 more; --limit shows them")
    assert render_patterns([], limit=3) == "no queries in this span"
