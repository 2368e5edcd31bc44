"""Opening the database: only ours, one process at a time, and never for long."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import querygauge
from querygauge.errors import StoreError
from querygauge.remote import RemoteStore
from querygauge.storage.creation import create_database
from querygauge.storage.database import (
    SCHEMA_VERSION,
    StoreBusyError,
    _gate,
    open_database,
    scratch_connection,
    statements,
)
from querygauge.storage.folding import fold
from querygauge.storage.lakehouse import attach_remote
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot, total

_HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reader")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def made(paths: StorePaths) -> StorePaths:
    """A store with an empty database."""
    paths.create()
    create_database(paths)
    return paths


def test_older_versions_of_duckdb_can_open_it(made: StorePaths) -> None:
    """The file is of the storage version that every DuckDB since 1.0 reads."""
    with duckdb.connect(str(made.database), read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'querygauge'").fetchone()
    assert tags is not None
    assert tags[0]["storage_version"].startswith("v1.0.0")


def test_a_store_that_is_there_is_left_alone(made: StorePaths) -> None:
    """Making a store twice changes nothing."""
    before = made.database.read_bytes()
    create_database(made)
    assert made.database.read_bytes() == before


def test_what_a_killed_maker_left_is_in_nobodys_way(paths: StorePaths) -> None:
    """Half a database under its temporary name is made anew."""
    paths.create()
    paths.unfinished.write_bytes(b"half")
    Path(f"{paths.database}.wal").write_bytes(b"log of a database that is gone")
    create_database(paths)
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        assert connection.execute("SELECT schema_version FROM store.meta").fetchall() == [(SCHEMA_VERSION,)]


def test_every_column_is_explained() -> None:
    """Whoever asks the store by hand reads what each column means."""
    columns = [line for line in statements("schema.sql").splitlines() if line.startswith("    ")]
    assert [column for column in columns if " -- " not in column] == []


def _foreign_database(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE meta (answer INTEGER)")


def _foreign_database_with_a_log(path: Path) -> None:
    """Killed before it was written back: opening it for writing would change the file."""
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute('CREATE TABLE t AS FROM range(9)');"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -signal.SIGKILL
    assert Path(f"{path}.wal").exists()


def _newer_store(path: Path) -> None:
    create_database(StorePaths(path.parent))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET schema_version = 99")


def _text(path: Path) -> None:
    path.write_text("not a database\n" * 1000)


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_foreign_database, "must be a database that querygauge made"),
        (_foreign_database_with_a_log, "must be a database that querygauge made"),
        (_newer_store, "must have schema version \\d or older; got 99"),
        (_text, "must be a DuckDB database; got"),
        (_nothing, "must be a DuckDB database; got"),
        (Path.mkdir, "could not be opened"),
    ],
)
def test_a_database_of_something_else_is_an_error_and_untouched(paths: StorePaths, make: object, message: str) -> None:
    """The error names the file and the rule; not a byte of it changes, and what waits in the spool is kept."""
    assert callable(make)
    SpoolSink(paths.root, 10).write(snapshot())
    make(paths.database)
    before = _contents(paths)
    with pytest.raises(StoreError, match=message) as caught:
        fold(paths)
    assert "querygauge.duckdb" in str(caught.value)
    with pytest.raises(StoreError, match=message):
        open_store(paths).services()
    assert _contents(paths) == before
    assert len(waiting_files(paths)) == 1


@pytest.mark.parametrize("mode", ["reader", "writer"])
def test_a_database_that_another_process_holds_is_waited_for(made: StorePaths, mode: str) -> None:
    """A writer waits for whoever holds the file, and says after its timeout who that is."""
    with _held(made, mode) as holder:
        with pytest.raises(StoreBusyError, match=f"held by somebody else: .*PID {holder.pid}"):
            _open_once(made, read_only=False, timeout_s=0.05)
        assert holder.stdin is not None
        holder.stdin.close()
        _open_once(made, read_only=False, timeout_s=30)


def test_readers_do_not_keep_each_other_out(made: StorePaths) -> None:
    """A reader of another process is no reason to wait."""
    with _held(made, "reader"):
        _open_once(made, read_only=True, timeout_s=0.05)


def test_one_connection_of_a_process_at_a_time(made: StorePaths) -> None:
    """Two connections of one process would take the lock from each other as soon as one closes the file."""
    with (
        open_database(made, read_only=True, timeout_s=1),
        pytest.raises(StoreBusyError, match="open in another thread"),
    ):
        _open_once(made, read_only=True, timeout_s=0.05)
    _open_once(made, read_only=True, timeout_s=0.05)


def test_a_child_forked_while_the_store_is_open_can_open_it_later(made: StorePaths) -> None:
    """The gate that another thread of the parent held does not stay shut in the child."""
    with _gate.passed(made.database, 1):
        child = os.fork()
        if child == 0:
            with _gate.passed(made.database, 1):
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def test_what_a_killed_writer_committed_is_there(paths: StorePaths) -> None:
    """A process killed right after its fold loses nothing, whether or not it wrote its log back."""
    SpoolSink(paths.root, 10).write(snapshot(5))
    code = (
        "import os, sys; from pathlib import Path; from querygauge.storage.paths import StorePaths;"
        "from querygauge.storage.folding import fold; fold(StorePaths(Path(sys.argv[1]))); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(paths.root)], check=False)
    assert total(open_store(paths).query_stats()) == 5


def test_an_extension_that_is_missing_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to type to have it; DuckDB takes four for it."""
    monkeypatch.setattr("querygauge.storage.lakehouse._LAKE_EXTENSIONS", ("nonesuch",))
    remote = RemoteStore.of("ducklake:postgres:dbname=x")
    with (
        scratch_connection(None) as connection,
        pytest.raises(StoreError, match=r"extension nonesuch must be installed; .*'INSTALL nonesuch'") as raised,
    ):
        attach_remote(connection, remote, read_only=True)
    assert "\n" not in str(raised.value)


def test_no_error_of_the_database_is_the_cause_of_ours() -> None:
    """It may have the password of a catalog, and a traceback shows the cause."""
    for path in Path(querygauge.__file__).parent.rglob("*.py"):
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(handler, ast.ExceptHandler) and handler.type and "DatabaseError" in ast.dump(handler.type):
                raised = [each for each in ast.walk(handler) if isinstance(each, ast.Raise) and each.exc is not None]
                assert all(isinstance(each.cause, ast.Constant) for each in raised), (path.name, handler.lineno)


def _held(paths: StorePaths, mode: str) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(paths.database), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def _open_once(paths: StorePaths, *, read_only: bool, timeout_s: float) -> None:
    with open_database(paths, read_only=read_only, timeout_s=timeout_s):
        pass


def _contents(paths: StorePaths) -> dict[str, bytes | None]:
    found = [path for path in paths.root.iterdir() if path.name.startswith("querygauge.duckdb")]
    return {path.name: path.read_bytes() if path.is_file() else None for path in found}
