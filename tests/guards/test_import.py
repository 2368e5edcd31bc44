"""What importing the package costs a host."""

import json
import subprocess
import sys

import pytest

_LIBRARIES = {"aiohttp", "asyncpg", "duckdb", "greenlet", "opentelemetry", "rich"}
_FRAMEWORKS = {"celery", "fastapi", "flask", "litestar", "starlette", "werkzeug"}
_HEAVY = _LIBRARIES | _FRAMEWORKS
_LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded once the statement has run."""
    program = f"{statement}\n{_LOADED}"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize("statement", ["import querygauge", "from querygauge import *"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    """Neither the import nor the use of any public name loads the database of the store or an optional library."""
    # SQLAlchemy 2.0 loads greenlet by itself, wherever it is installed.
    assert _HEAVY & (loaded_by(statement) - loaded_by("import sqlalchemy")) == set()
