"""
The memory of alerts: what is known of them and what nobody wants to be told, read before a look and written after it.

Deliberately not here: what is wrong, and what becomes an alert of it.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from querygauge.clock import microseconds_of
from querygauge.errors import SettingsError, StoreError
from querygauge.storage.asking import asked, microseconds
from querygauge.storage.changing import changing, written
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    first_line,
    open_database,
    transaction,
)
from querygauge.storage.observing import observed
from querygauge.storage.outbox import finding_of, put_message
from querygauge.storage.paths import StorePaths
from querygauge.storage.ranges import Span
from querygauge.storage.rows import utc
from querygauge.values.alerts import Alert, AlertMessage, Alerts, Silence
from querygauge.values.objectives import Objective
from querygauge.values.observed import Observation

__all__ = ["Watched", "alerts_in", "keep_alerts", "silence", "silences_in_force", "unsilence", "watched"]

_TIMEOUT_S: Final = 10.0
_ENDED_LATELY: Final = timedelta(hours=1)
_KNOWN: Final = """
SELECT * FROM alerts WHERE ended_at IS NULL OR ended_at >= make_timestamp($since) ORDER BY began_at, alert_id
"""
_FIRING: Final = """
SELECT * FROM alerts
WHERE status = 'firing' AND ($service IS NULL OR service = $service)
ORDER BY fired_at DESC, alert_id
"""
_FIRED: Final = """
SELECT * FROM alerts
WHERE status <> 'pending' AND fired_at < make_timestamp($until)
    AND coalesce(ended_at, seen_at) >= make_timestamp($since) AND ($service IS NULL OR service = $service)
ORDER BY fired_at DESC, alert_id
"""
_SILENCES: Final = "SELECT * FROM silences WHERE until > make_timestamp($now) ORDER BY until, silence_id"
_INSERT: Final = """
INSERT INTO store.alerts BY NAME
SELECT
    $alert_id AS alert_id, $rule AS rule, $service AS service, $target AS target, $subject AS subject,
    $severity AS severity, $status AS status, $told_severity AS told_severity, $times AS times, $finding AS finding,
    make_timestamp($began_at) AS began_at, make_timestamp($seen_at) AS seen_at, make_timestamp($fired_at) AS fired_at,
    make_timestamp($ended_at) AS ended_at, make_timestamp($told_at) AS told_at
"""
_SILENCE: Final = """
INSERT INTO silences VALUES ($id, make_timestamp($made), make_timestamp($until), $rule, $service, $subject, $note)
"""


class Watched(NamedTuple):
    """Everything that a look needs: what is there now, the alerts that have not ended or did lately, and silences."""

    observation: Observation
    known: list[Alert]
    silences: list[Silence]


def watched(paths: StorePaths, now: datetime, *, slow_ms: float, objectives: Sequence[Objective] = ()) -> Watched:
    """
    What a look needs, of a store that was folded just now.

    Args:
        paths: The store.
        now: UTC.
        slow_ms: Patterns with a lower 95th percentile are compared with nothing.
        objectives: What is to be attained.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            known = asked(connection, _KNOWN, {"since": microseconds(now - _ENDED_LATELY)})
            return Watched(
                observed(connection, paths, now, slow_ms=slow_ms, objectives=objectives),
                [_alert_of(row) for row in known],
                silences_in_force(connection, now),
            )
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None


def alerts_in(connection: Connection, span: Span | None, service: str | None, now: datetime) -> Alerts:
    """Alerts that fired at some time in a span, or fire now where it is None, from an open store."""
    if span is None:
        rows = asked(connection, _FIRING, {"service": service})
    else:
        bounds = {"since": microseconds(span.since), "until": microseconds(span.until)}
        rows = asked(connection, _FIRED, {**bounds, "service": service})
    return Alerts(tuple(map(_alert_of, rows)), tuple(silences_in_force(connection, now)))


def silences_in_force(connection: Connection, now: datetime) -> list[Silence]:
    """Those that have not ended, from an open store; what ends next first."""
    return [_silence_of(row) for row in asked(connection, _SILENCES, {"now": microseconds_of(now)})]


def keep_alerts(
    paths: StorePaths,
    changed: Sequence[Alert],
    dropped: Iterable[Alert],
    messages: Sequence[tuple[str, AlertMessage]] = (),
) -> None:
    """
    Writes alerts as they are now, with what is to be sent of them, and forgets others: all or nothing.

    Args:
        paths: The store, whose election lock the caller holds.
        changed: Alerts that are new, or not as they were.
        dropped: Those that were none.
        messages: What is to be sent, each by the name of the channel.

    Raises:
        StoreError: If the store cannot be written; it is as it was.
    """
    gone = [alert.id for alert in (*changed, *dropped)]
    if not gone and not messages:
        return
    with written(paths) as connection:
        connection.execute("DELETE FROM store.alerts WHERE alert_id IN (SELECT unnest(?))", [gone])
        for alert in changed:
            connection.execute(_INSERT, _row_of(alert))
        for channel, message in messages:
            put_message(connection, channel, message)


def silence(
    paths: StorePaths,
    until: datetime,
    *,
    rule: str | None = None,
    service: str | None = None,
    subject: str | None = None,
    note: str | None = None,
    now: datetime | None = None,
) -> Silence:
    """
    Has nobody told of some alerts for a while.

    Args:
        paths: The store.
        until: When it ends, UTC.
        rule: Name of a rule, `*` standing for any part of it, here and below; None is any.
        service: Name of an application.
        subject: Id of a pattern, or name of a pool or an objective.
        note: Why.
        now: UTC.

    Raises:
        SettingsError: If it would end before it began.
        StoreError: If the store cannot be written.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    if until <= moment:
        raise SettingsError(f"until must be in the future; got {until:%Y-%m-%d %H:%M} UTC")
    made = Silence(secrets.token_hex(4), moment, until, rule, service, subject, note or None)
    with changing(paths) as connection, transaction(connection, paths):
        connection.execute(
            _SILENCE,
            {
                "id": made.id,
                "made": microseconds_of(moment),
                "until": microseconds_of(until),
                "rule": rule,
                "service": service,
                "subject": subject,
                "note": made.note,
            },
        )
    return made


def unsilence(paths: StorePaths, silence_id: str) -> None:
    """
    Ends a silence.

    Raises:
        StoreError: If there is none of that id, or the store cannot be written.
    """
    with changing(paths) as connection, transaction(connection, paths):
        gone = connection.execute("DELETE FROM silences WHERE silence_id = ? RETURNING 1", [silence_id]).fetchall()
    if not gone:
        raise StoreError(f"there is no silence {silence_id!r}; querygauge alerts silences lists those in force")


def _row_of(alert: Alert) -> dict[str, Any]:
    finding = alert.finding
    return {
        "alert_id": alert.id,
        "rule": finding.rule,
        "service": finding.service,
        "target": finding.target,
        "subject": finding.subject,
        "severity": finding.severity,
        "status": alert.status,
        "began_at": microseconds(alert.began_at),
        "seen_at": microseconds(alert.seen_at),
        "fired_at": microseconds(alert.fired_at),
        "ended_at": microseconds(alert.ended_at),
        "told_at": microseconds(alert.told_at),
        "told_severity": alert.told_severity,
        "times": alert.times,
        "finding": json.dumps(finding.to_dict()),
    }


def _alert_of(row: dict[str, Any]) -> Alert:
    return Alert(
        row["alert_id"],
        finding_of(json.loads(row["finding"])),
        row["status"],
        utc(row["began_at"]),
        utc(row["seen_at"]),
        _utc_or_none(row["fired_at"]),
        _utc_or_none(row["ended_at"]),
        _utc_or_none(row["told_at"]),
        row["told_severity"],
        row["times"],
    )


def _silence_of(row: dict[str, Any]) -> Silence:
    return Silence(
        row["silence_id"],
        utc(row["made_at"]),
        utc(row["until"]),
        row["rule"],
        row["service"],
        row["subject"],
        row["note"],
    )


def _utc_or_none(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)
