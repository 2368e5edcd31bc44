"""Loggers that load structlog late."""

import subprocess
import sys

import structlog
from structlog.testing import capture_logs

from querygauge.logs import get_logger


def test_an_event_reaches_the_configuration_of_the_host() -> None:
    """A logger made before structlog was configured writes to what is configured when it logs."""
    log = get_logger("querygauge.somewhere")
    with capture_logs() as events:
        log.warning("pool_exhausted", pool="shop")
    assert events == [{"event": "pool_exhausted", "pool": "shop", "log_level": "warning"}]


def test_structlog_is_loaded_with_the_first_event() -> None:
    """Making a logger loads nothing; logging loads structlog."""
    program = """
import sys
from querygauge.logs import get_logger
log = get_logger("querygauge.somewhere")
assert "structlog" not in sys.modules
log.warning("pool_exhausted")
assert "structlog" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


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
