"""The collector: ticks, the loop around them, and who starts them."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from querygauge.collector import TickResult, claim_tick, run, start_child, tick
from querygauge.errors import StoreError
from querygauge.storage.paths import StorePaths
from querygauge.storage.reader import open_store
from querygauge.storage.spool import SpoolSink, waiting_files
from storage.making import NOON, snapshot, total

NOW_US = 1_767_225_600_000_000


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
        while not logs:
            stop.wait(0.001)
        root.unlink()
        loop.join()
    assert [entry["event"] for entry in logs] == ["tick_failed"]


def test_one_process_per_interval_claims_a_tick(tmp_path: Path) -> None:
    """Whoever asks first after the interval gets it; the others do not."""
    assert claim_tick(tmp_path, 60, NOW_US)
    assert not claim_tick(tmp_path, 60, NOW_US)
    assert not claim_tick(tmp_path, 60, NOW_US + 59_999_999)
    assert claim_tick(tmp_path, 60, NOW_US + 60_000_000)


def test_only_one_of_many_claims_at_once(tmp_path: Path) -> None:
    """Threads that ask in the same moment are not all told to tick."""
    barrier = threading.Barrier(8)
    claims: list[bool] = []

    def claim() -> None:
        barrier.wait()
        claims.append(claim_tick(tmp_path, 60, NOW_US))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claims.count(True) == 1


def test_a_clock_set_back_does_not_stop_the_ticks(tmp_path: Path) -> None:
    """A claim from the future counts as old."""
    assert claim_tick(tmp_path, 60, NOW_US)
    assert claim_tick(tmp_path, 60, NOW_US - 3600 * 1_000_000)


def test_a_claim_from_a_moment_ahead_is_one(tmp_path: Path) -> None:
    """A process that read the clock first and got the lock second does not tick a second time."""
    assert claim_tick(tmp_path, 60, NOW_US)
    assert not claim_tick(tmp_path, 60, NOW_US - 2_000)


def test_a_claim_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The error names the store and the reason."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="could not be claimed: "):
        claim_tick(tmp_path / "file", 60, NOW_US)


def test_a_child_folds_and_ends(tmp_path: Path) -> None:
    """The process that a host starts does one tick, in a session of its own, and prints nothing."""
    SpoolSink(tmp_path, 10).write(snapshot(5))
    child = start_child(tmp_path)
    assert os.getsid(child.pid) == child.pid
    assert child.wait(timeout=60) == 0
    assert waiting_files(StorePaths(tmp_path)) == []
    assert total(open_store(tmp_path).query_stats()) == 5


def test_a_store_named_relatively_is_found_by_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is told where the store is, wherever it starts."""
    monkeypatch.chdir(tmp_path)
    SpoolSink(Path("store"), 10).write(snapshot(5))
    assert start_child(Path("store")).wait(timeout=60) == 0
    assert waiting_files(StorePaths(Path("store"))) == []


@pytest.mark.parametrize("executable", ["", None, "/usr/bin/uwsgi"])
def test_a_host_without_a_python_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    """A server that embeds Python names itself as the executable; it must not be started a second time."""
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(StoreError, match=r"a tick needs a Python; .* set collector to 'external' or 'inline'"):
        start_child(tmp_path)


def test_a_python_that_cannot_be_started_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the program and the reason."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StoreError, match=r"could not be started with '.*python': No such file or directory"):
        start_child(tmp_path)


_FORKING_HOLDER = """
import os, sys, time
from pathlib import Path
from querygauge.storage.folding import _elected
from querygauge.storage.paths import StorePaths
with _elected(StorePaths(Path(sys.argv[1])), 0):
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
