"""
How an open store is asked: in go a statement and its parameters, out come rows by the names of their columns.

Deliberately not here: the statements, and what becomes of the rows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from querygauge.clock import microseconds_of
from querygauge.storage.database import Connection

__all__ = ["asked", "microseconds", "span_parameters"]

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 12, 31, tzinfo=UTC)
# A longer span is read by days, which are a quarter of the work and 2.2 % exact.
_LONGEST_BY_HOUR: Final = timedelta(days=45)


def asked(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that a statement gives, by the names of their columns."""
    cursor = connection.execute(sql, dict(parameters))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def microseconds(moment: datetime | None) -> int | None:
    """A moment as the statements take it; None leaves it open."""
    return None if moment is None else microseconds_of(moment)


def span_parameters(since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """Both bounds, and whether whole days within are precise enough."""
    first, end = since or _BEGINNING, until or _END
    return {
        "since": microseconds_of(first),
        "until": microseconds_of(end),
        "daily": min(end, datetime.now(UTC)) - first > _LONGEST_BY_HOUR,
    }
