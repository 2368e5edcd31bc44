"""A backup has all that a store had, is told from a damaged one, and becomes a store again."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage.backup import back_up, is_backup_due
from querygauge.storage.backup_files import Backup, backups_in, verify
from querygauge.storage.database import log_of, open_database
from querygauge.storage.election import elected
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.restore import restore
from querygauge.storage.rollups import NOTHING_KEPT, kept, roll_up
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Snapshot
from storage.making import NOON, files_limited_to, snapshot, snapshots, total

DAY = timedelta(days=1)
SCHEMAS = Path(__file__).parent / "schemas"


def _filled(paths: StorePaths, *given_snapshots: Snapshot) -> StorePaths:
    sink = SpoolSink(paths.root, 100)
    for each in given_snapshots or (snapshot(3), snapshot(4, number=2)):
        sink.write(each)
    fold(paths)
    return paths


def _rows(paths: StorePaths) -> dict[str, list[str]]:
    """Every row of every table, in no order, and without when the store was made."""
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        sources = {
            name: "SELECT * EXCLUDE created_at FROM meta" if name == "meta" else f"FROM {name}" for name in names
        }
        return {name: sorted(map(str, connection.execute(source).fetchall())) for name, source in sources.items()}


def _backed_up(paths: StorePaths, **chosen: object) -> Backup:
    taken = back_up(paths, **chosen)  # type: ignore[arg-type]
    assert taken is not None
    return taken


@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(snapshots(), min_size=1, max_size=3))
def test_a_store_that_is_gone_comes_back_as_it_was(given_snapshots: list[Snapshot]) -> None:
    """Every row of every table, whatever was in it."""
    with TemporaryDirectory() as directory:
        paths = _filled(StorePaths(Path(directory) / "store"), *given_snapshots)
        roll_up(paths, NOON + 2 * DAY)
        before = _rows(paths)
        taken = _backed_up(paths, folder=Path(directory) / "elsewhere")
        assert taken.rows == sum(map(len, before.values()))
        assert taken.tables == len(before)
        shutil.rmtree(paths.root)
        assert restore(taken.path, paths) == taken == verify(taken.path)
        assert _rows(paths) == before


def test_a_restored_store_goes_on(paths: StorePaths) -> None:
    """What is flushed is folded into it, what is in it is not counted twice, and macros are there."""
    taken = _backed_up(_filled(paths))
    _filled(paths, snapshot(10))
    other = StorePaths(paths.root.with_name("other"))
    restore(taken.path, other)
    _filled(other, snapshot(100))
    assert total(open_store(other.root).query_stats()) == 107
    assert total(open_store(paths).query_stats()) == 17
    with open_database(other, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT executions FROM pattern_quantiles('2026-01-01', '2027-01-01')").fetchall()


def test_what_is_there_is_put_aside(paths: StorePaths) -> None:
    """Only if asked for, and it can be read."""
    taken = _backed_up(_filled(paths))
    _filled(paths, snapshot(10))
    with pytest.raises(StoreError, match=r"has a database; restore into another directory, or replace it"):
        restore(taken.path, paths)
    assert total(open_store(paths).query_stats()) == 17
    restore(taken.path, paths, replace=True)
    assert total(open_store(paths).query_stats()) == 7
    (aside,) = (paths.root / "replaced").iterdir()
    with duckdb.connect(str(aside / "querygauge.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT sum(executions)::INT FROM query_stats").fetchall() == [(17,)]


def test_a_restore_that_is_killed_has_changed_nothing(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to its last step the database that is there stays in its place."""
    taken = _backed_up(_filled(paths))
    _filled(paths, snapshot(10))
    log_of(paths.database).touch()  # of a writer that was killed

    def killed(self: Path, _: Path) -> Path:
        raise KeyboardInterrupt(self.name)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt, match=r"querygauge\.new"):
            restore(taken.path, paths, replace=True)
    assert total(open_store(paths).query_stats()) == 17


def test_a_file_system_without_links_has_a_copy_put_aside(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read as well."""
    taken = _backed_up(_filled(paths))
    _filled(paths, snapshot(10))

    def fails(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", fails)
    restore(taken.path, paths, replace=True)
    (aside,) = (paths.root / "replaced").iterdir()
    with duckdb.connect(str(aside / "querygauge.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT sum(executions)::INT FROM query_stats").fetchall() == [(17,)]
    assert total(open_store(paths).query_stats()) == 7


def test_what_a_killed_restore_left_is_removed(paths: StorePaths) -> None:
    """By the next fold."""
    _filled(paths)
    paths.older.mkdir()
    (paths.older / "querygauge.duckdb").touch()
    fold(paths)
    assert not paths.older.exists()


def test_a_backup_of_an_older_version_is_brought_up(paths: StorePaths) -> None:
    """To what the same rows are in a store that was migrated."""
    _filled(paths)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        rows = connection.execute("SELECT * FROM query_stats ORDER BY pattern_id").fetchall()
    paths.database.unlink()
    with duckdb.connect(str(paths.database)) as connection:
        connection.execute((SCHEMAS / "1.sql").read_text(encoding="utf-8"))
        connection.execute("INSERT INTO meta (schema_version, created_at) VALUES (1, now()::TIMESTAMP)")
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO query_stats VALUES ({marks})", rows)
        connection.execute(
            "INSERT INTO patterns SELECT DISTINCT pattern_id, 't', 's', 'SELECT', [], 'sqlite', 'query', "
            "first_seen, last_seen FROM query_stats"
        )
    taken = _backed_up(paths)
    assert json.loads((taken.path / "manifest.json").read_text(encoding="utf-8"))["schema_version"] == 1
    other = StorePaths(paths.root.with_name("other"))
    restore(taken.path, other)
    fold(paths)  # which migrates
    assert _rows(other) == _rows(paths)
    assert total(open_store(other.root).query_stats()) == 7
    assert not (other.root / ".older").exists()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _with(path: Path, **members: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **members}), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: _flip(folder / "query_stats.parquet"), "query_stats.parquet.* must have the checksum"),
        (lambda folder: (folder / "patterns.parquet").unlink(), "patterns.parquet is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "must be a folder with a manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "must be what a backup wrote"),
        (lambda folder: _with(folder / "manifest.json", tables=[{"name": "x"}]), "must be what a backup wrote"),
        (
            lambda folder: _with(
                folder / "manifest.json", tables=[{"name": "../x", "rows": 1, "digest": "", "bytes": 1, "sha256": ""}]
            ),
            "must name tables of a store",
        ),
        (shutil.rmtree, "must be a folder with a manifest.json"),
    ],
)
def test_a_damaged_backup_is_named_and_not_restored(
    paths: StorePaths, damage: Callable[[Path], object], reason: str
) -> None:
    """Neither there nor elsewhere, and the store is as it was."""
    taken = _backed_up(_filled(paths))
    before = _rows(paths)
    damage(taken.path)
    with pytest.raises(StoreError, match=reason):
        verify(taken.path)
    with pytest.raises(StoreError, match=reason):
        restore(taken.path, paths, replace=True)
    assert _rows(paths) == before
    assert not (paths.root / "replaced").exists()


def test_a_backup_of_a_newer_version_is_refused(paths: StorePaths) -> None:
    """The message says what to do."""
    taken = _backed_up(_filled(paths))
    _with(taken.path / "manifest.json", schema_version=99)
    with pytest.raises(StoreError, match="schema version 2 or older; got 99; a newer querygauge made it"):
        restore(taken.path, StorePaths(paths.root.with_name("other")))


def test_the_oldest_go_and_those_of_other_stores_stay(paths: StorePaths) -> None:
    """Two stores may share a folder."""
    folder = paths.root.with_name("backups")
    other = _filled(StorePaths(paths.root.with_name("other")))
    theirs = _backed_up(other, folder=folder, now=NOON)
    _filled(paths)
    ours = [_backed_up(paths, folder=folder, keep=2, now=NOON + day * DAY).path for day in range(1, 5)]
    assert backups_in(folder) == [theirs.path, *ours[-2:]]
    again = _backed_up(paths, folder=folder, keep=3, now=NOON + 4 * DAY)
    assert backups_in(folder) == [theirs.path, *ours[-2:], again.path]
    assert verify(theirs.path).rows == theirs.rows


def test_a_copy_has_backups_of_its_own(paths: StorePaths) -> None:
    """What is kept of those of a restored copy takes none of the store it came from, out of a folder both write to."""
    folder = paths.root.with_name("backups")
    ours = [_backed_up(_filled(paths), folder=folder, now=NOON + day * DAY).path for day in range(2)]
    copy = StorePaths(paths.root.with_name("copy"))
    restore(ours[0], copy)
    theirs = [_backed_up(copy, folder=folder, keep=1, now=NOON + day * DAY).path for day in range(2, 4)]
    assert backups_in(folder) == [*ours, theirs[-1]]


def test_a_store_restored_from_its_own_backups_keeps_them_in_number(paths: StorePaths) -> None:
    """It is the same store."""
    taken = [_backed_up(_filled(paths), now=NOON + day * DAY).path for day in range(3)]
    restore(taken[-1], paths, replace=True)
    new = _backed_up(paths, keep=2, now=NOON + 4 * DAY).path
    assert backups_in(paths.backups) == [taken[-1], new]


def test_a_damaged_one_keeps_no_other_from_going(paths: StorePaths) -> None:
    """It may be of any store, so it stays, and the new one is told of."""
    _filled(paths)
    damaged, old = (_backed_up(paths, now=NOON + day * DAY).path for day in range(2))
    (damaged / "manifest.json").write_text("")
    new = _backed_up(paths, keep=1, now=NOON + 2 * DAY)
    assert backups_in(paths.backups) == [damaged, new.path]
    assert not old.exists()


def test_who_changes_the_store_is_waited_for(paths: StorePaths) -> None:
    """And if it takes too long, there is none."""
    _filled(paths)
    taken = _backed_up(paths)
    with elected(paths, 0.0):
        assert back_up(paths, lock_timeout_s=0.0) is None
        with pytest.raises(StoreError, match="is being changed by somebody else"):
            restore(taken.path, paths, lock_timeout_s=0.0)


def test_a_full_disk_leaves_no_half_of_one(paths: StorePaths) -> None:
    """The ones before stay, the error names the folder, and the store is as it was."""
    first = _backed_up(_filled(paths), now=NOON)
    before = _rows(paths)
    with files_limited_to(1_000), pytest.raises(StoreError, match=r"could not be written to .*backups"):
        back_up(paths, keep=1)
    assert backups_in(paths.backups) == [first.path]
    assert [path.name for path in paths.backups.iterdir() if "unfinished" in path.name] == []
    assert _rows(paths) == before


_BACKING_UP = """
import sys
from pathlib import Path
from querygauge.storage.backup import back_up
from querygauge.storage.paths import StorePaths
print("ready", flush=True)
while True:
    back_up(StorePaths(Path(sys.argv[1])), keep=2)
"""


def test_killed_at_any_moment(paths: StorePaths) -> None:
    """What looks like a backup is one, and can be restored; what does not goes after an hour."""
    _filled(paths)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(20):
        command = [sys.executable, "-c", _BACKING_UP, str(paths.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=random.uniform(0.0, 0.6))
            process.kill()
    assert backups_in(paths.backups)
    assert all(verify(path).rows for path in backups_in(paths.backups))
    leftovers = list(paths.backups.glob("*.unfinished"))
    for leftover in leftovers:
        os.utime(leftover, (0, 0))
    last = _backed_up(paths, keep=1)
    assert [path for path in paths.backups.iterdir() if path.is_dir()] == [last.path]
    restored = StorePaths(paths.root.with_name("other"))
    restore(last.path, restored)
    assert _rows(restored) == _rows(paths)


def test_it_is_of_one_moment_while_others_flush(paths: StorePaths) -> None:
    """Each snapshot tells of two patterns, and a backup has both or neither."""
    done = threading.Event()

    def flush() -> None:
        sink = SpoolSink(paths.root, 100)
        while not done.is_set():
            both = replace(snapshot(1), queries=(*snapshot(1).queries, *snapshot(1, number=2).queries))
            sink.write(both)
            with suppress(StoreError):
                fold(paths, lock_timeout_s=0.0)
            time.sleep(0.001)

    _filled(paths, snapshot(1), snapshot(1, number=2))
    thread = threading.Thread(target=flush)
    thread.start()
    try:
        taken = [_backed_up(paths, now=NOON + number * DAY, lock_timeout_s=30.0) for number in range(5)]
    finally:
        done.set()
        thread.join()
    for backup in taken:
        with duckdb.connect() as connection:
            path = str(backup.path / "query_stats.parquet").replace("[", "[[]").replace("*", "[*]").replace("'", "''")
            found = connection.execute(
                f"SELECT sum(executions)::INT FROM '{path}' GROUP BY pattern_id ORDER BY pattern_id"
            ).fetchall()
        assert found[0] == found[1]


def test_the_collector_takes_one_a_day(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day is over; one that failed is tried again after an hour."""
    now = datetime.now(UTC)
    _filled(paths, snapshot(1, ended=now))
    tick(paths.root, Limits(backups=2))
    assert backups_in(paths.backups) == []
    _filled(paths, snapshot(1, ended=now - 3 * DAY))
    tick(paths.root, Limits(backups=0))
    assert backups_in(paths.backups) == []
    paths.backups.write_text("in the way")
    (failure,) = tick(paths.root, Limits(backups=2)).failures
    assert "could not be written to" in failure
    assert paths.views.exists()  # which comes after it
    paths.backups.unlink()
    for _ in range(3):
        tick(paths.root, Limits(backups=2))
    (first,) = backups_in(paths.backups)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        known = kept(connection)
    later = now + 2 * DAY
    assert not is_backup_due(paths, known, later)
    assert not is_backup_due(paths, NOTHING_KEPT, later)
    next_day = known._replace(days=(now.replace(tzinfo=None) + DAY, *known.days))
    assert not is_backup_due(paths, next_day, later)  # as one was tried within the hour
    os.utime(paths.backups / ".tried", (0, 0))
    assert is_backup_due(paths, next_day, later)
    assert not is_backup_due(paths, known, later)
    assert verify(first).tables > 5
