"""From a tick to a receiver: what arrives, how often, and what is written down."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from alerts.receivers import KeptReceiver
from alerts.samples import ALERT
from querygauge.alerts.delivery import MOST_ATTEMPTS, Outcome, again_after
from querygauge.collector import tick
from querygauge.errors import StoreError
from querygauge.storage.alerting import keep_alerts
from querygauge.storage.database import open_database
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.values.alerts import AlertMessage, AlertSeverity

MINUTE = timedelta(minutes=1)


@pytest.fixture
def receiver() -> Iterator[KeptReceiver]:
    """One that takes everything."""
    with KeptReceiver().serving() as made:
        yield made


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: KeptReceiver) -> StorePaths:
    """An empty store, in a directory whose settings name the receiver."""
    monkeypatch.chdir(tmp_path)
    _set(receiver)
    made = StorePaths(tmp_path / "store")
    fold(made)
    return made


def _set(receiver: KeptReceiver, more: str = "") -> None:
    # The disk of whoever runs this may be full.
    Path("querygauge.toml").write_text(
        "[alerts.thresholds]\ndisk_free_percent = 0\ndisk_critical_percent = 0\n"
        f'[alerts.channels.web]\ntype = "webhook"\nurl = "{receiver.url}"\n{more}'
    )


def _put(
    paths: StorePaths,
    count: int = 1,
    *,
    severity: AlertSeverity = "warning",
    channel: str = "web",
    rule: str = "a_rule",
) -> list[str]:
    """So many messages wait; gives their keys."""
    now = datetime.now(UTC)
    finding = replace(ALERT.finding, severity=severity, rule=rule)
    made = [
        AlertMessage(f"{rule}{severity}{number:04}", now, (replace(ALERT, finding=finding),)) for number in range(count)
    ]
    keep_alerts(paths, [], (), [(channel, message) for message in made])
    return [message.key for message in made]


def _rows(paths: StorePaths) -> list[tuple[Any, ...]]:
    with open_database(paths, read_only=True, timeout_s=1) as connection:
        return connection.execute(
            "SELECT status, attempts, error FROM alert_messages ORDER BY made_at, message_key"
        ).fetchall()


def test_a_message_is_sent_once(paths: StorePaths, receiver: KeptReceiver) -> None:
    """And then no more."""
    keys = _put(paths, 3)
    tick(paths.root)
    assert sorted(receiver.keys) == keys
    assert b'"rule":"a_rule"' in receiver.bodies[0].replace(b" ", b"")
    tick(paths.root)
    assert len(receiver.keys) == 3
    assert _rows(paths) == [("sent", 1, None)] * 3


def test_what_did_not_arrive_is_tried_again_with_the_same_key(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """Not at once, and until it arrives."""
    (key,) = _put(paths)
    receiver.status = 500
    with capture_logs() as logs:
        tick(paths.root)
    tick(paths.root)
    assert receiver.keys == [key]
    ((status, attempts, error),) = _rows(paths)
    assert (status, attempts) == ("waiting", 1)
    assert "500" in error
    assert [(entry["event"], entry["channel"], entry["is_given_up"]) for entry in logs] == [
        ("alert_not_sent", "web", False)
    ]
    later(MINUTE)
    tick(paths.root)
    receiver.status = 200
    later(MINUTE)
    tick(paths.root)
    later(MINUTE)
    tick(paths.root)
    assert receiver.keys == [key] * 3
    assert _rows(paths) == [("sent", 3, None)]


def test_a_receiver_may_ask_for_a_pause(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """It gets one."""
    _put(paths)
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    tick(paths.root)
    later(9 * MINUTE)
    tick(paths.root)
    assert len(receiver.keys) == 1
    later(2 * MINUTE)
    tick(paths.root)
    assert len(receiver.keys) == 2


def test_what_will_never_arrive_is_given_up(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """At once if the receiver says so, else after some hours; it stays in the store with its error."""
    _put(paths)
    receiver.status = 404
    with capture_logs() as logs:
        tick(paths.root)
    assert [entry["is_given_up"] for entry in logs] == [True]
    later(timedelta(days=1))
    tick(paths.root)
    assert len(receiver.keys) == 1
    ((status, attempts, error),) = _rows(paths)
    assert (status, attempts, "404" in error) == ("failed", 1, True)


def test_pauses_grow() -> None:
    """From a quarter of a minute to an hour, for about four hours."""
    failed = Outcome("no")
    pauses = [again_after(failed, attempts) for attempts in range(1, MOST_ATTEMPTS + 1)]
    assert pauses[-1] is None
    known = [pause for pause in pauses if pause is not None]
    assert len(known) == MOST_ATTEMPTS - 1
    assert timedelta(seconds=11) < known[0] < timedelta(seconds=19)
    assert timedelta(minutes=45) <= known[-1] <= timedelta(minutes=75)
    assert timedelta(hours=3) < sum(known, timedelta()) < timedelta(hours=6)
    assert again_after(Outcome("no", is_final=True), 1) is None
    assert again_after(Outcome(), 1) is None
    assert again_after(Outcome("no", 7_200.0), 1) == timedelta(hours=2)
    assert again_after(Outcome("no", 1e9), 1) == timedelta(days=1)


def test_killed_between_sending_and_noting(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent twice, with the same key, once nobody can be sending it any more."""
    (key,) = _put(paths)

    def fail(*_: object) -> None:
        raise StoreError("it is gone")

    with monkeypatch.context() as patched:
        patched.setattr("querygauge.storage.outbox.note_sent", fail)
        tick(paths.root)
    later(MINUTE)
    tick(paths.root)
    assert receiver.keys == [key]
    later(2 * MINUTE)
    tick(paths.root)
    assert receiver.keys == [key, key]
    assert _rows(paths) == [("sent", 2, None)]


def test_a_storm_is_told_in_numbers(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """At most so many messages in ten minutes, the critical first, and one for all the others."""
    _set(receiver, "max_messages = 5\n")
    _put(paths, 30, rule="slow_query")
    _put(paths, 10, rule="error_rate")
    critical = _put(paths, 4, severity="critical", rule="pool_timeout")
    for _ in range(3):
        tick(paths.root)
        later(MINUTE)
    assert len(receiver.keys) == 5
    assert set(critical) < set(receiver.keys)
    later(10 * MINUTE)
    tick(paths.root)
    assert len(receiver.keys) == 6
    digest = receiver.bodies[-1].decode()
    sent = {"error_rate": 0, "slow_query": 0} | {
        rule: sum(key.startswith(rule) for key in receiver.keys) for rule in ("error_rate", "slow_query")
    }
    assert f'"slow_query": {30 - sent["slow_query"]}' in digest
    assert f'"error_rate": {10 - sent["error_rate"]}' in digest
    assert sum(sent.values()) == 1
    assert sorted({row[0] for row in _rows(paths)}) == ["sent", "told"]


def test_what_is_critical_waits_for_room(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """It is never only a number."""
    _set(receiver, "max_messages = 2\n")
    keys = _put(paths, 5, severity="critical")
    for _ in range(4):
        tick(paths.root)
        later(11 * MINUTE)
    assert sorted(receiver.keys) == keys


def test_a_receiver_that_hangs_holds_up_nothing_but_its_message(
    paths: StorePaths, receiver: KeptReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold is over by then, what can be sent is, and the tick ends in time."""
    with KeptReceiver().serving() as other:
        Path("querygauge.toml").write_text(
            f'[alerts.channels.web]\ntype = "webhook"\nurl = "{receiver.url}"\n'
            f'[alerts.channels.other]\ntype = "webhook"\nurl = "{other.url}"\n'
        )
        monkeypatch.setattr("querygauge.alerts.delivery._LONGEST_S", 0.5)
        receiver.hangs_until.clear()
        _put(paths, rule="first")
        (key,) = _put(paths, channel="other", rule="second")
        tick(paths.root)
        assert other.keys == [key]
        assert _rows(paths) == [
            ("waiting", 1, "channel 'web' did not answer within 0.5 s"),
            ("sent", 1, None),
        ]


def test_a_name_that_nobody_resolves_has_nothing_sent_twice(
    paths: StorePaths, receiver: KeptReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that asks for it cannot be stopped; what arrived meanwhile did arrive."""
    answered = threading.Event()
    usual = socket.getaddrinfo

    def unanswered(host: str, *about: Any, **more: Any) -> Any:
        return answered.wait(20) if host == "nowhere.example" else usual(host, *about, **more)

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    monkeypatch.setattr("querygauge.alerts.delivery._LONGEST_S", 0.5)
    monkeypatch.setattr("querygauge.watching._LONGEST_S", 3.0)
    with Path("querygauge.toml").open("a") as settings:
        settings.write('[alerts.channels.other]\ntype = "webhook"\nurl = "http://nowhere.example/"\n')
    (key,) = _put(paths, rule="first")
    _put(paths, channel="other", rule="second")
    try:
        tick(paths.root)
        assert receiver.keys == [key]
        assert [row[0] for row in _rows(paths)] == ["sent", "waiting"]
    finally:
        answered.set()


def test_no_host_sends(paths: StorePaths, receiver: KeptReceiver) -> None:
    """Whoever folds in his own process leaves it to others."""
    _put(paths)
    tick(paths.root, sends=False)
    assert receiver.keys == []
    assert _rows(paths) == [("waiting", 0, None)]


def test_a_channel_that_is_no_more_fails(paths: StorePaths, receiver: KeptReceiver) -> None:
    """With the reason."""
    _put(paths, channel="pager")
    tick(paths.root)
    assert receiver.keys == []
    assert _rows(paths) == [("failed", 0, "there is no channel 'pager' in the settings any more")]


def test_what_is_held_back_for_a_channel_that_is_no_more_fails(paths: StorePaths, receiver: KeptReceiver) -> None:
    """Or each tick would look for room for it."""
    _set(receiver, "max_messages = 1\n")
    _put(paths, 2)
    tick(paths.root)
    assert [row[0] for row in _rows(paths)] == ["sent", "held"]
    Path("querygauge.toml").write_text('[alerts.channels.other]\ntype = "log"\n')
    tick(paths.root)
    assert [row[0] for row in _rows(paths)] == ["sent", "failed"]


def test_a_channel_that_is_not_set_up_is_tried_again(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """Somebody may set it up meanwhile; no secret is in the error."""
    Path("querygauge.toml").write_text('[alerts.channels.web]\ntype = "webhook"\nurl = "http://user:pw@[nowhere"\n')
    (key,) = _put(paths)
    tick(paths.root)
    ((status, attempts, error),) = _rows(paths)
    assert (status, attempts, "pw" in error) == ("waiting", 1, False)
    _set(receiver)
    later(MINUTE)
    tick(paths.root)
    assert receiver.keys == [key]


def test_a_clock_set_back_sends_all_the_same(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """What was put off under one that was a year ahead is due."""
    later(timedelta(days=365))
    receiver.status = 500
    _put(paths)
    tick(paths.root)
    receiver.status = 200
    later(timedelta(days=-365))
    tick(paths.root)
    assert [row[0] for row in _rows(paths)] == ["sent"]


def test_settings_that_are_wrong_for_a_while_lose_no_message(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """Nobody knows which channels there are; what waits for one goes on waiting, and so does what was held back."""
    _set(receiver, "max_messages = 1\n")
    first, second = _put(paths, 2)
    tick(paths.root)
    (third,) = _put(paths, severity="critical")
    for wrong in ("[alerts", '[alerts.channels.web]\ntype = "webhok"\n'):
        Path("querygauge.toml").write_text(wrong)
        later(11 * MINUTE)
        tick(paths.root)
    assert receiver.keys == [first]
    _set(receiver)
    tick(paths.root)
    assert third in receiver.keys
    assert second not in receiver.keys
    assert b'"a_rule": 1' in b"".join(receiver.bodies)


def test_whoever_has_no_settings_leaves_messages_to_others(paths: StorePaths, receiver: KeptReceiver) -> None:
    """Applications that share a store take turns, each where it runs."""
    (key,) = _put(paths)
    Path("querygauge.toml").unlink()
    tick(paths.root)
    assert _rows(paths) == [("waiting", 0, None)]
    _set(receiver)
    tick(paths.root)
    assert receiver.keys == [key]


def test_a_slip_in_a_number_leaves_the_channels(paths: StorePaths, receiver: KeptReceiver) -> None:
    """What is right is used."""
    (key,) = _put(paths)
    _set(receiver)
    settings = Path("querygauge.toml")
    settings.write_text(settings.read_text().replace("= 0\n", "= -1\n", 1))
    tick(paths.root)
    assert receiver.keys == [key]


def test_what_was_sent_under_a_clock_that_was_ahead_takes_no_room(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """Or nothing would be sent until that moment comes."""
    _set(receiver, "max_messages = 1\n")
    later(timedelta(days=1))
    _put(paths)
    tick(paths.root)
    later(timedelta(days=-1))
    (key,) = _put(paths, rule="another")
    tick(paths.root)
    assert receiver.keys[1:] == [key]


def test_what_waits_for_its_next_attempt_lets_the_critical_pass(
    paths: StorePaths, receiver: KeptReceiver, later: Callable[[timedelta], datetime]
) -> None:
    """A receiver that is back after an outage is told of it at once, and of the rest as there is room."""
    _set(receiver, "max_messages = 2\n")
    old = _put(paths, 2)
    receiver.status, receiver.headers = 503, {"Retry-After": "3000"}
    tick(paths.root)
    receiver.status, receiver.headers = 200, {}
    receiver.keys.clear()
    later(30 * MINUTE)
    new = _put(paths, 3, severity="critical", rule="pool_timeout")
    tick(paths.root)
    assert sorted(receiver.keys) == new[:2]
    later(21 * MINUTE)
    tick(paths.root)
    assert new[2] in receiver.keys
    later(11 * MINUTE)
    tick(paths.root)
    assert sorted(receiver.keys) == sorted([*old, *new])
    assert {row[0] for row in _rows(paths)} == {"sent"}


@pytest.mark.parametrize(("kind", "ends"), [("pagerduty", 2), ("webhook", 1)])
def test_no_end_is_a_number_where_alerts_stay_open(
    paths: StorePaths,
    receiver: KeptReceiver,
    later: Callable[[timedelta], datetime],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    ends: int,
) -> None:
    """It waits for room, or they would be open for ever."""
    monkeypatch.setenv("THE_KEY", "0123456789abcdef0123456789abcdef")
    key = 'routing_key = { environment = "THE_KEY" }\n' if kind == "pagerduty" else ""
    Path("querygauge.toml").write_text(
        f'[alerts.channels.web]\ntype = "{kind}"\nurl = "{receiver.url}"\nmax_messages = 1\n{key}'
    )
    now = datetime.now(UTC)
    finding = replace(ALERT.finding, severity="warning")
    over = replace(ALERT, finding=finding, status="resolved", ended_at=now)
    messages = [AlertMessage(f"{number:016}", now, (replace(over, id=f"{number:016x}"),)) for number in range(2)]
    keep_alerts(paths, [], (), [("web", message) for message in messages])
    for _ in range(3):
        tick(paths.root)
        later(11 * MINUTE)
    bodies = b"".join(receiver.bodies)
    assert bodies.count(b'"resolve"' if kind == "pagerduty" else b'"type": "alert"') == ends
