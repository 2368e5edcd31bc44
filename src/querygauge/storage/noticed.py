"""
What only the store knows and whoever exports tells: alerts, messages, sizes, and when what was done last.

In goes a store, out comes one value. Counts are of what has come since an earlier one, as rows are dropped for their
age. Deliberately not here: what becomes of it.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.storage.asking import asked
from querygauge.storage.backup_files import PREFIX, backups_in
from querygauge.storage.database import Connection, DatabaseError, bytes_of, first_line, open_database
from querygauge.storage.paths import StorePaths

__all__ = ["MESSAGE_OUTCOMES", "Noticed", "Since", "noticed"]

MESSAGE_OUTCOMES: Final = ("sent", "failed", "retried", "suppressed", "digested")

_TIMEOUT_S: Final = 10.0
# Messages are tried for a day, and kept for a week at least: those made in between may change, and are not dropped.
_CHANGES: Final = timedelta(days=3)
_FIRING: Final = "SELECT rule, severity, count(*) AS alerts FROM alerts WHERE status = 'firing' GROUP BY ALL"
_FIRED: Final = """
SELECT rule, severity, count(*) AS alerts, max(fired_at) AS latest FROM alerts
WHERE fired_at > make_timestamp($fired) GROUP BY ALL
"""
_MESSAGES: Final = """
SELECT
    channel, made_at >= make_timestamp($next) AS is_kept, made_at > make_timestamp($looked) AS is_new,
    count(*) FILTER (status = 'sent') AS sent, count(*) FILTER (status = 'failed') AS failed,
    sum(greatest(attempts - 1, 0))::BIGINT AS retried,
    count(*) FILTER (status IN ('held', 'told')) AS suppressed, count(*) FILTER (status = 'told') AS digested,
    count(*) FILTER (status = 'waiting') AS waiting
FROM alert_messages WHERE made_at >= make_timestamp($since) OR status = 'waiting' GROUP BY ALL
"""
_RETAINED: Final = "SELECT epoch_us(max(retained_at)) AS retained FROM meta"


class Since(NamedTuple):
    """
    What was noticed up to an earlier time; moments are microseconds since 1970.

    Attributes:
        looked_us: When that was.
        fired_us: Alerts that fired later are new.
        made_us: Messages that were made later are counted.
        messages: What had become of those by then, by channel and outcome.
    """

    looked_us: int
    fired_us: int
    made_us: int
    messages: Mapping[tuple[str, str], int]


class Noticed(NamedTuple):
    """
    What the store says.

    Attributes:
        firing: Alerts that fire now, by rule and severity.
        fired: Those that began to since.
        messages: What became of messages since, by channel and outcome.
        waiting: Messages that wait, by channel.
        sizes: Bytes on disk by what they are for.
        retained_s: When retention ran last, in seconds since 1970; None if it never did.
        backed_up_s: When the newest backup was taken; None if there is none.
        since: For the next time.
    """

    firing: Mapping[tuple[str, str], int]
    fired: Mapping[tuple[str, str], int]
    messages: Mapping[tuple[str, str], int]
    waiting: Mapping[str, int]
    sizes: Mapping[str, int]
    retained_s: float | None
    backed_up_s: float | None
    since: Since


def noticed(paths: StorePaths, now: datetime, since: Since | None) -> Noticed:
    """
    What the store says now.

    Args:
        paths: The store.
        now: UTC.
        since: What was noticed before; None if this is the first time, which counts nothing.

    Raises:
        StoreError: If the store cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            return _noticed(connection, paths, now, since)
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None


def _noticed(connection: Connection, paths: StorePaths, now: datetime, since: Since | None) -> Noticed:
    next_us = microseconds_of(now - _CHANGES)
    now_us = microseconds_of(now)
    before = since or Since(now_us, now_us, next_us, {})
    fired = asked(connection, _FIRED, {"fired": before.fired_us})
    rows = asked(connection, _MESSAGES, {"since": before.made_us, "next": next_us, "looked": before.looked_us})
    (retained,) = asked(connection, _RETAINED, {})
    latest_us = max((microseconds_of(row["latest"].replace(tzinfo=UTC)) for row in fired), default=before.fired_us)
    return Noticed(
        firing=_by_rule(asked(connection, _FIRING, {})),
        fired=_by_rule(fired),
        messages={} if since is None else _more(rows, before.messages),
        waiting=_waiting(rows),
        sizes=_sizes(connection, paths),
        retained_s=None if retained["retained"] is None else retained["retained"] / 1e6,
        backed_up_s=_backed_up_s(paths),
        since=Since(now_us, latest_us, next_us, _by_outcome(row for row in rows if row["is_kept"])),
    )


def _by_rule(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    return {(row["rule"], row["severity"]): row["alerts"] for row in rows}


def _by_outcome(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        for outcome in MESSAGE_OUTCOMES:
            key = (row["channel"], outcome)
            found[key] = found.get(key, 0) + row[outcome]
    return found


def _more(rows: Iterable[Mapping[str, Any]], before: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """What has become of messages since; some of those that were there before may have been dropped."""
    rows = list(rows)
    old, new = _by_outcome(row for row in rows if not row["is_new"]), _by_outcome(row for row in rows if row["is_new"])
    return {key: max(0, old.get(key, 0) - before.get(key, 0)) + new.get(key, 0) for key in old | new}


def _waiting(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["channel"]] = found.get(row["channel"], 0) + row["waiting"]
    return found


def _sizes(connection: Connection, paths: StorePaths) -> dict[str, int]:
    return {
        "database": bytes_of(connection, paths),
        "spool": _bytes_in(paths.spool),
        "parquet": _bytes_in(paths.published),
        "archive": _bytes_in(paths.archive),
        "backup": _bytes_in(paths.backups),
    }


def _bytes_in(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # removed meanwhile
            size += path.stat().st_size if path.is_file() else 0
    return size


def _backed_up_s(paths: StorePaths) -> float | None:
    """When the newest backup was taken, as its name tells; each was read back before it got that name."""
    moments = []
    for path in backups_in(paths.backups):
        with suppress(ValueError):
            taken_at = datetime.strptime(path.name.removeprefix(PREFIX)[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            moments.append(taken_at.timestamp())
    return max(moments, default=None)
