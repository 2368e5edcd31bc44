"""
A store in which everything is due that a tick may do, and what must hold of it once a tick was not disturbed.

Whatever was flushed is kept in a second folder, by which the store is judged.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from querygauge.collector import tick
from querygauge.storage.backup import back_up
from querygauge.storage.backup_files import backups_in, verify
from querygauge.storage.database import glob_escaped, open_database, quoted
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values import OutcomeCounts, Snapshot
from storage.ledger import Ledger, flushed, summed
from storage.making import snapshot, stats

# Hours and what is older than two days go, and the database is written anew.
LIMITS: Final = Limits(1, 2, 30, has_archive=True, backups=2, max_mb=1)
_DAY: Final = timedelta(days=1)
_DAYS: Final = 5
_MEASURES: Final = ("executions", "ok", "error", "total_ns")


def fill_new(paths: StorePaths, kept: Path) -> None:
    """A store that nobody has folded yet, of which days are over."""
    now = datetime.now(UTC)
    flush(paths, kept, *(now - days * _DAY for days in range(_DAYS + 1)))


def make_all_due(paths: StorePaths, kept: Path) -> None:
    """What there is a tick later: something late, a damaged file, nothing that is published, and days that are old."""
    now = datetime.now(UTC)
    flush(paths, kept, now, now - _DAY, now - timedelta(hours=25))
    (paths.spool / "0-damaged.ndjson").write_bytes(b"{}\n")
    (paths.published / "manifest.json").unlink()


def flush(paths: StorePaths, kept: Path, *ended: datetime) -> None:
    """One snapshot for each moment."""
    sink = SpoolSink(paths.root, 10)
    before = set(waiting_files(paths))
    for number, moment in enumerate(ended):
        sink.write(_busy(moment, number))
    for path in set(waiting_files(paths)) - before:
        shutil.copy(path, kept)


def _busy(ended: datetime, number: int) -> Snapshot:
    some = (replace(stats(4, number=n, at=ended), outcomes=OutcomeCounts(ok=3, error=1)) for n in (1, 2 + number % 3))
    return replace(snapshot(ended=ended), queries=tuple(some))


@contextmanager
def copied(template: Path, paths: StorePaths) -> Iterator[None]:
    """A store like another, for the length of the block."""
    shutil.copytree(template, paths.root)
    yield
    shutil.rmtree(paths.root)


def totals(files: Iterator[Path]) -> Ledger:
    """What spool files hold, as far as days have it too."""
    return Ledger({key: count for key, count in flushed(files).items() if key[1] in _MEASURES})


def assert_recovered(paths: StorePaths, expected: Ledger) -> set[str]:
    """One more tick has all of it, once; gives the names of the files that are left when everything was due again."""
    tick(paths.root, LIMITS)
    assert (history(paths), waiting_files(paths)) == (expected, [])
    tick(paths.root, LIMITS)  # what the first one could not know of yet
    for path in paths.root.rglob("*"):
        os.utime(path, (0, 0))
    assert back_up(paths, keep=1) is not None
    tick(paths.root, LIMITS)
    assert history(paths) == expected
    assert [found for found in open_store(paths).doctor().findings if found.severity == "error"] == []
    executions = summed(expected, "executions")
    assert _executions(paths.archive) + _finer_than_days(paths) == executions
    assert _executions(paths.published_days) == executions
    assert all(verify(path).rows for path in backups_in(paths.backups))
    files = (str(path.relative_to(paths.root)) for path in paths.root.rglob("*"))
    # Days that were rolled up in another order are archived in other portions, which add up to the same.
    named = (re.sub(r"(?<=querygauge-)[\dTZ-]+|(?<=archive_)[\d_]+", "moment", name) for name in files)
    return set(named)


def history(paths: StorePaths) -> Ledger:
    """What a store holds, by minute, hour or day."""
    sums = ", ".join(f"sum({name})" for name in _MEASURES)
    ledger: Ledger = Ledger()
    with open_database(paths, read_only=True, timeout_s=10) as connection:
        rows = connection.execute(
            f"SELECT pattern_id, {sums} FROM query_history('0001-01-01', '9999-12-31', true) GROUP BY pattern_id"
        ).fetchall()
    for pattern, *counts in rows:
        ledger.update({(pattern, name): count for name, count in zip(_MEASURES, counts, strict=True)})
    return +ledger


def _finer_than_days(paths: StorePaths) -> int:
    """Executions whose hour the store still has."""
    with open_database(paths, read_only=True, timeout_s=10) as connection:
        ((count,),) = connection.execute(
            "SELECT sum(executions) FROM query_history((SELECT hours_since FROM meta), '9999-12-31', false)"
        ).fetchall()
    return int(count)


def _executions(folder: Path) -> int:
    every = quoted(Path(glob_escaped(folder), "*.parquet"))
    with duckdb.connect() as connection:
        ((count,),) = connection.execute(f"SELECT sum(executions) FROM read_parquet({every})").fetchall()
    return int(count)
