"""One history of several machines, in a DuckLake."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import psycopg
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import URL

from databases.postgres import OwnServer
from guards.snippets import blocks_of
from lake.conftest import Machine, connection_string
from project import ROOT
from querygauge.collector import tick
from querygauge.errors import SettingsError, StoreError
from querygauge.remote import RemoteStore
from querygauge.settings import load_settings
from querygauge.storage.backup import back_up
from querygauge.storage.database import DatabaseError, attached, scratch_connection, statements, transaction
from querygauge.storage.election import elected
from querygauge.storage.folding import fold
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.restore import restore
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.ticks import start_child
from querygauge.values import Snapshot
from storage.answers.making import days
from storage.making import NOON, snapshot, total

_HOUR: Final = timedelta(hours=1)


def _flush(paths: StorePaths, *snapshots: Snapshot) -> None:
    sink = SpoolSink(paths.root, 100)
    for each in snapshots:
        sink.write(each)


def test_machines_add_up(machine: Machine) -> None:
    """What each folded is in what any of them reads, and a reader needs no files of its own."""
    for name, count in (("web-1", 3), ("web-2", 4), ("jobs", 5)):
        paths = machine(name)
        _flush(paths, snapshot(count, process=f"{name}:1"))
        assert fold(paths).files == 1
    assert total(open_store(machine("laptop")).query_stats()) == 12
    assert not machine("laptop").root.exists()


def test_a_store_nobody_made_says_so(machine: Machine, remote: RemoteStore) -> None:
    """And is not made by looking."""
    with pytest.raises(StoreError, match=re.escape(f"store {remote.shown!r} does not exist")):
        open_store(machine("laptop")).status()


def test_the_tick_of_a_host_folds_there(machine: Machine, remote: RemoteStore) -> None:
    """In a process of its own, which no argument tells the catalog."""
    _flush(machine("web"), snapshot(7))
    child = start_child(machine("web").root, Limits(), remote)
    assert "ducklake" not in Path(f"/proc/{child.pid}/cmdline").read_text(encoding="utf-8")
    assert child.wait(60) == 0
    assert total(open_store(machine("web")).query_stats()) == 7
    assert waiting_files(machine("web")) == []


def test_hours_are_rolled_up_once(machine: Machine) -> None:
    """By whoever comes first; small files become few, and what was dropped is gone from the folder an hour later."""
    now = NOON + 2 * _HOUR
    for number in range(6):
        paths = machine(f"web-{number % 2}")
        _flush(paths, snapshot(number + 1, ended=NOON + timedelta(minutes=number), process=f"web-{number}:1"))
        fold(paths)
    before = _files(machine("web-0"))
    assert [roll_up(machine(f"web-{number}"), now) for number in range(2)] == [1, 0]
    store = open_store(machine("web-0"))
    assert store.execution_statistics((NOON - _HOUR, now)).performance.outcomes.total == 21
    assert len(_live(machine("web-0"))) < len(before)


def test_what_is_old_leaves(machine: Machine) -> None:
    """Rows that were dropped are in no answer; of what is kept nothing is lost."""
    now = datetime.now(UTC)
    _flush(machine("web"), snapshot(3, ended=now - timedelta(days=200)), snapshot(4, ended=now - _HOUR))
    fold(machine("web"))
    roll_up(machine("web"), now)
    retained = retain(machine("web"), Limits(daily_days=100), now)
    assert retained.deleted_count > 0
    assert total(open_store(machine("web")).query_stats()) == 4


def _files(paths: StorePaths) -> list[Path]:
    assert paths.remote is not None
    assert paths.remote.data_path is not None
    return list(Path(paths.remote.data_path).rglob("*.parquet"))


def _live(paths: StorePaths) -> list[Any]:
    with scratch_connection(None) as connection, attached(connection, paths, read_only=True, timeout_s=1):
        names = connection.execute("SELECT table_name FROM ducklake_table_info('store')").fetchall()
        return [
            file
            for (name,) in names
            for file in connection.execute(f"FROM ducklake_list_files('store', '{name}')").fetchall()
        ]


def test_one_at_a_time(machine: Machine) -> None:
    """Whoever has the lock keeps other machines out, until it is killed."""
    hold = multiprocessing.get_context("spawn")
    ready = hold.Event()
    other = hold.Process(target=_hold, args=(machine("other"), ready))
    other.start()
    assert ready.wait(30)
    _flush(machine("web"), snapshot(2))
    started = time.monotonic()
    killer = hold.Process(target=_kill_later, args=(other.pid, 1.0))
    killer.start()
    assert fold(machine("web")).files == 1
    assert time.monotonic() - started > 0.9
    for process in (killer, other):
        process.join(30)
    assert other.exitcode == -signal.SIGKILL


def _hold(paths: StorePaths, ready: Any) -> None:
    paths.create()
    with elected(paths, 0.0) as is_elected:
        assert is_elected
        ready.set()
        time.sleep(60)


def _kill_later(pid: int, seconds: float) -> None:
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)


def test_a_turn_that_does_not_come_leaves_everything(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the next tick."""
    monkeypatch.setattr("querygauge.storage.election._TURN_S", 0.1)
    _flush(machine("web"), snapshot(2))
    machine("other").create()
    with elected(machine("other"), 0.0) as is_elected:
        assert is_elected
        assert fold(machine("web")).is_busy
    assert len(waiting_files(machine("web"))) == 1


def test_two_without_a_turn_do_not_both_write(machine: Machine) -> None:
    """Where the lock was lost without a word, the second commit fails, and nothing of it is there."""
    _flush(machine("web"), snapshot(2))
    fold(machine("web"))
    row = "INSERT INTO store.pending_rollups VALUES ('hour', TIMESTAMP '2026-02-02')"
    count = "SELECT count(*) FROM store.pending_rollups WHERE period = '2026-02-02'"
    with (  # noqa: PT012  # what fails is the commit
        scratch_connection(None) as one,
        scratch_connection(None) as two,
        attached(one, machine("a"), read_only=False, timeout_s=1),
        attached(two, machine("b"), read_only=False, timeout_s=1),
        pytest.raises(DatabaseError, match="conflict"),
        transaction(two, machine("b")),
    ):
        with transaction(one, machine("a")):
            one.execute(row)
        two.execute(row)
    with scratch_connection(None) as reader, attached(reader, machine("c"), read_only=True, timeout_s=1):
        assert reader.execute(count).fetchall() == [(1,)]


def test_a_name_is_forgotten_by_its_own_machine_only(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that was killed before it removed its file, and comes back a day later, does not count it twice."""
    _flush(machine("web-1"), snapshot(5))
    (file,) = waiting_files(machine("web-1"))
    content = file.read_bytes()
    fold(machine("web-1"))
    file.write_bytes(content)
    monkeypatch.setattr("querygauge.storage.folding._NAMES_KEPT", timedelta(0))
    for number in range(2):
        _flush(machine("web-2"), snapshot(1, process=f"web-2:{number}"))
        fold(machine("web-2"))
    fold(machine("web-1"))
    assert total(open_store(machine("web-1")).query_stats()) == 7
    assert waiting_files(machine("web-1")) == []


def test_a_catalog_that_is_away_only_delays(mortal_postgres: OwnServer, tmp_path: Path) -> None:
    """Everything waits, nothing is set aside, and no message has the password."""
    # The tests' servers do not wait for the disk, so one that is killed would lose what it has committed.
    catalog = connection_string(mortal_postgres.url, password="se-cret", options="-c synchronous_commit=on")
    remote = RemoteStore.of(f"ducklake:postgres:{catalog}", str(tmp_path / "data"))
    paths = StorePaths(tmp_path / "web", remote)
    _flush(paths, snapshot(3))
    fold(paths)
    mortal_postgres.kill()
    _flush(paths, snapshot(4))
    with pytest.raises(StoreError, match="could not be") as raised:
        tick(paths.root, remote=remote)
    assert "se-cret" not in _all_of(raised.value)
    assert len(waiting_files(paths)) == 1
    with pytest.raises(StoreError, match="could not be") as raised:
        open_store(paths).status()
    assert "se-cret" not in _all_of(raised.value)
    found = open_store(paths).doctor()
    assert found.status == "ERROR"
    assert "se-cret" not in str(found)
    mortal_postgres.start()
    tick(paths.root, remote=remote)
    assert total(open_store(paths).query_stats()) == 7
    assert list(paths.rejected.iterdir()) == []


def test_a_catalog_that_goes_away_half_way_only_delays(
    mortal_postgres: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a fold, which holds the lock, or while it is read: an error without the password, and no process ends."""
    with psycopg.connect(connection_string(mortal_postgres.url), autocommit=True) as connection:
        connection.execute("CREATE DATABASE half_way")
    url = mortal_postgres.url.set(database="half_way")
    catalog = connection_string(url, password="se-cret", options="-c synchronous_commit=on")
    paths = StorePaths(tmp_path / "web", RemoteStore.of(f"ducklake:postgres:{catalog}", str(tmp_path / "data")))
    _flush(paths, snapshot(3))
    fold(paths)
    store = open_store(paths)

    def statements_of(name: str) -> str:
        if name in {"insert.sql", "answers/merged.sql"}:
            mortal_postgres.kill()
        return statements(name)

    for ask in (lambda: fold(paths), store.execution_statistics):
        _flush(paths, snapshot(4))
        with monkeypatch.context() as patch:
            for module in ("folding", "answers.measured"):
                patch.setattr(f"querygauge.storage.{module}.statements", statements_of)
            with pytest.raises(StoreError, match=r"could not be (written|read)") as raised:
                ask()
        assert "se-cret" not in _all_of(raised.value)
        mortal_postgres.start()
        fold(paths)
    assert total(store.query_stats()) == 11


def test_a_fold_whose_lock_was_lost_goes_on(
    machine: Machine, postgres_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody ended its connection; what two of them would write at once meets in a row of `meta`."""
    _flush(machine("web"), snapshot(3))
    fold(machine("web"))

    def statements_of(name: str) -> str:
        if name == "insert.sql":
            with psycopg.connect(connection_string(postgres_url), autocommit=True) as connection:
                ended = connection.execute(
                    "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
                    "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
                ).fetchall()
            assert ended == [(True,)]
        return statements(name)

    _flush(machine("web"), snapshot(4))
    monkeypatch.setattr("querygauge.storage.folding.statements", statements_of)
    assert fold(machine("web")).files == 1
    assert total(open_store(machine("web")).query_stats()) == 7


def _all_of(error: BaseException | None) -> str:
    """What a traceback would show of an error and its causes."""
    if error is None:
        return ""
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error!r} {error}" + _all_of(shown)


def test_a_backup_goes_both_ways(machine: Machine, tmp_path: Path, postgres_url: URL) -> None:
    """From a lake into a directory, and from a directory into an empty lake; a lake that has tables is left alone."""
    snapshots = days(3)
    _flush(machine("web"), *snapshots)
    tick(machine("web").root, remote=machine("web").remote)
    taken = back_up(machine("web"), tmp_path / "backups")
    assert taken is not None
    local = StorePaths(tmp_path / "local")
    restore(taken.path, local)
    span = (snapshots[0].ended - _HOUR, snapshots[-1].ended + _HOUR)
    expected = open_store(machine("web")).execution_statistics(span)
    assert open_store(local).execution_statistics(span) == expected
    with pytest.raises(StoreError, match="has tables"):
        restore(taken.path, machine("web"))
    with psycopg.connect(postgres_url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("DROP SCHEMA querygauge CASCADE")
    again = back_up(local, tmp_path / "more")
    assert again is not None
    restore(again.path, machine("web"))
    assert open_store(machine("web")).execution_statistics(span) == expected


def test_the_page_about_it_runs(remote: RemoteStore, tmp_path: Path) -> None:
    """With the address of this catalog in place of that of the page."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def here(text: str) -> str:
        text = text.replace("s3://metrics/querygauge/", str(tmp_path / "data"))
        return text.replace("ducklake:postgres:dbname=querygauge host=db.internal user=querygauge", remote.uri)

    blocks = blocks_of(ROOT / "docs" / "many-machines.md")
    programs = [[sys.executable, "-c", here(block.text)] for block in blocks if block.language == "python"]
    shells = [["/bin/sh", "-ec", here(block.text)] for block in blocks if block.language == "sh"]
    assert len(programs) == len(shells) == 1
    for command in (*programs, *shells):
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60)


def test_settings_name_it() -> None:
    """What is no such store, or has a place where it may have none, is an error that shows no password."""
    settings = load_settings(
        {"store": "ducklake:postgres:dbname=q password='x y'", "data_path": "lake"}, environment={}, directory=Path("/")
    )
    assert settings.remote == RemoteStore("ducklake:postgres:dbname=q password='x y'", f"{Path('lake').absolute()}/")
    assert settings.directory == Path(".querygauge")
    assert "x y" not in f"{settings!r} {settings.store}"
    for keywords, message in (
        (
            {"store": "ducklake:sqlite:x?password=hid"},
            r"must be a directory, ducklake:postgres:… or md:…; .*\*\*\*",
        ),
        ({"store": "md:q", "data_path": "x"}, "data_path must be None for 'md:q'"),
        ({"store": "here", "data_path": "x"}, "data_path must be None unless store is ducklake"),
        ({"spool": "md:q", "data_path": "x"}, "data_path must be None unless"),
    ):
        with pytest.raises(SettingsError, match=message):
            load_settings(keywords, environment={}, directory=Path("/"))


def test_files_may_lie_in_s3(
    catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """As a server plays it; a reader is told of the catalog only, and finds them."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    request.addfinalizer(server.stop)
    host, port = server.get_host_and_port()
    variables = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "se-cret", "REGION": "us-east-1"}
    for name, value in {**variables, "ENDPOINT_URL": f"http://{host}:{port}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = boto3.resource("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}").create_bucket(
        Bucket="metrics"
    )
    uri = f"ducklake:postgres:{catalog}"
    remote = RemoteStore.of(uri, "s3://metrics/querygauge")
    _flush(StorePaths(tmp_path / "web", remote), *days(3))
    tick(tmp_path / "web", remote=remote)
    local = StorePaths(tmp_path / "local")
    _flush(local, *days(3))
    tick(local.root)
    span = (NOON - _HOUR, NOON + timedelta(days=4))
    found = open_store(uri, spool=tmp_path / "laptop").execution_statistics(span)
    assert found == open_store(local).execution_statistics(span)
    assert all(entry.key.startswith("querygauge/main/") for entry in bucket.objects.all())
    bucket.objects.all().delete()
    with pytest.raises(StoreError, match="could not be read"):
        open_store(uri, spool=tmp_path / "laptop").status()
