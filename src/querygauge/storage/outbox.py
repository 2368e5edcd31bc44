"""
What is to be sent: messages that wait for their channel, claimed for a while by whoever sends, and what became of them.

The store is never held while anything is sent. Whoever is killed in between leaves messages that are claimed, and that
whoever comes later sends with the same key. Deliberately not here: sending, and how often it is tried.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from querygauge.clock import microseconds_of
from querygauge.errors import StoreError
from querygauge.storage.asking import asked
from querygauge.storage.changing import written
from querygauge.storage.database import (
    Connection,
    DatabaseError,
    first_line,
    open_database,
)
from querygauge.storage.paths import StorePaths
from querygauge.storage.told import value_of
from querygauge.values.alerts import Alert, AlertMessage, Finding
from querygauge.values.answers.performance_report import PerformanceReport

__all__ = ["Claimed", "Sent", "claim_messages", "finding_of", "has_messages", "note_sent", "put_message"]

_TIMEOUT_S: Final = 10.0
_WINDOW: Final = timedelta(minutes=10)  # in which a channel takes so many messages
_LEASE: Final = timedelta(minutes=2)  # for so long whoever claimed a message may try
# Nothing is put off for longer: what is due later was put off under a clock that was ahead.
_LONGEST_WAIT: Final = timedelta(days=1, hours=1)
_PUT: Final = """
INSERT INTO store.alert_messages BY NAME
SELECT
    $key AS message_key, $channel AS channel, make_timestamp($made_at) AS made_at, make_timestamp($made_at) AS due_at,
    0 AS attempts, 'waiting' AS status, $severity AS severity, $message AS message
"""
_DUE: Final = """(
    status = 'waiting' AND (due_at <= make_timestamp($now) OR due_at > make_timestamp($latest))
)"""
_HAS_DUE: Final = f"SELECT EXISTS (FROM alert_messages WHERE status = 'held' OR {_DUE})"  # built of constants
_WAITING: Final = f"""
SELECT message_key, channel, attempts, severity, message FROM store.alert_messages
WHERE {_DUE}
ORDER BY severity <> 'critical', made_at, message_key
"""  # noqa: S608  # built of constants
_HELD: Final = "SELECT message_key, channel, message FROM store.alert_messages WHERE status = 'held'"
# What is due within the lease may be on its way; what was sent later than now was sent under a clock that was ahead.
_TAKEN: Final = """
SELECT
    channel, count(*) FILTER (status = 'sent' OR is_on_its_way) AS sent,
    count(*) FILTER (status = 'waiting' AND NOT is_on_its_way AND severity = 'critical') AS critical,
    count(*) FILTER (status = 'waiting' AND NOT is_on_its_way AND severity <> 'critical') AS others
FROM (
    SELECT
        *, status = 'waiting' AND due_at > make_timestamp($now) AND due_at <= make_timestamp($until) AS is_on_its_way
    FROM store.alert_messages
    WHERE (status = 'sent' AND sent_at > make_timestamp($since) AND sent_at <= make_timestamp($now))
        OR (status = 'waiting' AND attempts > 0)
)
GROUP BY channel
"""
_CLAIM: Final = """
UPDATE store.alert_messages SET attempts = attempts + 1, due_at = make_timestamp($until)
WHERE message_key = $key AND channel = $channel
"""
_CHANGE: Final = """
UPDATE store.alert_messages
SET status = $status, due_at = make_timestamp($due_at), sent_at = make_timestamp($sent_at), error = $error
WHERE message_key = $key AND channel = $channel
"""
_HOLD: Final = """
UPDATE store.alert_messages SET status = $status, error = $error WHERE message_key = $key AND channel = $channel
"""


class Claimed(NamedTuple):
    """A message that the caller is to send: to which channel, and for the how manieth time."""

    channel: str
    attempts: int
    message: AlertMessage


class Sent(NamedTuple):
    """
    What became of a message.

    Attributes:
        claimed: The message.
        error: Why it did not arrive; None if it did.
        again_at: When it is to be tried again; None if it arrived, or never will.
    """

    claimed: Claimed
    error: str | None = None
    again_at: datetime | None = None


def put_message(connection: Connection, channel: str, message: AlertMessage) -> None:
    """Has a message wait for its channel, inside the caller's transaction."""
    connection.execute(
        _PUT,
        {
            "key": message.key,
            "channel": channel,
            "made_at": microseconds_of(message.made_at),
            "severity": message.severity,
            "message": json.dumps(message.to_dict()),
        },
    )


def has_messages(paths: StorePaths, now: datetime) -> bool:
    """
    Whether anything is to be sent now, or is held back and may be told in a digest.

    Raises:
        StoreError: If the store cannot be read.
    """
    try:
        with open_database(paths, read_only=True, timeout_s=_TIMEOUT_S) as connection:
            return bool(connection.execute(_HAS_DUE, _bounds(now)).fetchall()[0][0])
    except DatabaseError as error:
        raise StoreError(f"store {paths.database_name!r} could not be read: {first_line(error)}") from None


def claim_messages(
    paths: StorePaths,
    now: datetime,
    most: Mapping[str, int],
    *,
    keep_open: Collection[str] = (),
    are_all: bool = True,
) -> list[Claimed]:
    """
    What the caller is to send now; the caller holds the election lock.

    Of what is too much for its channel, the critical waits, and the rest is held back; once there is room again, a
    digest tells how much that was. What did not arrive and is tried again gives way to what is new and critical.

    Args:
        paths: The store.
        now: UTC.
        most: Messages in ten minutes, by the name of each channel.
        keep_open: Channels where an alert stays open until its end is told, so that no end is only a number there.
        are_all: Whether there are no other channels, so that what waits for one fails; else it goes on waiting.

    Raises:
        StoreError: If the store cannot be written; nothing is claimed.
    """
    with written(paths) as connection:
        return _Claiming(connection, now, most, frozenset(keep_open), are_all=are_all).run()


class _Room:
    """How much more a channel takes."""

    def __init__(self, limit: int, sent: int = 0, critical: int = 0, others: int = 0) -> None:
        self._limit = limit
        self._sent = sent  # or on its way
        self._tried = {True: critical, False: others}  # and to be tried again

    @property
    def is_there(self) -> bool:
        """Whether something new may go there."""
        return self._sent + sum(self._tried.values()) < self._limit

    def take(self, *, is_critical: bool, was_tried: bool) -> bool:
        """Whether there is room for a message, which then has it."""
        # What waits for its next attempt, an hour maybe, must not keep from its channel what cannot wait.
        waits = 0 if was_tried else self._tried[True] + (0 if is_critical else self._tried[False])
        if self._sent + waits >= self._limit:
            return False
        self._sent += 1
        self._tried[is_critical] -= was_tried
        return True


class _Claiming:
    """One look at what waits, inside a transaction."""

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        most: Mapping[str, int],
        keep_open: frozenset[str],
        *,
        are_all: bool,
    ) -> None:
        self._connection = connection
        self._now = now
        self._keep_open = keep_open
        self._are_all = are_all
        moments = {"since": now - _WINDOW, "now": now, "until": now + _LEASE}
        bounds = {name: microseconds_of(moment) for name, moment in moments.items()}
        taken = {row.pop("channel"): row for row in asked(connection, _TAKEN, bounds)}
        self._room = {channel: _Room(limit, **taken.get(channel, {})) for channel, limit in most.items()}

    def run(self) -> list[Claimed]:
        self._digest()
        return [
            claimed for row in asked(self._connection, _WAITING, _bounds(self._now)) if (claimed := self._claim(row))
        ]

    def _claim(self, row: dict[str, Any]) -> Claimed | None:
        channel, place = row["channel"], {"key": row["message_key"], "channel": row["channel"]}
        if channel not in self._room:
            self._give_up(place)
            return None
        message = _message_of(json.loads(row["message"]))
        is_critical, was_tried = row["severity"] == "critical", row["attempts"] > 0
        if not self._room[channel].take(is_critical=is_critical, was_tried=was_tried):
            if not is_critical and not was_tried and not self._must_wait(channel, message):
                self._connection.execute(_HOLD, {**place, "status": "held", "error": None})
            return None
        self._connection.execute(_CLAIM, {**place, "until": microseconds_of(self._now + _LEASE)})
        return Claimed(channel, row["attempts"] + 1, message)

    def _must_wait(self, channel: str, message: AlertMessage) -> bool:
        """Whether nothing would be left of a message as a number, as of a report, or of the end of what is open."""
        return message.report is not None or (message.status == "resolved" and channel in self._keep_open)

    def _give_up(self, place: dict[str, Any]) -> None:
        if not self._are_all:
            return
        told = f"there is no channel {place['channel']!r} in the settings any more"
        self._connection.execute(_HOLD, {**place, "status": "failed", "error": told})

    def _digest(self) -> None:
        """Where there is room again, one message for all that were held back."""
        counts: dict[str, Counter[str]] = {}
        for row in asked(self._connection, _HELD, {}):
            channel, place = row["channel"], {"key": row["message_key"], "channel": row["channel"]}
            if channel not in self._room:
                self._give_up(place)
            elif self._room[channel].is_there:
                counts.setdefault(channel, Counter()).update(_message_of(json.loads(row["message"])).by_rule())
                self._connection.execute(_HOLD, {**place, "status": "told", "error": None})
        for channel, held_back in counts.items():
            digest = AlertMessage(os.urandom(8).hex(), self._now, held_back=dict(held_back))
            put_message(self._connection, channel, digest)


def note_sent(paths: StorePaths, sent: Iterable[Sent], now: datetime) -> None:
    """
    Writes down what became of messages; the caller holds the election lock.

    Raises:
        StoreError: If the store cannot be written; they will be sent again, with the same key.
    """
    with written(paths) as connection:
        for each in sent:
            arrived = each.error is None
            status = "sent" if arrived else "waiting" if each.again_at is not None else "failed"
            connection.execute(
                _CHANGE,
                {
                    "key": each.claimed.message.key,
                    "channel": each.claimed.channel,
                    "status": status,
                    "due_at": microseconds_of(each.again_at or now),
                    "sent_at": microseconds_of(now) if arrived else None,
                    "error": each.error,
                },
            )


def finding_of(told: dict[str, Any]) -> Finding:
    """What was found, from its JSON."""
    return Finding(**{**told, "trend": tuple(told["trend"]), "tags": tuple(told.get("tags", ()))})


def _message_of(told: dict[str, Any]) -> AlertMessage:
    alerts = tuple(alert_of(alert) for alert in told["alerts"])
    made_at = datetime.fromisoformat(told["made_at"])
    report = None if told.get("report") is None else value_of(PerformanceReport, told["report"])
    return AlertMessage(told["key"], made_at, alerts, told["held_back"], told["is_test"], report)


def alert_of(told: dict[str, Any]) -> Alert:
    """An alert, from its JSON."""
    moments = ("began_at", "seen_at", "fired_at", "ended_at", "told_at")
    return Alert(
        **{
            **told,
            "finding": finding_of(told["finding"]),
            **{name: None if told[name] is None else datetime.fromisoformat(told[name]) for name in moments},
        }
    )


def _bounds(now: datetime) -> dict[str, int]:
    return {"now": microseconds_of(now), "latest": microseconds_of(now + _LONGEST_WAIT)}
