"""When a server says something happened."""

import time
from collections.abc import Iterator

import pytest

from querygauge.surfaces.statement_log.moments import moment_in

_TEN = 1767607200_000_000  # 2026-01-05 10:00 UTC


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that lives in Berlin."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05 10:00:00.123 UTC [7] ", _TEN + 123_000),
        ("< 2026-01-05 10:00:00 GMT > ", _TEN),
        ("2026-01-05T10:00:00.123456Z", _TEN + 123_456),
        ("2026-01-05 15:30:00 +0530 ", _TEN),
        ("2026-01-05 07:00:00 -03 ", _TEN),
        ("1767607200.250 [7] ", _TEN + 250_000),
        ("2026-01-05 10:00:00 XYZ [7] ", None),
        ("2026-01-05 10:00:00 [7] ", None),
        ("2026-13-45 10:00:00 UTC", None),
        ("ann@shop [7] ", None),
    ],
)
def test_a_moment_is_read_where_its_zone_is_known(text: str, expected: int | None) -> None:
    """Without a zone, or with one nobody knows here, no moment is told."""
    assert moment_in(text) == expected


@pytest.mark.usefixtures("in_berlin")
def test_the_zone_of_this_machine_is_known() -> None:
    """A log is often read where it was written."""
    assert moment_in("2026-01-05 11:00:00 CET") == _TEN
