"""What somebody says of a query, written into the store: in go the query and what is said, out comes the mark."""

from datetime import UTC, datetime, timedelta
from typing import Final

from querygauge.clock import microseconds_of
from querygauge.errors import SettingsError, StoreError
from querygauge.storage.answers.marks import measured_since
from querygauge.storage.answers.pattern import one_pattern
from querygauge.storage.changing import changing
from querygauge.storage.database import transaction
from querygauge.storage.paths import StorePaths
from querygauge.storage.rows import pattern_of
from querygauge.values.answers.marks import MARK_KINDS, Mark, MarkedPattern, MarkKind

__all__ = ["mark", "unmark"]

_BEFORE: Final = timedelta(days=7)
_MARK: Final = """
INSERT INTO marks VALUES ($id, $kind, make_timestamp($marked), make_timestamp($until), $note, $p95_ms, $per_scope)
"""


def mark(
    paths: StorePaths,
    prefix: str,
    kind: MarkKind,
    *,
    until: datetime | None = None,
    note: str | None = None,
    now: datetime | None = None,
) -> MarkedPattern:
    """
    Marks the one query whose id begins with `prefix`; an earlier mark of it is replaced.

    Args:
        paths: The store.
        prefix: Its id, or the beginning of it.
        kind: What is said of it.
        until: From then on it is as if nobody had.
        note: Why.
        now: UTC.

    Raises:
        SettingsError: If there is no such kind, or `until` has no zone or is over already.
        StoreError: If the prefix is not that of one query, or the store cannot be written.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    if kind not in MARK_KINDS:
        raise SettingsError(f"a mark must be one of {', '.join(MARK_KINDS)}; got {kind!r}")
    if until is not None and until.tzinfo is None:
        raise SettingsError(f"until must have a zone; got {until}")
    if until is not None and until <= moment:
        raise SettingsError(f"until must be in the future; got {until:%Y-%m-%d %H:%M} UTC")
    with changing(paths) as connection:
        row = one_pattern(connection, prefix)
        before = measured_since(connection, {row["pattern_id"]: moment - _BEFORE})[row["pattern_id"]]
        made = Mark(kind, moment, until, note or None, before.p95_ms, before.per_scope)
        with transaction(connection, paths):
            connection.execute("DELETE FROM marks WHERE pattern_id = ?", [row["pattern_id"]])
            connection.execute(
                _MARK,
                {
                    "id": row["pattern_id"],
                    "kind": kind,
                    "marked": microseconds_of(moment),
                    "until": None if until is None else microseconds_of(until),
                    "note": made.note,
                    "p95_ms": made.p95_ms,
                    "per_scope": made.per_scope,
                },
            )
    return MarkedPattern(pattern_of(row), made)


def unmark(paths: StorePaths, prefix: str) -> None:
    """
    Takes back what was said of the one query whose id begins with `prefix`.

    Raises:
        StoreError: If the prefix is not that of one query, nothing was said of it, or the store cannot be written.
    """
    with changing(paths) as connection:
        pattern_id = one_pattern(connection, prefix)["pattern_id"]
        with transaction(connection, paths):
            gone = connection.execute("DELETE FROM marks WHERE pattern_id = ? RETURNING 1", [pattern_id]).fetchall()
    if not gone:
        raise StoreError(f"pattern {pattern_id} is not marked; querygauge patterns marks lists those that are")
