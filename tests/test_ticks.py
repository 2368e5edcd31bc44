"""When a tick is due, and the process that is started for it."""

import os
import sys
import threading
from pathlib import Path

import pytest

from conftest import FakeClock
from querygauge.collector import run
from querygauge.errors import StoreError
from querygauge.settings import load_settings
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.ticks import Ticks, claim_tick, start_child
from storage.making import snapshot, total

NOW_US = 1_767_225_600_000_000


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


def _ticks(store: Path, clock: FakeClock, collector: str) -> Ticks:
    StorePaths(store).create()
    return Ticks(store, load_settings({"store": store, "collector": collector}, environment={}), clock)


def test_what_is_urgent_is_folded_within_seconds(tmp_path: Path, clock: FakeClock) -> None:
    """Not more often than every five, and the same thing hurries nobody twice in a minute."""
    ticks = _ticks(tmp_path, clock, "inline")
    sink = SpoolSink(tmp_path, 10)
    folded = []
    for urgent in ([], [], ["a"], ["b"], ["a"], [], ["c"], [], [], [], ["a"], []):
        sink.write(snapshot(1))
        ticks.after_flush(urgent)
        folded.append(not waiting_files(StorePaths(tmp_path)))
        clock.advance(4 if urgent == ["a"] and len(folded) == 3 else 10)
    assert folded == [
        True,  # the first tick
        False,
        True,  # something new
        False,  # something else, four seconds later
        True,  # which is remembered until it is
        False,
        True,  # something else
        False,
        False,
        False,
        True,  # a minute later it is news again
        False,
    ]


def test_a_collector_that_runs_by_itself_is_called(tmp_path: Path, clock: FakeClock) -> None:
    """It looks every two seconds; who folds nothing calls nobody."""
    for collector, is_called in (("external", True), ("off", False)):
        paths = StorePaths(tmp_path / collector)
        ticks = _ticks(paths.root, clock, collector)
        ticks.after_flush()
        assert not paths.urgent.exists()
        ticks.after_flush(["a"])
        assert paths.urgent.exists() is is_called
    paths = StorePaths(tmp_path / "external")
    SpoolSink(paths.root, 10).write(snapshot(5))
    stop = threading.Event()
    ticked: list[object] = []

    def stop_after_two(result: object) -> None:
        ticked.append(result)
        if len(ticked) == 1:
            SpoolSink(paths.root, 10).write(snapshot(5))
            paths.urgent.touch()
        else:
            stop.set()

    run(paths.root, stop=stop, interval_s=0.01, fold_interval_s=3_600, on_tick=stop_after_two)
    assert len(ticked) == 2
    assert not paths.urgent.exists()
    assert total(open_store(paths.root).query_stats()) == 10
