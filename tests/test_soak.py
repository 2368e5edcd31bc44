"""The soak of `benchmarks/` in short: what is counted does not drift from what the drivers and the pools count."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import URL

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"
STATEMENTS = 20_000


def test_nothing_drifts(postgres_server: URL) -> None:
    """After each phase every number is the true one, and in the end the store has every statement once."""
    environment = os.environ | {
        "PYTHONPATH": str(SOAK.parents[1] / "tests"),  # as `make bench` has it
        "QUERYGAUGE_TEST_POSTGRES": postgres_server.render_as_string(hide_password=False),
    }
    command = [sys.executable, str(SOAK), "--statements", str(STATEMENTS), "--fresh", "50", "--json"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    told = json.loads(ended.stdout)
    assert told["verdict"]["drifted"] == []
    assert told["verdict"]["statements"] >= STATEMENTS
    assert "engine: stored" in told["querygauge"][-1]["numbers"]
