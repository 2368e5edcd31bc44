"""A store that a newer version made: nobody touches it, everybody says what to do, and what is flushed waits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs
from typer.testing import CliRunner

from querygauge import instrument
from querygauge.collector import tick
from querygauge.errors import QueryGaugeError, StoreError
from querygauge.storage.backup import back_up
from querygauge.storage.database import SCHEMA_VERSION
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.publishing.publish import publish
from querygauge.storage.restore import restore
from querygauge.storage.retention import retain
from querygauge.storage.rollups import roll_up
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.surfaces.cli import app
from storage.making import NOON, snapshot, total

_REASON = f"must have schema version {SCHEMA_VERSION} or older; got 99; a newer querygauge made it: upgrade this one"
# They start an application, read what was published or is in a backup, put the database aside, find out about it, or
# are about the settings.
_OTHERS = {"demo", "run", "normalize", "weekly", "store verify", "store restore", "doctor"}
_OTHERS |= {"alerts check", "alerts test"}
_ARGUMENTS = {
    "top": ["--once"],
    "collect": ["--once"],
    "patterns show": ["0000"],
    "similar": ["0000"],
    "patterns mark": ["0000", "accepted"],
    "patterns unmark": ["0000"],
    "alerts silence": ["--until", "2h"],
    "alerts unsilence": ["0000"],
}


def _names(command: Any, *above: str) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(above)
        return
    for name, below in command.commands.items():
        yield from _names(below, *above, name)


_COMMANDS = sorted(set(_names(typer.main.get_command(app))) - _OTHERS)


@pytest.fixture
def newer(paths: StorePaths) -> StorePaths:
    """A store with a backup and one snapshot that waits, of which a later version has taken hold since."""
    SpoolSink(paths.root, 10).write(snapshot(5))
    tick(paths.root, Limits(publishes=False))
    back_up(paths)
    _set_version(paths, 99)
    SpoolSink(paths.root, 10).write(snapshot(2))
    return paths


def _set_version(paths: StorePaths, version: int) -> None:
    with duckdb.connect(str(paths.database)) as connection:
        connection.execute("UPDATE meta SET schema_version = ?", [version])


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_says_so(newer: StorePaths, name: str) -> None:
    """In a sentence and with the way out, and not a byte of it changes."""
    before = newer.database.read_bytes()
    command = [*name.split(), *_ARGUMENTS.get(name, []), "--store", str(newer.root)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, QueryGaugeError), result.output
    assert str(result.exception) == f"store {str(newer.database)!r} {_REASON}"
    assert newer.database.read_bytes() == before


def test_the_doctor_finds_it_and_does_not_send_for_a_backup(newer: StorePaths) -> None:
    """The database is sound; to put an old backup in its place would lose what it has."""
    finding, *others = open_store(newer.root).doctor().findings
    assert (finding.severity, finding.remedy) == ("error", None)
    assert finding.message.endswith(_REASON)
    assert "1 snapshot waits to be folded" in [other.message for other in others]


@pytest.mark.parametrize(
    "work",
    [
        lambda paths: tick(paths.root),
        lambda paths: roll_up(paths, NOON),
        lambda paths: retain(paths, Limits(), NOON),
        lambda paths: publish(paths, Limits(), NOON),
        back_up,
    ],
    ids=["tick", "roll up", "retain", "publish", "back up"],
)
def test_nobody_touches_it(newer: StorePaths, work: Callable[[StorePaths], object]) -> None:
    """Each step by itself refuses, and the version that made it folds what waited."""
    before = newer.database.read_bytes(), _files(newer)
    with pytest.raises(StoreError, match=_REASON):
        work(newer)
    assert (newer.database.read_bytes(), _files(newer)) == before
    assert len(waiting_files(newer)) == 1
    _set_version(newer, SCHEMA_VERSION)
    assert total(open_store(newer.root).query_stats()) == 7


def _files(paths: StorePaths) -> set[Path]:
    """All but the mark that a backup was tried, and the folders of what was not written."""
    return {path for path in paths.root.rglob("*") if path.is_file() and path.name != ".tried"}


def test_a_backup_in_its_place_puts_it_aside(newer: StorePaths) -> None:
    """Whoever goes back to an older version keeps the newer database, and what waited is folded."""
    (taken,) = newer.backups.glob("querygauge-*")
    before = newer.database.read_bytes()
    with pytest.raises(StoreError, match="has a database"):
        restore(taken, newer)
    restore(taken, newer, replace=True)
    assert total(open_store(newer.root).query_stats()) == 7
    (aside,) = (newer.root / "replaced").rglob("querygauge.duckdb")
    assert aside.read_bytes() == before


def test_an_application_goes_on(newer: StorePaths) -> None:
    """It is told once, flushes, and what it flushed is folded by a version that may."""
    engine, rounds = create_engine("sqlite://"), 5
    with (
        capture_logs() as logs,
        instrument(engine, store=newer.root, collector="inline", tick_interval_s=0.001) as gauge,
    ):
        for _ in range(rounds):
            with engine.connect() as connection:
                assert connection.execute(text("SELECT 1")).scalar() == 1
            gauge.flush()
    (told,) = (entry for entry in logs if entry["log_level"] == "warning")
    assert told["event"] == "tick_failed"
    assert told["error"].endswith(_REASON)
    _set_version(newer, SCHEMA_VERSION)
    stats = open_store(newer.root).query_stats(service=gauge.settings.service)
    assert total([entry for entry in stats if entry.operation == "SELECT"]) == rounds
