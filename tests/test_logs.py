"""Loggers that load structlog late."""

import subprocess
import sys

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
