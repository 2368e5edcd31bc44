"""A cut statement still tells which one it is."""

from hypothesis import given
from hypothesis import strategies as st

from querygauge.rendering.statements import fold_statement, one_line

LONG = (
    "SELECT orders.id AS orders_id, orders.customer_id AS orders_customer_id, coalesce(orders.total, orders.net) AS "
    "orders_total, orders.note AS orders_note FROM orders WHERE orders.customer_id = ? ORDER BY orders.id LIMIT ?"
)


def test_a_short_statement_stays_whole() -> None:
    """What fits is not touched, except that it stands on one line."""
    assert one_line("SELECT a\n  FROM t", 40) == "SELECT a FROM t"


def test_a_long_column_list_goes_first() -> None:
    """Tables and conditions say more than the seventh column and the labels."""
    assert one_line(LONG, 200) == (
        "SELECT orders.id, orders.customer_id, coalesce(orders.total, orders.net), … FROM orders "
        "WHERE orders.customer_id = ? ORDER BY orders.id LIMIT ?"
    )


def test_only_labels_go_where_there_are_few_columns() -> None:
    """A list of three columns is not marked as cut."""
    text = "SELECT orders.id AS orders_id, orders.note AS orders_note FROM orders WHERE orders.id = ?"
    assert one_line(text, 70) == "SELECT orders.id, orders.note FROM orders WHERE orders.id = ?"


def test_the_middle_goes_next() -> None:
    """Both ends remain, cut between words and marked."""
    text = "UPDATE t SET " + ", ".join(f"column_{n} = ?" for n in range(40)) + " WHERE id = ?"
    cut = one_line(text, 80)
    assert cut.startswith("UPDATE t SET column_0 = ?")
    assert " … " in cut
    assert cut.endswith("WHERE id = ?")


def test_a_column_list_is_cut_once() -> None:
    """Where three columns are too many, fewer stay; no two marks stand side by side."""
    columns = ", ".join(f"some_rather_long_table.some_long_column_{n}" for n in range(9))
    text = f"SELECT {columns} FROM some_rather_long_table WHERE some_rather_long_table.id = ?"
    lines = fold_statement(text, 75)
    assert " ".join(lines).endswith("… FROM some_rather_long_table WHERE some_rather_long_table.id = ?")
    assert " ".join(lines).count("…") == 1


def test_folding_breaks_between_words() -> None:
    """Lines of a folded statement, put together, are the statement."""
    text = "SELECT a, b FROM some_table JOIN other_table ON some_table.id = other_table.id"
    lines = fold_statement(text, 45)
    assert len(lines) == 2
    assert " ".join(lines) == text


@given(st.text(max_size=400), st.integers(min_value=20, max_value=120), st.integers(min_value=1, max_value=3))
def test_no_statement_leaves_its_frame(text: str, width: int, lines: int) -> None:
    """However strange the statement, it takes at most the lines and the width it was given."""
    folded = fold_statement(f"SELECT {text} FROM t", width, lines=lines)
    assert len(folded) <= lines
    assert all(len(line) <= width for line in folded)
