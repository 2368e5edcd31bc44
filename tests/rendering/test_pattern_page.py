"""One query in full: nothing that is known of it only here is cut, and nothing is invented."""

import pytest

from querygauge.rendering.pattern_page import PatternData, render_pattern, render_patterns
from querygauge.values import Failure, QueryStats, SlowQuery
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


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_every_line_keeps_to_the_width(make: Make, width: int) -> None:
    """Measures are left out where there is no room; where an execution is from, and its error, are folded."""
    text = "SELECT a FROM some_rather_long_table_name WHERE id = ?"
    stats = make.stats(text, 12_345, 9_876.0, rows=99, errors=9_876, slow=12_345)
    target = "database.internal.example.org:5432/orders"
    call_site = "shop/orders/order_positions.py:123 in load_positions"
    error = Failure("UniqueViolation", "23505", 'duplicate key value violates unique constraint "orders_pkey"')
    data = PatternData(
        pattern=make.pattern(text),
        services=tuple(f"service-{n}" for n in range(20)),
        first_seen=STARTED,
        last_seen=ENDED,
        stats=(stats, make.stats(text, target=target)),
        hours=((STARTED, stats),),
        slow_queries=(
            SlowQuery(
                text,
                stats.pattern_id,
                stats.pattern.summary,
                target,
                185_000.0,
                STARTED,
                outcome="cancelled",
                scope="GET /orders/<order_id>/positions",
                call_site=call_site,
                error=error,
            ),
        ),
        repetitions=(make.repetition(text, call_site=call_site, scope="GET /orders/<order_id>/positions"),),
    )
    shown = render_pattern(data, width=width)
    listed = render_patterns([*data.stats, make.stats("COMMIT", category="transaction")], limit=2, width=width)
    assert [line for line in [*shown.splitlines(), *listed.splitlines()] if len(line) > width] == []
    assert str(error) in " ".join(shown.split())
    assert listed.count(stats.pattern_id) == 2


def test_a_target_that_all_have_gives_way_first(make: Make) -> None:
    """The name of the only database tells nothing that the name of a query does not tell better."""
    text = "SELECT a FROM some_rather_long_table_name"
    one = render_patterns([make.stats(text), make.stats()], limit=9, width=100)
    assert "some_rather_long_table_name" in one
    assert ("Target" in one, "P95" in one) == (False, True)
    two = render_patterns([make.stats(text), make.stats(text, target="replica")], limit=9, width=100)
    assert ("Target" in two, "P95" in two) == (True, False)
