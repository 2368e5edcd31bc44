"""
How a table, a list or a line names a query: the beginning of its id, its summary and, where it matters, its target.

Deliberately not here: its text, which is `rendering.statements`.
"""

from typing import Final

from querygauge.rendering.tables import Column
from querygauge.values import QueryStats, RunningQuery

__all__ = ["ID_DIGITS", "name_cells", "name_columns", "named"]

ID_DIGITS: Final = 8  # of 16: enough to tell patterns apart, and `patterns show` takes a prefix
_NAME_WIDTHS: Final = 24, 32  # an id, and a summary such as `SELECT orders` or `SELECT customer_orders`
_TARGET_WIDTH: Final = 16  # `@ replica`, or both ends of a host


def name_columns(width: int, *, with_target: bool) -> list[Column]:
    """
    Where a table tells which query a row is about.

    Args:
        width: Characters of a line; two fifths of them, from 24 to 32, go to the name before numbers have any.
        with_target: Whether the database is told as well.
    """
    name = Column("Pattern", "left", min(max(width * 2 // 5, _NAME_WIDTHS[0]), _NAME_WIDTHS[1]))
    return [name, Column("Target", "left", _TARGET_WIDTH)] if with_target else [name]


def name_cells(query: QueryStats | RunningQuery, *, with_target: bool) -> list[str]:
    """The cells of a row for `name_columns`: the id in short with the summary, and the target."""
    name = named(query.pattern_id, query.pattern.summary)
    return [name, f"@ {query.target}"] if with_target else [name]


def named(pattern_id: str, summary: str) -> str:
    """The id in short with the summary."""
    return f"{pattern_id[:ID_DIGITS]}  {summary}"
