"""Numbers read the same everywhere: three significant digits, a unit, thousands separators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querygauge.rendering.formats import age, counted, duration, money, number, percent, size


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, "0 ms"),
        (0.000_4, "400 ns"),
        (0.000_999_6, "1.00 µs"),
        (0.004_5, "4.50 µs"),
        (0.45, "450 µs"),
        (0.999_6, "1.00 ms"),
        (1.234, "1.23 ms"),
        (9.996, "10.0 ms"),
        (12.34, "12.3 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (2_100, "2.10 s"),
        (59_940, "59.9 s"),
        (59_960, "1 min 00 s"),
        (185_000, "3 min 05 s"),
        (7_800_000, "2 h 10 min"),
        (-1.234, "-1.23 ms"),
    ],
)
def test_a_duration_has_three_significant_digits_and_its_unit(ms: float, expected: str) -> None:
    """A duration takes the unit it is shortest in, also where rounding carries it into the next one."""
    assert duration(ms) == expected


@given(st.floats(min_value=1e-6, max_value=5e4))
def test_a_duration_reads_back_within_half_a_percent(ms: float) -> None:
    """What is printed is the value, to three significant digits."""
    factor = {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1e3}
    text, unit = duration(ms).split()
    assert float(text) * factor[unit] == pytest.approx(ms, rel=0.006)
    assert len(text.replace(".", "")) == 3 or (unit == "ns" and ms < 1e-4)


@pytest.mark.parametrize(("n", "expected"), [(0, "0"), (999, "999"), (1_234_567, "1,234,567"), (1234.56, "1,234.6")])
def test_a_count_has_thousands_separators(n: float, expected: str) -> None:
    """Counts are grouped by thousands; only fractions have a decimal."""
    assert number(n) == expected


@pytest.mark.parametrize(
    ("x", "expected"), [(0, "0.0 %"), (0.01, "<0.1 %"), (0.05, "0.1 %"), (12.34, "12.3 %"), (100, "100.0 %")]
)
def test_a_share_is_never_rounded_to_nothing(x: float, expected: str) -> None:
    """One decimal; what is there but tiny does not read as zero."""
    assert percent(x) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.97, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3_600, "1 h 00 min"),
        (7_800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_an_age_names_its_two_largest_units(seconds: float, expected: str) -> None:
    """Ages read as people say them."""
    assert age(seconds) == expected


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (999_999, "1.00 MB"), (44_711_936, "44.7 MB"),
        (512_000_000, "512 MB"), (25_276_510_208, "25.3 GB"), (9e15, "9000 TB"),
    ],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    """Three significant digits in the first unit that takes them."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, "0.00"), (1, "1.00"), (1_234.5, "1,234.50"), (-3, "-3.00"), (0.5, "0.500"), (0.001_23, "0.00123"),
        (0.000_052_3, "0.0000523"), (3.3e-9, "3.30e-09"),
    ],
)  # fmt: skip
def test_an_amount_has_two_decimals_or_three_digits(amount: float, expected: str) -> None:
    """A small amount is not rounded to nothing."""
    assert money(amount) == expected


def test_a_count_names_what_is_counted() -> None:
    """One, none or many of it."""
    assert [counted(n, "line") for n in (0, 1, 2, 1_200)] == ["0 lines", "1 line", "2 lines", "1,200 lines"]
