"""What the tests of this room use: a real store with a few known numbers, and the command in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Failure, SelfMetrics, SlowQuery, Snapshot
from rendering.making import Make

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def make() -> Make:
    """Builds values to store."""
    return Make()


@pytest.fixture
def store(tmp_path: Path, make: Make) -> Path:
    """A store in which one snapshot of a minute waits."""
    now = datetime.now(UTC)
    minute_ago = now - timedelta(seconds=60)
    stats = (
        make.stats("SELECT * FROM orders", 1_200, 2.0, rows=3, errors=12),
        make.stats("UPDATE orders SET state = ? WHERE id = ?", 60, 10.0, rows=1, slow=1),
        make.stats("COMMIT", 60, 1.0, category="transaction"),
    )
    orders = stats[0].pattern
    slow = SlowQuery(
        orders.text,
        orders.id,
        orders.summary,
        "primary",
        1_500.0,
        now,
        outcome="error",
        call_site="shop/orders.py:12 in show",
        error=Failure("UniqueViolation", "23505", "duplicate key (?)"),
    )
    snapshot = Snapshot(
        service="shop",
        process="host:1",
        started=minute_ago,
        ended=now,
        queries=tuple(replace(entry, first_seen=minute_ago, last_seen=now) for entry in stats),
        slow_queries=(slow,),
        repetitions=(make.repetition("SELECT * FROM orders", max_per_scope=41),),
        pools=(make.pool(wait_ms=40.0),),
        self_metrics=SelfMetrics(hook_errors=1),
    )
    root = tmp_path / "store"
    SpoolSink(root, max_mb=1.0).write(snapshot)
    return root


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment without settings of ours, and without anything that would colour the output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUERYGAUGE_")}
    return {name: value for name, value in kept.items() if name not in {"FORCE_COLOR", "PY_COLORS"}}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Command:
    """`run("report", "--limit", 3)` runs the command in a process of its own, in an empty directory."""

    def run_command(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "querygauge", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env={**environment, **variables}, capture_output=True, text=True, check=False
        )

    return run_command
