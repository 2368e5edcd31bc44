"""Columns line up, whatever stands in them."""

from hypothesis import given
from hypothesis import strategies as st

from querygauge.rendering.tables import Column, render_table, shortened, text_width, visible

COLUMNS = (Column("Total"), Column("Query", "left"))
NARROW = (Column("Total"), Column("Share"), Column("P95"), Column("Query", "left", legible=12))
ROW = ["1.20 s", "12.0 %", "9.00 ms", "SELECT customer_orders"]


def test_numbers_lean_right_and_words_left() -> None:
    """A column is as wide as its widest cell, and no line ends in blanks."""
    assert render_table(COLUMNS, [["12,345", "SELECT a"], ["1", "b"]]) == [
        "   Total  Query",
        "  12,345  SELECT a",
        "       1  b",
    ]


def test_a_table_without_rows_is_its_titles() -> None:
    """Nothing to show is no error."""
    assert render_table(COLUMNS, [], indent=0) == ["Total  Query"]


def test_wide_characters_take_two_columns() -> None:
    """Table names in Japanese do not push the next column out of line."""
    lines = render_table((Column("a", "left"), Column("b", "left")), [["注文", "x"], ["abc", "y"]], indent=0)
    assert lines == ["a     b", "注文  x", "abc   y"]


def test_control_characters_are_spelled_out() -> None:
    """A quoted identifier cannot colour, move or clear somebody's terminal."""
    assert visible("a\x1b[31mb\u202e") == "a\\x1b[31mb\\x202e"
    assert "\x1b" not in "".join(render_table(COLUMNS, [["1", 'SELECT "\x1b[2J"']]))


def test_what_tells_least_is_left_out_first() -> None:
    """Columns go in the order given, and no more of them than it takes to read the rest."""
    full = render_table(NARROW, [ROW], width=80, least_telling=("Share", "P95"))
    assert full == render_table(NARROW, [ROW])
    head, row = render_table(NARROW, [ROW], width=32, least_telling=("Share", "P95"))
    assert head.split() == ["Total", "P95", "Query"]
    assert row == "  1.20 s  9.00 ms  SELECT c…ders"
    head, _ = render_table(NARROW, [ROW], width=30, least_telling=("Share", "P95"))
    assert head.split() == ["Total", "Query"]


def test_words_are_shortened_and_numbers_are_not() -> None:
    """Where nothing more may be left out, words give way, however little of them stays; half a number is wrong."""
    assert render_table(NARROW, [ROW], width=34, indent=0) == [
        " Total   Share      P95  Query",
        "1.20 s  12.0 %  9.00 ms  SELEC…ers",
    ]
    assert render_table((Column("Total"),), [["12,345,678"]], width=4) == ["       Total", "  12,345,678"]


def test_words_keep_what_makes_them_legible_as_long_as_others_have_more() -> None:
    """A long target gives way before a query does that is just legible."""
    columns = (Column("Target", "left", legible=7), Column("Query", "left", legible=13))
    row = ["database.example.org", "SELECT orders"]
    assert render_table(columns, [row], width=26, indent=0)[1] == "databa….org  SELECT orders"
    assert render_table(columns, [row], width=18, indent=0)[1] == "da…rg  SELECT…ders"


def test_a_shortened_name_keeps_both_ends() -> None:
    """Names begin alike within an application, and end alike within a table: the middle says least."""
    assert shortened("trial_system_attributes", 15) == "trial_sys…butes"
    assert shortened("trial_system_attributes", 23) == "trial_system_attributes"
    assert text_width(shortened("注文注文注文注文", 9)) <= 9


@given(st.text(max_size=40), st.integers(min_value=1, max_value=40))
def test_no_shortened_text_is_wider_than_asked_for(text: str, width: int) -> None:
    """Whatever the characters, they fit."""
    assert text_width(shortened(visible(text), width)) <= width


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=5))
def test_every_row_is_one_line_and_titles_keep_their_place(rows: list[tuple[str, str]]) -> None:
    """Line breaks in cells do not break rows, and right-aligned cells all end where their title ends."""
    lines = render_table((Column("left-most"), Column("|")), [(cell, "|") for cell, _ in rows])
    assert len(lines) == len(rows) + 1
    assert len({text_width(line) for line in lines}) == 1
