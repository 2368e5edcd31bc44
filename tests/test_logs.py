"""Loggers that write where the host's own log goes."""

import subprocess
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from querygauge.logs import get_logger


def test_an_event_reaches_the_configuration_of_the_host() -> None:
    """A logger made before structlog was configured writes to what is configured when it logs."""
    log = get_logger("querygauge.somewhere")
    with capture_logs() as events:
        log.warning("pool_exhausted", pool="shop")
    assert events == [{"event": "pool_exhausted", "pool": "shop", "log_level": "warning"}]


@pytest.mark.parametrize("imports", ["", "import structlog"])
def test_without_a_configured_structlog_logging_has_it(imports: str) -> None:
    """Standard output belongs to the host; a warning goes where its `logging` sends it, and structlog stays away."""
    program = f"""
{imports}
import sys
from querygauge.logs import get_logger
log = get_logger("querygauge.somewhere")
log.info("store_writable_again")
log.warning("pool_exhausted", pool="shop", in_use=5)
assert ("structlog" in sys.modules) == {bool(imports)}
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("", "pool_exhausted pool='shop' in_use=5\n")


def test_a_handler_of_logging_finds_the_parts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The event and its values are in the record, for whoever writes JSON."""
    monkeypatch.setattr(structlog, "is_configured", lambda: False)
    get_logger("querygauge.somewhere").warning("pool_exhausted", pool="shop")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("querygauge.somewhere", "WARNING")
    assert vars(record)["querygauge"] == {"event": "pool_exhausted", "pool": "shop"}


def test_a_processor_that_raises_stays_with_the_log() -> None:
    """A host's log processor may need what only its requests have; whoever logs does not notice."""

    def needs_a_request(*_arguments: object) -> str:
        raise LookupError("no request")

    before = structlog.get_config()
    structlog.configure(processors=[needs_a_request])
    try:
        get_logger("querygauge.somewhere").warning("pool_exhausted")
    finally:
        structlog.configure(**before)
