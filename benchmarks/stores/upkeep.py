"""
What keeps a store, each through the real function: in goes a store, out come figures in milliseconds.

Folds, the report of a week, a backup and its check, and dropping what is old.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from querygauge.storage import folding
from querygauge.storage.backup import back_up
from querygauge.storage.backup_files import verify
from querygauge.storage.database import attached, scratch_connection, transaction
from querygauge.storage.limits import Limits
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.publishing.reading import weekly_report
from querygauge.storage.retention import retain
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import Pattern, Snapshot
from stores.flushed import snapshot
from stores.limits import Figures

__all__ = ["Held", "backed_up", "elapsed_ms", "folded", "held", "reported", "retained"]

_TIMEOUT_S: Final = 10.0


class Held(NamedTuple):
    """How long a database was attached for writing: until it was open, while it was, and until it was closed."""

    opening_ms: float
    open_ms: float
    closing_ms: float


def elapsed_ms(step: Callable[[], object]) -> float:
    """How long it took."""
    started = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - started)


@contextmanager
def held() -> Iterator[list[Held]]:
    """Lists how long each fold within the block keeps others out."""
    found: list[Held] = []

    @contextmanager
    def watched(*arguments: object, read_only: bool, timeout_s: float) -> Iterator[int]:
        moments = [time.perf_counter()]
        with attached(*arguments, read_only=read_only, timeout_s=timeout_s) as version:  # type: ignore[arg-type]
            moments.append(time.perf_counter())
            yield version
            moments.append(time.perf_counter())
        moments.append(time.perf_counter())
        if not read_only:
            found.append(Held(*(1e3 * (after - before) for before, after in pairwise(moments))))

    vars(folding)["attached"] = watched
    try:
        yield found
    finally:
        vars(folding)["attached"] = attached


def folded(paths: StorePaths, now: datetime, patterns: Sequence[Pattern], dice: random.Random) -> Figures:
    """One row, a process with a hundred patterns, eight with five hundred each, and what none can be quicker than."""
    found: Figures = {"a row written without a fold": elapsed_ms(lambda: _write_one(paths))}
    for name, processes, count in (("one row", 1, 1), ("100 rows", 1, 100), ("8 x 500 patterns", 8, 500)):
        flushed = [snapshot("shop", f"web:{number}", now, patterns[:count], dice) for number in range(processes)]
        with held() as times:
            found[f"fold of {name}"] = _folded_ms(paths, flushed)
        ((opening_ms, open_ms, closing_ms),) = times
        if processes * count == 1:
            found[f"fold of {name}: opening the database"] = opening_ms
            found[f"fold of {name}: database open"] = open_ms
            found[f"fold of {name}: closing the database"] = closing_ms
        else:
            found[f"fold of {name}: locked"] = opening_ms + open_ms + closing_ms
    return found


def _write_one(paths: StorePaths) -> None:
    """DuckDB started, the database opened to look and then to write, one row committed, and everything closed."""
    with (
        scratch_connection(paths) as connection,
        attached(connection, paths, read_only=False, timeout_s=_TIMEOUT_S),
        transaction(connection, paths),
    ):
        connection.execute("INSERT INTO store.folded_files (name, folded_at) VALUES ('none', '2000-01-01')")


def _folded_ms(paths: StorePaths, snapshots: Sequence[Snapshot]) -> float:
    sink = SpoolSink(paths.root, 100)
    for each in snapshots:
        sink.write(each)
    return elapsed_ms(lambda: folding.fold(paths))


def reported(paths: StorePaths, now: datetime) -> Figures:
    """The day and the week under way written once more, as something was folded, and the report of the week read."""
    return {
        "weekly report written, and its day": elapsed_ms(lambda: publish(paths, Limits(), now)),
        "weekly report read": elapsed_ms(lambda: weekly_report(paths, None, now)),
    }


def backed_up(paths: StorePaths) -> Figures:
    """A backup, and the same looked through."""
    started = time.perf_counter()
    backup = back_up(paths)
    written_ms = 1e3 * (time.perf_counter() - started)
    if backup is None:
        raise SystemExit("somebody else changes the store")
    found = {"backup": written_ms, "verify": elapsed_ms(lambda: verify(backup.path))}
    shutil.rmtree(backup.path)
    return found


def retained(paths: StorePaths, now: datetime) -> Figures:
    """A copy pruned to what is kept by default: half of its minutes go, and eight of 98 days of its hours."""
    with TemporaryDirectory(dir=paths.root) as folder:
        copy = StorePaths(Path(folder))
        copy.create()
        shutil.copyfile(paths.database, copy.database)
        return {"retention": elapsed_ms(lambda: retain(copy, Limits(), now))}
