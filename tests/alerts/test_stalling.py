"""Where nothing is folded, somebody is told of that, without the database."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Self

import duckdb
import pytest
from structlog.testing import capture_logs

from alerts.receivers import web_receiver
from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage import folding
from querygauge.storage.election import elected
from querygauge.storage.locking import FileLock
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool_sink import SpoolSink
from storage.making import snapshot

MINUTE = timedelta(minutes=1)
Pass = Callable[[timedelta], None]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorePaths:
    """A store in a directory where nothing is set; nobody waits long for its database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folding, "fold", partial(folding.fold, database_timeout_s=0.05))
    paths = StorePaths(tmp_path / "store")
    _write(paths)
    tick(paths.root)
    return paths


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Pass:
    """Lets so much time go by for whoever looks."""
    ahead = timedelta(0)

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + ahead

    for room in ("stalling", "watching"):
        monkeypatch.setattr(f"querygauge.{room}.datetime", Ahead)

    def let_pass(span: timedelta) -> None:
        nonlocal ahead
        ahead += span

    return let_pass


@contextmanager
def _held(paths: StorePaths) -> Iterator[None]:
    """Somebody looks at the database, and forgets to close it."""
    with duckdb.connect(str(paths.database), read_only=True):
        yield


def _write(paths: StorePaths) -> None:
    SpoolSink(paths.root, 10).write(snapshot(ended=datetime.now(UTC)))


def _told(paths: StorePaths) -> list[tuple[str, str]]:
    """What the log is told by one tick."""
    with capture_logs() as logs:
        tick(paths.root)
    return [(log["rule"], log["status"]) for log in logs if log["event"] == "alert"]


def test_it_is_told_once_and_so_is_its_end(paths: StorePaths, later: Pass) -> None:
    """Five minutes after the oldest file was written; when all is well again, the store knows of it as of any other."""
    _write(paths)
    with _held(paths):
        assert _told(paths) == []
        later(4 * MINUTE)
        assert _told(paths) == []
        later(MINUTE)
        assert _told(paths) == [("store_stalled", "firing")]
        later(MINUTE)
        assert _told(paths) == []
    assert _told(paths) == []
    assert not paths.stalled.exists()
    (alert,) = open_store(paths).alerts().alerts
    assert "wait: store " in alert.finding.sentence
    assert "is held by somebody else" in alert.finding.sentence
    later(5 * MINUTE)
    assert _told(paths) == [("store_stalled", "resolved")]


def test_a_store_that_is_well_in_time_tells_nothing(paths: StorePaths, later: Pass) -> None:
    """Whoever closes it within five minutes wakes nobody."""
    _write(paths)
    with _held(paths):
        later(4 * MINUTE)
        tick(paths.root)
    later(20 * MINUTE)
    assert _told(paths) == []
    assert open_store(paths).alerts().alerts == ()


def test_any_reason_is_told(paths: StorePaths, later: Pass, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a disk that is full, or a tick that never ends; the error of the tick is what it was."""
    _write(paths)
    later(6 * MINUTE)
    with elected(paths, 0.0):
        told = []
        for _ in range(4):
            told += _told(paths)
            later(MINUTE)
    assert told == [("store_stalled", "firing")]
    later(timedelta(hours=13))

    def fails(*_: object, **__: object) -> None:
        raise StoreError("store could not be written: no space left on device")

    monkeypatch.setattr(folding, "fold", fails)
    with pytest.raises(StoreError, match="no space left on device"), capture_logs() as logs:
        tick(paths.root)
    (again,) = [log for log in logs if log["event"] == "alert"]
    assert again["sentence"].endswith("wait: store could not be written: no space left on device")


def test_somebody_else_who_folds_is_no_stall(paths: StorePaths, later: Pass) -> None:
    """A machine that wakes up has old files, and a report may fold them just when the tick would."""
    _write(paths)
    later(8 * 60 * MINUTE)
    with elected(paths, 0.0):
        assert _told(paths) == []
    assert _told(paths) == []
    assert not paths.stalled.exists()
    later(MINUTE)
    assert _told(paths) == []
    assert (
        open_store(paths).alerts((datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1))).alerts
        == ()
    )


def test_nobody_is_told_where_nothing_is_sent(paths: StorePaths, later: Pass) -> None:
    """A tick in an application touches no network."""
    _write(paths)
    later(6 * MINUTE)
    with _held(paths), capture_logs() as logs:
        tick(paths.root, sends=False)
    assert [log["event"] for log in logs] == ["store_busy"]


def test_alerts_that_are_off_stay_off(paths: StorePaths, later: Pass, tmp_path: Path) -> None:
    """This one too."""
    (tmp_path / "querygauge.toml").write_text("[alerts]\nenabled = false\n")
    _write(paths)
    later(6 * MINUTE)
    with _held(paths):
        assert _told(paths) == []


async def test_what_did_not_arrive_is_sent_again_with_the_same_key(
    paths: StorePaths, later: Pass, tmp_path: Path
) -> None:
    """Until it has arrived, by each tick; then again after twelve hours, with another."""
    async with web_receiver(status=503) as receiver:
        channel = f"[alerts.channels.web]\ntype = 'webhook'\nurl = '{receiver.url}/'\n"
        (tmp_path / "querygauge.toml").write_text(channel)
        _write(paths)
        later(6 * MINUTE)
        with _held(paths):
            await _tick_beside(paths)
            later(MINUTE)
            await _tick_beside(paths)
            receiver.status = 200
            later(MINUTE)
            await _tick_beside(paths)
            later(MINUTE)
            await _tick_beside(paths)
            later(timedelta(hours=12))
            await _tick_beside(paths)
    keys = [json.loads(received.body)["key"] for received in receiver.received]
    assert len(keys) == 4
    assert keys[0] == keys[1] == keys[2] != keys[3]


async def test_each_channel_is_tried_until_it_takes_it(paths: StorePaths, later: Pass, tmp_path: Path) -> None:
    """One that does is not told again; one that never did is told when all is well, of the beginning and of the end."""
    async with web_receiver(status=503) as slow, web_receiver(status=503) as never, web_receiver(status=404) as gone:
        (tmp_path / "querygauge.toml").write_text(
            "[alerts.channels.log]\ntype = 'log'\n"
            + "".join(
                f"[alerts.channels.{name}]\ntype = 'webhook'\nurl = '{receiver.url}/'\n"
                for name, receiver in (("slow", slow), ("never", never), ("gone", gone))
            )
        )
        _write(paths)
        later(6 * MINUTE)
        with _held(paths), capture_logs() as logs:
            await _tick_beside(paths)
            later(MINUTE)
            await _tick_beside(paths)
            slow.status = 200
            for _ in range(3):
                later(MINUTE)
                await _tick_beside(paths)
        assert [log["status"] for log in logs if log["event"] == "alert"] == ["firing"]
        assert [len(receiver.received) for receiver in (slow, never, gone)] == [3, 5, 1]
        never.status = 200
        await _tick_beside(paths)
        later(6 * MINUTE)
        await _tick_beside(paths)
    told = [json.loads(received.body) for received in (*never.received[4:], *slow.received[2:])]
    assert [each["status"] for each in told] == ["firing", "firing", "resolved", "firing", "resolved"]
    assert len({each["key"] for each in told[:2]}) == 1


async def test_whom_nobody_reached_is_told_when_all_is_well(paths: StorePaths, later: Pass, tmp_path: Path) -> None:
    """That nothing was seen for an hour is worth knowing afterwards."""
    async with web_receiver(status=503) as receiver:
        (tmp_path / "querygauge.toml").write_text(f"[alerts.channels.web]\ntype = 'webhook'\nurl = '{receiver.url}/'\n")
        _write(paths)
        later(6 * MINUTE)
        with _held(paths):
            await _tick_beside(paths)
        receiver.status = 200
        await _tick_beside(paths)
        await _tick_beside(paths)
        later(6 * MINUTE)
        await _tick_beside(paths)
    statuses = [json.loads(received.body)["status"] for received in receiver.received]
    assert statuses == ["firing", "firing", "resolved"]


async def _tick_beside(paths: StorePaths) -> None:
    """A tick in a thread, so that the receiver can answer."""
    await asyncio.to_thread(tick, paths.root)


@pytest.mark.parametrize("content", ["", "nonsense", "{}", "[3]", '{"alerts": [{"id": "a"}]}', '{"alerts": []}'])
def test_a_memory_that_is_not_understood_is_none(paths: StorePaths, later: Pass, content: str) -> None:
    """Somebody is told once too often rather than never."""
    paths.stalled.write_text(content)
    _write(paths)
    later(6 * MINUTE)
    with _held(paths):
        assert _told(paths) == [("store_stalled", "firing")]


def test_only_one_of_several_ticks_tells(paths: StorePaths, later: Pass) -> None:
    """Whoever has the lock; the other leaves it to him."""
    _write(paths)
    later(6 * MINUTE)
    lock = FileLock(paths.stalled_lock)
    assert lock.acquire()
    with _held(paths):
        assert _told(paths) == []
        lock.release()
        assert _told(paths) == [("store_stalled", "firing")]


def test_a_disk_that_takes_no_memory_of_it_has_nobody_told(
    paths: StorePaths, later: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every tick would tell it anew; that the disk is full is another alert, and was told before."""
    _write(paths)
    later(6 * MINUTE)
    with _held(paths), monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", _fails)
        assert _told(paths) == []
    with _held(paths):
        assert _told(paths) == [("store_stalled", "firing")]


def _fails(*_: object) -> None:
    raise OSError(28, "No space left on device")
