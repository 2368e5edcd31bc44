"""A store that nobody may write to, root neither: it is read as it is, and who would write says why it cannot be."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from querygauge import instrument
from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage.backup import back_up
from querygauge.storage.database import log_of
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.restore import restore
from querygauge.storage.retention import retain
from querygauge.storage.spool_sink import SpoolSink
from storage.conftest import Mount
from storage.making import NOON, snapshot, total

# Is killed between the commit of a fold and the moment in which DuckDB writes its log back.
_COMMITTING = """
import os, sys
from contextlib import contextmanager
from pathlib import Path
from querygauge.storage import folding
transaction = folding.transaction
@contextmanager
def killed(*arguments):
    with transaction(*arguments):
        yield
    os.kill(os.getpid(), 9)
folding.transaction = killed
folding.fold(folding.StorePaths(Path(sys.argv[1])))
"""


@pytest.fixture
def paths(disk: Path) -> StorePaths:
    """A store with a backup, in which five executions are folded and two wait."""
    paths = StorePaths(disk / "store")
    SpoolSink(paths.root, 10).write(snapshot(5))
    tick(paths.root)
    back_up(paths)
    SpoolSink(paths.root, 10).write(snapshot(2))
    return paths


def test_who_would_write_says_so(paths: StorePaths, remount: Mount, tmp_path: Path) -> None:
    """The error is ours and gives the reason, and nothing waits for ever."""
    remount("ro")
    (taken,) = paths.backups.glob("querygauge-*")
    for write in (
        lambda: tick(paths.root),
        lambda: retain(paths, Limits(), NOON),
        lambda: publish(paths, Limits(), NOON),
        lambda: back_up(paths),
        lambda: restore(taken, paths, replace=True),
    ):
        with pytest.raises(StoreError, match="Read-only file system"):
            write()
    remount("rw")
    tick(paths.root)
    assert total(open_store(paths).query_stats()) == 7
    assert restore(taken, StorePaths(tmp_path / "elsewhere")).rows > 0


def test_it_is_read_as_it_is(paths: StorePaths, remount: Mount) -> None:
    """A reader is told that what waits is missing."""
    remount("ro")
    with capture_logs() as logs:
        store = open_store(paths)
    assert [entry["event"] for entry in logs] == ["spool_not_folded"]
    assert total(store.query_stats()) == 5
    assert store.status().executions.total == 5
    assert [finding for finding in store.doctor().findings if finding.severity == "error"] == []


def test_so_is_what_a_killed_collector_left_in_its_log(paths: StorePaths, remount: Mount) -> None:
    """What is committed is there, although nobody may write it back."""
    ended = subprocess.run([sys.executable, "-c", _COMMITTING, str(paths.root)], check=False)
    assert ended.returncode == -signal.SIGKILL
    remount("ro")
    assert log_of(paths.database).exists()
    assert total(open_store(paths).query_stats()) == 7


def test_an_application_goes_on(disk: Path, remount: Mount) -> None:
    """It is told once, its statements succeed, and what it counted meanwhile is stored when it may be."""
    engine, rounds = create_engine("sqlite://"), 20
    with instrument(engine, store=disk / "store", collector="inline", tick_interval_s=0.001) as gauge:
        remount("ro")
        with capture_logs() as logs:
            for _ in range(rounds):
                with engine.connect() as connection:
                    assert connection.execute(text("SELECT 1")).scalar() == 1
                gauge.flush()
        assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["store_not_writable"]
        remount("rw")
    stats = [stats for stats in open_store(disk / "store").query_stats() if stats.operation == "SELECT"]
    assert total(stats) == rounds
