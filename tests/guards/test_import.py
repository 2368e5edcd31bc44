"""What importing the package costs a host."""

import json
import subprocess
import sys

import pytest

_HEAVY = {"aiohttp", "asyncpg", "duckdb", "greenlet", "opentelemetry", "rich"}
_LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize("statement", ["import querygauge", "from querygauge import *"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """Neither the import nor the use of any public name loads the database of the store or an optional library."""
    program = f"{statement}\n{_LOADED}"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert _HEAVY & set(json.loads(answer.stdout)) == set()
