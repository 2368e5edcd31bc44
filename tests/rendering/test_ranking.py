"""Every order puts the largest first, and equals always in the same order."""

from itertools import permutations

import pytest

from querygauge.errors import SettingsError
from querygauge.rendering.ranking import ORDERS, mean_rows, ranked
from rendering.making import Make


@pytest.mark.parametrize("order", ORDERS)
def test_the_largest_comes_first(make: Make, order: str) -> None:
    """Each order of the public interface is known and descending."""
    small = make.stats("SELECT a FROM small", 2, 1.0, rows=1)
    large = make.stats("SELECT a FROM large", 20, 100.0, rows=9, errors=10)
    assert ranked([small, large], order) == [large, small]
    assert ranked([small, large], order, 1) == [large]


def test_equals_keep_one_order(make: Make) -> None:
    """The same numbers give the same report, whatever order they came in."""
    entries = [make.stats(f"SELECT a FROM t{n}", target=f"db{n}") for n in range(3)]
    orders = {tuple(stats.target for stats in ranked(order, "max")) for order in permutations(entries)}
    assert len(orders) == 1


def test_an_unknown_order_names_the_known_ones() -> None:
    """The error names what was asked for and what there is."""
    with pytest.raises(SettingsError, match=r"one of avg_duration, .*; got 'speed'"):
        ranked([], "speed")


def test_a_limit_below_one_is_refused() -> None:
    """A limit of nothing is a mistake, not a short list."""
    with pytest.raises(SettingsError, match="limit must be >= 1"):
        ranked([], "max", 0)


def test_rows_that_nobody_told_have_no_mean(make: Make) -> None:
    """Unknown is not zero."""
    assert mean_rows(make.stats(rows=None)) is None
    assert mean_rows(make.stats(count=4, rows=2)) == 2.0
