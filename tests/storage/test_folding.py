"""Folding: each waiting file exactly once, and what cannot be used is set aside."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock
from structlog.testing import capture_logs

from querygauge.errors import StoreError
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_rows import line
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.spool_values import read_snapshot
from querygauge.values import PoolMetrics, PoolSnapshot, PoolWindow, QueryErrors
from storage.making import NOON, files_limited_to, pattern, snapshot, total

Break = Callable[[bytes], bytes]


def test_what_waits_is_stored_and_removed(paths: StorePaths) -> None:
    """A fold moves every row and leaves the spool empty."""
    _write(paths, 3, 4)
    result = fold(paths)
    assert (result.files, result.rows, result.rejected, result.is_busy) == (2, 6, (), False)
    assert waiting_files(paths) == []
    assert total(open_store(paths).query_stats()) == 7


def test_processes_of_a_minute_become_one_row(paths: StorePaths) -> None:
    """Files of one minute and service are merged; a late one adds a second row."""
    sink = SpoolSink(paths.root, 10)
    sink.write(snapshot(1, process="web:1"))
    sink.write(snapshot(2, process="web:2", ended=NOON + timedelta(seconds=10)))
    sink.write(snapshot(4, process="web:1", ended=NOON + timedelta(minutes=1)))
    sink.write(snapshot(8, process="web:1", service="mail"))
    fold(paths)
    assert _executions_by_row(paths) == [1 + 2, 4, 8]
    sink.write(snapshot(16))
    fold(paths)
    assert _executions_by_row(paths) == [1 + 2, 4, 8, 16]


def test_a_line_is_kept_once_by_minute(paths: StorePaths) -> None:
    """However many files name it, most executions first; half of a row was lines that repeat themselves."""
    sink = SpoolSink(paths.root, 10)
    for number, lines in enumerate([{"a.py:1 in f": 1, "b.py:2 in g": 2}, {"a.py:1 in f": 4}, {}]):
        one = snapshot(7, process=f"web:{number}")
        sink.write(replace(one, queries=(replace(one.queries[0], lines=lines),)))
    fold(paths)
    with open_database(paths, read_only=True, timeout_s=1.0) as connection:
        found = connection.execute("SELECT lines, line_counts FROM query_stats").fetchall()
    assert found == [(["a.py:1 in f", "b.py:2 in g"], [5, 2])]


def test_a_file_already_folded_is_only_removed(paths: StorePaths) -> None:
    """A fold killed after its commit left its files; the next one does not count them again, nor the one after."""
    _write(paths, 3)
    kept = paths.root / "kept"
    shutil.copytree(paths.spool, kept)
    fold(paths)
    for _ in range(2):
        shutil.copytree(kept, paths.spool, dirs_exist_ok=True)
        _write(paths, 5)
        fold(paths)
        assert waiting_files(paths) == []
    assert total(open_store(paths).query_stats()) == 3 + 5 + 5


def test_names_are_forgotten_when_their_files_are_long_gone(paths: StorePaths) -> None:
    """The list of folded files does not grow with the age of the store."""
    _write(paths, 1, 2)
    fold(paths)
    with open_database(paths, read_only=False, timeout_s=1) as connection:
        assert connection.execute("SELECT count(*) FROM store.folded_files").fetchone() == (2,)
        connection.execute("UPDATE store.folded_files SET folded_at = folded_at - INTERVAL 2 HOUR")
    _write(paths, 4)
    fold(paths)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT count(*) FROM store.folded_files").fetchone() == (1,)


def test_a_store_does_not_grow_with_the_number_of_folds(paths: StorePaths) -> None:
    """Rows taken out and put in again use the space of the old ones."""
    sizes = []
    for _ in range(24):
        _write(paths, 1)
        fold(paths)
        sizes.append(paths.database.stat().st_size)
    assert max(sizes[12:]) <= max(sizes[:12])


def test_who_finds_the_lock_held_leaves_it_to_the_holder(paths: StorePaths) -> None:
    """Only one folds; the other says that it did not."""
    _write(paths, 3)
    with FileLock(paths.lock):
        assert fold(paths).is_busy
    assert len(waiting_files(paths)) == 1
    assert fold(paths).files == 1


def test_many_threads_fold_once(paths: StorePaths) -> None:
    """Threads that fold the same spool at once store every file once."""
    _write(paths, *range(1, 21))
    threads = [threading.Thread(target=fold, args=(paths,), kwargs={"lock_timeout_s": 20}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(open_store(paths).query_stats()) == sum(range(1, 21))


def test_a_reader_that_stays_only_delays(paths: StorePaths) -> None:
    """A database that somebody else holds is left alone, what waits is kept, and the next fold stores it."""
    _write(paths, 3)
    fold(paths)
    _write(paths, 4)
    with duckdb.connect(str(paths.database), read_only=True), capture_logs() as logs:
        assert fold(paths, database_timeout_s=0.05).is_busy
    assert [entry["event"] for entry in logs] == ["store_busy"]
    assert fold(paths).files == 1
    assert total(open_store(paths).query_stats()) == 7


def test_more_files_than_one_transaction_takes(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long backlog is folded piece by piece, and whole."""
    monkeypatch.setattr("querygauge.storage.folding._BATCH_FILES", 3)
    _write(paths, *range(1, 9))
    assert fold(paths).files == 8
    assert total(open_store(paths).query_stats()) == sum(range(1, 9))


def _cut_in_a_line(content: bytes) -> bytes:
    return content[:-10]


def _cut_after_a_line(content: bytes) -> bytes:
    return content[: content.rstrip().rindex(b"\n") + 1]


def _flip_a_digit(content: bytes) -> bytes:
    return content.replace(b'"ok":7', b'"ok":8')


def _newer_format(content: bytes) -> bytes:
    return content.replace(b'"format":1', b'"format":2')


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: b"", "must begin with a header"),
        (lambda _: b"hello", "must begin with a header"),
        (lambda _: b"\x00\xff" * 1000, "must begin with a header"),
        (lambda _: b'{"header": []}\n', "must begin with a header"),
        (lambda _: b"[" * 100_000, "must begin with a header"),
        (_cut_in_a_line, "must have 3 rows; got 2"),
        (_cut_after_a_line, "must have 3 rows; got 2"),
        (_flip_a_digit, "checksum must be"),
        (_newer_format, "format must be 1; got 2"),
    ],
)
def test_a_damaged_file_is_set_aside_and_named(paths: StorePaths, damage: Break, reason: str) -> None:
    """One warning names the file and what is wrong with it; the others are folded."""
    _write(paths, 3, 7)
    bad = waiting_files(paths)[0] if b'"ok":7' in waiting_files(paths)[0].read_bytes() else waiting_files(paths)[1]
    bad.write_bytes(damage(bad.read_bytes()))
    with capture_logs() as logs:
        result = fold(paths)
    assert result.rejected == (paths.rejected / bad.name,)
    assert result.rejected[0].exists()
    assert [(entry["event"], entry["file"]) for entry in logs] == [("spool_file_rejected", str(result.rejected[0]))]
    assert reason in logs[0]["reason"]
    assert total(open_store(paths).query_stats()) == 3


def _set(kind: str, **members: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        if kind in row:
            row[kind].update(members)

    return change


def _set_durations(**members: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        if "query" in row:
            row["query"]["durations"].update(members)

    return change


def _rename(row: dict[str, Any]) -> None:
    if "query" in row:
        row["question"] = row.pop("query")


def _make_two_of_one(row: dict[str, Any]) -> None:
    if "query" in row:
        row["scope"] = {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("query", ok=-7, error=14), "counts of a query"),
        (_set("query", ok=6), "counts of a query"),
        (_set("query", ok=None), "counts of a query"),
        (_set("query", slow=8), "counts of a query"),
        (_set("query", target=None), "counts of a query"),
        (_set("query", rows=-1), "counts of a query"),
        (_set("query", ok="many"), "Failed to cast"),
        (_set("query", durations=None), "buckets of a query"),
        (_set("query", pattern_id="feed"), "must name a pattern of its file"),
        (_set("query", first_us=-1), "a time must lie between"),
        (_set("query", last_us=2**62), "a time must lie between"),
        (_set("pattern", text=None), "a pattern must have all its members"),
        (_set("pattern", category="other"), "a pattern must have all its members"),
        (_set("header", self_metrics=None), "counters of querygauge itself"),
        (_set("header", started_us=2**62), "a time must lie between"),
        (_set("failed", executions=0), "failed executions must have a number > 0"),
        (_set("failed", message=None), "failed executions must have a number > 0"),
        (_set("failed", pattern_id="feed"), "must name a pattern of its file"),
        (_set("failed", last_us=-1), "a time must lie between"),
        (_set_durations(n=[8]), "buckets of a query"),
        (_set_durations(n=[8, -1], k=[1, 2]), "buckets of a query"),
        (_set_durations(k=[1, 2]), "buckets of a query"),
        (_set_durations(k=[100_000]), "Failed to cast"),
        (_set_durations(total_ns=-1), "buckets of a query"),
        (_rename, "a row must be of a known kind"),
        (_make_two_of_one, "the counts of a scope must be >= 0"),
        (_make_two_of_one, "a row must be of a known kind"),
    ],
)
def test_impossible_values_are_set_aside_and_named(
    paths: StorePaths, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    """
    A file that arrived as it was written, but says what cannot be, does not reach the store, nor anybody who exports
    it before: what he counted would fall.
    """
    _write(paths, 7)
    _rewrite(waiting_files(paths)[0], change)
    with pytest.raises(StoreError, match="every row must be one of a snapshot"):
        read_snapshot(waiting_files(paths)[0])
    _write(paths, 3)
    with capture_logs() as logs:
        result = fold(paths)
    assert len(result.rejected) == 1
    assert reason in logs[0]["reason"]
    assert total(open_store(paths).query_stats()) == 3


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ({"at_us": 0, "duration_ms": -1.0, "error": None}, "the durations of health checks must be >= 0"),
        ({"at_us": 0, "duration_ms": None, "error": None}, "the durations of health checks must be >= 0"),
        ({"at_us": -1, "duration_ms": 1.0, "error": None}, "a time must lie between"),
    ],
)
def test_impossible_health_checks_are_set_aside(paths: StorePaths, check: dict[str, Any], reason: str) -> None:
    """As everything that cannot be; a file without any, of an older version, is none of those."""
    window = PoolWindow("main", PoolSnapshot(NOON, 5, 1, 0, 0, 0, 15, 0.5), PoolMetrics())
    SpoolSink(paths.root, 10).write(replace(snapshot(7), pools=(window,)))
    _rewrite(waiting_files(paths)[0], _set("pool", checks=[check]))
    with pytest.raises(StoreError, match="every row must be one of a snapshot"):
        read_snapshot(waiting_files(paths)[0])
    with capture_logs() as logs:
        assert len(fold(paths).rejected) == 1
    assert reason in logs[0]["reason"]
    SpoolSink(paths.root, 10).write(replace(snapshot(3), pools=(window,)))
    _rewrite(waiting_files(paths)[0], lambda row: row.get("pool", {}).pop("checks", None))
    assert fold(paths).rejected == ()
    assert total(open_store(paths).query_stats()) == 3


def test_a_row_that_is_no_object_is_set_aside(paths: StorePaths) -> None:
    """A row without members could not be told apart from those of other files."""
    _write(paths, 3, 7)
    _rewrite(waiting_files(paths)[0], lambda _: None, extra=b"[1]\n")
    with capture_logs() as logs:
        assert len(fold(paths).rejected) == 1
    assert logs[0]["reason"] == "every row must be an object; got something else"


def test_a_sound_rewritten_file_is_taken(paths: StorePaths) -> None:
    """What the other tests change is what their files are rejected for."""
    _write(paths, 7)
    _rewrite(waiting_files(paths)[0], lambda _: None)
    assert fold(paths).rejected == ()


def test_nothing_waits_behind_a_file_that_cannot_be_set_aside(paths: StorePaths) -> None:
    """Where a bad file cannot be moved, the fold says so, and nothing is lost."""
    _write(paths, 7)
    waiting_files(paths)[0].write_bytes(b"")
    paths.rejected.rmdir()
    paths.rejected.write_text("in the way")
    with pytest.raises(StoreError, match="could not be made: File exists"):
        fold(paths)
    assert len(waiting_files(paths)) == 1


def test_a_file_dropped_meanwhile_is_passed_over(paths: StorePaths) -> None:
    """A file that was listed and is gone when it is read stops nothing."""
    _write(paths, 3)
    (paths.spool / "0.ndjson").symlink_to(paths.spool / "nowhere")
    assert fold(paths).files == 1


def test_a_full_disk_loses_nothing(paths: StorePaths) -> None:
    """A fold that cannot write says so; what is stored and what waits stay, and are there when it can."""
    _write(paths, 3)
    with files_limited_to(100_000), pytest.raises(StoreError, match="could not be made: "):
        fold(paths)
    fold(paths)
    _write(paths, 4)
    with files_limited_to(0), pytest.raises(StoreError, match="could not be written: "):
        fold(paths)
    assert len(waiting_files(paths)) == 1
    # The log has room for the transaction, but the database not for the log.
    with files_limited_to(100_000):
        assert fold(paths).files == 1
    assert total(open_store(paths).query_stats()) == 7


def test_what_killed_processes_left_is_removed(paths: StorePaths) -> None:
    """What a writer or a query left goes after an hour, what somebody may be just writing stays."""
    paths.create()
    paths.scratch.mkdir()
    for path, age_s in (
        (paths.spool / ".old.ndjson.tmp", 4000),
        (paths.spool / ".new.ndjson.tmp", 0),
        (paths.scratch / "old.tmp", 4000),
        (paths.scratch / "new.tmp", 0),
        (paths.scratch / "of a clock that was ahead.tmp", -4000),
        (paths.unfinished, 0),  # whoever folds is the only one who may write it
    ):
        path.write_text("half")
        moment = path.stat().st_mtime - age_s
        os.utime(path, (moment, moment))
    fold(paths)
    left = [path.name for folder in (paths.spool, paths.scratch) for path in folder.iterdir()]
    assert left == [".new.ndjson.tmp", "new.tmp"]
    assert not paths.unfinished.exists()


def _write(paths: StorePaths, *executions: int) -> None:
    sink = SpoolSink(paths.root, 10)
    for count in executions:
        failed = QueryErrors(pattern(), "main", "Error", None, count, NOON, "no such table: ?")
        sink.write(replace(snapshot(count), errors=(failed,)))


def _executions_by_row(paths: StorePaths) -> list[int]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        found = connection.execute("SELECT executions FROM store.query_stats ORDER BY 1").fetchall()
    return [row[0] for row in found]


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None], extra: bytes = b"") -> None:
    """Changes rows and puts the header right again."""
    header, *rows = (json.loads(line) for line in path.read_bytes().splitlines())
    for row in (header, *rows):
        change(row)
    rest = b"".join(map(line, rows)) + extra
    header["header"]["rows"] = rest.count(b"\n")
    header["header"]["checksum"] = hashlib.blake2b(rest, digest_size=16).hexdigest()
    path.write_bytes(json.dumps(header).encode() + b"\n" + rest)
