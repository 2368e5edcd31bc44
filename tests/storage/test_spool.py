"""Writing spool files."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from querygauge.errors import StoreError
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import read_spool_file, waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import SlowQuery, Snapshot
from storage.making import NOON, files_limited_to, pattern, snapshot, stats


def test_a_file_tells_whose_numbers_it_holds(paths: StorePaths) -> None:
    """The header names service, process and span, and agrees with the rest."""
    SpoolSink(paths.root, 10).write(snapshot(service="shop", process="web:7"))
    (path,) = waiting_files(paths)
    header, _ = read_spool_file(path)
    assert (header.service, header.process, header.rows) == ("shop", "web:7", 2)
    assert header.ended_us - header.started_us == 10_000_000


def test_files_sort_by_time(paths: StorePaths) -> None:
    """Whoever lists the spool sees the oldest file first, however the writes were ordered."""
    sink = SpoolSink(paths.root, 10)
    for minutes in (3, 1, 2):
        sink.write(snapshot(ended=NOON + timedelta(minutes=minutes)))
    ends = [read_spool_file(path)[0].ended_us for path in waiting_files(paths)]
    assert ends == sorted(ends)


def test_two_snapshots_of_one_moment_are_two_files(paths: StorePaths) -> None:
    """Nothing that two writers could share decides the name alone."""
    for _ in range(2):
        SpoolSink(paths.root, 10).write(snapshot())
    assert len(waiting_files(paths)) == 2


def test_nothing_is_left_but_the_file(paths: StorePaths) -> None:
    """The temporary file became the final one."""
    SpoolSink(paths.root, 10).write(snapshot())
    assert list(paths.spool.iterdir()) == waiting_files(paths)


def test_a_store_removed_meanwhile_is_made_again(paths: StorePaths) -> None:
    """Somebody who deletes the directory of a running application does not end its statistics."""
    sink = SpoolSink(paths.root, 10)
    paths.spool.rmdir()
    sink.write(snapshot())
    assert len(waiting_files(paths)) == 1


def test_a_disk_that_takes_no_more_is_an_error(paths: StorePaths) -> None:
    """A snapshot that does not fit is not kept, half a file is not left behind, and the next one works."""
    sink = SpoolSink(paths.root, 10)
    with files_limited_to(100), pytest.raises(StoreError, match=r"could not be written to .*spool.: File too large"):
        sink.write(snapshot())
    assert list(paths.spool.iterdir()) == []
    sink.write(snapshot())
    assert len(waiting_files(paths)) == 1


def test_the_oldest_files_give_way(paths: StorePaths) -> None:
    """A spool that nobody folds stays within its limit; what it drops is counted, and told once."""
    sink = SpoolSink(paths.root, max_mb=0.003)
    with capture_logs() as logs:
        for minute in range(20):
            sink.write(snapshot(ended=NOON + timedelta(minutes=minute)))
    kept = waiting_files(paths)
    assert sum(path.stat().st_size for path in kept) <= 3000
    assert sink.dropped == 20 - len(kept) > 1
    assert [entry["event"] for entry in logs] == ["spool_full"]
    assert read_spool_file(kept[-1])[0].ended_us == (int(NOON.timestamp()) + 19 * 60) * 1_000_000


def test_the_newest_file_never_gives_way(paths: StorePaths) -> None:
    """A single snapshot over the limit is kept: it is all there is."""
    sink = SpoolSink(paths.root, max_mb=0.0001)
    sink.write(snapshot())
    assert (len(waiting_files(paths)), sink.dropped) == (1, 0)


def test_half_a_surrogate_pair_does_not_break_a_file(paths: StorePaths) -> None:
    """A statement that no encoding can hold is kept with a question mark instead."""
    odd = replace(stats(), pattern=replace(pattern(), text="SELECT \ud800"))
    SpoolSink(paths.root, 10).write(replace(snapshot(), queries=(odd,)))
    assert b'"text":"SELECT ?"' in waiting_files(paths)[0].read_bytes()


def test_a_huge_statement_is_cut(paths: StorePaths) -> None:
    """A statement of many megabytes would make a line that no reader takes."""
    slow = SlowQuery("x" * 20_000_000, pattern().id, "S", "main", 5.0, NOON, parameters=["y" * 20_000_000])
    SpoolSink(paths.root, 10).write(Snapshot("shop", "web:1", NOON, NOON, slow_queries=(slow,)))
    assert waiting_files(paths)[0].stat().st_size < 300_000


def test_parameters_of_any_type_are_kept_as_text(paths: StorePaths) -> None:
    """A parameter that JSON does not know is kept as what it prints."""
    slow = SlowQuery("q", pattern().id, "S", "main", 5.0, NOON, parameters={"day": NOON, "path": Path("/x")})
    SpoolSink(paths.root, 10).write(Snapshot("shop", "web:1", NOON, NOON, slow_queries=(slow,)))
    assert rb"\"path\": \"/x\"" in waiting_files(paths)[0].read_bytes()


def test_writing_loads_no_duckdb() -> None:
    """A host that only writes carries no database."""
    code = "import sys, querygauge.storage.spool, querygauge.collector; sys.exit('_duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_forked_child_writes_files_of_its_own(paths: StorePaths) -> None:
    """Parent and child share a sink and no file."""
    sink = SpoolSink(paths.root, 10)
    child = os.fork()
    if child == 0:
        sink.write(snapshot())
        os._exit(0)
    sink.write(snapshot())
    assert os.waitpid(child, 0)[1] == 0
    assert len(waiting_files(paths)) == 2


def test_every_pattern_is_written_once(paths: StorePaths) -> None:
    """Statistics on two targets speak of one pattern."""
    both = (stats(target="a"), stats(target="b"))
    SpoolSink(paths.root, 10).write(replace(snapshot(), queries=both))
    assert waiting_files(paths)[0].read_bytes().count(b'{"pattern":') == 1


def test_a_spool_that_cannot_be_listed_has_it_once(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there is kept, whatever fails after it: an error would have it written again."""

    def refused(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    sink = SpoolSink(paths.root, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        sink.write(snapshot())
    assert len(waiting_files(paths)) == 1
