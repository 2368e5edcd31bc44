"""The collector: ticks, the loop around them, and who starts them."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from querygauge.collector import TickResult, run, tick
from querygauge.errors import StoreError
from querygauge.storage.opening import open_store
from querygauge.storage.spool_sink import SpoolSink
from storage.making import NOON, snapshot, total


def test_a_tick_folds_what_waits(tmp_path: Path) -> None:
    """One call, and the numbers are in the database."""
    SpoolSink(tmp_path, 10).write(snapshot(5))
    result = tick(tmp_path)
    assert (result.folded.files, result.duration_ms > 0) == (1, True)
    assert total(open_store(tmp_path).query_stats()) == 5


def test_a_store_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """Whoever runs a single tick reads why it did nothing."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="store must be a directory"):
        run(tmp_path / "file", once=True)


def test_the_loop_ends_when_told(tmp_path: Path) -> None:
    """It finishes the tick at hand, and does not start another."""
    stop = threading.Event()
    seen: list[TickResult] = []

    def take(result: TickResult) -> None:
        seen.append(result)
        stop.set()

    run(tmp_path, interval_s=30, stop=stop, on_tick=take)
    assert len(seen) == 1


def test_the_loop_folds_again_and_again(tmp_path: Path) -> None:
    """What is flushed while it runs is folded by a later tick."""
    stop = threading.Event()
    folded: list[int] = []
    sink = SpoolSink(tmp_path, 10)

    def take(result: TickResult) -> None:
        folded.append(result.folded.files)
        sink.write(snapshot())
        if len(folded) == 3:
            stop.set()

    run(tmp_path, interval_s=0.001, fold_interval_s=0.001, stop=stop, on_tick=take)
    assert folded == [0, 1, 1]


def test_the_loop_does_not_wait_when_much_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spool that fills quickly is folded before its time."""
    monkeypatch.setattr("querygauge.collector._EARLY_BYTES", 100)
    stop = threading.Event()
    folded: list[int] = []
    sink = SpoolSink(tmp_path, 10)

    def take(result: TickResult) -> None:
        folded.append(result.folded.files)
        sink.write(snapshot())
        if len(folded) == 2:
            stop.set()

    run(tmp_path, interval_s=0.001, fold_interval_s=3600, stop=stop, on_tick=take)
    assert folded == [0, 1]


def test_the_loop_outlives_a_tick_that_failed(tmp_path: Path) -> None:
    """A disk that cannot be written is told once, and the loop goes on until it can."""
    root = tmp_path / "store"
    root.write_text("in the way")
    stop = threading.Event()
    loop = threading.Thread(
        target=run,
        args=(root,),
        kwargs={"interval_s": 0.001, "fold_interval_s": 0.001, "stop": stop, "on_tick": lambda _: stop.set()},
    )
    with capture_logs() as logs:
        loop.start()
        while len(logs) < 2:  # that it started, and that it failed
            stop.wait(0.001)
        root.unlink()
        loop.join()
    assert [entry["event"] for entry in logs] == ["collector_started", "tick_failed", "collector_stopped"]


_FORKING_HOLDER = """
import os, sys, time
from pathlib import Path
from querygauge.storage.election import elected
from querygauge.storage.paths import StorePaths
with elected(StorePaths(Path(sys.argv[1])), 0):
    child = os.fork()
    if child == 0:
        print("forked", flush=True)  # by now the child has let go of what it inherited
        sys.stdin.read()
        os._exit(0)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_fold_is_free_although_a_child_lives(tmp_path: Path) -> None:
    """A process forked while its parent folded does not keep the lock after the parent was killed."""
    sink = SpoolSink(tmp_path, 10)
    sink.write(snapshot(5, ended=NOON + timedelta(minutes=1)))
    holder = subprocess.Popen(
        [sys.executable, "-c", _FORKING_HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "forked\n"
        assert tick(tmp_path).folded.is_busy
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert tick(tmp_path).folded.files == 1
