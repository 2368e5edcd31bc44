"""A disk that is full: applications and ticks say so and go on, and what is stored or waits is there when it is not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from querygauge import instrument
from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage.database import open_database
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from storage.ledger import Ledger
from storage.making import total
from storage.recovering import LIMITS, assert_recovered, copied, fill_new, history, make_all_due, totals

# From none at all to nearly enough for each of the things that a tick writes.
_ROOM: tuple[int, ...] = (0, 4_096, 65_536, 262_144, 1_000_000, 2_500_000, 4_000_000, 8_000_000)


def test_a_tick_that_finds_too_little_room(disk: Path, tmp_path: Path) -> None:
    """Whatever it could not do, nothing stored is lost, and the next tick makes up for the rest."""
    template, kept = StorePaths(tmp_path / "template"), tmp_path / "kept"
    kept.mkdir()
    fill_new(template, kept)
    tick(template.root, LIMITS)
    make_all_due(template, kept)
    expected = totals(kept.iterdir())
    paths = StorePaths(disk / "store")
    failed, left = [], []
    for size in _ROOM:
        with copied(template.root, paths):
            with _room_left(disk, size):
                failed.append(_tick_failed(paths))
                assert history(paths) + _not_folded(paths) == expected, size
                assert total(open_store(paths).query_stats()) > 0
            left.append(assert_recovered(paths, expected))
    print(list(zip(_ROOM, failed, strict=True)))
    assert failed[0]
    assert failed[-1] is None
    assert all(files == left[-1] for files in left)


@contextmanager
def _room_left(disk: Path, size: int) -> Iterator[None]:
    """All of a disk is used but for so many bytes."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_frsize - size)
    yield
    (disk / "filler").unlink()


def _tick_failed(paths: StorePaths) -> str | None:
    """Why it did; our own error, whatever was in the way."""
    try:
        return "; ".join(tick(paths.root, LIMITS).failures) or None
    except StoreError as error:
        return str(error)


def _not_folded(paths: StorePaths) -> Ledger:
    with open_database(paths, read_only=True, timeout_s=10) as connection:
        folded = {name for (name,) in connection.execute("SELECT name FROM folded_files").fetchall()}
    sound = (path for path in waiting_files(paths) if path.name not in folded and "damaged" not in path.name)
    return totals(sound)


def test_an_application_goes_on(disk: Path) -> None:
    """It is told once, its statements succeed, and what it counted meanwhile is stored when there is room."""
    store, rounds = disk / "store", 20
    engine = create_engine("sqlite://")
    with capture_logs() as logs, _room_left(disk, 0):
        gauge = instrument(engine, store=store, collector="inline", tick_interval_s=0.001)
        for _ in range(rounds):
            with engine.connect() as connection:
                assert connection.execute(text("SELECT 1")).scalar() == 1
            gauge.flush()
        assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["store_not_writable"]
        assert not list(store.glob("spool/*"))
    gauge.flush()
    gauge.close()
    stats = [stats for stats in open_store(store).query_stats() if stats.operation == "SELECT"]
    assert [entry.execution_count for entry in stats] == [rounds]


def test_a_disk_that_fills_up_while_it_is_folded(disk: Path) -> None:
    """An application that folds for itself: each flush is stored once, however often the disk was full in between."""
    store, rounds = disk / "store", 12
    engine = create_engine("sqlite://")
    with instrument(engine, store=store, collector="inline", tick_interval_s=0.001, enable_logging=False) as gauge:
        for number in range(rounds):
            with engine.connect() as connection, _room_left(disk, (0, 50_000, 1_000_000)[number % 3]):
                connection.execute(text("SELECT 1"))
                gauge.flush()
            gauge.flush()
    assert total([stats for stats in open_store(store).query_stats() if stats.operation == "SELECT"]) == rounds
