"""Columns line up, whatever stands in them."""

from hypothesis import given
from hypothesis import strategies as st

from querygauge.rendering.tables import Column, render_table, text_width, visible

COLUMNS = (Column("Total"), Column("Query", "left"))


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


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=5))
def test_every_row_is_one_line_and_titles_keep_their_place(rows: list[tuple[str, str]]) -> None:
    """Line breaks in cells do not break rows, and right-aligned cells all end where their title ends."""
    lines = render_table((Column("left-most"), Column("|")), [(cell, "|") for cell, _ in rows])
    assert len(lines) == len(rows) + 1
    assert len({text_width(line) for line in lines}) == 1
