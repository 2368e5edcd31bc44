"""Where the log goes in tests of what is written to it, whatever other tests left behind."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest
import structlog
from structlog.testing import LogCapture

__all__ = ["events", "plain_log"]


@pytest.fixture
def _structlog_as_it_was() -> Iterator[None]:
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.fixture
def events(_structlog_as_it_was: None) -> LogCapture:
    """What structlog is given, as in an application that has configured it."""
    capture = LogCapture()
    structlog.reset_defaults()
    structlog.configure(processors=[capture])
    return capture


@pytest.fixture
def plain_log(_structlog_as_it_was: None, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What `logging` is given, as in an application that has not."""
    structlog.reset_defaults()
    return caplog


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], datetime]:
    """Lets so much time go by for whoever looks and sends, and gives what he takes for now."""
    ahead = timedelta(0)

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + ahead

    monkeypatch.setattr("querygauge.watching.datetime", Ahead)

    def let_pass(span: timedelta) -> datetime:
        nonlocal ahead
        ahead += span
        return datetime.now(UTC) + ahead

    return let_pass
