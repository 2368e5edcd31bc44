"""Spans of time as people type them."""

from datetime import timedelta

import pytest

from querygauge.errors import SettingsError
from querygauge.storage.ranges import parse_range


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        (" 1H ", timedelta(hours=1)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_range_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    """Case and surrounding spaces do not matter."""
    assert parse_range(text) == span


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "1.5h", "1y", "0m", "999999w", "1234567s", "٣d", "1h 2m"])
def test_anything_else_is_an_error_with_examples(text: str) -> None:
    """Whoever mistypes a range reads some that work."""
    with pytest.raises(SettingsError, match="15m, 1h, 24h, 7d, 30d, 90d"):
        parse_range(text)
