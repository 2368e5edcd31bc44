"""
What the published files were made of: one small JSON file that says what need not be written again.

It is written after the files it tells of. If it is lost, or a publication is killed before, they are written once more.
"""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from querygauge.storage.database import Connection
from querygauge.storage.paths import StorePaths
from querygauge.storage.rollups import kept

__all__ = ["Manifest", "Totals", "is_publication_due", "overdue_since"]

Totals = tuple[float, ...]
"""Executions and their nanoseconds, and for a week the threshold in force: the same totals make the same file."""

_EVERY_S: Final = 300.0  # the day under way costs as much as half a tick
_OVERDUE: Final = timedelta(hours=1)
_NAME: Final = "manifest.json"
_TEMPORARY: Final = ".new"


class Manifest:
    """
    What was published; nothing if that was not told, or cannot be read.

    Attributes:
        days: What the file of each day was made of.
        weeks: And that of each week, by its Monday.
        written_at: When, in seconds since 1970-01-01 UTC; 0 while files wait to be written.
        hour: Hour of the clock in which weeks under way were written last.
        views: The statements that `perf.duckdb` was made with.
    """

    def __init__(self, paths: StorePaths) -> None:
        self._path = paths.published / _NAME
        self.days: dict[date, Totals] = {}
        self.weeks: dict[date, Totals] = {}
        self.written_at = 0.0
        self.hour = ""
        self.views = ""
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            content = json.loads(self._path.read_text(encoding="utf-8"))
            days, weeks = _dates(content["days"]), _dates(content["weeks"])
            self.written_at, self.hour, self.views = content["written_at"], content["hour"], content["views"]
            self.days, self.weeks = days, weeks

    def save(self) -> None:
        """
        Writes it in one piece.

        Raises:
            OSError: If it cannot be written.
        """
        content = {
            "written_at": self.written_at,
            "hour": self.hour,
            "days": _texts(self.days),
            "weeks": _texts(self.weeks),
            "views": self.views,
        }
        unfinished = self._path.with_suffix(_TEMPORARY)
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(self._path)


def is_publication_due(paths: StorePaths, now: datetime) -> bool:
    """Whether five minutes have gone by since files were written, or some wait."""
    return abs(now.timestamp() - Manifest(paths).written_at) >= _EVERY_S


def overdue_since(connection: Connection, paths: StorePaths, latest: datetime | None) -> datetime | None:
    """
    When files were published last, if collectors are to and have not for an hour in which something came.

    Args:
        connection: To the store.
        paths: Where it is.
        latest: When something came last; None if nothing did. As what is given, it is naive UTC.
    """
    if latest is None or paths.remote is not None:
        return None
    known = kept(connection)
    if known.agreed is None or not known.agreed.published_days:
        return None
    published_at = known.agreed_at
    with suppress(OSError):
        written_at = (paths.published / _NAME).stat().st_mtime  # also where not all could be
        published_at = datetime.fromtimestamp(written_at, UTC).replace(tzinfo=None)
    return published_at if latest - published_at > _OVERDUE else None


def _texts(totals: dict[date, Totals]) -> dict[str, Totals]:
    return {str(day): of_day for day, of_day in sorted(totals.items())}


def _dates(texts: dict[str, Any]) -> dict[date, Totals]:
    return {date.fromisoformat(text): tuple(totals) for text, totals in texts.items()}
