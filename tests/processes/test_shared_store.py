"""Several processes over one store at once, and stores that cannot be written."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from structlog.testing import capture_logs

from missing import skip_or_fail
from processes.programs import executions, run, start
from querygauge.collector import tick
from querygauge.errors import SettingsError
from querygauge.instrumenting import instrument
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files

_WRITER = """
engine = create_engine("sqlite://")
gauge = instrument(engine, store=STORE, flush_interval_s=315_360_000, collector="off")
mark, sent = sys.argv[2], 0
for line in sys.stdin:
    send(engine, mark, int(line))
    sent += int(line)
    gauge.finish()
    print(sent, flush=True)
send(engine, mark, 1)
"""


def test_the_death_of_one_of_four_writers_costs_the_others_nothing(tmp_path: Path) -> None:
    """One is killed while all write and a collector folds; it said what it had flushed, and all of that is there."""
    store = tmp_path / "store"
    writers = {name: start(_WRITER, store, name, folder=tmp_path) for name in ("anna", "bert", "cleo", "dora")}
    for turn in range(1, 11):
        for writer in writers.values():
            _say(writer, turn)
        for name, writer in writers.items():
            assert writer.stdout is not None
            assert int(writer.stdout.readline()) == turn * (turn + 1) // 2, name
        if turn % 3 == 0:
            tick(store)
    # The last turn of one is cut off wherever it is.
    for writer in writers.values():
        _say(writer, 500)
    writers["dora"].send_signal(signal.SIGKILL)
    told = {name: _last_words(writer) for name, writer in writers.items()}
    stored = executions(store)
    assert [stored[name] for name in ("anna", "bert", "cleo")] == [55 + 500 + 1] * 3
    assert stored["dora"] in {55, 55 + 500}
    assert stored["dora"] >= max([55, *told["dora"]])


def test_a_store_that_is_a_file_is_an_error_at_once(tmp_path: Path) -> None:
    """The error names the setting, the rule and the file, which is left alone; the engine is left as found."""
    (tmp_path / "data.csv").write_text("mine")
    engine = create_engine("sqlite://")
    found = dict(vars(engine.dialect))
    with pytest.raises(SettingsError, match=r"^store must be a directory; got the file '.*data\.csv': name another"):
        instrument(engine, store=tmp_path / "data.csv")
    assert (tmp_path / "data.csv").read_text() == "mine"
    assert vars(engine.dialect) == found


@pytest.mark.parametrize("place", ["/proc/querygauge", "below a file", "too long", "not a name"])
def test_a_store_that_cannot_be_made_is_one_warning(tmp_path: Path, place: str) -> None:
    """Everything else goes on: statements, counts, reports, flushes."""
    (tmp_path / "file").write_text("mine")
    places = {"below a file": f"{tmp_path}/file/store", "too long": f"{tmp_path}/{'x' * 300}", "not a name": "a\0b"}
    with capture_logs() as logs:
        with instrument(create_engine("sqlite://"), store=places.get(place, place), collector="inline") as gauge:
            for _ in range(5):
                gauge.queries.record("SELECT 1", 1.0)
                gauge.flush()
            assert "SELECT ?" in gauge.report()
        assert gauge.snapshot().queries[0].execution_count == 5
    assert [entry["event"] for entry in logs if entry["event"] != "query_monitor_not_started"] == ["store_not_writable"]


def test_what_waited_is_written_once_the_store_can_be_made(tmp_path: Path) -> None:
    """The disk was not there when the program began; nothing counted meanwhile is lost, and the store says so once."""
    (tmp_path / "disk").write_text("not mounted yet")
    engine = create_engine("sqlite://")
    with capture_logs() as logs:
        gauge = instrument(engine, store=tmp_path / "disk" / "store")
        for _ in range(3):
            _send(engine, 2)
            gauge.flush()
        (tmp_path / "disk").unlink()
        (tmp_path / "disk").mkdir()
        gauge.flush()
        gauge.close()
    assert [entry["event"] for entry in logs] == ["store_not_writable", "store_writable_again"]
    assert executions(tmp_path / "disk" / "store") == {"mark": 6}


def test_what_waited_is_written_at_the_end_although_nothing_new_happened(tmp_path: Path) -> None:
    """Once the disk is back, the close of a quiet process writes what it could not write before."""
    engine = create_engine("sqlite://")
    gauge = instrument(engine, store=tmp_path / "store")
    _replace(tmp_path / "store", by_file=True)
    _send(engine, 4)
    gauge.flush()
    _replace(tmp_path / "store", by_file=False)
    gauge.close()
    assert executions(tmp_path / "store") == {"mark": 4}


def test_a_store_removed_meanwhile_is_made_anew(tmp_path: Path) -> None:
    """Somebody tidied up; the next flush makes the directories again."""
    engine = create_engine("sqlite://")
    with capture_logs() as logs, instrument(engine, store=tmp_path / "store") as gauge:
        _send(engine, 1)
        gauge.flush()
        shutil.rmtree(tmp_path / "store")
        _send(engine, 2)
    assert logs == []
    assert executions(tmp_path / "store") == {"mark": 2}


def test_a_dead_disk_costs_a_bounded_memory(tmp_path: Path) -> None:
    """Windows wait for the disk, the newest thirty and the one at hand; what is given up is counted and shown."""
    (tmp_path / "file").write_text("mine")
    engine = create_engine("sqlite://")
    with capture_logs(), instrument(engine, store=tmp_path / "file" / "store") as gauge:
        for _ in range(45):
            _send(engine, 1)
            gauge.flush()
        (tmp_path / "file").unlink()
        assert gauge.snapshot().self_metrics.snapshots_dropped == 15
        assert gauge.report_data().outcomes.ok == 45
    assert executions(tmp_path / "file" / "store") == {"mark": 30}


def test_a_full_disk_is_one_warning_and_loses_nothing_that_fits_later(tmp_path: Path) -> None:
    """Flushes fail for want of room, the program goes on; with room again everything is written, nothing twice."""
    engine = create_engine("sqlite://")
    with _small_disk(tmp_path / "disk") as disk, capture_logs() as logs:
        gauge = instrument(engine, store=disk / "store", collector="off")
        _send(engine, 3)
        gauge.flush()
        _fill(disk)
        for _ in range(5):
            _send(engine, 2)
            gauge.flush()
        assert len(waiting_files(StorePaths(disk / "store"))) == 1
        (disk / "filling").unlink()
        _send(engine, 1)
        gauge.flush()
        gauge.close()
        assert not list((disk / "store").rglob("*.tmp"))
        shutil.copytree(disk / "store", tmp_path / "copy")
    assert [entry["event"] for entry in logs] == ["store_not_writable", "store_writable_again"]
    assert executions(tmp_path / "copy") == {"mark": 14}


def test_a_disk_that_may_only_be_read_is_one_warning(tmp_path: Path) -> None:
    """Root may write anywhere but on a file system that is mounted for reading."""
    engine = create_engine("sqlite://")
    with _small_disk(tmp_path / "disk", "ro") as disk, capture_logs() as logs:
        gauge = instrument(engine, store=disk / "store", collector="inline")
        _send(engine, 3)
        gauge.flush()
        gauge.close()
        assert gauge.report_data().outcomes.ok == 3
    assert [entry["event"] for entry in logs] == ["store_not_writable"]
    assert "Read-only file system" in logs[0]["error"]


def test_a_user_who_may_not_look_into_the_working_directory_is_served(tmp_path: Path) -> None:
    """A server that gave up its rights stands in a directory of root's: one warning, and the statements go on."""
    if os.getuid() != 0:
        skip_or_fail("only root can give up its rights")
    program = """
    STORE.mkdir(mode=0o700)
    (STORE / "inner").mkdir(mode=0o700)
    import querygauge.gauge
    os.chdir(STORE / "inner")
    engine = create_engine("sqlite://")
    send(engine, "loaded", 1)
    import structlog.testing
    os.setgid(65534)
    os.setuid(65534)
    with structlog.testing.capture_logs() as logs:
        gauge = instrument(engine, store="../relative")
        send(engine, "mark", 3)
        gauge.flush()
        gauge.close()
    assert gauge.report_data().outcomes.ok == 3
    print(*[entry["event"] for entry in logs])
    """
    output, _ = run(program, tmp_path / "root", folder=tmp_path)
    assert output == "store_not_writable\n"


def _send(engine: Engine, count: int) -> None:
    with engine.connect() as connection:
        for _ in range(count):
            connection.execute(text("SELECT 1 AS mark"))


def _say(writer: "subprocess.Popen[str]", statements: int) -> None:
    assert writer.stdin is not None
    writer.stdin.write(f"{statements}\n")
    writer.stdin.flush()


def _last_words(writer: "subprocess.Popen[str]") -> list[int]:
    """The sums it told, until it ended."""
    with writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdin.close()
        told = [int(line) for line in writer.stdout]
        assert writer.stderr.read() == ""
        return told


def _replace(store: Path, *, by_file: bool) -> None:
    if by_file:
        shutil.rmtree(store)
        store.write_text("in the way")
    else:
        store.unlink()


@contextmanager
def _small_disk(place: Path, mode: str = "rw") -> Iterator[Path]:
    """A file system of 64 KB of its own, mounted at `place`."""
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=64k,{mode}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mount.returncode:
        skip_or_fail("a file system of its own can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass
