"""A clock that is set between two ticks, ahead and back: what was flushed is stored once, and it goes on so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from querygauge.collector import tick
from querygauge.storage.backup_files import backups_in
from querygauge.storage.limits import Limits
from querygauge.storage.opening import open_store
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from storage.recovering import fill_new, flush, history, totals

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_YEAR = timedelta(days=365)
_ROOMS = ("collector", "storage.creation", "storage.folding", "storage.store")


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], datetime]:
    """Sets the clock of ticks and readers so much ahead of the true one, and gives what it tells now."""

    def set_ahead(ahead: timedelta) -> datetime:
        class Ahead(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + ahead

        for room in _ROOMS:
            monkeypatch.setattr(f"querygauge.{room}.datetime", Ahead)
        return datetime.now(UTC) + ahead

    return set_ahead


@pytest.mark.parametrize(
    "ahead",
    [
        (-_HOUR, -_HOUR, timedelta()),
        (_HOUR, timedelta(), -_HOUR, timedelta()),
        (2 * _DAY, timedelta(), timedelta()),
        (_YEAR, _YEAR + _DAY, timedelta(), timedelta()),
    ],
    ids=["an hour back", "ahead and back", "days ahead and back", "a year ahead and back"],
)
def test_every_tick_has_what_was_flushed_once(
    ahead: tuple[timedelta, ...], set_clock: Callable[[timedelta], datetime], paths: StorePaths, tmp_path: Path
) -> None:
    """In minutes, hours and days, which add up; nothing is dropped for its age, and a backup is of the true day."""
    kept, limits = tmp_path / "kept", Limits(backups=1)
    kept.mkdir()
    fill_new(paths, kept)
    tick(paths.root, limits)
    for by in ahead:
        now = set_clock(by)
        flush(paths, kept, now, now - _HOUR, now - _DAY)
        tick(paths.root, limits)
        assert (history(paths), waiting_files(paths)) == (totals(kept.iterdir()), [])
    assert [found for found in open_store(paths).doctor().findings if found.severity == "error"] == []
    tick(paths.root, limits)
    (paths.backups / ".tried").unlink()
    tick(paths.root, limits)
    (backup,) = backups_in(paths.backups)
    assert f"querygauge-{now:%Y%m%d}" in backup.name
