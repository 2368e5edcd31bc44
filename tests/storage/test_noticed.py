"""What only the store knows is counted once, however often somebody looks and whatever is dropped for its age."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from alerts.samples import ALERT, MESSAGE
from querygauge.collector import tick
from querygauge.storage.alerting import keep_alerts
from querygauge.storage.backup import back_up
from querygauge.storage.limits import Limits
from querygauge.storage.noticed import Noticed, Since, noticed
from querygauge.storage.outbox import Claimed, Sent, claim_messages, note_sent
from querygauge.storage.paths import StorePaths
from querygauge.storage.retention import retain
from querygauge.storage.spool_sink import SpoolSink
from querygauge.values.alerts import Alert
from storage.making import snapshot

_NOW = datetime.now(UTC)
_SECOND = timedelta(seconds=1)


def _store(paths: StorePaths) -> StorePaths:
    SpoolSink(paths.root, 10).write(snapshot())
    tick(paths.root, Limits(publishes=False), sends=False)
    return paths


def _fire(paths: StorePaths, alert_id: str, *, at: datetime = _NOW, channel: str = "team") -> None:
    alert: Alert = replace(ALERT, id=alert_id, status="firing", fired_at=at, ended_at=None)
    keep_alerts(paths, [alert], [], [(channel, replace(MESSAGE, key=alert_id, made_at=at))])


def _claim(paths: StorePaths, at: datetime = _NOW, most: int = 20) -> list[Claimed]:
    return claim_messages(paths, at, {"team": most})


def _counted(found: Noticed) -> dict[tuple[str, str], int]:
    return {key: number for key, number in found.messages.items() if number}


def test_the_first_look_counts_nothing(paths: StorePaths) -> None:
    """What was before nobody exported; what is now is told."""
    _fire(_store(paths), "a")
    found = noticed(paths, _NOW + _SECOND, None)
    rule, severity = ALERT.finding.rule, ALERT.finding.severity
    assert (found.fired, _counted(found)) == ({}, {})
    assert (found.firing, found.waiting) == ({(rule, severity): 1}, {"team": 1})


def test_what_began_to_fire_since_is_counted_once(paths: StorePaths) -> None:
    """However often it is looked at."""
    since: Since | None = noticed(_store(paths), _NOW, None).since
    _fire(paths, "a", at=_NOW + _SECOND)
    _fire(paths, "b", at=_NOW + 2 * _SECOND)
    counted = []
    for _ in range(3):
        found = noticed(paths, _NOW + 3 * _SECOND, since)
        counted.append(sum(found.fired.values()))
        since = found.since
    assert counted == [2, 0, 0]


def test_what_becomes_of_messages_is_counted_once(paths: StorePaths) -> None:
    """Sent, tried again, given up, held back and told in a digest."""
    since = noticed(_store(paths), _NOW, None).since
    for name in "abc":
        _fire(paths, name)
    first, second, third = _claim(paths)
    note_sent(paths, [Sent(first), Sent(second, "503", _NOW), Sent(third, "404")], _NOW)
    found = noticed(paths, _NOW, since)
    assert _counted(found) == {("team", "sent"): 1, ("team", "failed"): 1}
    assert found.waiting == {"team": 1}
    (again,) = _claim(paths)
    note_sent(paths, [Sent(again)], _NOW)
    later = noticed(paths, _NOW, found.since)
    assert _counted(later) == {("team", "sent"): 1, ("team", "retried"): 1}
    assert _counted(noticed(paths, _NOW, later.since)) == {}


def test_messages_that_are_dropped_for_their_age_make_no_counter_fall(paths: StorePaths) -> None:
    """Nor hide those that come meanwhile."""
    since = noticed(_store(paths), _NOW - timedelta(days=40), None).since
    _fire(paths, "a", at=_NOW - timedelta(days=39))
    note_sent(paths, [Sent(each) for each in _claim(paths, _NOW - timedelta(days=39))], _NOW - timedelta(days=39))
    found = noticed(paths, _NOW - timedelta(days=39), since)
    assert _counted(found) == {("team", "sent"): 1}
    retain(paths, Limits(minutes_days=1, days=7, daily_days=30), _NOW)
    _fire(paths, "b")
    note_sent(paths, [Sent(each) for each in _claim(paths)], _NOW)
    assert _counted(noticed(paths, _NOW, found.since)) == {("team", "sent"): 1}


def test_sizes_and_moments_are_told(paths: StorePaths) -> None:
    """When retention and the newest backup were; neither before there was one."""
    before = noticed(_store(paths), _NOW, None)
    assert (before.backed_up_s, before.sizes["backup"], before.sizes["database"] > 0) == (None, 0, True)
    back_up(paths, now=_NOW)
    retain(paths, Limits(), _NOW)
    after = noticed(paths, _NOW, before.since)
    assert after.backed_up_s == int(_NOW.timestamp())
    assert after.retained_s is not None
    assert abs(after.retained_s - _NOW.timestamp()) < 1
    assert after.sizes["backup"] > 0
