"""What every test may use."""

from importlib.util import find_spec

import pytest

# They are made for one version of DuckDB; `make test-lake` has that.
collect_ignore = [] if find_spec("duckdb_extension_ducklake") else ["lake"]
pytest_plugins = ["databases.postgres", "databases.mysql", "databases.engines"]


class FakeClock:
    """A clock that moves only when a test says so."""

    def __init__(self) -> None:
        self._monotonic_ns = 1_000_000_000
        self._now_us = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z

    def monotonic_ns(self) -> int:
        """As `Clock.monotonic_ns`."""
        return self._monotonic_ns

    def now_us(self) -> int:
        """As `Clock.now_us`."""
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Moves both clocks on."""
        self._monotonic_ns += int(seconds * 1e9)
        self._now_us += int(seconds * 1e6)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when the test says so."""
    return FakeClock()
