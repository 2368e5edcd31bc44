"""
Programs of their own processes for these tests, and what they left in a store.

A program is Python text. It finds a store in `sys.argv[1]`, and in `_TOOLS`, which every program begins with, a
way to send statements that can be told apart in the store.
"""

import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

from querygauge.storage.opening import open_store

__all__ = ["environment", "executions", "run", "start"]

_TIMEOUT_S = 60

_TOOLS = """
import os, sys
from pathlib import Path
from sqlalchemy import create_engine, text
from querygauge import instrument
STORE = Path(sys.argv[1]) if len(sys.argv) > 1 else None
def send(engine, mark, count):
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text(f"SELECT 1 AS {mark}"))
"""


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, without our settings and with the path on which the tests import."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QUERYGAUGE_", "COV_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}


def start(
    program: str, *arguments: object, folder: Path, is_bare: bool = False, **variables: str
) -> "subprocess.Popen[str]":
    """The program, started in `folder`, with pipes; a bare one begins with nothing of ours."""
    file = folder / f"program{len(list(folder.glob('program*')))}.py"
    file.write_text(("" if is_bare else _TOOLS) + textwrap.dedent(program), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(file), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(**variables),
    )


def run(
    program: str, *arguments: object, folder: Path, status: int = 0, is_bare: bool = False, **variables: str
) -> tuple[str, str]:
    """What the program wrote to its output and to its errors, once it ended with that status."""
    process = start(program, *arguments, folder=folder, is_bare=is_bare, **variables)
    with process:
        try:
            output, errors = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == status, f"status {process.returncode}\n{output}\n{errors}"
    return output, errors


def executions(store: Path) -> Counter[str]:
    """Executions in the store by mark, whatever else was sent."""
    counts: Counter[str] = Counter()
    for stats in open_store(store).query_stats():
        mark = stats.query_pattern.rpartition(" AS ")[2]
        counts[mark] += stats.execution_count
    return counts
